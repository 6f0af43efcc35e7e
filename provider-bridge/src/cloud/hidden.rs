//! Containers of an instance that its pod does not have: whoever looks at the pod does not see them.
//!
//! Their names are a tag of the instance, so that any restart of ours finds them again. Phase and readiness are those of
//! the other containers, by the kubelet's own rules (`getPhase`): an added container that crashes, or never ends, changes
//! nothing of the pod. What the cloud says of the pod as a whole (evicted, past its deadline) stays.

use serde_json::{Map, Value, json};

/// Names of hidden containers as a tag; empty for none.
pub fn tag(names: &[String]) -> String {
    names.join(",")
}

/// The status without the containers of this tag. `restart_policy` is the instance's own.
pub fn hide(mut status: Value, tag: &str, restart_policy: &str) -> Value {
    let hidden: Vec<&str> = tag.split(',').filter(|name| !name.is_empty()).collect();
    if hidden.is_empty() {
        return status;
    }
    let Some(fields) = status.as_object_mut() else { return status };
    let Some(rows) = fields.get_mut("containerStatuses").and_then(Value::as_array_mut) else { return status };
    rows.retain(|row| !hidden.contains(&text(row, "name")));
    let rows = rows.clone();
    let said = fields.get("phase").and_then(Value::as_str).unwrap_or("Pending");
    let phase = phase(fields, said, &rows, restart_policy).to_owned();
    for condition in fields.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        if matches!(text(condition, "type"), "Ready" | "ContainersReady") {
            ready(condition, &rows, &phase);
        }
    }
    fields.insert("phase".to_owned(), phase.into());
    status
}

fn phase<'s>(status: &Map<String, Value>, said: &'s str, rows: &[Value], restart_policy: &str) -> &'s str {
    let of_the_pod = status.get("reason").and_then(Value::as_str).is_some_and(|reason| !reason.is_empty());
    let ends = |phase: &str| matches!(phase, "Succeeded" | "Failed");
    let begins =
        said == "Pending" && list(status, "initContainerStatuses").iter().any(|row| !ended_well(row));
    if begins || (ends(said) && of_the_pod) {
        return said;
    }
    let own = own_phase(rows, restart_policy);
    if ends(said) && !ends(own) { said } else { own }
}

/// The phase that the kubelet would give these containers.
fn own_phase(rows: &[Value], restart_policy: &str) -> &'static str {
    let is = |row: &Value, state: &str, what: &str| {
        row.pointer(&format!("/{state}/{what}")).is_some_and(Value::is_object)
    };
    let running = rows.iter().filter(|row| is(row, "state", "running")).count();
    let again = |row: &&Value| is(row, "state", "waiting") && is(row, "lastState", "terminated");
    let stopped = rows.iter().filter(|row| is(row, "state", "terminated") || again(row)).count();
    if running + stopped < rows.len() || rows.is_empty() {
        return "Pending";
    }
    match restart_policy {
        _ if running > 0 => "Running",
        "Never" | "OnFailure" if rows.iter().all(ended_well) => "Succeeded",
        "Never" => "Failed",
        _ => "Running",
    }
}

fn ended_well(row: &Value) -> bool {
    row.pointer("/state/terminated/exitCode").and_then(Value::as_i64) == Some(0)
}

/// Makes a condition of readiness say what holds for the containers that are seen.
fn ready(condition: &mut Value, rows: &[Value], phase: &str) {
    let about_containers =
        matches!(text(condition, "reason"), "" | "ContainersNotReady" | "PodCompleted" | "PodFailed");
    let Some(fields) = condition.as_object_mut().filter(|_| about_containers) else { return };
    let unready: Vec<&str> = rows
        .iter()
        .filter(|row| row.get("ready").and_then(Value::as_bool) != Some(true))
        .map(|row| text(row, "name"))
        .collect();
    let (status, reason, message) = match phase {
        "Succeeded" => ("False", "PodCompleted", String::new()),
        "Failed" => ("False", "PodFailed", String::new()),
        _ if rows.is_empty() || !unready.is_empty() => (
            "False",
            "ContainersNotReady",
            format!("containers with unready status: [{}]", unready.join(" ")),
        ),
        _ => ("True", "", String::new()),
    };
    let changes = fields.get("status").and_then(Value::as_str) != Some(status);
    fields.insert("status".to_owned(), status.into());
    for (field, value) in [("reason", reason), ("message", &message)] {
        if value.is_empty() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), value.into());
        }
    }
    // The cloud's date is that of the other state; the containers say when theirs began.
    let places = ["/state/running/startedAt", "/state/terminated/finishedAt"];
    let dates = rows.iter().flat_map(|row| places.iter().filter_map(|place| row.pointer(place)?.as_str()));
    if let Some(latest) = dates.max().filter(|_| changes) {
        fields.insert("lastTransitionTime".to_owned(), json!(latest));
    }
}

