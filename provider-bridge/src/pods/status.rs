//! What the cloud says about an instance, as a patch of the pod's status.
//!
//! Pure: the stored pod and the cloud's status in, the smallest sensible strategic merge patch of `status` out (the
//! writer adds the UID as a guard). It never moves backwards (terminal phases, restart counts) and leaves conditions of
//! others (PodScheduled, readiness gates' own) alone. Facts: the API's PodStatus and the kubelet's
//! rules for readiness gates.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::hand_back::Way;
use crate::cloud::CONDITION_CLOUD_SCHEDULED;

/// Own condition: False while the cloud does not take the pod, with the cloud's reason.
pub const CONDITION_MATERIALISED: &str = "burst.io/Materialised";

/// What a patch must know besides the pod.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The virtual node's InternalIP, shown as `hostIP`.
    pub host_ip: IpAddr,
    /// Now.
    pub now: jiff::Timestamp,
}

/// Why the cloud has no instance of a pod yet, in words for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// One CamelCase word (`Invalid`, `Capacity`, …).
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// A number that is equal for equal statuses: what was last written is remembered as this.
pub fn fingerprint(status: &Value) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    status.hash(&mut hasher);
    hasher.finish()
}

/// Whether the phase is final.
pub fn is_terminal(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// `status.phase`, empty if there is none.
pub fn phase(status: &Value) -> &str {
    status.get("phase").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the status shows that a container was started at least once.
pub fn has_run(status: &Value) -> bool {
    phase(status) == "Running" || is_terminal(phase(status)) || containers(status).any(was_started)
}

/// Whether the status only says that containers are being created, as it does for every pod for a moment.
pub fn is_quiet(status: &Value) -> bool {
    let creating = |c: &Value| match c.pointer("/state/waiting/reason").and_then(Value::as_str) {
        Some(reason) => matches!(reason, "ContainerCreating" | "PodInitializing"),
        None => c.get("state").and_then(Value::as_object).is_none_or(Map::is_empty),
    };
    let no_room = list(status, "conditions").any(|c| kind_of(c) == CONDITION_CLOUD_SCHEDULED && !is_true(c));
    phase(status) == "Pending" && !no_room && containers(status).all(|c| creating(c) && !was_started(c))
}

/// Why the cloud has no place for an instance that it took: it looks for one that it does not have.
pub fn unplaced(status: &Value) -> Option<&str> {
    let condition = list(status, "conditions").find(|c| kind_of(c) == CONDITION_CLOUD_SCHEDULED)?;
    let no_room = condition.get("reason").and_then(Value::as_str) == Some("Unschedulable");
    let waits = phase(status) == "Pending" && !is_true(condition) && no_room;
    waits.then(|| condition.get("message").and_then(Value::as_str).unwrap_or_default())
}

fn containers(status: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|key| status.get(key).and_then(Value::as_array))
        .flatten()
}

fn was_started(container: &Value) -> bool {
    let state =
        |of: &str, what: &str| container.pointer(&format!("/{of}/{what}")).is_some_and(Value::is_object);
    state("state", "running") || state("state", "terminated") || state("lastState", "terminated")
}

/// The patch that makes the stored `pod` show the cloud's `status`, or `None` if nothing would change or the stored
/// result is final.
pub fn patch(pod: &Value, status: &Value, place: Place) -> Option<Value> {
    let stored = pod.get("status").unwrap_or(&Value::Null);
    if is_terminal(phase(stored)) {
        return None;
    }
    let wanted = forward_only(stored, translated(pod, status, place));
    let mut changed = differences(stored, wanted);
    replace_addresses(stored, &mut changed);
    if changed.is_empty() { None } else { Some(Value::Object(changed)) }
}

/// Lists of addresses merge by `ip`: without this a new address would join the old one, and the API server refuses two of
/// one family. Happens when the bridge moves to another address, or an instance does.
fn replace_addresses(stored: &Value, changed: &mut Map<String, Value>) {
    for key in ["podIPs", "hostIPs"] {
        let others = list(stored, key).next().is_some();
        if let Some(Value::Array(addresses)) = changed.get_mut(key)
            && others
        {
            addresses.push(json!({ "$patch": "replace" }));
        }
    }
}

/// The patch that says why there is no instance yet.
pub fn trouble_patch(pod: &Value, trouble: &Trouble, place: Place) -> Option<Value> {
    let stored = pod.get("status").unwrap_or(&Value::Null);
    if is_terminal(phase(stored)) || has_run(stored) {
        return None;
    }
    let mut wanted = Map::new();
    wanted.insert("phase".to_owned(), json!("Pending"));
    wanted.insert("containerStatuses".to_owned(), waiting(pod, "containers", trouble));
    wanted.insert(
        "conditions".to_owned(),
        json!([
            condition(CONDITION_MATERIALISED, "False", trouble.reason, &trouble.message, place),
            condition(
                "Ready",
                "False",
                "ContainersNotReady",
                "the cloud has no instance of this pod yet",
                place
            ),
        ]),
    );
    let changed = differences(stored, wanted);
    if changed.is_empty() { None } else { Some(Value::Object(changed)) }
}

/// The patch of a pod whose instance ran and is gone without anyone asking: Failed, with DisruptionTarget, so that a
/// controller makes a new one and a Job's failure policy can ignore it.
pub fn lost_patch(pod: &Value, place: Place) -> Option<Value> {
    let stored = pod.get("status").unwrap_or(&Value::Null);
    if is_terminal(phase(stored)) {
        return None;
    }
    const MESSAGE: &str = "the cloud instance of this pod ran and no longer exists; the cloud took it away or somebody \
                           deleted it there";
    let mut wanted = Map::new();
    wanted.insert("phase".to_owned(), json!("Failed"));
    wanted.insert("reason".to_owned(), json!("InstanceLost"));
    wanted.insert("message".to_owned(), json!(MESSAGE));
    wanted.insert("containerStatuses".to_owned(), terminated(stored, place));
    wanted.insert(
        "conditions".to_owned(),
        json!([
            condition("DisruptionTarget", "True", "InstanceLost", MESSAGE, place),
            condition("Ready", "False", "PodFailed", MESSAGE, place),
            condition("ContainersReady", "False", "PodFailed", MESSAGE, place),
        ]),
    );
    Some(Value::Object(wanted))
}

/// The patch that says that a pod without an instance goes back to its controller. `None` if it has a result.
pub fn hand_back_patch(pod: &Value, way: Way, place: Place) -> Option<Value> {
    let stored = pod.get("status").unwrap_or(&Value::Null);
    if is_terminal(phase(stored)) {
        return None;
    }
    const REASON: &str = "CloudSoldOut";
    const MESSAGE: &str = "the cloud has no room for this pod's size here, and it has no instance; its controller makes \
                           a new one";
    let disrupted = condition("DisruptionTarget", "True", REASON, MESSAGE, place);
    Some(match way {
        Way::Evict => json!({ "conditions": [disrupted] }),
        Way::Fail => {
            json!({ "phase": "Failed", "reason": REASON, "message": MESSAGE, "conditions": [disrupted] })
        }
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, place: Place) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": rfc3339(place.now),
    })
}

