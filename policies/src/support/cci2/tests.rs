use serde_json::{Value, json};

use crate::support::{HUAWEI, HUAWEI_2, check};

fn pod(spec: &Value, annotations: &Value) -> Value {
    let mut pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [
        {"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}]}});
    for (field, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn refused(provider: &str, pod: &Value) -> Vec<String> {
    check(provider, pod).into_iter().map(|found| found.field).collect()
}

/// A field, what each generation refuses of it.
#[test]
fn what_the_generations_do_differently() {
    let mounted = json!([{"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "1"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/t", "subPath": "t"}]}]);
    let proc = json!([{"name": "app", "image": "nginx", "securityContext": {"procMount": "Unmasked"}}]);
    for (spec, one, two) in [
        (json!({"volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]}), "spec.volumes[0].nfs", ""),
        (
            json!({"volumes": [{"name": "tmp", "emptyDir": {}}], "containers": mounted}),
            "spec.containers[0].volumeMounts[0].subPath",
            "",
        ),
        (json!({"containers": proc}), "spec.containers[0].securityContext.procMount", ""),
        (json!({"hostnameOverride": "a"}), "", "spec.hostnameOverride"),
        (
            json!({"securityContext": {"supplementalGroupsPolicy": "Strict"}}),
            "",
            "spec.securityContext.supplementalGroupsPolicy",
        ),
        (json!({"securityContext": {"supplementalGroupsPolicy": "Merge"}}), "", ""),
        (json!({"subdomain": "web"}), "", ""),
        (json!({"hostNetwork": true}), "spec.hostNetwork", "spec.hostNetwork"),
        (json!({"nodeSelector": {"kubernetes.io/arch": "arm64"}}), ARCH, ARCH),
        (json!({"quantumTunnel": 1}), "spec.quantumTunnel", "spec.quantumTunnel"),
    ] {
        let pod = pod(&spec, &json!({}));
        for (provider, expected) in [(HUAWEI, one), (HUAWEI_2, two)] {
            let expected: Vec<&str> = [expected].into_iter().filter(|field| !field.is_empty()).collect();
            assert_eq!(refused(provider, &pod), expected, "{provider} {spec}");
        }
    }
}

const ARCH: &str = "spec.nodeSelector['kubernetes.io/arch']";

#[test]
fn annotations_with_values_that_cci_does_not_know_are_refused_with_the_legal_ones() {
    let said = |key: &str, value: &str| {
        let found = check(HUAWEI_2, &pod(&json!({}), &json!({key: value})));
        found.into_iter().map(|found| format!("{}: {}", found.field, found.sentence)).collect::<Vec<_>>()
    };
    for (key, value) in [
        (super::annotations::SIZE, "2.00_4.0"),
        (super::annotations::RESERVATION, "true"),
        (super::annotations::EXTRA_DISK, "20"),
        ("resource.cci.io/instance-type", "general-computing"),
        ("yangtse.io/eip-charge-mode", "traffic"),
        ("example.com/other", "x"),
    ] {
        assert_eq!(said(key, value), [""; 0], "{key}={value}");
    }
    for (key, value, words) in [
        (super::annotations::SIZE, "2.00_40.0", "write a size of CCI 2.0"),
        (super::annotations::SIZE, "2_4", "write a size of CCI 2.0"),
        (super::annotations::RESERVATION, "yes", "write true or false"),
        (super::annotations::EXTRA_DISK, "20Gi", "write a whole number"),
        ("yangtse.io/eip-charge-mode", "free", "bandwidth, traffic"),
        ("resource.cci.io/pod-size-spec", "2.00_4.0", "does not know this annotation"),
    ] {
        let said = said(key, value);
        assert!(said.len() == 1 && said[0].contains(words), "{key}={value}: {said:?}");
    }
}

#[test]
fn a_named_size_below_what_the_containers_ask_for_is_refused() {
    let found = check(HUAWEI_2, &pod(&json!({}), &json!({super::annotations::SIZE: "0.50_1.0"})));
    let sentence = &found.first().expect("refused").sentence;
    assert!(sentence.contains("0.50_1.0") && sentence.contains("1 core / 2Gi"), "{sentence}");
}
