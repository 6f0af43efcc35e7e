//! From what ECI says of a container group to the status that the local pod may show.
//!
//! Pure. The group's own status decides the phase, but where the vendor maps a running group to Pending (Updating,
//! Restarting) or the other way (Terminating) the containers decide: a ready pod must not leave its Service for a change
//! of labels. `PodScheduled` is always true (the local scheduler bound the pod); that the cloud has found no room is said
//! by [`CONDITION_CLOUD_SCHEDULED`]. Facts: the vendor's table of states, and its virtual node's conditions.

use serde_json::{Map, Value, json};

use crate::cloud::{CONDITION_CLOUD_SCHEDULED, hidden};

use super::answers::{Condition, ContainerStatus, GroupStatus, PodStatus, State};

/// Conditions that mean the same on both sides.
const SHARED_CONDITIONS: [&str; 5] =
    ["Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers", "DisruptionTarget"];

/// What of a group does not change, as far as its status depends on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fixed {
    pub(super) created: String,
    pub(super) expired: String,
    pub(super) restart_policy: String,
    /// Names of containers that end before the others start.
    pub(super) init: Vec<String>,
    /// Tag with the names of containers that the pod does not have.
    pub(super) hidden: String,
}

/// The group will never run (again) and takes up its name only.
pub(super) fn never_placed(status: &str) -> bool {
    status == "ScheduleFailed"
}

/// Deletion was asked for.
pub(super) fn deleting(status: &str) -> bool {
    status == "Terminating"
}

/// A Kubernetes PodStatus.
pub(super) fn pod_status(group: &GroupStatus, fixed: &Fixed) -> Value {
    let pod = &group.pod_status;
    let mut out = Map::new();
    out.insert("phase".into(), phase(&group.status, pod).into());
    if group.status == "Expired" {
        let at = if fixed.expired.is_empty() { String::new() } else { format!(" at {}", fixed.expired) };
        out.insert("reason".into(), "BidFailed".into());
        out.insert("message".into(), format!("The pod is spot instance, and have been released{at}").into());
    }
    let mut addresses: Vec<&str> = pod.pod_ips.iter().map(|address| address.ip.as_str()).collect();
    addresses.retain(|ip| !ip.is_empty());
    if addresses.is_empty() && !pod.pod_ip.is_empty() {
        addresses.push(&pod.pod_ip);
    }
    if let Some(first) = addresses.first() {
        out.insert("podIP".into(), (*first).into());
        let all: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        out.insert("podIPs".into(), all.into());
    }
    put(&mut out, "startTime", &pod.start_time);
    let (init, app): (Vec<_>, Vec<_>) =
        pod.container_statuses.iter().partition(|container| fixed.init.contains(&container.name));
    for (field, rows) in [("initContainerStatuses", init), ("containerStatuses", app)] {
        if !rows.is_empty() {
            out.insert(field.into(), rows.into_iter().map(container).collect());
        }
    }
    out.insert("conditions".into(), conditions(group, fixed).into());
    hidden::hide(Value::Object(out), &fixed.hidden, &fixed.restart_policy)
}

fn phase(status: &str, pod: &PodStatus) -> &'static str {
    let running = || pod.container_statuses.iter().any(|container| container.state.running.is_some());
    match status {
        "Running" => "Running",
        "Succeeded" => "Succeeded",
        "Failed" | "Expired" => "Failed",
        "Updating" | "Restarting" if running() => "Running",
        // The last that was known: a pod that is stopped has run, unless it never got that far.
        "Terminating" if pod.phase == "Pending" => "Pending",
        "Terminating" => "Running",
        "Scheduling" | "ScheduleFailed" | "Pending" | "Updating" | "Restarting" => "Pending",
        _ => match pod.phase.as_str() {
            "Running" => "Running",
            "Succeeded" => "Succeeded",
            "Failed" => "Failed",
            _ => "Pending",
        },
    }
}

fn conditions(group: &GroupStatus, fixed: &Fixed) -> Vec<Value> {
    let cloud = &group.pod_status.conditions;
    let shared = cloud.iter().filter(|condition| SHARED_CONDITIONS.contains(&condition.kind.as_str()));
    let mut out: Vec<Value> = shared.map(|own| condition(&own.kind, own)).collect();
    let mut scheduled = json!({"type": "PodScheduled", "status": "True"});
    if let Some(fields) = scheduled.as_object_mut() {
        put(fields, "lastTransitionTime", &fixed.created);
    }
    out.push(scheduled);
    out.extend(unplaced(group, fixed));
    out
}

/// Why the cloud has no place for the group, where it has none.
fn unplaced(group: &GroupStatus, fixed: &Fixed) -> Option<Value> {
    if !matches!(group.status.as_str(), "Scheduling" | "ScheduleFailed") {
        return None;
    }
    let said = group.pod_status.conditions.iter().find(|condition| {
        condition.status == "False"
            && matches!(
                condition.kind.as_str(),
                "ContainerInstanceCreated" | "Unschedulable" | "PodScheduled"
            )
    });
    let default = Condition {
        status: "False".to_owned(),
        reason: if never_placed(&group.status) { "ScheduleFailed" } else { "Creating" }.to_owned(),
        message: "ECI has found no room for the container group yet".to_owned(),
        last_transition_time: fixed.created.clone(),
        ..Condition::default()
    };
    Some(condition(CONDITION_CLOUD_SCHEDULED, said.unwrap_or(&default)))
}

