//! Sentences for people: what was found on the nodes, with the numbers that the constant reasons leave out.

use std::fmt::Write as _;

use super::{
    Class, NodeVerdict,
    counterfactual::{Change, Counted, Window},
};
use crate::{
    node::{NodeClass, NodeRow},
    quantity::Quantity,
    reasons::Reason,
    resources::Resources,
    selector::effect_name,
};

/// `3 real nodes: 2 short of cpu (pod needs 500m, most free 120m on node-2), 1 cordoned`.
pub fn nodes(class: NodeClass, verdicts: &[NodeVerdict<'_>], need: Resources) -> String {
    let ours: Vec<_> = verdicts.iter().filter(|v| v.node.class == class).collect();
    let word = match class {
        NodeClass::Real => "real",
        NodeClass::Virtual => "virtual",
    };
    if ours.is_empty() {
        return format!("no {word} node");
    }
    let plural = if ours.len() == 1 { "" } else { "s" };
    let mut text = format!("{} {word} node{plural}: ", ours.len());
    for (i, (obstacle, group)) in groups(&ours).into_iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let phrase = obstacle.map_or("with room", Reason::phrase);
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{} {phrase}{}", group.len(), shortage(obstacle, &group, need));
    }
    text
}

type Group<'v, 'n> = (Option<Reason>, Vec<&'v NodeVerdict<'n>>);

/// Verdicts by obstacle, the most frequent first.
fn groups<'v, 'n>(verdicts: &[&'v NodeVerdict<'n>]) -> Vec<Group<'v, 'n>> {
    let mut groups: Vec<Group<'v, 'n>> = Vec::new();
    for verdict in verdicts {
        match groups.iter_mut().find(|(obstacle, _)| *obstacle == verdict.obstacle) {
            Some((_, group)) => group.push(verdict),
            None => groups.push((verdict.obstacle, vec![verdict])),
        }
    }
    groups.sort_by_key(|(obstacle, group)| (std::cmp::Reverse(group.len()), *obstacle));
    groups
}

