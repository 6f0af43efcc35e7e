//! What state a group is in, and its containers, in ECI's words and in the Kubernetes-shaped ones. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::create::NO_STOCK;
use crate::core::clock::k8s_time;
use crate::core::instances::incarnation_of;

/// A stored group at this time.
pub(super) struct Group<'a> {
    pub(super) object: &'a Value,
    pub(super) now: Timestamp,
}

impl Group<'_> {
    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer).parse().ok()
    }

    /// The official status.
    pub(super) fn status(&self) -> String {
        let forced = self.text("/eci/forced");
        if !forced.is_empty() {
            return forced.to_owned();
        }
        if self.object.pointer("/metadata/deletionTimestamp").is_some() {
            return "Terminating".to_owned();
        }
        let ended = self.text("/eci/ended/status");
        if !ended.is_empty() {
            return ended.to_owned();
        }
        if let Some(again) = self.again() {
            return again.to_owned();
        }
        match self.text("/status/phase") {
            "Pending" if !self.scheduled() && self.given_up() => "ScheduleFailed",
            "Pending" if !self.scheduled() => "Scheduling",
            "" => "Scheduling",
            phase => phase,
        }
        .to_owned()
    }

    /// An update or restart that is under way.
    fn again(&self) -> Option<&str> {
        let word = self.text("/eci/again/status");
        let wanted = self.object.pointer("/eci/again/generation").and_then(Value::as_u64).unwrap_or_default();
        let shown = incarnation_of(self.object);
        let waiting =
            shown < wanted || (shown == wanted && wanted > 0 && self.text("/status/phase") == "Pending");
        let slow = self.time("/eci/again/until").is_some_and(|until| self.now < until);
        let held = self.object.pointer("/eci/again/held") == Some(&Value::Bool(true));
        (!word.is_empty() && (waiting || slow || held)).then_some(word)
    }

    fn scheduled(&self) -> bool {
        self.object.pointer("/status/startTime").is_some()
    }

    /// No capacity, and either there never will be or the wait was too long.
    fn given_up(&self) -> bool {
        if self.object.pointer("/eci/waits") != Some(&Value::Bool(true)) {
            return false;
        }
        let minutes = self.object.pointer("/eci/pendingMinutes").and_then(Value::as_i64).unwrap_or(240);
        let waited = self.time("/metadata/creationTimestamp").map(|since| self.now.duration_since(since));
        let hopeless = self
            .condition("PodScheduled")
            .is_some_and(|c| c.get("message").and_then(Value::as_str) == Some(NO_STOCK));
        hopeless || waited.is_some_and(|waited| waited > SignedDuration::from_mins(minutes))
    }

    fn condition(&self, kind: &str) -> Option<&Value> {
        let all = self.object.pointer("/status/conditions").and_then(Value::as_array)?;
        all.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
    }

    /// The pod phase that the vendor maps a status to.
    pub(super) fn phase(status: &str) -> &'static str {
        match status {
            "Running" | "Terminating" => "Running",
            "Succeeded" => "Succeeded",
            "Failed" | "ScheduleFailed" | "Expired" => "Failed",
            _ => "Pending",
        }
    }

    /// When it ended, if it has.
    pub(super) fn ended_at(&self) -> Option<Timestamp> {
        if let Some(at) = self.time("/eci/ended/at") {
            return Some(at);
        }
        match self.status().as_str() {
            "Succeeded" | "Failed" => self.last_finish().or_else(|| self.time("/metadata/creationTimestamp")),
            "ScheduleFailed" => self.time("/metadata/creationTimestamp"),
            _ => None,
        }
    }

    fn last_finish(&self) -> Option<Timestamp> {
        let all = self.object.pointer("/status/containerStatuses").and_then(Value::as_array)?;
        let times =
            all.iter().filter_map(|c| c.pointer("/state/terminated/finishedAt")?.as_str()?.parse().ok());
        times.max()
    }

    /// One element of DescribeContainerGroups, without events.
    pub(super) fn described(&self) -> Value {
        let mut out = self.object.pointer("/eci/shown").cloned().unwrap_or_default();
        let status = self.status();
        let Some(map) = out.as_object_mut() else { return out };
        map.insert("Status".into(), json!(status));
        map.insert("IntranetIp".into(), json!(self.text("/status/podIP")));
        if let Some(at) = self.ended_at() {
            let field = match status.as_str() {
                "Succeeded" => "SucceededTime",
                "Expired" => "ExpiredTime",
                _ => "FailedTime",
            };
            map.insert(field.into(), json!(k8s_time(at)));
        }
        for (list, statuses) in
            [("Containers", "/status/containerStatuses"), ("InitContainers", "/status/initContainerStatuses")]
        {
            let known = self.object.pointer(statuses).and_then(Value::as_array);
            for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let name = container.get("Name").cloned().unwrap_or_default();
                let status = known.and_then(|all| all.iter().find(|s| s.get("name") == Some(&name)));
                add_states(container, status);
            }
        }
        out
    }

    /// One element of DescribeContainerGroupStatus. The letter case is the vendor's, irregular as it is.
    pub(super) fn kubernetes(&self) -> Value {
        let status = self.status();
        let containers = self.object.pointer("/status/containerStatuses").and_then(Value::as_array);
        let containers: Vec<Value> = containers.into_iter().flatten().map(kubernetes_container).collect();
        let ip = self.text("/status/podIP");
        let ips: Vec<Value> = if ip.is_empty() { Vec::new() } else { vec![json!({"Ip": ip})] };
        let mut pod = json!({
            "Phase": Self::phase(&status), "PodIp": ip, "PodIps": ips, "QosClass": "Guaranteed",
            "HostIp": self.text("/status/hostIP"), "Conditions": self.conditions(&status), "ContainerStatuses": containers,
        });
        if let (Some(map), Some(start)) = (pod.as_object_mut(), self.object.pointer("/status/startTime")) {
            map.insert("StartTime".into(), start.clone());
        }
        let mut out = self.head();
        if let Some(map) = out.as_object_mut() {
            map.insert("Status".into(), json!(status));
            map.insert("PodStatus".into(), pod);
        }
        out
    }

    /// Identity as the Kubernetes-shaped actions show it.
    pub(super) fn head(&self) -> Value {
        json!({
            "ContainerGroupId": self.text("/metadata/uid"), "Name": self.text("/eci/shown/ContainerGroupName"),
            "Namespace": "default", "uuid": self.text("/eci/uuid"), "Annotations": "{}",
        })
    }

    fn conditions(&self, status: &str) -> Vec<Value> {
        let all = self.object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let text =
            |condition: &Value, field: &str| condition.get(field).cloned().unwrap_or_else(|| json!(""));
        let mut out: Vec<Value> = all
            .map(|condition| {
                json!({
                    "type": text(condition, "type"), "status": text(condition, "status"),
                    "lastTransitionTime": text(condition, "lastTransitionTime"),
                    "Reason": text(condition, "reason"), "Message": text(condition, "message"),
                })
            })
            .collect();
        let (created, reason) = match status {
            "Scheduling" => ("False", "Creating"),
            "ScheduleFailed" => ("False", NO_STOCK),
            _ => ("True", ""),
        };
        let since = self
            .object
            .pointer("/status/startTime")
            .or_else(|| self.object.pointer("/metadata/creationTimestamp"));
        let mut add = |kind: &str, value: &str, reason: &str, message: &str, at: Option<&Value>| {
            out.push(json!({"type": kind, "status": value, "lastTransitionTime": at, "Reason": reason, "Message": message}));
        };
        add("ContainerInstanceCreated", created, reason, "", since);
        if let Some(at) = self.object.pointer("/eci/reclaim/at") {
            add(
                "ContainerInstanceExpired",
                "True",
                "SpotToBeReleased",
                "the spot instance will be released",
                Some(at),
            );
        }
        out
    }
}