fn rfc3339(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn waiting(pod: &Value, kind: &str, trouble: &Trouble) -> Value {
    let rows =
        pod.pointer(&format!("/spec/{kind}")).and_then(Value::as_array).into_iter().flatten().map(|c| {
            json!({
                "name": c.get("name").cloned().unwrap_or_default(),
                "image": c.get("image").cloned().unwrap_or_default(),
                "imageID": "", "ready": false, "started": false, "restartCount": 0,
                "state": { "waiting": { "reason": trouble.reason, "message": trouble.message } },
            })
        });
    Value::Array(rows.collect())
}

fn terminated(stored: &Value, place: Place) -> Value {
    let rows = stored.get("containerStatuses").and_then(Value::as_array).into_iter().flatten().map(|c| {
        let mut c = c.clone();
        if c.pointer("/state/terminated").is_none()
            && let Some(fields) = c.as_object_mut()
        {
            let ended = json!({ "terminated": { "exitCode": 137, "reason": "InstanceLost", "finishedAt": rfc3339(place.now) } });
            fields.insert("state".to_owned(), ended);
            fields.insert("ready".to_owned(), json!(false));
            fields.insert("started".to_owned(), json!(false));
        }
        c
    });
    Value::Array(rows.collect())
}

/// The status fields that are ours to write, as the cloud reports them.
fn translated(pod: &Value, status: &Value, place: Place) -> Map<String, Value> {
    const COPIED: [&str; 9] = [
        "phase",
        "reason",
        "message",
        "startTime",
        "podIP",
        "podIPs",
        "containerStatuses",
        "initContainerStatuses",
        "ephemeralContainerStatuses",
    ];
    let mut wanted = Map::new();
    for key in COPIED {
        match status.get(key) {
            None | Some(Value::Null) => {}
            Some(value) => drop(wanted.insert(key.to_owned(), value.clone())),
        }
    }
    if let (Some(ip), None) = (status.get("podIP"), status.get("podIPs")) {
        wanted.insert("podIPs".to_owned(), json!([{ "ip": ip }]));
    }
    wanted.insert("hostIP".to_owned(), json!(place.host_ip));
    wanted.insert("hostIPs".to_owned(), json!([{ "ip": place.host_ip }]));
    wanted.insert("conditions".to_owned(), Value::Array(conditions(pod, status, place)));
    wanted
}

fn conditions(pod: &Value, status: &Value, place: Place) -> Vec<Value> {
    let mut rows: Vec<Value> = list(status, "conditions")
        .filter(|c| kind_of(c) != "PodScheduled")
        .cloned()
        .map(|mut c| {
            // The cloud's object has generations of its own.
            if let Some(fields) = c.as_object_mut() {
                fields.remove("observedGeneration");
                fields.remove("lastProbeTime");
            }
            c
        })
        .collect();
    let ready = containers_ready(status);
    for kind in ["ContainersReady", "Ready"] {
        if !rows.iter().any(|c| kind_of(c) == kind) && phase(status) != "Pending" {
            rows.push(
                json!({ "type": kind, "status": truth(ready), "lastTransitionTime": rfc3339(place.now) }),
            );
        }
    }
    hold_for_gates(pod, &mut rows, place);
    if list(pod.get("status").unwrap_or(&Value::Null), "conditions")
        .any(|c| kind_of(c) == CONDITION_MATERIALISED && !is_true(c))
    {
        rows.push(condition(CONDITION_MATERIALISED, "True", "Created", "the cloud has the instance", place));
    }
    rows
}

/// Ready needs every readiness gate's condition, which others write.
fn hold_for_gates(pod: &Value, rows: &mut [Value], place: Place) {
    let stored = pod.get("status").unwrap_or(&Value::Null);
    let closed =
        pod.pointer("/spec/readinessGates").and_then(Value::as_array).into_iter().flatten().find_map(
            |gate| {
                let wanted = gate.get("conditionType").and_then(Value::as_str)?;
                let open = list(stored, "conditions").any(|c| kind_of(c) == wanted && is_true(c));
                (!open).then(|| wanted.to_owned())
            },
        );
    if let Some(gate) = closed
        && let Some(ready) = rows.iter_mut().find(|c| kind_of(c) == "Ready" && is_true(c))
    {
        let text = format!("the status of pod readiness gate \"{gate}\" is not \"True\"");
        *ready = condition("Ready", "False", "ReadinessGatesNotReady", &text, place);
    }
}

fn containers_ready(status: &Value) -> bool {
    let mut rows = list(status, "containerStatuses").peekable();
    rows.peek().is_some() && rows.all(|c| c.get("ready").and_then(Value::as_bool) == Some(true))
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn kind_of(condition: &Value) -> &str {
    condition.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn is_true(condition: &Value) -> bool {
    condition.get("status").and_then(Value::as_str) == Some("True")
}

const fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Late reports must not undo what is stored: Running does not become Pending, restart counts do not shrink, a start
/// time does not move.
fn forward_only(stored: &Value, mut wanted: Map<String, Value>) -> Map<String, Value> {
    if phase(stored) == "Running" && wanted.get("phase").and_then(Value::as_str) == Some("Pending") {
        return Map::new();
    }
    if stored.get("startTime").is_some_and(Value::is_string) {
        wanted.remove("startTime");
    }
    for key in ["containerStatuses", "initContainerStatuses"] {
        if let Some(Value::Array(rows)) = wanted.get_mut(key) {
            for row in rows {
                keep_newer(stored, key, row);
            }
        }
    }
    wanted
}

fn keep_newer(stored: &Value, key: &str, row: &mut Value) {
    let restarts = |c: &Value| c.get("restartCount").and_then(Value::as_u64).unwrap_or(0);
    if let Some(old) = list(stored, key).find(|c| c.get("name") == row.get("name"))
        && restarts(old) > restarts(row)
    {
        *row = old.clone();
    }
}

/// Only what differs from the stored status; of conditions only those whose status, reason or message differ.
fn differences(stored: &Value, wanted: Map<String, Value>) -> Map<String, Value> {
    wanted
        .into_iter()
        .filter_map(|(key, value)| {
            if key == "conditions" {
                changed_conditions(stored, value).map(|value| (key, value))
            } else {
                (!covers(stored.get(&key).unwrap_or(&Value::Null), &value)).then_some((key, value))
            }
        })
        .collect()
}

fn changed_conditions(stored: &Value, wanted: Value) -> Option<Value> {
    let Value::Array(rows) = wanted else { return None };
    let same = |a: &Value, b: &Value, key: &str| {
        let text = |v: &Value| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        text(a) == text(b)
    };
    let changed: Vec<Value> = rows
        .into_iter()
        .filter(|new| {
            !list(stored, "conditions").any(|old| {
                kind_of(old) == kind_of(new)
                    && ["status", "reason", "message"].iter().all(|key| same(old, new, key))
            })
        })
        .collect();
    if changed.is_empty() { None } else { Some(Value::Array(changed)) }
}

/// Whether `stored` already says everything that `wanted` says (the API server may have added defaults).
fn covers(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(s), Value::Object(w)) => {
            w.iter().all(|(k, v)| covers(s.get(k).unwrap_or(&Value::Null), v))
        }
        (Value::Array(s), Value::Array(w)) => {
            s.len() == w.len() && s.iter().zip(w).all(|(s, w)| covers(s, w))
        }
        // The API server drops empty values.
        (Value::Null, Value::Object(w)) => w.is_empty(),
        (Value::Null, Value::Array(w)) => w.is_empty(),
        (s, w) => s == w,
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
