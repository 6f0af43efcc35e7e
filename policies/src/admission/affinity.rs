//! Required node affinity for and against virtual nodes, merged into every term the user wrote.
//!
//! Terms are alternatives, so a requirement holds only if it is in each of them. Empty terms match no node and stay
//! empty: a requirement would make them match.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::patch::Draft;
use crate::{
    decide::feasible::obstacle,
    keys,
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
    resolve::implicit::{affinity_confines, selector_confines, term_confines, term_excludes},
    selector::{FIELD_NAME, Term},
};

/// Most terms that naming may make of a pod's own; beyond them nothing is named.
const MOST_NAMED: usize = 64;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Confines the pod at `root` (`[]` for a pod, `["spec", "template"]` for a workload) to virtual nodes.
pub(super) fn confine(draft: &mut Draft, root: &[&str], pod: &PodFacts) {
    if !selector_confines(pod) && !affinity_confines(pod) {
        require(draft, root, pod, "In", term_confines);
    }
}

/// Names the virtual nodes in the affinity of a pod that is confined to them: each term of it once per node. It says what
/// it said, as long as there are no other virtual nodes, and kube-scheduler then looks at these nodes instead of at every
/// node of the cluster (its NodeAffinity plugin gives their names to the scheduler before Filter, if every term has one).
/// Recorded in an annotation, for the leader sees to pods that wait when another virtual node comes.
///
/// Terms that name nodes already are the user's choice, or ours: nothing is changed then.
pub(super) fn name_nodes(draft: &mut Draft, nodes: &BTreeSet<String>) {
    let path = ["spec", "affinity", "nodeAffinity", REQUIRED, "nodeSelectorTerms"];
    let written = draft.get(&path).and_then(Value::as_array).cloned();
    let has =
        |term: &Value, list: &str| term.get(list).and_then(Value::as_array).is_some_and(|l| !l.is_empty());
    // An empty term matches no node, and would match with a name.
    let fixed = |term: &Value| has(term, "matchFields") || !has(term, "matchExpressions");
    let own = match written {
        Some(terms) if terms.iter().any(fixed) => return,
        Some(terms) => terms,
        None => vec![json!({})],
    };
    if nodes.is_empty() || own.len().saturating_mul(nodes.len()) > MOST_NAMED {
        return;
    }
    let with_name = |term: &Value, node: &String| {
        let mut term = term.clone();
        let field = json!({"key": FIELD_NAME, "operator": "In", "values": [node]});
        if let Some(term) = term.as_object_mut() {
            term.insert("matchFields".to_owned(), json!([field]));
        }
        term
    };
    let terms = own.iter().flat_map(|term| nodes.iter().map(move |node| with_name(term, node)));
    draft.set(&path, Value::Array(terms.collect()));
    let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
    draft.set(&["metadata", "annotations", keys::VIRTUAL_NODES], json!(names.join(",")));
}

/// A virtual node that would take the pod now and that its affinity does not name only because the node came later; none
/// where nothing was named at admission.
pub fn overlooked<'n>(pod: &PodFacts, nodes: impl IntoIterator<Item = &'n NodeRow>) -> Option<&'n NodeRow> {
    let named: Vec<&str> = pod.annotations.get(keys::VIRTUAL_NODES)?.split(',').collect();
    let mut anywhere = pod.clone();
    for term in anywhere.required_terms.iter_mut().flatten() {
        term.match_fields.clear();
    }
    // A term that says nothing but names matches every node, as long as it is not taken for an empty one.
    if anywhere.required_terms.iter().flatten().any(Term::is_empty) {
        anywhere.required_terms = None;
    }
    let later = |node: &&NodeRow| node.class == NodeClass::Virtual && !named.contains(&node.name.as_str());
    let takes = |node: &&NodeRow| obstacle(&anywhere, Policy::Enforce, node).is_none();
    nodes.into_iter().filter(later).find(takes)
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
