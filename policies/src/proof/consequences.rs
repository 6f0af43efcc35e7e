//! What a configuration leads to beside the proof, in sentences: what stops when burst is down or slow, who is asked,
//! what the marker resource needs.

use std::time::Duration;

use super::{ours, taint};
use crate::keys;
use crate::scheduler_config::{Extender, Profile, SchedulerConfig};

/// A call that may take longer is worth a word: every pod of every profile waits for it.
const LONG: Duration = Duration::from_secs(1);

pub(super) fn of(config: &SchedulerConfig, profile: &Profile) -> Vec<String> {
    let mut out = Vec::new();
    let plugins = &profile.plugins;
    if !plugins.runs_at(&plugins.filter, taint::PLUGIN) {
        out.push(format!("{} does not filter in this profile: NoSchedule taints keep no pod off virtual nodes, not even policy off", taint::PLUGIN));
    }
    match ours::position(&config.extenders).and_then(|at| config.extenders.get(at)) {
        Some(extender) => our_extender(&mut out, extender, &config.extenders),
        None => out.push(format!(
            "no extender of burst: auto leans to real nodes by score only; set `marker: false` in burst-scheduler, because here a \
             pod that requests {} fits nowhere",
            keys::MARKER_RESOURCE
        )),
    }
    for extender in &config.extenders {
        any_extender(&mut out, extender);
    }
    ignored_resources(&mut out, config, profile);
    out
}

fn our_extender(out: &mut Vec<String>, extender: &Extender, all: &[Extender]) {
    if extender.for_every_pod() {
        out.push(format!(
            "every pod of every profile is sent to burst's extender, burst or not; set `marker: false` in burst-scheduler, \
             because nothing declares {}",
            keys::MARKER_RESOURCE
        ));
    } else {
        for marker in [keys::MARKER_RESOURCE, keys::CHECKED_RESOURCE] {
            out.extend(undeclared(marker, all));
        }
    }
    if !extender.bind_verb.is_empty() {
        out.push("burst's extender is asked to bind, which it does not do".to_owned());
    }
}

/// What is wrong with how a marker is declared, if anything.
fn undeclared(marker: &str, extenders: &[Extender]) -> Option<String> {
    let declared = extenders.iter().flat_map(|e| &e.managed_resources).find(|m| m.name == marker);
    let wrong = match declared {
        None => "in no extender's managedResources",
        Some(managed) if !managed.ignored_by_scheduler => "not ignoredByScheduler",
        Some(_) => return None,
    };
    Some(format!(
        "{marker} is {wrong}: a pod that admission marks with it waits for ever for a node that has it"
    ))
}

fn any_extender(out: &mut Vec<String>, extender: &Extender) {
    let url = &extender.url_prefix;
    let whom = if extender.for_every_pod() {
        "no pod is scheduled"
    } else {
        "no pod that is sent to it is scheduled"
    };
    if !extender.ignorable && !extender.filter_verb.is_empty() {
        out.push(format!("extender {url} is not ignorable: while it is down, {whom}"));
    }
    if extender.timeout() > LONG {
        let seconds = extender.timeout().as_secs_f64();
        out.push(format!(
            "extender {url} may take {seconds} s for a call (httpTimeout): while it is slow, every pod of every profile waits that \
             long behind each pod that is sent to it, ignorable or not"
        ));
    }
    if !extender.node_cache_capable {
        out.push(format!(
            "extender {url} is not nodeCacheCapable: whole Node objects travel, and with a filterVerb the score plugins then see \
             every node as empty (since 1.34)"
        ));
    }
    if extender.is_unverified() {
        out.push(format!("extender {url} is not verified: its tlsConfig names no certificate authority"));
    }
}

/// What extenders declare as ignored replaces the profile's own list.
fn ignored_resources(out: &mut Vec<String>, config: &SchedulerConfig, profile: &Profile) {
    let mut managed = config.extenders.iter().flat_map(|e| &e.managed_resources);
    let replaced = managed.any(|m| m.ignored_by_scheduler);
    let own = profile.args("NodeResourcesFit").and_then(|args| args["ignoredResources"].as_array());
    if let Some(own) = own.filter(|list| replaced && !list.is_empty()) {
        let names: Vec<&str> = own.iter().filter_map(|name| name.as_str()).collect();
        out.push(format!(
            "NodeResourcesFit's ignoredResources ({}) are lost: the extenders' ignoredByScheduler resources replace the list; put \
             them under ignoredResourceGroups or under managedResources",
            names.join(", ")
        ));
    }
}