fn list<'v>(status: &'v Map<String, Value>, field: &str) -> &'v [Value] {
    status.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(holder: &'v Value, field: &str) -> &'v str {
    holder.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-01-02T03:04:05Z";

    fn row(name: &str, state: &str) -> Value {
        let mut row = json!({"name": name, "ready": state == "up"});
        row["state"] = match state {
            "up" | "unready" => json!({"running": {"startedAt": AT}}),
            "pull" => json!({"waiting": {"reason": "ImagePullBackOff"}}),
            "crash" => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            "well" => json!({"terminated": {"exitCode": 0, "finishedAt": AT}}),
            _ => json!({"terminated": {"exitCode": 1, "finishedAt": AT}}),
        };
        if state == "crash" {
            row["lastState"] = json!({"terminated": {"exitCode": 1}});
        }
        row
    }

    fn status(phase: &str, rows: &[(&str, &str)]) -> Value {
        let ready = phase == "Running" && rows.iter().all(|(_, state)| *state == "up");
        let condition = |kind: &str| match ready {
            true => json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}),
            false => json!({"type": kind, "status": "False", "reason": "ContainersNotReady",
                "message": "containers with unready status: [agent-a]", "lastTransitionTime": "2026-01-01T00:00:00Z"}),
        };
        let rows: Vec<Value> = rows.iter().map(|(name, state)| row(name, state)).collect();
        json!({"phase": phase, "containerStatuses": rows,
            "conditions": [condition("Ready"), condition("ContainersReady"), {"type": "PodScheduled", "status": "True"}]})
    }

    /// Guards what an agent must never do: make a pod look broken, or keep a job from ending.
    #[test]
    fn the_phase_is_that_of_the_pods_own_containers() {
        let table = [
            ("Always", "Running", "up", "up", "Running", true),
            ("Always", "Pending", "up", "pull", "Running", true),
            ("Always", "Running", "up", "crash", "Running", true),
            ("Always", "Running", "up", "badly", "Running", true),
            ("Always", "Pending", "pull", "up", "Pending", false),
            ("Always", "Running", "crash", "up", "Running", false),
            ("Always", "Running", "unready", "up", "Running", false),
            ("Never", "Running", "well", "up", "Succeeded", false),
            ("Never", "Running", "badly", "up", "Failed", false),
            ("Never", "Running", "up", "badly", "Running", true),
            ("Never", "Failed", "well", "badly", "Succeeded", false),
            ("Never", "Succeeded", "well", "well", "Succeeded", false),
            ("OnFailure", "Running", "badly", "up", "Running", false),
            ("OnFailure", "Running", "well", "crash", "Succeeded", false),
            ("Never", "Failed", "up", "up", "Failed", false),
        ];
        for case in table {
            let (policy, said, own, agent, wanted, ready) = case;
            let seen = hide(status(said, &[("main", own), ("agent-a", agent)]), "agent-a", policy);
            assert_eq!(seen["phase"], wanted, "{case:?}");
            assert_eq!(seen["containerStatuses"].as_array().map(Vec::len), Some(1), "{case:?}");
            let truth = if ready { "True" } else { "False" };
            for condition in seen["conditions"].as_array().into_iter().flatten().take(2) {
                assert_eq!(condition["status"], truth, "{case:?}");
                assert!(!condition.to_string().contains("agent-a"), "{case:?}: {condition}");
            }
            assert!(!seen.to_string().contains("agent-a"), "{case:?}");
        }
    }

    #[test]
    fn what_the_cloud_says_of_the_whole_pod_stays() {
        let mut evicted = status("Failed", &[("main", "well"), ("agent-a", "up")]);
        evicted["reason"] = json!("Evicted");
        assert_eq!(hide(evicted, "agent-a", "Never")["phase"], "Failed");
        let mut begins = status("Pending", &[("main", "pull"), ("agent-a", "pull")]);
        begins["initContainerStatuses"] = json!([row("first", "up")]);
        assert_eq!(hide(begins, "agent-a", "Always")["phase"], "Pending");
    }

    #[test]
    fn a_condition_that_turns_is_dated_by_the_containers() {
        let seen = hide(status("Pending", &[("main", "up"), ("agent-a", "pull")]), "agent-a", "Always");
        assert_eq!(
            seen["conditions"][0],
            json!({"type": "Ready", "status": "True", "lastTransitionTime": AT})
        );
        let same = hide(status("Running", &[("main", "up"), ("agent-a", "up")]), "agent-a", "Always");
        assert_eq!(same["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    }

    #[test]
    fn without_a_tag_nothing_is_touched() {
        let plain = status("Running", &[("main", "up"), ("agent-a", "crash")]);
        assert_eq!(hide(plain.clone(), "", "Always"), plain);
        assert_eq!(hide(json!({"phase": "Pending"}), "agent-a", "Always"), json!({"phase": "Pending"}));
    }

    #[test]
    fn hiding_twice_changes_nothing() {
        for agent in ["up", "pull", "crash", "well"] {
            let once = hide(status("Running", &[("main", "up"), ("agent-a", agent)]), "agent-a", "Always");
            assert_eq!(hide(once.clone(), "agent-a", "Always"), once, "{agent}");
        }
    }
}
