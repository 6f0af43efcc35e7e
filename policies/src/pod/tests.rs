#![allow(clippy::needless_pass_by_value, reason = "tables read best with literals in place")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn facts(pod: &Value) -> PodFacts {
    let from_value = PodFacts::from_value(pod).unwrap();
    // The borrowed path over text reads the same.
    assert_eq!(PodFacts::from_json(&pod.to_string()).unwrap(), from_value);
    from_value
}

fn ask(cpu: &str, memory: &str) -> Value {
    json!({"resources": {"requests": {"cpu": cpu, "memory": memory}}})
}

fn sidecar(cpu: &str, memory: &str) -> Value {
    let mut container = ask(cpu, memory);
    container["restartPolicy"] = json!("Always");
    container
}

const MI: u64 = 1 << 20;

#[test]
fn effective_requests_follow_the_scheduler() {
    let check = |name: &str, spec: Value, cpu_milli: u64, memory_mi: u64| {
        let got = facts(&json!({"spec": spec})).requests;
        let wanted = Resources { cpu_milli, memory_bytes: memory_mi * MI, pods: 1, ..Resources::default() };
        assert_eq!(got, wanted, "{name}");
    };
    check("nothing", json!({"containers": [{}]}), 0, 0);
    check("sum", json!({"containers": [ask("1", "1Gi"), ask("500m", "512Mi")]}), 1500, 1536);
    check(
        "a large init container, taken resource by resource",
        json!({"containers": [ask("1", "1Gi")], "initContainers": [ask("2", "64Mi"), ask("100m", "2Gi")]}),
        2000,
        2048,
    );
    check(
        "a sidecar adds to the containers",
        json!({"containers": [ask("1", "1Gi")], "initContainers": [sidecar("100m", "64Mi")]}),
        1100,
        1088,
    );
    check(
        "an init container runs beside the sidecars started before it",
        json!({
            "containers": [ask("100m", "100Mi")],
            "initContainers": [ask("2", "1Mi"), sidecar("300m", "10Mi"), ask("2", "1Mi"), sidecar("300m", "10Mi")]
        }),
        2300,
        120,
    );
    check(
        "overhead comes on top",
        json!({"containers": [ask("1", "1Gi")], "overhead": {"cpu": "250m", "memory": "128Mi"}}),
        1250,
        1152,
    );
    check(
        "pod-level requests replace the sum",
        json!({
            "containers": [ask("1", "1Gi")],
            "resources": {"requests": {"cpu": "3"}, "limits": {"memory": "8Gi"}},
            "overhead": {"cpu": "1"}
        }),
        4000,
        1024,
    );
    check(
        "a pod-level limit stands in where nothing is asked",
        json!({"containers": [{}], "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}),
        2000,
        1024,
    );
    check(
        "a limit is the request that is not there",
        json!({"containers": [{"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Mi"}}}]}),
        100,
        1,
    );
    check(
        "numbers",
        json!({"containers": [{"resources": {"requests": {"cpu": 1.5, "memory": 1_048_576}}}]}),
        1500,
        1,
    );
    check(
        "nulls",
        json!({"containers": [{"resources": null}], "initContainers": null, "overhead": null}),
        0,
        0,
    );
}

#[test]
fn gpus_of_every_vendor_and_nothing_else() {
    let check = |name: &str, gpu: u64, unjudged: bool| {
        let pod = json!({"spec": {"containers": [{"resources": {"requests": {name: "2"}}}]}});
        let facts = facts(&pod);
        assert_eq!((facts.requests.gpu, !facts.unjudged.is_empty()), (gpu, unjudged), "{name}");
    };
    check("nvidia.com/gpu", 2, false);
    check("nvidia.com/gpu-tesla-v100-16GB", 2, false);
    check("amd.com/gpu", 2, false);
    check("huawei.com/ascend-310", 2, false);
    check("huawei.com/Ascend910", 2, false);
    check("nvidia.com/gpumem", 0, true);
    check("example.com/gpu", 0, true);
    check("hugepages-2Mi", 0, true);
    check("burst.io/managed", 0, false);
    check("huawei.com/é", 0, true);
}

