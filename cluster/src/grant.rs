//! The one write by which a pod may burst: its toleration, and for a gated pod its affinity and the end of its gate.
//!
//! Always a JSON patch: `spec.tolerations` is one value to a merge, which would undo what others add meanwhile. It tests
//! that the pod has our UID and the grant that we saw (or none), and writes the new one, so that it takes effect once
//! however often it is sent; where the tier stays and only a provider is added, the pod's version is what it tests. Facts: the API server answers 422 when a test does not hold, and takes the test of an absent path against
//! null for true.

use kube::Client;
use policies::keys;
use policies::selector::{Requirement, Term};
use serde_json::{Value, json};

use crate::governed::GovernedPod;
use crate::patch::{Answer, Outcome, PodRef, Write, WriteError, exchange_write};
use crate::read::get;

/// What is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// The tier, as the annotation records it.
    pub tier: String,
    /// The virtual nodes that are opened; none for a grant on real nodes.
    pub opened: Option<Providers>,
    /// Alternatives, one of which the node must meet besides what the pod requires; for gated pods only.
    pub terms: Vec<Term>,
}

/// Whose virtual nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Providers {
    /// Every provider's.
    Any,
    /// Those with these values of the provider taint.
    Only(Vec<String>),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// Written now, or already there with the same tier.
    Done,
    /// The pod, or the pod of that UID, is gone.
    Gone,
    /// The pod is another than we thought (a gate gone, a list changed, another tier granted): look again.
    Changed,
    /// Not now: the same may be sent again after this time.
    Retry(std::time::Duration),
}

/// Grants to a pod as it was last seen.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn grant(client: &Client, pod: &GovernedPod, what: &Permission) -> Result<Granted, WriteError> {
    let reference = pod.reference();
    let live = if pod.gated() {
        match look(client, reference).await {
            Ok(Some(live)) => Some(live),
            Ok(None) => return Ok(Granted::Gone),
            Err(after) => return Ok(Granted::Retry(after)),
        }
    } else {
        None
    };
    let operations = operations(pod, live.as_ref(), what);
    let path = format!("/api/v1/namespaces/{}/pods/{}", reference.namespace, reference.name);
    let words = format!("pod {}/{}", reference.namespace, reference.name);
    let write = Write::json("grant", words, path, Value::Array(operations));
    match exchange_write(client, &write).await? {
        Answer::None(after) => Ok(Granted::Retry(after)),
        // A test that does not hold and a patch that does not fit are not told apart reliably: the pod says which.
        Answer::Got { code: 422, body } => match look(client, reference).await {
            Ok(None) => Ok(Granted::Gone),
            Err(after) => Ok(Granted::Retry(after)),
            Ok(Some(live)) => match serde_json::from_value::<GovernedPod>(live) {
                Ok(live) if shows(&live, what) => Ok(Granted::Done),
                Ok(live) if live.metadata.resource_version != pod.metadata.resource_version => {
                    Ok(Granted::Changed)
                }
                _ => write.judged(422, &body).map(|_| Granted::Changed),
            },
        },
        Answer::Got { code, body } => write.judged(code, &body).map(|outcome| match outcome {
            Outcome::Done => Granted::Done,
            Outcome::Gone | Outcome::Conflict => Granted::Gone,
            Outcome::Retry(after) => Granted::Retry(after),
        }),
    }
}

/// Whether exactly this pod exists, by a live look; an error is when to look again.
///
/// # Errors
/// When the API server does not say.
pub async fn exists(client: &Client, pod: PodRef<'_>) -> Result<bool, std::time::Duration> {
    Ok(look(client, pod).await?.is_some())
}

/// The pod itself, live; none if there is none with this UID.
async fn look(client: &Client, pod: PodRef<'_>) -> Result<Option<Value>, std::time::Duration> {
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
    let found = get::<Value>(client, &path, "application/json").await.map_err(|error| {
        tracing::debug!(pod = pod.name, error, "a pod could not be read");
        std::time::Duration::from_secs(1)
    })?;
    Ok(found.filter(|live| live.pointer("/metadata/uid").and_then(Value::as_str) == Some(pod.uid)))
}

/// Whether nothing is left to be written.
fn shows(pod: &GovernedPod, what: &Permission) -> bool {
    pod.grant() == Some(&what.tier) && !pod.gated() && missing(pod, what.opened.as_ref()).is_empty()
}

fn operations(pod: &GovernedPod, live: Option<&Value>, what: &Permission) -> Vec<Value> {
    let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": pod.uid()})];
    annotate(&mut operations, pod, &what.tier);
    tolerate(&mut operations, pod, what.opened.as_ref());
    if let Some(live) = live {
        confine(&mut operations, live, &what.terms);
        ungate(&mut operations, live);
    }
    operations
}

