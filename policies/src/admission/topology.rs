//! Spread constraints and anti-affinity of pods that may burst: a virtual node is not one host.
//!
//! How kube-scheduler judges, measured on 1.36 (e2e `topology::*`): a hard spread constraint refuses every node without
//! its topology key, whatever the counts are; required anti-affinity passes every node without its key; a node that the
//! pod does not tolerate counts as a domain unless `nodeTaintsPolicy` is Honor. Virtual nodes carry no hostname by default,
//! so that ordinary pods never wait for an empty host, and so a hard hostname spread keeps a pod on real nodes. Where the
//! policy object says `rewriteTopology`, that constraint becomes `ScheduleAnyway`; nothing else lets two replicas of it
//! share a virtual node. The original is kept in an annotation.

use serde_json::{Map, Value, json};

use super::{Refusal, Settings, patch::Draft, pod::named};
use crate::{keys, policy::Policy, resolve::Resolved};

const CONSTRAINTS: [&str; 2] = ["spec", "topologySpreadConstraints"];
const ANTI_AFFINITY: [&str; 3] = ["spec", "affinity", "podAntiAffinity"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const HARD: &str = "DoNotSchedule";
const SOFT: &str = "ScheduleAnyway";

/// Rewrites what would let one virtual node take one replica only.
pub(super) fn rewrite(draft: &mut Draft, settings: &Settings) {
    let mut original = Map::new();
    spread(draft, &mut original);
    if settings.virtual_nodes_have(keys::HOSTNAME) == Some(true) {
        anti_affinity(draft, &mut original);
    }
    let annotation = ["metadata", "annotations", keys::ORIGINAL_TOPOLOGY];
    if !original.is_empty() && draft.get(&annotation).is_none() {
        draft.set(&annotation, Value::from(Value::Object(original).to_string()));
    }
}

fn spread(draft: &mut Draft, original: &mut Map<String, Value>) {
    let before = list(draft.get(&CONSTRAINTS));
    let soft_already = before
        .iter()
        .any(|c| text(c, "topologyKey") == keys::HOSTNAME && text(c, "whenUnsatisfiable") == SOFT);
    // Kubernetes wants one constraint for a key and an answer: a second soft one would be refused.
    let dropped = |c: &&Value| soft_already && is_hard(c) && text(c, "topologyKey") == keys::HOSTNAME;
    let after: Vec<Value> = before.iter().filter(|c| !dropped(c)).map(softened).collect();
    if after != before {
        draft.set(&CONSTRAINTS, Value::Array(after));
        original.insert("topologySpreadConstraints".to_owned(), Value::Array(before));
    }
}

/// Hosts become a preference, and no hard constraint counts virtual nodes that the pod does not tolerate.
fn softened(constraint: &Value) -> Value {
    let mut constraint = constraint.clone();
    if !is_hard(&constraint) {
        return constraint;
    }
    let hostname = text(&constraint, "topologyKey") == keys::HOSTNAME;
    if let Value::Object(members) = &mut constraint {
        if hostname {
            members.insert("whenUnsatisfiable".to_owned(), json!(SOFT));
            members.remove("minDomains"); // only hard constraints may have it
        }
        members.entry("nodeTaintsPolicy").or_insert_with(|| json!("Honor"));
    }
    constraint
}

fn anti_affinity(draft: &mut Draft, original: &mut Map<String, Value>) {
    let (required, preferred) =
        ([&ANTI_AFFINITY[..], &[REQUIRED]].concat(), [&ANTI_AFFINITY[..], &[PREFERRED]].concat());
    let before = list(draft.get(&required));
    let (hosts, others): (Vec<Value>, Vec<Value>) =
        before.iter().cloned().partition(|term| text(term, "topologyKey") == keys::HOSTNAME);
    if hosts.is_empty() {
        return;
    }
    for term in hosts {
        draft.push(&preferred, json!({ "weight": 100, "podAffinityTerm": term }));
    }
    if others.is_empty() {
        draft.remove(&required);
    } else {
        draft.set(&required, Value::Array(others));
    }
    original.insert("requiredPodAntiAffinity".to_owned(), Value::Array(before));
}

/// What keeps the pod off every virtual node that is known, or lets only one of its kind in: warnings for a pod that has
/// real nodes too.
///
/// # Errors
/// [`Refusal::Conflict`] for a pod that may run on virtual nodes only.
pub(super) fn obstacles(
    object: &str,
    draft: &Draft,
    resolved: &Resolved,
    settings: &Settings,
) -> Result<Vec<String>, Refusal> {
    let mut warnings = vec![];
    for (index, constraint) in list(draft.get(&CONSTRAINTS)).iter().enumerate().filter(|(_, c)| is_hard(c)) {
        let key = text(constraint, "topologyKey");
        let field = format!("spec.topologySpreadConstraints[{index}] ({HARD} over {key})");
        match settings.virtual_nodes_have(key) {
            Some(false) if resolved.policy == Policy::Enforce => {
                return Err(Refusal::Conflict {
                    object: object.to_owned(),
                    policy: named(resolved),
                    field,
                    remedy: NO_SUCH_LABEL,
                });
            }
            Some(false) => warnings.push(format!("{field} keeps it on real nodes: {NO_SUCH_LABEL}")),
            Some(true) if key == keys::HOSTNAME => {
                warnings.push(format!("{field} counts a whole virtual node as one host; {ASK}"));
            }
            _ => {}
        }
    }
    if settings.virtual_nodes_have(keys::HOSTNAME) == Some(true) {
        let required = [&ANTI_AFFINITY[..], &[REQUIRED]].concat();
        let terms = list(draft.get(&required));
        let hosts = terms.iter().enumerate().filter(|(_, t)| text(t, "topologyKey") == keys::HOSTNAME);
        warnings.extend(hosts.map(|(index, _)| {
            let field = format!("spec.affinity.podAntiAffinity.{REQUIRED}[{index}]");
            format!("{field} lets one replica into a whole virtual node; {ASK}")
        }));
    }
    Ok(warnings)
}

const NO_SUCH_LABEL: &str = "no virtual node carries that label, and kube-scheduler refuses nodes without it; set \
                             rewriteTopology: true in the BurstPolicy (for kubernetes.io/hostname), or \
                             whenUnsatisfiable: ScheduleAnyway";
const ASK: &str = "set rewriteTopology: true in the BurstPolicy to make it a preference";

fn is_hard(constraint: &Value) -> bool {
    text(constraint, "whenUnsatisfiable") == HARD
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}
