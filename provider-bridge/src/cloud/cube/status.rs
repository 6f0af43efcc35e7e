//! From what Cube says of a pod to the status that the local pod may show.
//!
//! Pure. Cube's phase is a word for people (`CrashLoopBackOff`, `Completed`), and it gives no conditions: both are made
//! here from the word and the containers. `PodScheduled` is always true (the local scheduler bound the pod); that the cloud
//! has found no room is said by [`CONDITION_CLOUD_SCHEDULED`]. Facts: the vendor's table of states.

use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{flag, list, text};
use crate::cloud::{CONDITION_CLOUD_SCHEDULED, hidden};

fn word(pod: &Value) -> &str {
    pod.get("status").and_then(|status| text(status, "phase")).unwrap_or_default()
}

/// Deletion was asked for.
pub(super) fn deleting(pod: &Value) -> bool {
    word(pod) == "Terminating"
}

/// A Kubernetes PodStatus. `hidden` is the tag with the names of containers that the pod does not have.
pub(super) fn pod_status(pod: &Value, hidden: &str) -> Value {
    let nothing = Value::Null;
    let (spec, status) = (pod.get("spec").unwrap_or(&nothing), pod.get("status").unwrap_or(&nothing));
    let restart_policy = text(spec, "restartPolicy").unwrap_or("Always");
    let rows: Vec<Value> = list(spec, "containers").iter().map(|own| container(own, status)).collect();
    let phase = phase(word(pod), restart_policy, &rows);
    let mut out = Map::new();
    out.insert("phase".into(), phase.into());
    if let Some(ip) = text(status, "podIp").filter(|ip| !ip.is_empty()) {
        out.insert("podIP".into(), ip.into());
        out.insert("podIPs".into(), json!([{"ip": ip}]));
    }
    if let Some(start) = text(status, "startTime").filter(|start| !start.is_empty()) {
        out.insert("startTime".into(), start.into());
    }
    out.insert("conditions".into(), conditions(pod, phase, &rows).into());
    if !rows.is_empty() {
        out.insert("containerStatuses".into(), rows.into());
    }
    hidden::hide(Value::Object(out), hidden, restart_policy)
}

fn phase(word: &str, restart_policy: &str, rows: &[Value]) -> &'static str {
    let any = |state: &str| rows.iter().any(|row| row.get("state").is_some_and(|s| s.get(state).is_some()));
    match word {
        "Pending" | "ContainerCreating" | "ErrImagePull" | "ImagePullBackOff" | "CreateContainerError" => {
            "Pending"
        }
        "Running" | "CrashLoopBackOff" => "Running",
        "Completed" | "Succeeded" => "Succeeded",
        "Failed" => "Failed",
        // A container failed and starts again, unless none may.
        "Error" if restart_policy == "Never" && !any("running") => "Failed",
        "Error" => "Running",
        // The last that was known, and words that the vendor may add: what the containers do.
        _ if any("running") || any("terminated") => "Running",
        _ => "Pending",
    }
}

/// What Cube says of a container; one of which it says nothing waits.
fn container(own: &Value, status: &Value) -> Value {
    let name = text(own, "name").unwrap_or_default();
    let said = list(status, "containerStatuses").iter().find(|row| text(row, "name") == Some(name));
    let nothing = Value::Null;
    let said = said.unwrap_or(&nothing);
    let state = state(said.get("state").unwrap_or(&nothing), status);
    let running = state.get("running").is_some();
    json!({
        "name": name,
        "image": text(own, "image").unwrap_or_default(),
        "imageID": "",
        "ready": flag(said, "ready"),
        "started": running,
        "restartCount": said.get("restartCount").and_then(Value::as_i64).unwrap_or_default(),
        "state": state,
    })
}

fn state(said: &Value, status: &Value) -> Value {
    let object = |field: &str| said.get(field).filter(|value| value.is_object());
    if let Some(ended) = object("terminated") {
        let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default();
        let mut ended = ended.as_object().cloned().unwrap_or_default();
        ended.insert("exitCode".into(), code.into());
        ended.entry("reason").or_insert_with(|| if code == 0 { "Completed" } else { "Error" }.into());
        return json!({"terminated": ended});
    }
    if let Some(running) = object("running") {
        let started = text(running, "startedAt").or_else(|| text(status, "startTime"));
        return started.map_or_else(|| json!({"running": {}}), |at| json!({"running": {"startedAt": at}}));
    }
    if let Some(waiting) = object("waiting") {
        return json!({"waiting": waiting});
    }
    let reason = match text(status, "phase").unwrap_or_default() {
        "" | "Pending" | "Terminating" => "ContainerCreating",
        word => word,
    };
    json!({"waiting": {"reason": reason}})
}