fn annotate(operations: &mut Vec<Value>, pod: &GovernedPod, tier: &str) {
    if !pod.has_annotations {
        operations.push(json!({"op": "test", "path": "/metadata/annotations", "value": null}));
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {keys::GRANT: tier}}));
        return;
    }
    let path = format!("/metadata/annotations/{}", escaped(keys::GRANT));
    operations.push(json!({"op": "test", "path": path, "value": pod.grant()}));
    if pod.grant() == Some(tier) {
        let version = &pod.metadata.resource_version;
        operations.push(json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
    }
    operations.push(json!({"op": "add", "path": path, "value": tier}));
}

/// The tolerations that the pod does not have yet.
fn missing(pod: &GovernedPod, opened: Option<&Providers>) -> Vec<Value> {
    let exists = json!({"key": keys::TAINT_PROVIDER, "operator": "Exists", "effect": "NoSchedule"});
    let only = |value: &String| json!({"key": keys::TAINT_PROVIDER, "operator": "Equal", "value": value, "effect": "NoSchedule"});
    let any = pod.opened.iter().any(|value| value.is_empty());
    match opened {
        Some(_) if any => Vec::new(),
        None => Vec::new(),
        Some(Providers::Any) => vec![exists],
        Some(Providers::Only(values)) => {
            values.iter().filter(|value| !pod.opened.iter().any(|own| own == *value)).map(only).collect()
        }
    }
}

fn tolerate(operations: &mut Vec<Value>, pod: &GovernedPod, opened: Option<&Providers>) {
    let tolerations = missing(pod, opened);
    if tolerations.is_empty() {
        return;
    }
    if pod.has_tolerations {
        let append = |item: Value| json!({"op": "add", "path": "/spec/tolerations/-", "value": item});
        operations.extend(tolerations.into_iter().map(append));
    } else {
        operations.push(json!({"op": "test", "path": "/spec/tolerations", "value": null}));
        operations.push(json!({"op": "add", "path": "/spec/tolerations", "value": tolerations}));
    }
}

/// Narrows the node affinity: every term of the user's, with every alternative of ours.
fn confine(operations: &mut Vec<Value>, live: &Value, alternatives: &[Term]) {
    if alternatives.is_empty() {
        return;
    }
    let old = live.pointer("/spec/affinity").cloned().unwrap_or_default();
    let mut affinity = if old.is_object() { old.clone() } else { json!({}) };
    let path = "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let merged: Vec<Value> = match affinity.pointer(path).and_then(Value::as_array) {
        None => alternatives.iter().map(|term| narrowed(&json!({}), term)).collect(),
        Some(own) => own
            .iter()
            .filter(|term| requirements(term, EXPRESSIONS).len() + requirements(term, FIELDS).len() > 0)
            .flat_map(|term| alternatives.iter().map(|ours| narrowed(term, ours)))
            .collect(),
    };
    if merged.is_empty() {
        // The pod's own terms match no node, whatever is added; a list without terms would be refused.
        return;
    }
    json_patch::merge(
        &mut affinity,
        &json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": merged}}}),
    );
    operations.push(json!({"op": "test", "path": "/spec/affinity", "value": old}));
    operations.push(json!({"op": "add", "path": "/spec/affinity", "value": affinity}));
}

const EXPRESSIONS: &str = "matchExpressions";
const FIELDS: &str = "matchFields";

fn requirements(term: &Value, part: &str) -> Vec<Value> {
    term.get(part).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A term with further requirements.
fn narrowed(term: &Value, ours: &Term) -> Value {
    let written = |all: &[Requirement]| -> Vec<Value> {
        let one = |r: &Requirement| json!({"key": r.key, "operator": r.operator, "values": r.values});
        all.iter().map(one).collect()
    };
    let parts = [(EXPRESSIONS, &ours.match_expressions), (FIELDS, &ours.match_fields)];
    let joined =
        parts.into_iter().map(|(part, ours)| (part, [requirements(term, part), written(ours)].concat()));
    let kept = joined.filter(|(_, all)| !all.is_empty());
    Value::Object(kept.map(|(part, all)| (part.to_owned(), Value::Array(all))).collect())
}

fn ungate(operations: &mut Vec<Value>, live: &Value) {
    let gates = live.pointer("/spec/schedulingGates").and_then(Value::as_array);
    let ours = gates.and_then(|gates| gates.iter().position(|gate| gate["name"] == keys::GATE));
    if let Some(index) = ours {
        let path = format!("/spec/schedulingGates/{index}");
        operations.push(json!({"op": "test", "path": format!("{path}/name"), "value": keys::GATE}));
        operations.push(json!({"op": "remove", "path": path}));
    }
}

/// A key as a part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
