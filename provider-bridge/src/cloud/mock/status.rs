//! The status of a pod of which nothing runs: a pure function of the pod, of times and of an address.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    Running {
        since: Timestamp,
    },
    /// Deleted; `since` is when it began to run, if it did.
    Ended {
        since: Option<Timestamp>,
        at: Timestamp,
    },
}

impl Stage {
    /// The stage after deletion.
    pub(super) const fn ended(self, at: Timestamp) -> Self {
        match self {
            Self::Starting => Self::Ended { since: None, at },
            Self::Running { since } => Self::Ended { since: Some(since), at },
            Self::Ended { .. } => self,
        }
    }

    const fn phase(self) -> &'static str {
        match self {
            Self::Starting | Self::Ended { since: None, .. } => "Pending",
            Self::Running { .. } => "Running",
            Self::Ended { .. } => "Succeeded",
        }
    }

    const fn since(self) -> Option<Timestamp> {
        match self {
            Self::Starting => None,
            Self::Running { since } => Some(since),
            Self::Ended { since, .. } => since,
        }
    }
}

pub(super) fn of(pod: &Value, created: Timestamp, stage: Stage, address: Ipv4Addr) -> Value {
    let (runs, changed) = match stage {
        Stage::Starting => (false, created),
        Stage::Running { since } => (true, since),
        Stage::Ended { at, .. } => (false, at),
    };
    let condition = |kind: &str, holds: bool, at: Timestamp| {
        let (status, at) = (if holds { "True" } else { "False" }, stamp(at));
        json!({"type": kind, "status": status, "lastTransitionTime": at})
    };
    let mut status = json!({
        "phase": stage.phase(),
        "startTime": stamp(created),
        "conditions": [
            condition("PodScheduled", true, created),
            condition("Initialized", stage.since().is_some(), stage.since().unwrap_or(created)),
            condition("ContainersReady", runs, changed),
            condition("Ready", runs, changed),
        ],
        "containerStatuses": containers(pod, "containers", |_| state(stage), runs),
    });
    let Some(fields) = status.as_object_mut() else { return status };
    let init = containers(pod, "initContainers", |_| init_state(created, stage), false);
    if !init.is_empty() {
        fields.insert("initContainerStatuses".to_owned(), Value::Array(init));
    }
    if stage.since().is_some() {
        fields.insert("podIP".to_owned(), json!(address));
        fields.insert("podIPs".to_owned(), json!([{"ip": address}]));
    }
    if matches!(stage, Stage::Ended { .. }) {
        fields.insert("reason".to_owned(), json!(DELETED));
    }
    status
}

/// As virtual-kubelet's mock says it.
const DELETED: &str = "MockProviderPodDeleted";

fn containers(pod: &Value, kind: &str, state: impl Fn(&Value) -> Value, runs: bool) -> Vec<Value> {
    let all = pod.pointer(&format!("/spec/{kind}")).and_then(Value::as_array).into_iter().flatten();
    let one = |container: &Value| {
        let text = |key: &str| container.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut row = Map::new();
        row.insert("name".to_owned(), json!(text("name")));
        row.insert("image".to_owned(), json!(text("image")));
        row.insert("imageID".to_owned(), json!(""));
        row.insert("restartCount".to_owned(), json!(0));
        row.insert("ready".to_owned(), json!(runs));
        row.insert("started".to_owned(), json!(runs));
        row.insert("state".to_owned(), state(container));
        Value::Object(row)
    };
    all.map(one).collect()
}

fn state(stage: Stage) -> Value {
    match stage {
        Stage::Running { since } => json!({"running": {"startedAt": stamp(since)}}),
        Stage::Ended { since: Some(since), at } => json!({"terminated": {
            "exitCode": 0, "reason": DELETED, "startedAt": stamp(since), "finishedAt": stamp(at),
        }}),
        Stage::Starting | Stage::Ended { since: None, .. } => {
            json!({"waiting": {"reason": "ContainerCreating"}})
        }
    }
}

/// Init containers are done when the others run.
fn init_state(created: Timestamp, stage: Stage) -> Value {
    stage.since().map_or_else(
        || json!({"waiting": {"reason": "PodInitializing"}}),
        |since| {
            json!({"terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": stamp(created), "finishedAt": stamp(since),
            }})
        },
    )
}

/// As the API server writes times: whole seconds.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