fn condition(kind: &str, own: &Condition) -> Value {
    let mut out =
        Map::from_iter([("type".to_owned(), kind.into()), ("status".to_owned(), own.status.as_str().into())]);
    put(&mut out, "lastTransitionTime", &own.last_transition_time);
    put(&mut out, "reason", &own.reason);
    put(&mut out, "message", &own.message);
    Value::Object(out)
}

fn container(own: &ContainerStatus) -> Value {
    let mut out = Map::from_iter([
        ("name".to_owned(), own.name.as_str().into()),
        ("image".to_owned(), own.image.as_str().into()),
        ("imageID".to_owned(), own.image_id.as_str().into()),
        ("ready".to_owned(), own.ready.into()),
        ("started".to_owned(), own.started.unwrap_or_else(|| own.state.running.is_some()).into()),
        ("restartCount".to_owned(), own.restart_count.into()),
    ]);
    put(&mut out, "containerID", &own.container_id);
    for (field, state) in [("state", &own.state), ("lastState", &own.last_state)] {
        let state = self::state(state);
        if !state.is_empty() {
            out.insert(field.to_owned(), Value::Object(state));
        }
    }
    Value::Object(out)
}

fn state(own: &State) -> Map<String, Value> {
    let mut fields = Map::new();
    let name = if let Some(ended) = &own.terminated {
        fields.insert("exitCode".into(), ended.exit_code.into());
        if ended.signal != 0 {
            fields.insert("signal".into(), ended.signal.into());
        }
        put(&mut fields, "reason", &ended.reason);
        put(&mut fields, "message", &ended.message);
        put(&mut fields, "startedAt", &ended.started_at);
        put(&mut fields, "finishedAt", &ended.finished_at);
        put(&mut fields, "containerID", &ended.container_id);
        "terminated"
    } else if let Some(running) = &own.running {
        put(&mut fields, "startedAt", &running.started_at);
        "running"
    } else if let Some(waiting) = &own.waiting {
        put(&mut fields, "reason", &waiting.reason);
        put(&mut fields, "message", &waiting.message);
        "waiting"
    } else {
        return Map::new();
    };
    Map::from_iter([(name.to_owned(), Value::Object(fields))])
}

fn put(out: &mut Map<String, Value>, field: &str, value: &str) {
    if !value.is_empty() {
        out.insert(field.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::golden;

    fn fixed() -> Fixed {
        Fixed {
            created: "2026-01-02T03:04:05Z".into(),
            restart_policy: "Always".into(),
            init: vec!["prepare".into()],
            ..Fixed::default()
        }
    }

    #[test]
    fn goldens() {
        golden::check("eci", "status", |input| {
            let group = serde_json::from_value(input.clone()).unwrap();
            pod_status(&group, &fixed())
        });
    }

    /// The vendor's table of states, but for a ready pod, which keeps its phase while the group is updated.
    #[test]
    fn states() {
        let check = |status: &str, running: bool, said: &str, wanted: &str| {
            let state = if running {
                json!({"Running": {"StartedAtstartedAt": "x"}})
            } else {
                json!({"Waiting": {}})
            };
            let group = json!({"ContainerGroupId": "eci-1", "Status": status,
                "PodStatus": {"Phase": said, "ContainerStatuses": [{"Name": "c", "State": state}]}});
            let group: GroupStatus = serde_json::from_value(group).unwrap();
            assert_eq!(pod_status(&group, &fixed())["phase"], wanted, "{status} {running} {said}");
        };
        check("Scheduling", false, "", "Pending");
        check("ScheduleFailed", false, "Failed", "Pending");
        check("Pending", false, "Pending", "Pending");
        check("Running", true, "Running", "Running");
        check("Restarting", false, "Pending", "Pending");
        check("Restarting", true, "Pending", "Running");
        check("Updating", true, "Pending", "Running");
        check("Updating", false, "Pending", "Pending");
        check("Terminating", true, "Running", "Running");
        check("Terminating", false, "Pending", "Pending");
        check("Succeeded", false, "Succeeded", "Succeeded");
        check("Failed", false, "Failed", "Failed");
        check("Expired", false, "Failed", "Failed");
        check("Anything", true, "Running", "Running");
        check("Anything", false, "", "Pending");
    }

    #[test]
    fn a_group_without_room_says_so_and_a_reclaimed_one_too() {
        let group: GroupStatus =
            serde_json::from_value(json!({"Status": "ScheduleFailed", "PodStatus": {"Conditions": [
            {"type": "ContainerInstanceCreated", "status": "False", "Reason": "ContainerGroup.NoStock",
             "Message": "none left", "lastTransitionTime": "2026-01-02T03:05:00Z"}]}}))
            .unwrap();
        let status = pod_status(&group, &fixed());
        let said = status["conditions"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&said["type"], &said["status"]), (&json!(CONDITION_CLOUD_SCHEDULED), &json!("False")));
        assert_eq!(said["reason"], "ContainerGroup.NoStock");
        let group: GroupStatus = serde_json::from_value(json!({"Status": "Expired"})).unwrap();
        let expired = Fixed { expired: "2026-01-02T04:00:00Z".into(), ..fixed() };
        let status = pod_status(&group, &expired);
        assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("BidFailed")));
        assert!(status["message"].as_str().unwrap().ends_with("released at 2026-01-02T04:00:00Z"));
    }
}
