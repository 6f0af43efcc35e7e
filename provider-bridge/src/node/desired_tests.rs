use super::*;

const NOW: &str = "2030-01-01T00:00:00Z";

fn config(extra: &str) -> NodeConfig {
    let text = format!(
        r#"{{"name":"burst-a","provider":"cci","port":10250,"capacity":{{"cpu":"200","memory":"512Gi","pods":1000}}{extra}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn desired(config: &NodeConfig, outage: Option<&str>) -> Desired {
    Desired::of(NodeView {
        config,
        vendor: "huawei",
        account: Some("CCI 1.0 in cn-north-4, project p"),
        address: IpAddr::from([198, 18, 0, 1]),
        interop: false,
        outage,
        now: NOW,
    })
}

fn object(config: &NodeConfig) -> Value {
    let mut node = desired(config, None).object("burst-a", NOW);
    node["metadata"]["resourceVersion"] = json!("7");
    node
}

#[test]
fn identity_and_exclusions_are_there_and_topology_is_not() {
    let node = object(&config(""));
    let labels = node["metadata"]["labels"].as_object().unwrap();
    for key in
        ["type", "kubernetes.io/role", "kubernetes.io/os", "kubernetes.io/arch", EXCLUDE_LB, EXCLUDE_LB_ALPHA]
    {
        assert!(labels.contains_key(key), "{key}");
    }
    assert_eq!(labels["type"], "virtual-kubelet");
    for key in ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] {
        assert!(!labels.contains_key(key), "{key} would stall hard spread constraints of ordinary pods");
    }
}

