//! A pod as Cube returns it: the YAML that was sent, with what the cloud adds, in base64. States are display words. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::error::CubeError;
use crate::core::instances::incarnation_of;

/// A stored pod.
pub(super) struct Shown<'a> {
    pub(super) object: &'a Value,
}

impl Shown<'_> {
    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The display state.
    pub(super) fn phase(&self) -> String {
        let forced = self.text("/cube/forced");
        if !forced.is_empty() {
            return forced.to_owned();
        }
        if self.object.pointer("/metadata/deletionTimestamp").is_some() {
            return "Terminating".to_owned();
        }
        if !self.text("/cube/ended").is_empty() {
            return self.text("/cube/ended").to_owned();
        }
        if self.object.pointer("/status/startTime").is_none() {
            return "Pending".to_owned();
        }
        let wanted = self.object.pointer("/cube/generation").and_then(Value::as_u64).unwrap_or_default();
        let held = wanted > 0 && self.object.pointer("/cube/held") == Some(&Value::Bool(true));
        if held || incarnation_of(self.object) < wanted {
            return "ContainerCreating".to_owned();
        }
        match self.text("/status/phase") {
            "Succeeded" => "Completed".to_owned(),
            "Failed" => "Error".to_owned(),
            phase => self.container_word().unwrap_or_else(|| {
                if phase == "Running" { "Running" } else { "ContainerCreating" }.to_owned()
            }),
        }
    }

    /// The word of the first container that is not well.
    fn container_word(&self) -> Option<String> {
        self.containers().iter().find_map(|status| {
            if let Some(code) = status.pointer("/state/terminated/exitCode").and_then(Value::as_i64) {
                return (code != 0).then(|| "Error".to_owned());
            }
            status.pointer("/state/waiting/reason").and_then(Value::as_str).map(|reason| match reason {
                "PodInitializing" | "ContainerCreating" => "ContainerCreating".to_owned(),
                other => other.to_owned(),
            })
        })
    }

    fn containers(&self) -> &[Value] {
        self.object.pointer("/status/containerStatuses").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The pod with everything that the cloud adds.
    pub(super) fn value(&self) -> Value {
        let mut pod = self.object.pointer("/cube/given").cloned().unwrap_or_else(|| json!({}));
        let Some(map) = pod.as_object_mut() else { return pod };
        map.entry("apiVersion").or_insert_with(|| json!("v1"));
        map.entry("kind").or_insert_with(|| json!("Pod"));
        let metadata = map.entry("metadata").or_insert_with(|| json!({}));
        if !metadata.is_object() {
            *metadata = json!({});
        }
        if let Some(metadata) = metadata.as_object_mut() {
            for (field, pointer) in [
                ("cubeId", "/metadata/uid"),
                ("uid", "/cube/uid"),
                ("group", "/cube/group"),
                ("creationTimestamp", "/metadata/creationTimestamp"),
            ] {
                metadata.insert(field.to_owned(), json!(self.text(pointer)));
            }
            metadata.entry("name").or_insert_with(|| json!(self.text("/cube/name")));
            metadata.insert(
                "provider".into(),
                self.object.pointer("/cube/provider").cloned().unwrap_or_default(),
            );
        }
        let statuses: Vec<Value> = self.containers().iter().map(container).collect();
        let mut status = Map::new();
        status.insert("phase".into(), json!(self.phase()));
        status.insert("podIp".into(), json!(self.text("/status/podIP")));
        if let Some(start) = self.object.pointer("/status/startTime") {
            status.insert("startTime".into(), start.clone());
        }
        status.insert("containerStatuses".into(), json!(statuses));
        map.insert("status".into(), Value::Object(status));
        pod
    }

    /// The same as it travels.
    pub(super) fn encoded(&self) -> Result<String, CubeError> {
        let yaml = serde_saphyr::to_string(&self.value());
        yaml.map(|text| STANDARD.encode(text)).map_err(|error| CubeError::new(150, error.to_string()))
    }
}

fn container(status: &Value) -> Value {
    let get = |field: &str| status.get(field).cloned().unwrap_or_default();
    json!({
        "name": get("name"), "ready": get("ready"), "restartCount": get("restartCount"), "state": get("state"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Value, cube: Value, expected: &str) {
        let object = json!({"metadata": {}, "status": status, "cube": cube});
        assert_eq!(Shown { object: &object }.phase(), expected, "{object}");
    }

    #[test]
    fn states_are_display_words() {
        let state = |phase: &str, state: Value| json!({"phase": phase, "startTime": "t", "containerStatuses": [{"state": state}]});
        let waits = |reason: &str| json!({"waiting": {"reason": reason}});
        check(json!({"phase": "Pending"}), json!({}), "Pending");
        check(state("Pending", waits("ContainerCreating")), json!({}), "ContainerCreating");
        check(state("Pending", waits("PodInitializing")), json!({}), "ContainerCreating");
        for reason in ["ErrImagePull", "ImagePullBackOff", "CreateContainerError"] {
            check(state("Pending", waits(reason)), json!({}), reason);
        }
        check(state("Running", json!({"running": {}})), json!({}), "Running");
        check(state("Running", waits("CrashLoopBackOff")), json!({}), "CrashLoopBackOff");
        check(state("Running", json!({"terminated": {"exitCode": 1}})), json!({}), "Error");
        check(state("Succeeded", json!({"terminated": {"exitCode": 0}})), json!({}), "Completed");
        check(state("Failed", json!({"terminated": {"exitCode": 1}})), json!({}), "Error");
        check(state("Running", json!({"running": {}})), json!({"forced": "Strange"}), "Strange");
        check(state("Running", json!({"running": {}})), json!({"generation": 1}), "ContainerCreating");
        check(state("Running", json!({"running": {}})), json!({"held": true}), "Running");
        let mut renewed = json!({"metadata": {}, "status": state("Running", json!({"running": {}})), "cube": {"generation": 1}});
        renewed["incarnation"] = json!(1);
        assert_eq!(Shown { object: &renewed }.phase(), "Running");
        renewed["cube"]["held"] = json!(true);
        assert_eq!(Shown { object: &renewed }.phase(), "ContainerCreating");
        let object = json!({"metadata": {"deletionTimestamp": "t"}, "status": state("Running", json!({"running": {}}))});
        assert_eq!(Shown { object: &object }.phase(), "Terminating");
    }

    #[test]
    fn what_was_sent_comes_back_with_more() {
        let object = json!({
            "metadata": {"uid": "cube-1", "creationTimestamp": "t"}, "status": state_running(),
            "cube": {"given": {"spec": {"containers": []}, "metadata": null}, "uid": "u", "group": "g", "name": "n", "provider": {"zone": "z"}},
        });
        let pod = Shown { object: &object }.value();
        assert_eq!(
            pod["metadata"],
            json!({"cubeId": "cube-1", "uid": "u", "group": "g", "creationTimestamp": "t", "name": "n", "provider": {"zone": "z"}})
        );
        assert_eq!((&pod["status"]["podIp"], &pod["kind"]), (&json!("10.0.0.1"), &json!("Pod")));
    }

    fn state_running() -> Value {
        json!({"phase": "Running", "startTime": "t", "podIP": "10.0.0.1"})
    }
}
