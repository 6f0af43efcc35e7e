//! What CCI refuses in a pod and what it adds to one (documented samples of the create answer). Pure.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::core::instances::{BILLING_FINALIZER, metadata_map};
use crate::core::kind::Generation;
use crate::error::FieldError;
use crate::size::Size;

/// Whose account it is.
pub(super) struct Tenant<'a> {
    pub(super) project_id: &'a str,
}

/// Volume sources that CCI takes; the last two only 2.0.
const VOLUME_SOURCES: [&str; 8] = [
    "configMap",
    "secret",
    "emptyDir",
    "downwardAPI",
    "projected",
    "persistentVolumeClaim",
    "nfs",
    "ephemeral",
];
/// What the schema of 2.0 does not have; it is left out, not refused.
const PRUNED: [&str; 12] = [
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "tolerations",
    "nodeSelector",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "priorityClassName",
    "priority",
    "runtimeClassName",
    "enableServiceLinks",
];

/// Leaves out of a pod what the schema of 2.0 does not have.
pub(super) fn prune(pod: &mut Value) {
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|field, _| !PRUNED.contains(&field.as_str()));
    }
}

/// Every field that CCI refuses, sizes aside.
pub(super) fn wrong_fields(generation: Generation, spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !spec.is_object() {
        return vec![FieldError::new("spec", "Required value")];
    }
    let containers = list(spec, "containers");
    if containers.is_empty() {
        errors.push(FieldError::new("spec.containers", "Required value"));
    }
    let mut names = HashSet::new();
    for group in ["containers", "initContainers"] {
        for (i, container) in list(spec, group).iter().enumerate() {
            let field = format!("spec.{group}[{i}]");
            wrong_container(container, &field, spec, &mut names, &mut errors);
            // Only 1.0 has none.
            if generation == Generation::One {
                wrong_sub_paths(container, &field, spec, &mut errors);
            }
        }
    }
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec.get(field) == Some(&Value::Bool(true)) {
            errors.push(FieldError::new(format!("spec.{field}"), "Forbidden: not supported by CCI"));
        }
    }
    for (i, volume) in list(spec, "volumes").iter().enumerate() {
        let sources = if generation == Generation::One { &VOLUME_SOURCES[..6] } else { &VOLUME_SOURCES[..] };
        let known = sources.iter().any(|source| volume.get(source).is_some_and(|v| !v.is_null()));
        if !known {
            let source =
                volume.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).find(|k| *k != "name");
            let source = source.unwrap_or("none");
            let message = format!("Forbidden: volume source {source:?} is not supported by CCI");
            errors.push(FieldError::new(format!("spec.volumes[{i}]"), message));
        }
    }
    let policy = spec.get("restartPolicy").and_then(Value::as_str);
    if policy.is_some_and(|policy| !["Always", "OnFailure", "Never"].contains(&policy)) {
        errors.push(FieldError::new(
            "spec.restartPolicy",
            "Unsupported value: supported values: Always, OnFailure, Never",
        ));
    }
    errors
}

fn wrong_container(
    container: &Value,
    field: &str,
    spec: &Value,
    names: &mut HashSet<String>,
    errors: &mut Vec<FieldError>,
) {
    let text = |name: &str| container.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut complain =
        |name: &str, message: String| errors.push(FieldError::new(format!("{field}.{name}"), message));
    if text("name").is_empty() {
        complain("name", "Required value".to_owned());
    } else if !names.insert(text("name").to_owned()) {
        complain("name", format!("Duplicate value: {:?}", text("name")));
    }
    if text("image").is_empty() {
        complain("image", "Required value".to_owned());
    }
    if container.pointer("/securityContext/privileged") == Some(&Value::Bool(true)) {
        complain("securityContext.privileged", "Forbidden: not supported by CCI".to_owned());
    }
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let name = mount.get("name").and_then(Value::as_str).unwrap_or_default();
        let volume =
            list(spec, "volumes").iter().find(|v| v.get("name").and_then(Value::as_str) == Some(name));
        if volume.is_none() {
            complain(&format!("volumeMounts[{i}].name"), format!("Not found: {name:?}"));
        }
    }
}