#[test]
fn topology_labels_can_be_switched_on() {
    let node = object(&config(r#","zone":"az1","region":"r1","hostnameLabel":true"#));
    let labels = &node["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/hostname"], "burst-a");
    assert_eq!(labels["topology.kubernetes.io/zone"], "az1");
    assert_eq!(labels["topology.kubernetes.io/region"], "r1");
}

#[test]
fn a_label_from_the_configuration_cannot_hide_what_the_node_is() {
    let node = object(&config(r#","labels":{"type":"metal","team":"shop"}"#));
    assert_eq!(node["metadata"]["labels"]["type"], "virtual-kubelet");
    assert_eq!(node["metadata"]["labels"]["team"], "shop");
}

#[test]
fn both_taints_status_and_version() {
    let node = object(&config(""));
    assert_eq!(
        node["spec"]["taints"],
        json!([
            { "key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule" },
            { "key": "burst.io/virtual-node", "value": "huawei", "effect": "PreferNoSchedule" },
        ])
    );
    assert_eq!(node["status"]["capacity"]["pods"], "1000");
    assert_eq!(node["status"]["addresses"], json!([{ "type": "InternalIP", "address": "198.18.0.1" }]));
    assert_eq!(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
    let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap();
    assert!(version.starts_with("v1.36.3-burst-0."), "{version}");
    assert!(DECLARED_FEATURES.is_sorted());
    let kinds: Vec<_> =
        node["status"]["conditions"].as_array().unwrap().iter().map(|c| text(c, "type")).collect();
    for kind in
        ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable", "CloudReachable"]
    {
        assert!(kinds.contains(&kind), "{kind}");
    }
}

#[test]
fn devices_are_capacity() {
    let mut config = config("");
    config.capacity.others.insert("nvidia.com/gpu".to_owned(), "4".to_owned());
    let node = object(&config);
    assert_eq!(node["status"]["capacity"]["nvidia.com/gpu"], "4");
    assert_eq!(node["status"]["allocatable"]["nvidia.com/gpu"], "4");
}

#[test]
fn a_true_node_needs_no_write() {
    let config = config("");
    assert_eq!(reconcile(&object(&config), &desired(&config, None), NOW, false), Repairs::default());
}

#[test]
fn ours_is_restored_and_what_others_wrote_stays() {
    let config = config("");
    let mut node = object(&config);
    node["metadata"]["labels"]["type"] = json!("edited");
    node["metadata"]["labels"]["foreign"] = json!("kept");
    node["spec"]["taints"] = json!([
        { "key": "node.kubernetes.io/unreachable", "effect": "NoExecute" },
        { "key": "virtual-kubelet.io/provider", "value": "edited", "effect": "NoSchedule" },
    ]);
    node["spec"]["unschedulable"] = json!(true);
    let repairs = reconcile(&node, &desired(&config, None), NOW, false);
    assert_eq!(
        repairs.object.unwrap(),
        json!({
            "metadata": { "labels": { "type": "virtual-kubelet" }, "resourceVersion": "7" },
            "spec": { "taints": [
                { "key": "node.kubernetes.io/unreachable", "effect": "NoExecute" },
                { "key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule" },
                { "key": "burst.io/virtual-node", "value": "huawei", "effect": "PreferNoSchedule" },
            ] },
        })
    );
    assert_eq!(repairs.status, None);
}

#[test]
fn an_outage_is_a_condition_and_a_taint_and_never_not_ready() {
    let config = config("");
    let mut node = object(&config);
    let repairs =
        reconcile(&node, &desired(&config, Some("connection refused")), "2030-01-01T01:00:00Z", false);
    let taints = repairs.object.unwrap()["spec"]["taints"].clone();
    assert!(
        taints
            .as_array()
            .unwrap()
            .iter()
            .any(|t| text(t, "key") == TAINT_OUTAGE && text(t, "effect") == "NoSchedule")
    );
    let conditions = repairs.status.unwrap()["conditions"].clone();
    assert_eq!(conditions.as_array().unwrap().len(), 1, "{conditions}");
    assert_eq!(conditions[0]["type"], "CloudReachable");
    assert_eq!(conditions[0]["status"], "False");
    // and back
    node["spec"]["taints"] = taints;
    let back = reconcile(&node, &desired(&config, None), NOW, false).object.unwrap();
    assert_eq!(back["spec"]["taints"], object(&config)["spec"]["taints"]);
}

#[test]
fn conditions_edited_by_others_are_restored_and_foreign_ones_kept() {
    let config = config("");
    let mut node = object(&config);
    let conditions = node["status"]["conditions"].as_array_mut().unwrap();
    conditions[0]["status"] = json!("Unknown");
    conditions.push(json!({ "type": "FrequentKubeletRestart", "status": "False" }));
    let status = reconcile(&node, &desired(&config, None), NOW, false).status.unwrap();
    assert_eq!(status["conditions"].as_array().unwrap().len(), 1, "only Ready is written: {status}");
    assert_eq!(status["conditions"][0]["status"], "True");
}

#[test]
fn a_heartbeat_keeps_the_transition_time() {
    let config = config("");
    let later = "2030-01-01T02:00:00Z";
    let status = reconcile(&object(&config), &desired(&config, None), later, true).status.unwrap();
    for condition in status["conditions"].as_array().unwrap() {
        assert_eq!(condition["lastHeartbeatTime"], later);
        assert_eq!(condition["lastTransitionTime"], NOW);
    }
}

/// Guards instances against another account's empty list: what the next start compares with is restored.
#[test]
fn whose_account_it_is_stands_on_the_node() {
    let config = config("");
    let mut node = object(&config);
    assert_eq!(node["metadata"]["annotations"][keys::ACCOUNT], "CCI 1.0 in cn-north-4, project p");
    node["metadata"]["annotations"] = json!({"other": "kept"});
    let repairs = reconcile(&node, &desired(&config, None), NOW, false);
    let patch = repairs.object.unwrap();
    assert_eq!(patch["metadata"]["annotations"], json!({keys::ACCOUNT: "CCI 1.0 in cn-north-4, project p"}));
    assert!(patch.get("spec").is_none(), "{patch}");
}

/// Network interop is said while it is on, and taken back from a Node that still says it.
#[test]
fn network_interop_is_said_and_taken_back() {
    let config = config("");
    let view = |interop| NodeView {
        config: &config,
        vendor: "huawei",
        account: None,
        interop,
        address: IpAddr::from([198, 18, 0, 1]),
        outage: None,
        now: NOW,
    };
    let (with, without) = (Desired::of(view(true)), Desired::of(view(false)));
    let stored = with.object("burst-a", NOW);
    assert_eq!(stored["metadata"]["labels"]["burst.io/network-interop"], "true");
    assert_eq!(reconcile(&stored, &with, NOW, false).object, None);
    let repaired = reconcile(&stored, &without, NOW, false).object.unwrap();
    assert_eq!(repaired["metadata"]["labels"], json!({"burst.io/network-interop": null}));
    assert_eq!(reconcile(&without.object("burst-a", NOW), &without, NOW, false).object, None);
}
