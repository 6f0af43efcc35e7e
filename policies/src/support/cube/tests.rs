use serde_json::{Value, json};

use super::ANNOTATIONS;
use crate::{keys::PROVIDER_UCLOUD, support::check};

const IMAGE: &str = "uhub.service.ucloud.cn/ucloud/nginx:latest";

fn pod(container: Value) -> Value {
    let mut container = container;
    if container.get("name").is_none() {
        container["name"] = json!("c");
    }
    if container.get("image").is_none() {
        container["image"] = json!(IMAGE);
    }
    json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}})
}

#[track_caller]
fn fields(pod: &Value, wanted: &[&str]) {
    let found = check(PROVIDER_UCLOUD, pod);
    let got: Vec<&str> = found.iter().map(|u| u.field.as_str()).collect();
    assert_eq!(got, wanted, "{found:?}");
}

/// The example of the vendor's page on virtual nodes.
#[test]
fn the_vendors_own_example_runs() {
    let pod = json!({"metadata": {"name": "nginx"}, "spec": {
        "automountServiceAccountToken": false, "nodeSelector": {"type": "virtual-kubelet"},
        "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": "ucloud", "effect": "NoSchedule"}],
        "containers": [{"name": "nginx", "image": IMAGE, "resources": {"requests": {"cpu": "2", "memory": "2048Mi"}}}]}});
    fields(&pod, &[]);
}

/// What the API server adds to every pod is refused too, with the vendor's two remedies.
#[test]
fn service_account_tokens_are_refused_with_both_remedies() {
    let mut with_token = pod(json!({}));
    with_token["spec"]["volumes"] = json!([{"name": "kube-api-access-x", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}}]}}]);
    fields(&with_token, &["spec.volumes[0].projected.sources[0].serviceAccountToken"]);
    let said = check(PROVIDER_UCLOUD, &with_token).remove(0).sentence;
    assert!(said.contains("automountServiceAccountToken: false"), "{said}");
    assert!(said.contains("kubernetes.io/service-account-token"), "{said}");
    let mut secret = pod(json!({"volumeMounts": [
        {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}]}));
    secret["spec"]["volumes"] = json!([{"name": "t", "secret": {"secretName": "default-token"}}]);
    fields(&secret, &[]);
}

#[test]
fn pods_larger_than_the_api_takes() {
    fields(&pod(json!({"args": ["x".repeat(12_288)]})), &[]);
    fields(&pod(json!({"args": ["x".repeat(12_289)]})), &["spec.containers"]);
    fields(&pod(json!({"env": [{"name": "A", "value": "x".repeat(12_289)}]})), &["spec.containers"]);
    let said = check(PROVIDER_UCLOUD, &pod(json!({"args": ["x".repeat(20_000)]}))).remove(0).sentence;
    assert!(said.contains("16 KB") && said.contains("12288 bytes"), "{said}");
}

#[test]
fn images_and_names_of_containers() {
    let image = |name: &str| pod(json!({"image": name}));
    fields(&image("myhub.ucloud.cn/test/nginx:latest"), &[]);
    fields(&image("10.0.0.9:5000/nginx"), &[]);
    fields(&image("nginx"), &["spec.containers[0].image"]);
    fields(&image("library/nginx"), &["spec.containers[0].image"]);
    fields(&image("docker.io/library/nginx"), &["spec.containers[0].image"]);
    let mut with_secret = image("docker.io/library/nginx");
    with_secret["spec"]["imagePullSecrets"] = json!([{"name": "hub"}]);
    fields(&with_secret, &[]);
    fields(&pod(json!({"name": "n".repeat(32)})), &[]);
    fields(&pod(json!({"name": "n".repeat(33)})), &["spec.containers[0].name"]);
}

#[test]
fn volumes_fields_and_security() {
    let volume = |volume: Value| {
        let mut pod = pod(json!({}));
        pod["spec"]["volumes"] = json!([volume]);
        pod
    };
    for kind in ["configMap", "secret", "emptyDir", "nfs", "persistentVolumeClaim"] {
        fields(&volume(json!({"name": "v", (kind): {"name": "x"}})), &[]);
    }
    for kind in ["hostPath", "downwardAPI", "csi", "projected"] {
        let field = format!("spec.volumes[0].{kind}");
        fields(&volume(json!({"name": "v", (kind): {"name": "x"}})), &[&field]);
    }
    fields(
        &volume(json!({"name": "v", "emptyDir": {"medium": "Memory"}})),
        &["spec.volumes[0].emptyDir.medium"],
    );
    let field = |path: &str| json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}});
    fields(&pod(json!({"env": [field("metadata.name")]})), &[]);
    let late = ["spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"];
    fields(&pod(json!({"env": [field("status.podIP")]})), &late);
    fields(
        &pod(json!({"securityContext": {"runAsUser": 1, "capabilities": {"drop": ["ALL"]}}})),
        &["spec.containers[0].securityContext.runAsUser"],
    );
    fields(&pod(json!({"lifecycle": {"preStop": {"exec": {}}}})), &["spec.containers[0].lifecycle"]);
    fields(&pod(json!({"livenessProbe": {"exec": {"command": ["true"]}}})), &[]);
}

/// A wrong value is told with the legal ones, and a wrong name is not taken for somebody else's annotation.
#[test]
fn cube_annotations_say_what_is_legal() {
    let check = |key: &str, value: &str, wanted: Option<&str>| {
        let mut pod = pod(json!({}));
        pod["metadata"]["annotations"] = json!({format!("cube.ucloud.cn/{key}"): value});
        let said = check(PROVIDER_UCLOUD, &pod).into_iter().next().map(|problem| problem.sentence);
        assert_eq!(said.is_some(), wanted.is_some(), "{key}: {value}: {said:?}");
        let said = said.unwrap_or_default();
        assert!(said.contains(wanted.unwrap_or_default()), "{said}");
    };
    check("cube-chargetype", "month", None);
    check("cube-chargetype", "hour", Some("year, month, postpay"));
    check("cube-quantity", "0", None);
    check("cube-quantity", "-1", Some("0 to 120"));
    check("cube-eip", "yes", Some("true or false"));
    check("cube-eip-paymode", "traffic", None);
    check("cube-eip-paymode", "free", Some("traffic, bandwidth, sharebandwidth"));
    check("cube-eip-chargetype", "postpay", Some("year, month, dynamic"));
    check("cube-eip-bandwith", "2", Some("does not know this annotation"));
    for row in ANNOTATIONS {
        assert_eq!(ANNOTATIONS.iter().filter(|other| other.key == row.key).count(), 1, "{}", row.key);
    }
}

#[test]
fn larger_than_sold() {
    let sized =
        |cpu: &str, memory: &str| pod(json!({"resources": {"limits": {"cpu": cpu, "memory": memory}}}));
    fields(&sized("32", "128Gi"), &[]);
    fields(&sized("32", "129Gi"), &["spec.containers[*].resources"]);
    let disk = pod(json!({"resources": {"requests": {"ephemeral-storage": "11Gi"}}}));
    fields(&disk, &["spec.containers[*].resources.requests.ephemeral-storage"]);
}