#[test]
fn an_unreadable_quantity_names_field_and_text() {
    let check = |spec: Value, wanted: &str| {
        let error = PodFacts::from_value(&json!({"spec": spec})).expect_err(wanted).to_string();
        assert!(error.starts_with(wanted), "{error}");
    };
    check(
        json!({"containers": [{}, ask("1", "1 GB")]}),
        "spec.containers[1].resources.requests.memory: \"1 GB\"",
    );
    check(json!({"initContainers": [ask("x", "1")]}), "spec.initContainers[0].resources.requests.cpu: \"x\"");
    check(
        json!({"initContainers": [sidecar("x", "1")]}),
        "spec.initContainers[0].resources.requests.cpu: \"x\"",
    );
    check(
        json!({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "one"}}}]}),
        "spec.containers[0].resources.limits[\"nvidia.com/gpu\"]: \"one\"",
    );
    check(json!({"overhead": {"cpu": ""}}), "spec.overhead.cpu: the quantity is empty");
    check(
        json!({"resources": {"requests": {"cpu": "-1"}}}),
        "spec.resources.requests.cpu: \"-1\" is negative",
    );
    check(
        json!({"resources": {"requests": {"cpu": "-100u"}}}),
        "spec.resources.requests.cpu: \"-100u\" is negative",
    );
    assert!(PodFacts::from_json("{\"spec\": {\"containers\": 5}}").is_err());
    assert!(PodFacts::from_json("[").is_err());
}

#[test]
fn everything_else_is_read() {
    let pod = json!({
        "metadata": {
            "uid": "u-1", "namespace": "shop", "name": "web\n\"1\"", "generateName": "web-",
            "labels": {"a": "b"}, "annotations": {"burst.io/resolved-policy": "localPrefer"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"},
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "2", "controller": true}
            ]
        },
        "spec": {
            "nodeName": "", "nodeSelector": {"type": "virtual-kubelet"}, "priority": -5, "schedulerName": "s",
            "schedulingGates": [{"name": "g"}],
            "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 5}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}, {}
            ]}}},
            "containers": [{"resources": {"requests": {"cpu": "0"}}}]
        },
        "status": {"nominatedNodeName": "n"}
    });
    let facts = facts(&pod);
    assert_eq!(facts.title(), "pod shop/web\n\"1\"");
    assert_eq!((facts.uid.as_str(), facts.scheduler_name.as_str(), facts.priority), ("u-1", "s", Some(-5)));
    assert_eq!((facts.node_name.clone(), facts.nominated_node_name.as_deref()), (None, Some("n")));
    assert_eq!(facts.required_terms.as_ref().map(Vec::len), Some(2));
    assert_eq!((facts.tolerations.len(), facts.scheduling_gates.clone()), (1, vec!["g".to_owned()]));
    assert!(facts.is_daemon() && facts.controller().is_some_and(|c| c.name == "d"));
    assert_eq!(facts.recorded_policy(), Some(Policy::LocalPrefer));
    assert_eq!((facts.asks_cpu, facts.asks_anything), (false, true));
    assert_eq!(facts.unjudged, []);
    let text = pod.to_string();
    let view: PodView<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(view.recorded_policy(), Some(Policy::LocalPrefer));
    let borrowed = |text: &Text<'_>| matches!(text.0, std::borrow::Cow::Borrowed(_));
    assert!(view.metadata.labels.iter().all(|(k, v)| borrowed(k) && borrowed(v)), "nothing is copied");
    assert!(view.metadata.name.as_ref().is_some_and(|n| !borrowed(n)), "but escapes are undone");
}

