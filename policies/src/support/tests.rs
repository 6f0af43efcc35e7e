use serde_json::json;

use super::*;

/// A pod as the API server returns it after defaulting and ServiceAccount admission.
fn ordinary() -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {
        "automountServiceAccountToken": true,
        "containers": [{
            "name": "web", "image": "nginx", "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "250m", "memory": "512Mi", "burst.io/managed": "1"},
                          "limits": {"burst.io/managed": "1"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                                "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": [{"name": "kube-api-access-x7k2p", "readOnly": true,
                              "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]
        }],
        "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0, "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
        "serviceAccount": "default", "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                         "tolerationSeconds": 300}],
        "volumes": [{"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [{"path": "namespace"}]}}]}}]
    }})
}

/// An ordinary pod with `value` at `pointer` (the last segment may be new).
fn with(pointer: &str, value: Value) -> Value {
    let mut pod = ordinary();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match pod.pointer_mut(parent).unwrap_or_else(|| panic!("{parent}")) {
        Value::Array(list) => list.push(value),
        Value::Object(map) => drop(map.insert(key.to_owned(), value)),
        other => panic!("{other}"),
    }
    pod
}

#[track_caller]
fn check_fields(pod: &Value, fields: &[&str]) {
    let found = check(HUAWEI, pod);
    let got: Vec<&str> = found.iter().map(|u| u.field.as_str()).collect();
    assert_eq!(got, fields);
    assert!(found.iter().all(|u| u.sentence.len() > 20));
}

#[test]
fn an_ordinary_pod_is_supported_and_its_token_is_noted() {
    check_fields(&ordinary(), &[]);
    let notes = notes(HUAWEI, &ordinary());
    let token = notes.iter().find(|n| n.field == "spec.volumes[0].projected.sources[0].serviceAccountToken");
    assert!(token.unwrap().sentence.contains("left out unless the bridge can render it"));
}

#[test]
fn another_cluster_takes_what_a_cloud_does_not() {
    let refused = |pod: &Value| check(KUBERNETES, pod).into_iter().map(|u| u.field).collect::<Vec<_>>();
    assert_eq!(refused(&ordinary()), [""; 0]);
    for (pointer, value) in [
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        ("/spec/runtimeClassName", json!("kata")),
        ("/spec/nodeSelector", json!({"kubernetes.io/arch": "arm64"})),
        ("/spec/containers/0/resources", json!({"limits": {"nvidia.com/gpu": "1"}})),
        ("/spec/containers/0/livenessProbe", json!({"grpc": {"port": 80}})),
        ("/spec/securityContext/seLinuxOptions", json!({"level": "s0"})),
        ("/spec/volumes/-", json!({"name": "n", "nfs": {"server": "s", "path": "/"}})),
    ] {
        assert_eq!(refused(&with(pointer, value)), [""; 0], "{pointer}");
    }
    for (pointer, value, field) in [
        ("/spec/hostNetwork", json!(true), "spec.hostNetwork"),
        ("/spec/volumes/-", json!({"name": "h", "hostPath": {"path": "/"}}), "spec.volumes[1].hostPath"),
        (
            "/spec/volumes/-",
            json!({"name": "d", "persistentVolumeClaim": {"claimName": "d"}}),
            "spec.volumes[1].persistentVolumeClaim",
        ),
        ("/spec/volumes/-", json!({"name": "c", "csi": {"driver": "d"}}), "spec.volumes[1].csi"),
        ("/spec/resourceClaims", json!([{"name": "g"}]), "spec.resourceClaims"),
        ("/spec/somethingNew", json!(1), "spec.somethingNew"),
    ] {
        assert_eq!(refused(&with(pointer, value)), [field], "{pointer}");
    }
}

#[test]
fn what_a_virtual_machine_cannot_give_is_refused_by_path() {
    check_fields(&with("/spec/hostNetwork", json!(true)), &["spec.hostNetwork"]);
    check_fields(&with("/spec/hostNetwork", json!(false)), &[]);
    check_fields(&with("/spec/hostPID", json!(true)), &["spec.hostPID"]);
    check_fields(&with("/spec/hostIPC", json!(true)), &["spec.hostIPC"]);
    check_fields(&with("/spec/hostUsers", json!(false)), &["spec.hostUsers"]);
    check_fields(
        &with("/spec/containers/0/ports/-", json!({"containerPort": 81, "hostPort": 81})),
        &["spec.containers[0].ports[1].hostPort"],
    );
    check_fields(
        &with("/spec/containers/0/securityContext/privileged", json!(true)),
        &["spec.containers[0].securityContext.privileged"],
    );
    check_fields(
        &with("/spec/initContainers", json!([{"name": "i", "securityContext": {"privileged": true}}])),
        &["spec.initContainers[0].securityContext.privileged"],
    );
    check_fields(&with("/spec/runtimeClassName", json!("kata")), &["spec.runtimeClassName"]);
    check_fields(&with("/spec/ephemeralContainers", json!([{"name": "d"}])), &["spec.ephemeralContainers"]);
}

#[test]
fn platforms() {
    check_fields(
        &with("/spec/nodeSelector", json!({"kubernetes.io/arch": "arm64"})),
        &["spec.nodeSelector['kubernetes.io/arch']"],
    );
    check_fields(&with("/spec/nodeSelector", json!({"kubernetes.io/arch": "amd64", "pool": "a"})), &[]);
    check_fields(
        &with("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"})),
        &["spec.nodeSelector['kubernetes.io/os']"],
    );
    check_fields(&with("/spec/os", json!({"name": "windows"})), &["spec.os.name"]);
}

