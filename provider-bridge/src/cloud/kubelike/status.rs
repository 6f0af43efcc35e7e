//! From the status that a Kubernetes-style cloud reports to the status that the local pod may show.
//!
//! Pure. It is a Kubernetes PodStatus, so this is a copy without what is the cloud's own business: its hosts,
//! its scheduler's verdict, its QoS class and resized resources. `PodScheduled` is always true (the local scheduler bound
//! the pod); when the cloud has not found room, that is said by [`CONDITION_CLOUD_SCHEDULED`].

use serde_json::{Map, Value, json};

use crate::cloud::CONDITION_CLOUD_SCHEDULED;

/// Status fields that mean something only inside the cloud.
const CLOUD_FIELDS: [&str; 10] = [
    "hostIP",
    "hostIPs",
    "nominatedNodeName",
    "qosClass",
    "observedGeneration",
    "resize",
    "resourceClaimStatuses",
    "extendedResourceClaimStatus",
    "ephemeralContainerStatuses",
    "allocatedResources",
];

/// The same per container: sizes there are the rounded ones.
const CLOUD_CONTAINER_FIELDS: [&str; 3] = ["resources", "allocatedResources", "allocatedResourcesStatus"];

/// Conditions that mean the same on both sides.
const SHARED_CONDITIONS: [&str; 5] =
    ["Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers", "DisruptionTarget"];

/// The local form of a cloud status. `created` dates `PodScheduled` where the cloud has no date for it.
pub(in crate::cloud) fn localise(mut status: Value, created: Option<&str>) -> Value {
    let Some(fields) = status.as_object_mut() else { return json!({"phase": "Pending"}) };
    for field in CLOUD_FIELDS {
        fields.remove(field);
    }
    for list in ["containerStatuses", "initContainerStatuses"] {
        for container in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.retain(|name, _| !CLOUD_CONTAINER_FIELDS.contains(&name.as_str()));
            }
        }
    }
    let cloud = match fields.remove("conditions") {
        Some(Value::Array(conditions)) => conditions,
        _ => Vec::new(),
    };
    fields.insert("conditions".into(), Value::Array(conditions(cloud, created)));
    fields.entry("phase").or_insert_with(|| "Pending".into());
    status
}

fn conditions(cloud: Vec<Value>, created: Option<&str>) -> Vec<Value> {
    let mut local = Vec::with_capacity(cloud.len() + 1);
    let mut since = created.map(str::to_owned);
    let mut no_room = None;
    for condition in cloud {
        let Value::Object(mut condition) = condition else { continue };
        condition.remove("observedGeneration");
        match condition.get("type").and_then(Value::as_str) {
            Some("PodScheduled") if text(&condition, "status") == Some("True") => {
                since = text(&condition, "lastTransitionTime").map(str::to_owned).or(since);
            }
            Some("PodScheduled") => no_room = Some(condition),
            Some(kind) if SHARED_CONDITIONS.contains(&kind) => local.push(Value::Object(condition)),
            _ => {}
        }
    }
    local.push(scheduled(since));
    if let Some(mut condition) = no_room {
        condition.insert("type".into(), CONDITION_CLOUD_SCHEDULED.into());
        local.push(Value::Object(condition));
    }
    local
}

fn scheduled(since: Option<String>) -> Value {
    let mut condition = json!({"type": "PodScheduled", "status": "True"});
    if let (Some(since), Some(fields)) = (since, condition.as_object_mut()) {
        fields.insert("lastTransitionTime".into(), since.into());
    }
    condition
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::golden;

    #[test]
    fn goldens() {
        golden::check("kubelike", "status", |input| {
            localise(input.get("status").cloned().unwrap_or_default(), Some("2026-01-02T03:04:05Z"))
        });
    }

    #[test]
    fn localising_twice_changes_nothing() {
        let once = localise(
            json!({"phase": "Running", "hostIP": "10.0.0.1", "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:05:00Z"},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:09Z"}]}),
            None,
        );
        assert_eq!(localise(once.clone(), None), once);
    }

    #[test]
    fn nonsense_is_pending() {
        for status in [Value::Null, json!([]), json!("x")] {
            assert_eq!(localise(status, None), json!({"phase": "Pending"}));
        }
    }
}
