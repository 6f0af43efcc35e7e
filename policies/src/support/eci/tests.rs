use serde_json::{Value, json};

use super::ANNOTATIONS;
use crate::{
    keys::PROVIDER_ALIBABA,
    support::{annotations::Sent, check},
};

fn pod(container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("c");
    json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}})
}

#[track_caller]
fn fields(pod: &Value, wanted: &[&str]) {
    let found = check(PROVIDER_ALIBABA, pod);
    let got: Vec<&str> = found.iter().map(|u| u.field.as_str()).collect();
    assert_eq!(got, wanted, "{found:?}");
}

#[track_caller]
fn annotated(key: &str, value: &str) -> Option<String> {
    let mut pod = pod(json!({}));
    pod["metadata"]["annotations"] = json!({(key): value});
    let found = check(PROVIDER_ALIBABA, &pod);
    found.into_iter().next().map(|problem| {
        assert_eq!(problem.field, format!("metadata.annotations['{key}']"));
        problem.sentence
    })
}

#[test]
fn variables_and_commands_longer_than_the_api_takes() {
    let env = |value: usize, name: usize| {
        pod(json!({"env": [{"name": "A"}, {"name": "n".repeat(name), "value": "é".repeat(value)}]}))
    };
    fields(&env(256, 128), &[]);
    fields(&env(257, 1), &["spec.containers[0].env[1]"]);
    fields(&env(1, 129), &["spec.containers[0].env[1]"]);
    let said = check(PROVIDER_ALIBABA, &env(257, 1)).remove(0).sentence;
    assert!(said.contains("256 characters"), "{said}");
    fields(&pod(json!({"command": vec!["x"; 20], "args": vec!["x"; 10]})), &[]);
    fields(&pod(json!({"command": vec!["x"; 21]})), &["spec.containers[0].command"]);
    fields(&pod(json!({"args": vec!["x"; 11]})), &["spec.containers[0].args"]);
    fields(&pod(json!({"command": ["x".repeat(257)]})), &["spec.containers[0].command"]);
}

#[test]
fn gpus_need_a_type_of_machine() {
    let mut gpu = pod(json!({"resources": {"limits": {"nvidia.com/gpu": 1}}}));
    fields(&gpu, &["spec.containers[0].resources.limits['nvidia.com/gpu']"]);
    gpu["metadata"]["annotations"] = json!({"k8s.aliyun.com/eci-use-specs": "2-4Gi, ecs.gn6i-c4g1.xlarge"});
    fields(&gpu, &[]);
    let other = pod(json!({"resources": {"limits": {"amd.com/gpu": 1}}}));
    fields(&other, &["spec.containers[0].resources.limits['amd.com/gpu']"]);
}

#[test]
fn probes_volumes_and_groups() {
    let probe = |probe: Value| pod(json!({"livenessProbe": probe}));
    fields(&probe(json!({"httpGet": {"port": "web", "path": "/"}})), &[]);
    fields(
        &probe(json!({"httpGet": {"port": 1, "host": "h", "httpHeaders": [{"name": "a", "value": "b"}]}})),
        &[
            "spec.containers[0].livenessProbe.httpGet.host",
            "spec.containers[0].livenessProbe.httpGet.httpHeaders",
        ],
    );
    fields(&pod(json!({"startupProbe": {"exec": {}}})), &["spec.containers[0].startupProbe"]);
    let volume = |volume: Value| {
        let mut pod = pod(json!({}));
        pod["spec"]["volumes"] = json!([volume]);
        pod
    };
    for kind in ["configMap", "secret", "emptyDir", "downwardAPI", "nfs"] {
        fields(&volume(json!({"name": "v", (kind): {}})), &[]);
    }
    fields(&volume(json!({"name": "v", "flexVolume": {"driver": "alicloud/oss"}})), &[]);
    fields(
        &volume(json!({"name": "v", "flexVolume": {"driver": "other/oss"}})),
        &["spec.volumes[0].flexVolume.driver"],
    );
    fields(
        &volume(json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}})),
        &["spec.volumes[0].persistentVolumeClaim"],
    );
    let mut group = pod(json!({}));
    group["spec"]["securityContext"] = json!({"fsGroup": 1, "runAsUser": 1});
    fields(&group, &["spec.securityContext.fsGroup"]);
    fields(
        &pod(
            json!({"securityContext": {"capabilities": {"add": ["NET_ADMIN", "SYS_PTRACE"], "drop": ["ALL"]}}}),
        ),
        &["spec.containers[0].securityContext.capabilities.add[1]"],
    );
}