fn conditions(pod: &Value, phase: &str, rows: &[Value]) -> Vec<Value> {
    let metadata = pod.get("metadata").unwrap_or(&Value::Null);
    let created = text(metadata, "creationTimestamp").unwrap_or_default();
    let places = ["/state/running/startedAt", "/state/terminated/finishedAt"];
    let dates = rows.iter().flat_map(|row| places.iter().filter_map(|place| row.pointer(place)?.as_str()));
    let latest = dates.max().unwrap_or(created);
    let condition = |kind: &str, holds: bool, at: &str| {
        let mut out = json!({"type": kind, "status": if holds { "True" } else { "False" }});
        if !at.is_empty() {
            out["lastTransitionTime"] = at.into();
        }
        out
    };
    let unready: Vec<&str> =
        rows.iter().filter(|row| !flag(row, "ready")).filter_map(|row| text(row, "name")).collect();
    let ready = phase == "Running" && unready.is_empty();
    let mut out =
        vec![condition("PodScheduled", true, created), condition("Initialized", phase != "Pending", created)];
    for kind in ["ContainersReady", "Ready"] {
        let mut one = condition(kind, ready, latest);
        let reason = match phase {
            "Succeeded" => Some("PodCompleted"),
            "Failed" => Some("PodFailed"),
            _ if !ready => Some("ContainersNotReady"),
            _ => None,
        };
        if let Some(reason) = reason {
            one["reason"] = reason.into();
        }
        if reason == Some("ContainersNotReady") {
            one["message"] = format!("containers with unready status: [{}]", unready.join(" ")).into();
        }
        out.push(one);
    }
    if word(pod) == "Pending" {
        let mut one = condition(CONDITION_CLOUD_SCHEDULED, false, created);
        one["reason"] = "Pending".into();
        one["message"] = "Cube has no room for the pod yet".into();
        out.push(one);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::golden;

    #[test]
    fn goldens() {
        golden::check("cube", "status", |pod| pod_status(pod, ""));
    }

    /// The vendor's table of states.
    #[test]
    fn states() {
        let check = |word: &str, policy: &str, state: Value, wanted: &str| {
            let pod = json!({"spec": {"restartPolicy": policy, "containers": [{"name": "c"}]},
                "status": {"phase": word, "containerStatuses": [{"name": "c", "state": state}]}});
            assert_eq!(pod_status(&pod, "")["phase"], wanted, "{word} {policy} {state}");
        };
        let (runs, ended) = (json!({"running": {}}), json!({"terminated": {"exitCode": 1}}));
        for waits in
            ["Pending", "ContainerCreating", "ErrImagePull", "ImagePullBackOff", "CreateContainerError"]
        {
            check(waits, "Always", json!({}), "Pending");
        }
        check("Running", "Always", runs.clone(), "Running");
        check("CrashLoopBackOff", "Always", json!({"waiting": {"reason": "CrashLoopBackOff"}}), "Running");
        check("Error", "Always", ended.clone(), "Running");
        check("Error", "Never", ended.clone(), "Failed");
        check("Error", "Never", runs.clone(), "Running");
        check("Completed", "Never", ended, "Succeeded");
        check("Terminating", "Always", runs.clone(), "Running");
        check("Terminating", "Always", json!({}), "Pending");
        check("Strange", "Always", runs, "Running");
        check("Strange", "Always", json!({}), "Pending");
    }

    #[test]
    fn a_pod_without_room_says_so_and_its_containers_wait() {
        let pod = json!({"metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"},
            "spec": {"containers": [{"name": "c", "image": "r.io/i"}]}, "status": {"phase": "Pending"}});
        let status = pod_status(&pod, "");
        let said = status["conditions"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&said["type"], &said["status"]), (&json!(CONDITION_CLOUD_SCHEDULED), &json!("False")));
        assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    }
}
