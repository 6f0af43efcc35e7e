//! Tables: what is added, what is refused and by which field, and what is written down.

#![allow(clippy::needless_pass_by_value, reason = "tables read best with literals in place")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::support::{HUAWEI, MOCK};

const MI: u64 = 1 << 20;

fn daemon(namespace: &str, name: &str, spec: Value) -> Daemon {
    let mut whole = json!({"containers": [{
        "name": "ship", "image": "shipper", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }]});
    json_patch::merge(&mut whole, &spec);
    Daemon { namespace: namespace.to_owned(), name: name.to_owned(), spec: whole }
}

/// With this changed in its only container.
fn with(container: Value) -> Daemon {
    let mut daemon = daemon("logging", "agent", json!({}));
    json_patch::merge(&mut daemon.spec["containers"][0], &container);
    daemon
}

fn pod() -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {
        "containers": [{"name": "main", "image": "web", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}],
        "volumes": [{"name": "data", "emptyDir": {}}]}})
}

fn field_in(namespace: &str, daemon: &Daemon) -> String {
    added(daemon, namespace, &BTreeSet::new()).map_or_else(|refused| refused.field, |_| "added".to_owned())
}

#[test]
fn true_and_false_are_understood_and_nothing_else() {
    assert_eq!([wish(None), wish(Some("true")), wish(Some("false"))], [Ok(false), Ok(true), Ok(false)]);
    for other in ["", "yes", "True", " true"] {
        let text = wish(Some(other)).expect_err(other).to_string();
        assert!(text.contains("burst.io/replace-in-cloud") && text.contains(&format!("{other:?}")), "{text}");
    }
}

