//! Required node affinity for and against virtual nodes, merged into every term the user wrote.
//!
//! Terms are alternatives, so a requirement holds only if it is in each of them. Empty terms match no node and stay
//! empty: a requirement would make them match.

use serde_json::{Value, json};

use super::patch::Draft;
use crate::{
    keys,
    pod::PodFacts,
    resolve::implicit::{affinity_confines, selector_confines, term_confines, term_excludes},
    selector::Term,
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Confines the pod at `root` (`[]` for a pod, `["spec", "template"]` for a workload) to virtual nodes.
pub(super) fn confine(draft: &mut Draft, root: &[&str], pod: &PodFacts) {
    if !selector_confines(pod) && !affinity_confines(pod) {
        require(draft, root, pod, "In", term_confines);
    }
}

/// Keeps the pod at `root` off virtual nodes.
pub(super) fn keep_off(draft: &mut Draft, root: &[&str], pod: &PodFacts) {
    let elsewhere = pod.node_selector.get(keys::NODE_TYPE).is_some_and(|v| v != keys::NODE_TYPE_VIRTUAL);
    if !elsewhere {
        require(draft, root, pod, "NotIn", term_excludes);
    }
}

/// What in the pod's own selectors makes enforce impossible: the field with its value.
pub(super) fn conflict(pod: &PodFacts) -> Option<String> {
    if let Some(value) = pod.node_selector.get(keys::NODE_TYPE).filter(|v| *v != keys::NODE_TYPE_VIRTUAL) {
        return Some(format!("spec.nodeSelector {}={value}", keys::NODE_TYPE));
    }
    let terms = pod.required_terms.as_deref()?;
    let hopeless = |term: &Term| term.is_empty() || term_excludes(term);
    terms.iter().all(hopeless).then(|| {
        format!(
            "spec.affinity.nodeAffinity.{REQUIRED}, of which no term can match a virtual node ({})",
            shown(terms)
        )
    })
}

fn require(draft: &mut Draft, root: &[&str], pod: &PodFacts, operator: &str, has: fn(&Term) -> bool) {
    let requirement = json!({
        "key": keys::NODE_TYPE, "operator": operator, "values": [keys::NODE_TYPE_VIRTUAL]
    });
    let required: Vec<&str> = [root, &["spec", "affinity", "nodeAffinity", REQUIRED]].concat();
    match &pod.required_terms {
        None => {
            let term = json!({ "matchExpressions": [requirement] });
            draft.set(&required, json!({ "nodeSelectorTerms": [term] }));
        }
        Some(terms) => add_to_terms(draft, &required, terms, &requirement, has),
    }
}

fn add_to_terms(
    draft: &mut Draft,
    required: &[&str],
    terms: &[Term],
    requirement: &Value,
    has: fn(&Term) -> bool,
) {
    for (i, _) in terms.iter().enumerate().filter(|(_, term)| !term.is_empty() && !has(term)) {
        let index = i.to_string();
        let path = [required, &["nodeSelectorTerms", &index, "matchExpressions"]].concat();
        draft.push(&path, requirement.clone());
    }
}

/// What the terms say about the node type, for the message.
fn shown(terms: &[Term]) -> String {
    let about_type = terms.iter().flat_map(|t| &t.match_expressions).filter(|r| r.key == keys::NODE_TYPE);
    let texts: Vec<_> =
        about_type.map(|r| format!("{} {} [{}]", r.key, r.operator, r.values.join(", "))).collect();
    if texts.is_empty() { "every term is empty".to_owned() } else { texts.join("; ") }
}