#[test]
fn volumes() {
    let volume = |v: Value| with("/spec/volumes/-", v);
    for kind in ["configMap", "secret", "emptyDir", "downwardAPI", "persistentVolumeClaim"] {
        check_fields(&volume(json!({"name": "v", (kind): {}})), &[]);
    }
    for (driver, refused) in [
        ("nas.csi.everest.io", false),
        ("sfsturbo.csi.everest.io", false),
        ("disk.csi.everest.io", true),
        ("obs.csi.everest.io", true),
        ("", true),
    ] {
        let claim =
            volume(json!({"name": "v", "persistentVolumeClaim": {"claimName": "c", CLAIM_DRIVER: driver}}));
        let field = ["spec.volumes[1].persistentVolumeClaim"];
        check_fields(&claim, if refused { &field } else { &[] });
    }
    for kind in ["hostPath", "nfs", "csi", "ephemeral", "image", "iscsi"] {
        let field = format!("spec.volumes[1].{kind}");
        check_fields(&volume(json!({"name": "v", (kind): {"path": "/x"}})), &[&field]);
    }
    let token = json!({"name": "mine", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}});
    check_fields(&volume(token), &["spec.volumes[1].projected.sources[0].serviceAccountToken"]);
    let bundle = json!({"name": "ca", "projected": {"sources": [{"clusterTrustBundle": {"path": "t"}}]}});
    check_fields(&volume(bundle), &["spec.volumes[1].projected.sources[0].clusterTrustBundle"]);
}

#[test]
fn a_token_volume_of_the_users_own_does_not_hide_behind_the_injected_name() {
    let mut pod = ordinary();
    pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] = json!("/tokens");
    check_fields(&pod, &["spec.volumes[0].projected.sources[0].serviceAccountToken"]);
}