fn add_states(container: &mut Value, status: Option<&Value>) {
    let Some(map) = container.as_object_mut() else { return };
    let Some(status) = status else {
        map.insert("RestartCount".into(), json!(0));
        map.insert(
            "CurrentState".into(),
            json!({"State": "Waiting", "Reason": "ContainerCreating", "DetailStatus": ""}),
        );
        return;
    };
    map.insert("Ready".into(), status.get("ready").cloned().unwrap_or_default());
    map.insert("RestartCount".into(), status.get("restartCount").cloned().unwrap_or_default());
    map.insert("CurrentState".into(), eci_state(status.get("state")));
    if status.pointer("/lastState/terminated").is_some() {
        map.insert("PreviousState".into(), eci_state(status.get("lastState")));
    }
}

/// `CurrentState` and `PreviousState`.
fn eci_state(state: Option<&Value>) -> Value {
    let get = |pointer: &str| state.and_then(|state| state.pointer(pointer)).cloned();
    if let Some(since) = get("/running/startedAt") {
        return json!({"State": "Running", "StartTime": since, "DetailStatus": ""});
    }
    let Some(ended) = get("/terminated") else {
        let reason = get("/waiting/reason").unwrap_or_else(|| json!("ContainerCreating"));
        let message = get("/waiting/message").unwrap_or_else(|| json!(""));
        return json!({"State": "Waiting", "Reason": reason, "Message": message, "DetailStatus": reason});
    };
    let mut out = Map::new();
    out.insert("State".into(), json!("Terminated"));
    let fields = [
        ("ExitCode", "exitCode"),
        ("Signal", "signal"),
        ("Reason", "reason"),
        ("Message", "message"),
        ("StartTime", "startedAt"),
        ("FinishTime", "finishedAt"),
        ("DetailStatus", "reason"),
    ];
    for (theirs, ours) in fields {
        if let Some(value) = ended.get(ours) {
            out.insert(theirs.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}

fn kubernetes_container(status: &Value) -> Value {
    let get = |field: &str| status.get(field).cloned().unwrap_or_default();
    json!({
        "Name": get("name"), "Image": get("image"), "ImageID": get("imageID"), "Ready": get("ready"),
        "Started": get("started"), "RestartCount": get("restartCount"),
        "State": kubernetes_state(status.get("state")), "LastState": kubernetes_state(status.get("lastState")),
    })
}

fn kubernetes_state(state: Option<&Value>) -> Value {
    let get = |pointer: &str| state.and_then(|state| state.pointer(pointer)).cloned();
    if let Some(since) = get("/running/startedAt") {
        // Not a slip: this is the key that every official SDK reads.
        return json!({"Running": {"StartedAtstartedAt": since}});
    }
    if let Some(waiting) = get("/waiting") {
        let text = |field: &str| waiting.get(field).cloned().unwrap_or_else(|| json!(""));
        return json!({"Waiting": {"Reason": text("reason"), "Message": text("message")}});
    }
    let Some(ended) = get("/terminated") else { return json!({}) };
    let mut out = Map::new();
    let fields = [
        ("ContainerID", "containerID"),
        ("ExitCode", "exitCode"),
        ("Signal", "signal"),
        ("Reason", "reason"),
        ("Message", "message"),
        ("StartedAt", "startedAt"),
        ("FinishedAt", "finishedAt"),
    ];
    for (theirs, ours) in fields {
        if let Some(value) = ended.get(ours) {
            out.insert(theirs.to_owned(), value.clone());
        }
    }
    json!({"Terminated": out})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(object: Value, incarnation: u64, expected: &str) {
        let mut object = object;
        object["incarnation"] = json!(incarnation);
        let now: Timestamp = "2026-01-02T04:00:00Z".parse().expect("a time");
        let group = Group { object: &object, now };
        assert_eq!(group.status(), expected, "{object}");
    }

    #[test]
    fn statuses() {
        let placed = |phase: &str| json!({"phase": phase, "startTime": "2026-01-02T03:00:00Z"});
        let created = json!({"creationTimestamp": "2026-01-02T03:00:00Z"});
        check(json!({"status": {"phase": "Pending"}}), 0, "Scheduling");
        check(json!({"status": placed("Pending")}), 0, "Pending");
        for phase in ["Running", "Succeeded", "Failed"] {
            check(json!({"status": placed(phase)}), 0, phase);
        }
        let lost = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": NO_STOCK}]});
        check(json!({"status": lost, "eci": {"waits": true}}), 0, "ScheduleFailed");
        let waits = |minutes: u64| json!({"metadata": created, "status": {"phase": "Pending"}, "eci": {"waits": true, "pendingMinutes": minutes}});
        check(waits(61), 0, "Scheduling");
        check(waits(59), 0, "ScheduleFailed");
        check(json!({"metadata": {"deletionTimestamp": "x"}, "status": placed("Running")}), 0, "Terminating");
        check(json!({"status": placed("Failed"), "eci": {"ended": {"status": "Expired"}}}), 0, "Expired");
        let again = |phase: &str| json!({"status": placed(phase), "eci": {"again": {"status": "Restarting", "generation": 1}}});
        check(again("Failed"), 0, "Restarting");
        check(again("Pending"), 1, "Restarting");
        check(again("Running"), 0, "Restarting");
        check(again("Running"), 1, "Running");
        let mut held = again("Running");
        held["eci"]["held"] = json!(true);
        check(held.clone(), 1, "Running");
        held["eci"]["again"]["held"] = json!(true);
        check(held, 1, "Restarting");
        let slow = |until: &str| json!({"status": placed("Running"), "eci": {"again": {"status": "Updating", "until": until}}});
        check(slow("2026-01-02T04:00:01Z"), 0, "Updating");
        check(slow("2026-01-02T04:00:00Z"), 0, "Running");
        check(json!({"status": placed("Running"), "eci": {"forced": "Unknown"}}), 0, "Unknown");
    }

    #[test]
    fn the_odd_key_of_a_running_container_is_kept() {
        let status =
            json!({"name": "c", "ready": true, "state": {"running": {"startedAt": "t"}}, "lastState": {}});
        assert_eq!(kubernetes_container(&status)["State"], json!({"Running": {"StartedAtstartedAt": "t"}}));
        assert_eq!(
            eci_state(status.get("state")),
            json!({"State": "Running", "StartTime": "t", "DetailStatus": ""})
        );
    }
}
