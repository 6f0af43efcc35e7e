//! An explanation as text. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use policies::burst_policy::{Limit, SpendRow, Usage};
use policies::decide::case::Permission;
use policies::decide::{Class, sentence};
use policies::node::NodeClass;

use super::{Count, Report};
use crate::paper::{Paper, clock};

/// One pod.
pub(crate) fn pod(report: &Report, now: i64) -> String {
    let mut paper = Paper::here();
    paper.line(&format!("pod {}/{} {}", report.namespace, report.name, place(report)));
    details(&mut paper, report, now);
    paper.text()
}

/// The pod of a Deployment that is told of in full: the first that waits, else the first in the cloud, else the first.
pub(crate) fn speaker(reports: &mut [Report]) -> Option<&mut Report> {
    let at = reports.iter().position(|r| r.node.is_none());
    let at = at.or_else(|| reports.iter().position(|r| r.node_class == Some(NodeClass::Virtual)));
    reports.get_mut(at.unwrap_or(0))
}

/// A Deployment: how many of its pods are where and why, then one of them in full.
pub(crate) fn deployment(namespace: &str, name: &str, reports: &mut [Report], now: i64) -> String {
    let mut paper = Paper::here();
    let plural = if reports.len() == 1 { "" } else { "s" };
    paper.line(&format!("Deployment {namespace}/{name}: {} pod{plural}", reports.len()));
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    for report in reports.iter() {
        *groups.entry(group(report)).or_default() += 1;
    }
    for (what, count) in groups {
        paper.item(&format!("{count} {what}"));
    }
    if let Some(report) = speaker(reports) {
        paper.line("");
        paper.line(&format!("for example {} {}", report.name, place(report)));
        details(&mut paper, report, now);
    }
    paper.text()
}

fn group(report: &Report) -> String {
    match (&report.node, report.node_class, &report.permission) {
        (Some(_), Some(NodeClass::Virtual), _) => {
            format!("in the cloud ({})", report.provider.as_deref().unwrap_or("unknown provider"))
        }
        (Some(_), ..) => "on real nodes".to_owned(),
        (None, _, Permission::Held(held)) => format!("held back: {}", held.hold.code()),
        (None, ..) => "without a node".to_owned(),
    }
}

fn place(report: &Report) -> String {
    let provider = report.provider.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
    match (&report.node, report.node_class, &report.permission) {
        (Some(node), Some(NodeClass::Virtual), _) => format!("is in the cloud, on {node}{provider}"),
        (Some(node), Some(NodeClass::Real), _) => format!("is on the real node {node}"),
        (Some(node), None, _) => format!("is on {node}, a node that does not exist any more"),
        (None, _, Permission::Held(_)) => "is held back".to_owned(),
        (None, ..) => "has no node".to_owned(),
    }
}

fn details(paper: &mut Paper, report: &Report, now: i64) {
    let object = report.policy_object.as_ref().map(|o| format!("; governed by {o}")).unwrap_or_default();
    paper.field("policy", &format!("{}, from {}{object}", report.policy.as_str(), report.source));
    let again = if report.node.is_some() { "decided again now, it " } else { "" };
    paper.field("outcome", &format!("{}: {again}{}", class(report.outcome), report.sentence));
    paper.field("real nodes", &counts(&report.why.real));
    paper.field("virtual nodes", &counts(&report.why.virtual_nodes));
    match &report.permission {
        Permission::Held(held) => {
            let until = held.until.map(|until| {
                let left = u64::try_from(until.saturating_sub(now)).unwrap_or(0);
                format!(", until {} (in {})", clock(until), sentence::duration(left))
            });
            let why = held.hold.text().trim_start_matches("burst: ");
            paper.field("held back", &format!("{}: {why}{}", held.hold.code(), until.unwrap_or_default()));
        }
        Permission::Granted { tier, .. } => paper.field("granted", &format!("tier {tier}")),
        Permission::Free => {}
    }
    for (at, usage) in report.limits.iter().enumerate() {
        paper.field(if at == 0 { "limits" } else { "" }, &limit(usage));
    }
    for (at, row) in report.spend.iter().enumerate() {
        paper.field(if at == 0 { "budgets" } else { "" }, &spend(row));
    }
    if let Some(cost) = &report.cost {
        paper.field("cost", &format!("{} {} per hour in the cloud", cost.per_hour, cost.currency));
    }
    if !report.alternatives.is_empty() {
        paper.line("otherwise it");
        report.alternatives.iter().for_each(|alternative| paper.item(&alternative.sentence));
    }
    if !report.told.is_empty() {
        paper.line("told on the pod, newest first");
        for told in &report.told {
            paper.item(&format!("{} {}: {}", told.time, told.reason, told.note));
        }
    }
    for note in &report.notes {
        paper.line(&format!("note: {note}"));
    }
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Local => "local",
        Class::Cloud => "cloud",
        Class::Wait => "wait",
        Class::Reject => "reject",
    }
}

fn counts(counts: &[Count]) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let mut text = counts.iter().map(|c| c.nodes).sum::<usize>().to_string();
    for (at, Count { reason, nodes }) in counts.iter().enumerate() {
        let join = if at == 0 { ": " } else { ", " };
        let _ =
            write!(text, "{join}{nodes} {}", reason.map_or("with room", policies::reasons::Reason::phrase));
    }
    text
}

/// `cloud: 3 of 3 pods, 6 of 8 cpu`.
pub(crate) fn limit(usage: &Usage) -> String {
    let Usage { name, used, max } = usage;
    format!("{name}: {}", amounts(used, max).join(", "))
}

/// Each amount that has a ceiling.
pub(crate) fn amounts(used: &Limit, max: &Limit) -> Vec<String> {
    let number = |n: Option<u64>| n.unwrap_or(0).to_string();
    let words = |text: &Option<String>| text.clone().unwrap_or_else(|| "0".to_owned());
    let all = [
        max.pods.map(|m| format!("{} of {m} pods", number(used.pods))),
        max.cpu.as_ref().map(|m| format!("{} of {m} cpu", words(&used.cpu))),
        max.memory.as_ref().map(|m| format!("{} of {m} memory", words(&used.memory))),
        max.gpu.map(|m| format!("{} of {m} GPUs", number(used.gpu))),
    ];
    all.into_iter().flatten().collect()
}

/// `hour: 0.80 spent, 1.20 projected, of 1.20 CNY`.
pub(crate) fn spend(row: &SpendRow) -> String {
    let SpendRow { window, namespace, currency, spent, projected, max } = row;
    let of = namespace.as_ref().map(|n| format!(" (namespace {n})")).unwrap_or_default();
    format!("{window}{of}: {spent} spent, {projected} projected, of {max} {currency}")
}