#[test]
fn the_workload_is_named_from_the_pod_alone() {
    let check = |kind: &str, name: &str, hash: Option<&str>, wanted: Option<&str>| {
        let labels = hash.map_or_else(|| json!({}), |hash| json!({"pod-template-hash": hash}));
        let owner = json!([{"kind": kind, "name": name, "uid": "1", "controller": !kind.is_empty()}]);
        let pod = json!({"metadata": {"labels": labels, "ownerReferences": owner}});
        assert_eq!(facts(&pod).workload().as_deref(), wanted, "{kind} {name} {hash:?}");
    };
    check("ReplicaSet", "web-7f9c", Some("7f9c"), Some("Deployment/web"));
    check("ReplicaSet", "web-a-7f9c", Some("7f9c"), Some("Deployment/web-a"));
    check("ReplicaSet", "web", None, Some("ReplicaSet/web"));
    check("ReplicaSet", "web7f9c", Some("7f9c"), Some("ReplicaSet/web7f9c"));
    check("StatefulSet", "db", None, Some("StatefulSet/db"));
    check("", "nobody", None, None);
}

#[test]
fn what_only_the_scheduler_can_judge() {
    let check = |spec: Value, wanted: &[Unjudged]| assert_eq!(facts(&json!({"spec": spec})).unjudged, wanted);
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]});
    check(json!({"affinity": {"podAffinity": required}}), &[Unjudged::PodAffinity]);
    check(json!({"affinity": {"podAntiAffinity": required}}), &[Unjudged::PodAffinity]);
    check(
        json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}}}),
        &[],
    );
    check(
        json!({"topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}]}),
        &[Unjudged::TopologySpread],
    );
    check(json!({"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]}), &[]);
    check(json!({"containers": [{"ports": [{"hostPort": 80}]}]}), &[Unjudged::HostPort]);
    check(json!({"containers": [{"ports": [{"containerPort": 80}]}]}), &[]);
    check(json!({"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]}), &[Unjudged::Volume]);
    check(json!({"volumes": [{"emptyDir": {}}, {"configMap": {"name": "c"}}]}), &[]);
    check(json!({"resourceClaims": [{"name": "c"}]}), &[Unjudged::ResourceClaim]);
}

#[test]
fn node_lists() {
    let list =
        [("cpu", "4"), ("memory", "8Gi"), ("pods", "110"), ("hugepages-1Gi", "junk"), ("amd.com/gpu", "1")];
    let wanted =
        Resources { cpu_milli: 4000, memory_bytes: 8192 * MI, pods: 110, gpu: 1, ..Resources::default() };
    assert_eq!(read_list("status.allocatable", list), Ok(wanted));
    let error = read_list("status.allocatable", [("cpu", "four")]).unwrap_err();
    assert!(error.to_string().starts_with("status.allocatable.cpu: \"four\""), "{error}");
}

fn containers(max: usize) -> impl Strategy<Value = Vec<(u64, bool)>> {
    prop::collection::vec((0_u64..4000, any::<bool>()), 0..max)
}

fn spec(apps: &[(u64, bool)], inits: &[(u64, bool)]) -> Value {
    let container = |&(cpu, sidecar): &(u64, bool)| {
        let mut c = json!({"resources": {"requests": {"cpu": format!("{cpu}m")}}});
        if sidecar {
            c["restartPolicy"] = json!("Always");
        }
        c
    };
    let apps: Vec<_> = apps.iter().map(|&(cpu, _)| container(&(cpu, false))).collect();
    json!({"containers": apps, "initContainers": inits.iter().map(container).collect::<Vec<_>>()})
}

proptest! {
    /// Replays the pod's life moment by moment: the effective request is the highest moment.
    #[test]
    fn effective_requests_are_the_highest_moment(apps in containers(4), inits in containers(5)) {
        let mut sidecars = 0;
        let mut highest = 0;
        for &(cpu, stays) in &inits {
            highest = highest.max(sidecars + cpu);
            sidecars += if stays { cpu } else { 0 };
        }
        let running = sidecars + apps.iter().map(|(cpu, _)| cpu).sum::<u64>();
        let got = facts(&json!({"spec": spec(&apps, &inits)})).requests.cpu_milli;
        prop_assert_eq!(got, highest.max(running));
    }
}