/// A wrong value is told with the legal ones, and a wrong name is not taken for somebody else's annotation.
#[test]
fn annotations_say_what_is_legal() {
    let check = |key: &str, value: &str, wanted: Option<&str>| {
        let said = annotated(&format!("k8s.aliyun.com/{key}"), value);
        assert_eq!(said.is_some(), wanted.is_some(), "{key}: {value}: {said:?}");
        let said = said.unwrap_or_default();
        assert!(said.contains(wanted.unwrap_or_default()), "{said}");
    };
    check("eci-spot-strategy", "SpotAsPriceGo", None);
    check("eci-spot-strategy", "Spot", Some("NoSpot, SpotWithPriceLimit, SpotAsPriceGo"));
    check("eci-max-pending-minute", "10", None);
    check("eci-max-pending-minute", "9", Some("10 to 1440"));
    check("eci-max-pending-minute", "1e3", Some("10 to 1440"));
    check("eci-vswitch", "vsw-1, vsw-2", None);
    check("eci-vswitch", " , ", Some("at most 10"));
    check("eci-use-specs", "2-4Gi,4-8Gi,ecs.c6.xlarge", None);
    check("eci-use-specs", "2-4Gi,c6.xlarge", Some("2-4Gi"));
    check("eci-use-specs", "1-2Gi,1-2Gi,1-2Gi,1-2Gi,1-2Gi,1-2Gi", Some("at most 5"));
    check("eci-custom-tags", "env:test,name:alice", None);
    check("eci-custom-tags", "a:1,b:2,c:3,d:4", Some("at most 3"));
    check("eci-custom-tags", "env", Some("key:value"));
    check("eci-extra-ephemeral-storage", "50Gi", None);
    check("eci-extra-ephemeral-storage", "50G", Some("50Gi"));
    check("eci-custom-hosts", "[{\"host\":\"a\"", Some("JSON"));
    check("eci-auto-imc", "yes", Some("true or false"));
    check("eci-spot-price-limit", "0.05", None);
    check("eci-spot-price-limit", "-1", Some("above 0"));
    check("eci-spot-price-limit", "inf", Some("above 0"));
    check("eci-privatepool-id", "x", Some("no parameter"));
    check("eci-fail-strategy", "fail-fast", Some("fail-back"));
    check("eci-spot-strategi", "NoSpot", Some("does not know this annotation"));
    check("eci-instance-id", "eci-1", None);
    check("another-add-on", "x", None);
    assert_eq!(annotated("kubernetes.io/ingress-bandwidth", "10M"), None);
    assert!(annotated("kubernetes.io/ingress-bandwidth", "fast").is_some());
}

#[test]
fn the_annotations_are_each_there_once() {
    for row in ANNOTATIONS {
        assert_eq!(ANNOTATIONS.iter().filter(|other| other.key == row.key).count(), 1, "{}", row.key);
        if let Sent::By(text) | Sent::Not(text) | Sent::Refused(text) = row.sent {
            assert!(text.len() > 10, "{}", row.key);
        }
    }
}

#[test]
fn larger_than_sold() {
    let sized =
        |cpu: &str, memory: &str| pod(json!({"resources": {"limits": {"cpu": cpu, "memory": memory}}}));
    fields(&sized("64", "512Gi"), &[]);
    fields(&sized("64", "513Gi"), &["spec.containers[*].resources"]);
    fields(&sized("1", "1Mi"), &[]);
}