fn shortage(obstacle: Option<Reason>, group: &[&NodeVerdict<'_>], need: Resources) -> String {
    let Some((need, free_of)) = obstacle.and_then(|reason| measured(reason, need)) else {
        return String::new();
    };
    // Of equals the first name, so that the sentence does not change between calls.
    let best =
        group.iter().map(|v| v.node).min_by_key(|n| (std::cmp::Reverse(free_of(n).0), n.name.as_str()));
    best.map(|node| format!(" (pod needs {need}, most free {} on {})", free_of(node).1, node.name))
        .unwrap_or_default()
}

/// A node's free amount, as a number to compare and as text.
type FreeOf = fn(&NodeRow) -> (u64, String);

fn measured(reason: Reason, need: Resources) -> Option<(String, FreeOf)> {
    match reason {
        Reason::ShortOfCpu => Some((cpu(need.cpu_milli), |n| {
            let free = n.free().cpu_milli;
            (free, cpu(free))
        })),
        Reason::ShortOfMemory => Some((needed_bytes(need.memory_bytes), |n| {
            let free = n.free().memory_bytes;
            (free, free_bytes(free))
        })),
        Reason::ShortOfEphemeralStorage => Some((needed_bytes(need.ephemeral_storage_bytes), |n| {
            let free = n.free().ephemeral_storage_bytes;
            (free, free_bytes(free))
        })),
        Reason::ShortOfGpu => Some((need.gpu.to_string(), |n| (n.free().gpu, n.free().gpu.to_string()))),
        _ => None,
    }
}

/// `500m`, `2`.
pub fn cpu(milli: u64) -> String {
    Quantity::from_milli(milli).to_string()
}

/// Bytes that a pod needs, rounded up to a tenth: `1.5Gi`.
pub fn needed_bytes(bytes: u64) -> String {
    tenths(bytes, u128::div_ceil)
}

/// Bytes that are free, rounded down to a tenth: never more than there is.
pub fn free_bytes(bytes: u64) -> String {
    tenths(bytes, |tenths, unit| tenths / unit)
}

fn tenths(bytes: u64, divide: fn(u128, u128) -> u128) -> String {
    let units = [(1_u128 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let Some((unit, suffix)) = units.into_iter().find(|(unit, _)| u128::from(bytes) >= *unit) else {
        return bytes.to_string();
    };
    let tenths = divide(u128::from(bytes) * 10, unit);
    match tenths % 10 {
        0 => format!("{}{suffix}", tenths / 10),
        rest => format!("{}.{rest}{suffix}", tenths / 10),
    }
}

/// `would have stayed local if 380m more cpu were free on node-2`.
pub fn alternative(from: Class, becomes: Class, changes: &[Change]) -> String {
    let would = match (from, becomes) {
        (Class::Cloud, Class::Local) => "would have stayed local",
        (_, Class::Local) => "would run on a real node",
        (Class::Local, Class::Cloud) => "would have burst",
        (_, Class::Cloud) => "would burst",
        (_, Class::Wait) => "would wait",
        (_, Class::Reject) => "would be refused",
    };
    format!("{would} if {}", changes.iter().map(condition).collect::<Vec<_>>().join(" and "))
}

fn condition(change: &Change) -> String {
    match change {
        Change::Room { node, lacks, .. } => format!("{} were free on {node}", more(*lacks)),
        Change::Untaint { node, taint } => {
            let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
            format!("{node} had no taint {}{value}:{}", taint.key, effect_name(taint.effect))
        }
        Change::Uncordon { node } => format!("{node} were uncordoned"),
        Change::Ready { node } => format!("{node} were ready"),
        Change::Label { node, key, value: Some(value) } => format!("{node} had the label {key}={value}"),
        Change::Label { node, key, value: None } => format!("{node} had no label {key}"),
        Change::Policy { to } => format!("the policy were {}", to.as_str()),
        Change::Limit { name, tier, what, by, .. } => {
            let of = if *tier { format!("tier {name}'s ceiling") } else { format!("the ceiling max.{name}") };
            format!("{of} were {} higher", amount(*what, *by))
        }
        Change::Budget { window, by, currency, .. } => {
            let window = match window {
                Window::Hour => "hourly",
                Window::Day => "daily",
                Window::Month => "monthly",
            };
            format!("the {window} budget were {by} {currency} higher")
        }
        Change::Wait { seconds } => format!("{} more had passed", duration(*seconds)),
        Change::FoundUnschedulable => "the scheduler had found no real node for it".to_owned(),
        Change::PreemptionTried => "preemption on real nodes had been tried".to_owned(),
        Change::InStock { node, zone, class } => {
            let zone = if zone.is_empty() { String::new() } else { format!(" in zone {zone}") };
            format!("the cloud of {node} had size {class} in stock again{zone}")
        }
        Change::Priority { object, to } => format!("{object} had priority {to}"),
    }
}

fn amount(what: Counted, by: u64) -> String {
    match what {
        Counted::Pods => format!("{by} pod{}", if by == 1 { "" } else { "s" }),
        Counted::Cpu => format!("{} cpu", cpu(by)),
        Counted::Memory => format!("{} of memory", needed_bytes(by)),
        Counted::Gpu => format!("{by} GPU{}", if by == 1 { "" } else { "s" }),
    }
}

fn more(lacks: Resources) -> String {
    let one = |n: u64| if n == 1 { "" } else { "s" };
    let parts = [
        (lacks.cpu_milli > 0).then(|| format!("{} more cpu", cpu(lacks.cpu_milli))),
        (lacks.memory_bytes > 0).then(|| format!("{} more memory", needed_bytes(lacks.memory_bytes))),
        (lacks.ephemeral_storage_bytes > 0)
            .then(|| format!("{} more ephemeral storage", needed_bytes(lacks.ephemeral_storage_bytes))),
        (lacks.gpu > 0).then(|| format!("{} more GPU{}", lacks.gpu, one(lacks.gpu))),
        (lacks.pods > 0).then(|| format!("{} more pod slot{}", lacks.pods, one(lacks.pods))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// `45 s`, `12 min 5 s`, `3 h 0 min`, `2 d 4 h`: two units at most, rounded up to the smaller one.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => {
            let minutes = seconds.div_ceil(60);
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
        _ => {
            let hours = seconds.div_ceil(3600);
            format!("{} d {} h", hours / 24, hours % 24)
        }
    }
}