#[test]
fn sub_paths() {
    let mut pod = with("/spec/volumes/-", json!({"name": "tmp", "emptyDir": {}}));
    pod["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "conf", "configMap": {"name": "c"}}));
    pod["spec"]["containers"][0]["volumeMounts"] = json!([
        {"name": "tmp", "mountPath": "/a"}, {"name": "tmp", "mountPath": "/b", "subPath": "b"},
        {"name": "conf", "mountPath": "/c", "subPath": "c"}]);
    check_fields(&pod, &["spec.containers[0].volumeMounts[1].subPath"]);
}

#[test]
fn containers_and_resources() {
    let container = |i: usize| json!({"name": format!("c{i}"), "image": "x"});
    let five: Vec<Value> = (0..5).map(container).collect();
    let six: Vec<Value> = (0..6).map(container).collect();
    check_fields(&with("/spec/containers", json!(five)), &[]);
    check_fields(&with("/spec/containers", json!(six)), &["spec.containers"]);
    check_fields(
        &with("/spec/containers/0/resources/limits", json!({"nvidia.com/gpu": "1", "burst.io/managed": "1"})),
        &["spec.containers[0].resources.limits['nvidia.com/gpu']"],
    );
    check_fields(&with("/spec/resourceClaims", json!([{"name": "gpu"}])), &["spec.resourceClaims"]);
    check_fields(&with("/spec/resourceClaims", json!([])), &[]);
    check_fields(
        &with("/spec/initContainers", json!([{"name": "side", "restartPolicy": "Always"}])),
        &["spec.initContainers[0].restartPolicy"],
    );
    check_fields(
        &with("/spec/containers/0/livenessProbe", json!({"grpc": {"port": 1}})),
        &["spec.containers[0].livenessProbe.grpc"],
    );
}

/// Guards localPrefer and auto: what no size carries must be known before a virtual node is opened to the pod.
#[test]
fn sizes_that_are_not_sold_are_refused_after_rounding() {
    let sized = |requests: Value, limits: Value| {
        with("/spec/containers/0/resources", json!({"requests": requests, "limits": limits}))
    };
    let resources = ["spec.containers[*].resources"];
    check_fields(&sized(json!({"cpu": "32", "memory": "256Gi"}), json!({})), &[]);
    check_fields(&sized(json!({"cpu": "33", "memory": "64Gi"}), json!({})), &resources);
    check_fields(&sized(json!({"cpu": "1"}), json!({"cpu": "33"})), &resources);
    check_fields(&sized(json!({"cpu": "1", "memory": "256.1Gi"}), json!({})), &resources);
    check_fields(&sized(json!({"cpu": "31.8", "memory": "1Gi"}), json!({})), &[]);
    check_fields(&sized(json!({"memory": "1Gi"}), json!({})), &[]);
    let disk = ["spec.containers[*].resources.requests.ephemeral-storage"];
    check_fields(&sized(json!({"cpu": "1", "ephemeral-storage": "10Gi"}), json!({})), &[]);
    check_fields(&sized(json!({"cpu": "1", "ephemeral-storage": "11Gi"}), json!({})), &disk);
    let two = json!([{"name": "a", "resources": {"requests": {"cpu": "20"}}},
                     {"name": "b", "resources": {"requests": {"cpu": "20"}}}]);
    check_fields(&with("/spec/containers", two.clone()), &resources);
    check_fields(&with("/spec/initContainers", two), &[]);
    let said = check(HUAWEI, &sized(json!({"cpu": "64", "memory": "128Gi"}), json!({})));
    assert!(said[0].sentence.starts_with("64 core / 128Gi after rounding is larger"), "{said:?}");
}

#[test]
fn a_field_without_a_row_is_refused_not_dropped() {
    check_fields(&with("/spec/quantumTunnel", json!(true)), &["spec.quantumTunnel"]);
    check_fields(&with("/spec/containers/0/quantum", json!(true)), &["spec.containers[0].quantum"]);
    check_fields(&with("/spec/securityContext/quantum", json!(1)), &["spec.securityContext.quantum"]);
}

#[test]
fn the_table_is_complete_in_itself() {
    for (provider, table) in providers::ALL.map(|known| (known.taint, known.table)) {
        assert!(!table.is_empty(), "{provider}");
        for row in table {
            assert!(row.field.starts_with("spec."), "{}", row.field);
            assert!(row.treatment == Treatment::Passed || !row.sentence.is_empty(), "{}", row.field);
            let same = |other: &&Row| other.field == row.field && other.treatment == Treatment::Passed;
            assert!(row.treatment != Treatment::Passed || table.iter().filter(same).count() == 1);
        }
    }
    check_fields(&json!({}), &[]);
    check_fields(&json!({"spec": "text"}), &[]);
}

/// Nothing runs at a mock, so it refuses only what would touch a host, and says of the rest that it has no effect.
#[test]
fn a_mock_takes_whatever_has_no_host() {
    let fields = |pod: &Value| check(MOCK, pod).into_iter().map(|u| u.field).collect::<Vec<_>>();
    let limits = json!({"cpu": "64", "nvidia.com/gpu": "8"});
    let free = [
        ordinary(),
        with("/spec/containers/0/resources/limits", limits),
        with("/spec/runtimeClassName", json!("kata")),
        with("/spec/volumes/-", json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}})),
        with("/spec/quantumTunnel", json!(true)),
    ];
    for pod in &free {
        assert_eq!(fields(pod), Vec::<String>::new(), "{pod}");
        assert!(!notes(MOCK, pod).is_empty());
    }
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_eq!(fields(&with(&format!("/spec/{field}"), json!(true))), [format!("spec.{field}")]);
        assert_eq!(fields(&with(&format!("/spec/{field}"), json!(false))), Vec::<String>::new());
    }
    let path = with("/spec/volumes/-", json!({"name": "v", "hostPath": {"path": "/"}}));
    assert_eq!(fields(&path), ["spec.volumes[1].hostPath"]);
    let port = with("/spec/containers/0/ports/-", json!({"containerPort": 81, "hostPort": 81}));
    assert_eq!(fields(&port), ["spec.containers[0].ports[1].hostPort"]);
    let windows = with("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"}));
    assert_eq!(fields(&windows), ["spec.nodeSelector['kubernetes.io/os']"]);
}

#[test]
fn nothing_is_said_of_a_provider_without_a_table() {
    assert!(check("nobody", &with("/spec/hostNetwork", json!(true))).is_empty());
}