fn wrong_sub_paths(container: &Value, field: &str, spec: &Value, errors: &mut Vec<FieldError>) {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let name = text(mount, "name");
        let volume = list(spec, "volumes").iter().find(|volume| text(volume, "name") == name);
        let empty = volume.is_some_and(|volume| volume.get("emptyDir").is_some());
        if empty && text(mount, "subPath").is_some_and(|path| !path.is_empty()) {
            let why = "Forbidden: not supported on emptyDir";
            errors.push(FieldError::new(format!("{field}.volumeMounts[{i}].subPath"), why));
        }
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Writes everything that the server adds when it accepts a pod.
pub(super) fn complete(pod: &mut Value, size: Size, tenant: &Tenant<'_>) {
    let project = json!(tenant.project_id);
    if let Some(annotations) = metadata_map(pod, "annotations") {
        annotations.insert("resource.cci.io/size".into(), json!(size.annotation()));
        annotations.insert("tenant.cci.io/tenant-id".into(), project.clone());
        annotations.insert("openvessel.io/monitoring-aominfo".into(), json!("{}"));
    }
    if let Some(labels) = metadata_map(pod, "labels") {
        labels.insert("sys_enterprise_project_id".into(), json!("0"));
        labels.insert("tenant.cci.io/tenant-id".into(), project.clone());
        labels.insert("tenant.kubernetes.io/project-id".into(), project);
        labels.insert(
            "tenant.kubernetes.io/domain-id".into(),
            json!(format!("domain-of-{}", tenant.project_id)),
        );
    }
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(finalizers) =
            finalizers.as_array_mut().filter(|f| !f.iter().any(|x| x == BILLING_FINALIZER))
        {
            finalizers.push(json!(BILLING_FINALIZER));
        }
    }
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        default_spec(spec);
    }
    if let Some(pod) = pod.as_object_mut() {
        pod.insert("status".into(), json!({"phase": "Pending", "qosClass": "Guaranteed"}));
    }
}

fn default_spec(spec: &mut Map<String, Value>) {
    spec.insert("schedulerName".into(), json!("volcano"));
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
    ] {
        spec.entry(field).or_insert(value);
    }
    for group in ["containers", "initContainers"] {
        for container in spec.get_mut(group).and_then(Value::as_array_mut).into_iter().flatten() {
            default_container(container);
        }
    }
}

fn default_container(container: &mut Value) {
    let Some(container) = container.as_object_mut() else { return };
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let latest =
        image.ends_with(":latest") || !image.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let pull = if latest { "Always" } else { "IfNotPresent" };
    for (field, value) in [
        ("imagePullPolicy", json!(pull)),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("resources", json!({})),
    ] {
        container.entry(field).or_insert(value);
    }
    let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else { return };
    let limits = resources.get("limits").cloned();
    if let Some(Value::Object(limits)) = limits {
        let requests = resources.entry("requests").or_insert_with(|| json!({}));
        for (name, value) in limits {
            if let Some(requests) = requests.as_object_mut() {
                requests.entry(name).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: Value, expected: &[&str]) {
        let fields: Vec<String> =
            wrong_fields(Generation::One, &spec).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, expected, "{spec}");
    }

    #[test]
    fn fields_that_cci_refuses() {
        let good = json!({"name": "c", "image": "i"});
        check(json!({"containers": [good]}), &[]);
        check(json!({}), &["spec.containers"]);
        check(json!({"containers": [{}]}), &["spec.containers[0].name", "spec.containers[0].image"]);
        check(json!({"containers": [good], "initContainers": [good]}), &["spec.initContainers[0].name"]);
        check(json!({"containers": [good], "hostNetwork": true, "hostPID": false}), &["spec.hostNetwork"]);
        check(
            json!({"containers": [good], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            &["spec.volumes[0]"],
        );
        check(json!({"containers": [good], "volumes": [{"name": "v", "emptyDir": {}}]}), &[]);
        check(json!({"containers": [good], "restartPolicy": "Sometimes"}), &["spec.restartPolicy"]);
        let mount = |sub: &str| json!({"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": sub}]});
        check(json!({"containers": [mount("")]}), &["spec.containers[0].volumeMounts[0].name"]);
        let volumes = json!([{"name": "v", "emptyDir": {}}]);
        check(
            json!({"containers": [mount("a")], "volumes": volumes}),
            &["spec.containers[0].volumeMounts[0].subPath"],
        );
        let privileged = json!({"name": "c", "image": "i", "securityContext": {"privileged": true}});
        check(json!({"containers": [privileged]}), &["spec.containers[0].securityContext.privileged"]);
    }

    #[test]
    fn the_server_adds_what_the_documentation_shows() {
        let mut pod = json!({"metadata": {"name": "p", "finalizers": ["mine"]}, "spec": {"containers": [
            {"name": "c", "image": "a/b:1", "resources": {"limits": {"cpu": "1", "memory": "2Gi"}}}]}});
        let size = Size { cpu_milli: 1000, memory_bytes: 2 << 30 };
        complete(&mut pod, size, &Tenant { project_id: "p1" });
        assert_eq!(pod["metadata"]["annotations"]["resource.cci.io/size"], "1.00_2.0");
        assert_eq!(pod["metadata"]["labels"]["tenant.kubernetes.io/project-id"], "p1");
        assert_eq!(pod["metadata"]["finalizers"], json!(["mine", BILLING_FINALIZER]));
        assert_eq!(pod["spec"]["schedulerName"], "volcano");
        assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["memory"], "2Gi");
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
        assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "Guaranteed"}));
    }
}