#[test]
fn names_volumes_and_sizes_are_the_daemonsets_own() {
    let daemon = daemon(
        "shop",
        "agent",
        json!({
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
            "securityContext": {"runAsUser": 7, "fsGroup": 9},
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [
                {"name": "ship", "image": "a", "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                 "securityContext": {"runAsGroup": 3},
                 "env": [{"name": "CPU", "valueFrom": {"resourceFieldRef": {"containerName": "watch", "resource": "limits.cpu"}}},
                         {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                 "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "96Mi"}}},
                {"name": "watch", "image": "b", "securityContext": {"runAsUser": 1}, "resources": {"requests": {"cpu": "50m"}}},
                {"name": "idle", "image": "c"},
            ],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "conf", "configMap": {"name": "conf"}},
                {"name": "about", "downwardAPI": {"items": [{"path": "cpu", "resourceFieldRef": {"containerName": "ship", "resource": "limits.cpu"}}]}}],
        }),
    );
    let got = added(&daemon, "shop", &BTreeSet::new()).expect("added");
    let name = |item: &Value| item["name"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        got.containers.iter().map(name).collect::<Vec<_>>(),
        ["agent-ship", "agent-watch", "agent-idle"]
    );
    assert_eq!(got.volumes.iter().map(name).collect::<Vec<_>>(), ["agent-data", "agent-conf", "agent-about"]);
    let [ship, watch, idle] = &got.containers[..] else { panic!("three") };
    assert_eq!(ship["volumeMounts"], json!([{"name": "agent-data", "mountPath": "/data"}]));
    assert_eq!(ship["env"][0]["valueFrom"]["resourceFieldRef"]["containerName"], "agent-watch");
    assert_eq!(ship["env"][1]["valueFrom"]["fieldRef"]["fieldPath"], "spec.nodeName");
    let size = json!({"cpu": "100m", "memory": "96Mi"});
    assert_eq!(ship["resources"], json!({"requests": size, "limits": size}), "the limit wins");
    assert_eq!(ship["securityContext"], json!({"runAsUser": 7, "runAsGroup": 3}));
    assert_eq!(watch["securityContext"], json!({"runAsUser": 1}), "its own wins");
    assert_eq!(idle.get("resources"), None);
    assert_eq!(got.volumes[2]["downwardAPI"]["items"][0]["resourceFieldRef"]["containerName"], "agent-ship");
    let sum = Resources { cpu_milli: 150, memory_bytes: 96 * MI, ..Resources::default() };
    assert_eq!((got.requests, got.pull_secrets), (sum, vec![json!({"name": "pull"})]));
}

#[test]
fn names_never_collide() {
    let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let name = |namespace: &str, daemon: &str, container: &str, taken: &BTreeSet<String>| {
        names::prefixed((namespace, daemon), container, taken)
    };
    assert_eq!(name("a", "agent", "ship", &taken(&[])), "agent-ship");
    let long = "x".repeat(60);
    for (daemon, container, used) in [
        (long.as_str(), "ship", taken(&[])),
        ("node.exporter", "main", taken(&[])),
        ("agent", "ship", taken(&["agent-ship"])),
    ] {
        let got = name("a", daemon, container, &used);
        assert!(got.len() <= 63 && !got.contains('.') && !used.contains(&got), "{got}");
        assert!(got.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{got}");
        assert_eq!(name("a", daemon, container, &used), got, "the same every time");
        assert_ne!(name("b", daemon, container, &used), got, "another namespace");
        let mut more = used.clone();
        more.insert(got.clone());
        assert_ne!(name("a", daemon, container, &more), got, "free");
    }
}

/// Guards the instance: an agent gets no host, no rights and nobody else's objects.
#[test]
fn what_needs_a_host_or_its_own_namespace_is_named() {
    let spec = |spec: Value| daemon("logging", "agent", spec);
    let volume = |source: Value| spec(json!({"volumes": [{"name": "ok", "emptyDir": {}}, source]}));
    let anywhere = [
        (spec(json!({"hostNetwork": true})), "hostNetwork"),
        (spec(json!({"hostPID": true})), "hostPID"),
        (spec(json!({"hostIPC": true})), "hostIPC"),
        (spec(json!({"initContainers": [{"name": "first"}]})), "initContainers"),
        (volume(json!({"name": "v", "hostPath": {"path": "/var/log"}})), "volumes[1].hostPath"),
        (
            volume(json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}})),
            "volumes[1].persistentVolumeClaim",
        ),
        (volume(json!({"name": "v", "ephemeral": {}})), "volumes[1].ephemeral"),
        (volume(json!({"name": "v", "nfs": {"path": "/"}})), "volumes[1].nfs"),
        (with(json!({"securityContext": {"privileged": true}})), "containers[0].securityContext.privileged"),
        (
            with(json!({"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}})),
            "containers[0].securityContext.capabilities.add",
        ),
        (
            with(json!({"ports": [{"containerPort": 1}, {"containerPort": 2, "hostPort": 2}]})),
            "containers[0].ports[1].hostPort",
        ),
        (
            with(json!({"resources": {"limits": {"nvidia.com/gpu": "1"}}})),
            "containers[0].resources.limits['nvidia.com/gpu']",
        ),
        (
            with(json!({"resources": {"limits": {"hugepages-2Mi": "2Mi"}}})),
            "containers[0].resources.limits['hugepages-2Mi']",
        ),
        (with(json!({"resources": {"limits": {"cpu": "much"}}})), "containers[0].resources.requests.cpu"),
    ];
    for (daemon, field) in &anywhere {
        for namespace in ["shop", "logging"] {
            assert_eq!(field_in(namespace, daemon), format!("spec.template.spec.{field}"), "{namespace}");
        }
    }
    let token = json!({"serviceAccountToken": {"path": "token"}});
    let at_home = [
        (volume(json!({"name": "v", "configMap": {"name": "c"}})), "volumes[1].configMap"),
        (volume(json!({"name": "v", "secret": {"secretName": "s"}})), "volumes[1].secret"),
        (
            volume(
                json!({"name": "v", "projected": {"sources": [{"downwardAPI": {}}, {"configMap": {"name": "c"}}]}}),
            ),
            "volumes[1].projected.sources[1].configMap",
        ),
        (
            volume(json!({"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}})),
            "volumes[1].projected.sources[0].secret",
        ),
        (
            volume(json!({"name": "v", "projected": {"sources": [token]}})),
            "volumes[1].projected.sources[0].serviceAccountToken",
        ),
        (
            with(json!({"envFrom": [{"configMapRef": {"name": "c"}}]})),
            "containers[0].envFrom[0].configMapRef",
        ),
        (
            with(json!({"envFrom": [{"secretRef": {"name": "c", "optional": true}}]})),
            "containers[0].envFrom[0].secretRef",
        ),
        (
            with(
                json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}),
            ),
            "containers[0].env[1].valueFrom.configMapKeyRef",
        ),
        (
            with(json!({"env": [{"name": "B", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}}]})),
            "containers[0].env[0].valueFrom.secretKeyRef",
        ),
        (spec(json!({"imagePullSecrets": [{"name": "pull"}]})), "imagePullSecrets"),
    ];
    for (daemon, field) in &at_home {
        assert_eq!(field_in("shop", daemon), format!("spec.template.spec.{field}"));
        assert_eq!(field_in("logging", daemon), "added", "{field} in its own namespace");
    }
    for harmless in [
        spec(
            json!({"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}], "hostNetwork": false}),
        ),
        volume(json!({"name": "v", "downwardAPI": {"items": []}})),
        with(
            json!({"securityContext": {"capabilities": {"drop": ["ALL"]}}, "ports": [{"containerPort": 1, "hostPort": 0}]}),
        ),
    ] {
        assert_eq!(field_in("shop", &harmless), "added");
    }
}

#[test]
fn a_pod_gets_all_that_can_run_in_the_order_of_their_names() {
    let two = [
        daemon("b", "agent", json!({})),
        daemon("a", "agent", json!({})),
        daemon("c", "agent", json!({"hostNetwork": true})),
    ];
    let providers = [HUAWEI.to_owned(), MOCK.to_owned()].into();
    let got = beside(&pod(), "shop", &two, &providers);
    assert_eq!(got.names, ["a/agent", "b/agent"]);
    let annotations: BTreeMap<String, String> =
        got.written().into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    assert_eq!(annotations[keys::DAEMONSETS], "a/agent,b/agent");
    assert_eq!(annotations[keys::DAEMONSETS_REQUESTS], r#"{"cpu":"200m","memory":"128Mi"}"#);
    let one = r#"{"cpu":"100m","memory":"64Mi"}"#;
    assert_eq!(annotations[keys::DAEMONSETS_SIZES], format!("[{one},{one}]"));
    assert_eq!(record::requests(&annotations), Ok(got.requests), "read as written");
    assert_eq!(record::sizes(&annotations), Ok(got.sizes));
    assert_eq!(record::names(&annotations[keys::DAEMONSETS]).collect::<Vec<_>>(), ["a/agent", "b/agent"]);
    assert!(beside(&pod(), "shop", [], &providers).written().iter().all(|(_, value)| value.is_none()));
}

#[test]
fn the_pod_has_them_beside_its_own() {
    let mut joined = Joined::alone(&pod(), "shop");
    let shipper = daemon(
        "shop",
        "agent",
        json!({"volumes": [{"name": "data", "emptyDir": {}}], "imagePullSecrets": [{"name": "pull"}]}),
    );
    joined.add(&shipper, &[HUAWEI], None).expect("added");
    joined.add(&Daemon { name: "other".to_owned(), ..shipper }, &[HUAWEI], None).expect("added");
    let names = |list: &str| -> Vec<String> {
        let items = joined.pod["spec"][list].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| Some(item["name"].as_str()?.to_owned())).collect()
    };
    assert_eq!(names("containers"), ["main", "agent-ship", "other-ship"]);
    assert_eq!(names("volumes"), ["data", "agent-data", "other-data"]);
    assert_eq!(names("imagePullSecrets"), ["pull"], "not twice");
    assert_eq!(joined.hidden, ["agent-ship", "other-ship"]);
    assert_eq!(joined.pod["metadata"], pod()["metadata"]);
}

/// Guards the pods: what an agent lacks at a provider keeps the agent out, and never the pod.
#[test]
fn a_provider_s_own_limits_are_the_daemonsets_too() {
    let refused = |pod: &Value, daemon: &Daemon, providers: &[&str]| -> String {
        let mut joined = Joined::alone(pod, "shop");
        let result = joined.add(daemon, providers, None);
        assert_eq!(result.is_err(), joined.hidden.is_empty());
        result.err().map(|refused| refused.text("x/y")).unwrap_or_default()
    };
    let grpc = with(json!({"livenessProbe": {"grpc": {"port": 1}}}));
    let text = refused(&pod(), &grpc, &[HUAWEI]);
    assert!(
        text.contains("DaemonSet x/y is not replaced")
            && text.contains("spec.template.spec.containers[0].livenessProbe.grpc"),
        "{text}"
    );
    assert_eq!(refused(&pod(), &grpc, &[HUAWEI, MOCK]), "", "one of them can");
    assert_eq!(refused(&pod(), &grpc, &[]), "", "nobody is known");
    let mut full = pod();
    full["spec"]["containers"] =
        (0..5).map(|i| json!({"name": format!("c{i}"), "resources": {"requests": {"cpu": "1"}}})).collect();
    let text = refused(&full, &with(json!({})), &[HUAWEI]);
    assert!(text.contains("too much together") && text.contains("at most 5 containers"), "{text}");
    let mut large = pod();
    large["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "32", "memory": "64Gi"});
    assert!(refused(&large, &with(json!({})), &[HUAWEI]).contains("32 core / 256Gi"));
    large["spec"]["hostNetwork"] = json!(true);
    assert_eq!(refused(&large, &with(json!({})), &[HUAWEI]), "", "the pod itself cannot run there");
}

/// Guards the money: what was counted is all that is added.
#[test]
fn more_than_was_counted_is_not_added() {
    let room =
        |cpu_milli, memory| Some(Resources { cpu_milli, memory_bytes: memory * MI, ..Resources::default() });
    let mut joined = Joined::alone(&pod(), "shop");
    let (first, second) = (daemon("a", "one", json!({})), daemon("a", "two", json!({})));
    assert!(joined.add(&first, &[HUAWEI], room(99, 64)).is_err());
    assert!(joined.add(&first, &[HUAWEI], room(100, 64)).is_ok());
    let refused = joined.add(&second, &[HUAWEI], room(150, 128)).expect_err("more");
    assert!(refused.sentence.contains("more than when the pod was admitted"), "{refused:?}");
    assert_eq!(joined.beside.names, ["a/one"]);
}
