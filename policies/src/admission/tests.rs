//! Every case is admitted twice through resolution and the patch is applied by an independent JSON Patch
//! implementation: the second pass must find nothing left to do.

#![allow(clippy::needless_pass_by_value, reason = "tables read best with literals in place")]

mod beside;
mod governed;
mod property;
mod resizes;
mod workloads;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
    resolve::{Owner, ResolveError, Resolved, Voices, resolve},
    resources::Resources,
    support::Unsupported,
};

type Labels = BTreeMap<String, String>;

/// The cluster around a pod.
#[derive(Debug)]
struct World {
    deployment: Labels,
    namespace: Labels,
    default: Policy,
    governance: Option<Governance>,
    unsupported: Vec<Unsupported>,
    settings: Settings,
}

impl Default for World {
    fn default() -> Self {
        Self {
            deployment: Labels::new(),
            namespace: Labels::new(),
            default: Policy::Off,
            governance: None,
            unsupported: vec![],
            settings: Settings { marker: true, ..Settings::default() },
        }
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn class_of(name: &str) -> Option<NodeClass> {
    match name {
        "burst-cci" => Some(NodeClass::Virtual),
        "node-1" => Some(NodeClass::Real),
        _ => None,
    }
}

fn resolved(world: &World, facts: &PodFacts) -> Result<Resolved, ResolveError> {
    let owner = Owner { kind: "Deployment", name: "web", labels: &world.deployment };
    resolve(&Voices {
        pod: facts,
        owners: &[owner],
        namespace: &world.namespace,
        default: world.default,
        class_of: &class_of,
    })
}

fn admit(world: &World, pod: &Value) -> Result<Admission, Refusal> {
    let facts = PodFacts::from_value(pod).unwrap();
    admit_pod(
        pod,
        &facts,
        &resolved(world, &facts)?,
        world.governance.as_ref(),
        &world.unsupported,
        &world.settings,
    )
}

fn apply(object: &Value, patch: &[PatchOp]) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(patch).unwrap()).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

/// Admits twice; the second pass must change nothing.
fn admitted(world: &World, pod: &Value) -> (Value, Vec<String>) {
    let first = admit(world, pod).unwrap_or_else(|e| panic!("refused: {e}"));
    let once = apply(pod, &first.patch);
    let second = admit(world, &once).unwrap_or_else(|e| panic!("refused the second time: {e}"));
    assert_eq!(second.patch, [], "not idempotent");
    (once, first.warnings)
}

fn refused(world: &World, pod: &Value) -> String {
    admit(world, pod).expect_err("admitted").to_string()
}

fn pod(label: Option<(&str, &str)>, spec: Value) -> Value {
    let labels: Value = label.map_or_else(|| json!({"app": "web"}), |(k, v)| json!({"app": "web", k: v}));
    let mut pod = json!({
        "metadata": {"name": "web-1", "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "500m"}}}]}
    });
    json_patch::merge(&mut pod["spec"], &spec);
    pod
}

fn burst(policy: &str) -> Option<(&'static str, &str)> {
    Some(("burst-to-cci", policy))
}

fn provider() -> Value {
    json!({"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"})
}

fn prefer() -> Value {
    json!({"key": "burst.io/virtual-node", "operator": "Exists", "effect": "PreferNoSchedule"})
}

fn on_virtual(operator: &str) -> Value {
    json!({"key": "type", "operator": operator, "values": ["virtual-kubelet"]})
}

const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";

fn terms(pod: &Value) -> Value {
    pod.pointer(&format!("{REQUIRED}/nodeSelectorTerms")).cloned().unwrap_or(Value::Null)
}

fn with_terms(terms: Value) -> Value {
    let required = json!({"nodeSelectorTerms": terms});
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}})
}

fn recorded(pod: &Value) -> (&str, &str) {
    let annotations = &pod["metadata"]["annotations"];
    let text = |key: &str| annotations[key].as_str().unwrap_or("");
    (text("burst.io/resolved-policy"), text("burst.io/policy-source"))
}

#[test]
fn an_ordinary_pod_is_not_touched() {
    let before = pod(None, json!({}));
    assert_eq!(admitted(&World::default(), &before), (before.clone(), vec![]));
}

#[test]
fn auto() {
    let (after, warnings) = admitted(&World::default(), &pod(burst("auto"), json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([provider(), prefer()]));
    let resources = json!({
        "requests": {"cpu": "500m", "burst.io/managed": "1"}, "limits": {"burst.io/managed": "1"}
    });
    assert_eq!(after["spec"]["containers"][0]["resources"], resources);
    assert_eq!(terms(&after), Value::Null);
    assert_eq!(recorded(&after), ("auto", "pod label burst-to-cci"));
    assert_eq!(warnings, [] as [&str; 0]);
    let mut world = World::default();
    world.settings.sold_out = true;
    let (doubtful, _) = admitted(&world, &pod(burst("auto"), json!({})));
    let limits = &doubtful["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(*limits, json!({"burst.io/managed": "1", "burst.io/checked": "1"}));
    assert_eq!(
        admitted(&World::default(), &doubtful).0,
        after,
        "what is in no doubt any more is not checked"
    );
    world.settings.marker = false;
    let (after, _) = admitted(&world, &pod(burst("auto"), json!({})));
    assert_eq!(after["spec"]["containers"][0]["resources"], json!({"requests": {"cpu": "500m"}}));
}

#[test]
fn auto_whose_weighing_is_decided_costs_no_call() {
    let mut world = World::default();
    world.settings.spare_call = true;
    let (spared, _) = admitted(&world, &pod(burst("auto"), json!({})));
    assert_eq!(spared["spec"]["tolerations"], json!([provider()]), "the scheduler's taint score weighs it");
    assert_eq!(spared["spec"]["containers"], pod(None, json!({}))["spec"]["containers"]);
    assert_eq!(recorded(&spared), ("auto", "pod label burst-to-cci"));
    // Written by its user, or by the in-process policy: then only a call can weigh it.
    let (asked, _) = admitted(&world, &pod(burst("auto"), json!({"tolerations": [prefer()]})));
    assert_eq!(asked["spec"]["containers"][0]["resources"]["limits"], json!({"burst.io/managed": "1"}));
    let elsewhere = json!({"schedulerName": "burst-scheduler"});
    let (elsewhere, _) = admitted(&world, &pod(burst("auto"), elsewhere));
    assert_eq!(elsewhere["spec"]["tolerations"], json!([provider(), prefer()]), "asked about every pod");
    world.settings.sold_out = true;
    let (checked, _) = admitted(&world, &pod(burst("auto"), json!({})));
    assert_eq!(checked["spec"]["containers"][0]["resources"]["limits"], json!({"burst.io/checked": "1"}));
}

#[test]
fn local_prefer_does_not_tolerate_our_taint() {
    let (after, warnings) = admitted(&World::default(), &pod(burst("localPrefer"), json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([provider()]));
    assert_eq!(after["spec"]["containers"], pod(None, json!({}))["spec"]["containers"]);
    assert_eq!(warnings, [] as [&str; 0]);
    let blanket = json!({"tolerations": [{"operator": "Exists"}]});
    let ours = json!({"tolerations": [{"key": "burst.io/virtual-node", "operator": "Exists"}]});
    for spec in [blanket, ours] {
        let said = refused(&World::default(), &pod(burst("localPrefer"), spec));
        assert!(said.contains("pod shop/web-1: policy localPrefer"), "{said}");
        assert!(said.contains("a toleration of burst.io/virtual-node"), "{said}");
    }
}

#[test]
fn enforce_adds_a_term_or_a_requirement_to_every_term() {
    let (after, _) = admitted(&World::default(), &pod(burst("enforce"), json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([provider(), prefer()]));
    assert_eq!(terms(&after), json!([{"matchExpressions": [on_virtual("In")]}]));
    assert!(after["spec"]["containers"][0]["resources"]["limits"].is_null());

    let zone = json!({"key": "zone", "operator": "In", "values": ["a"]});
    let half = json!([{"matchExpressions": [on_virtual("In")]}, {"matchExpressions": [zone]}]);
    let (after, _) = admitted(&World::default(), &pod(burst("enforce"), with_terms(half)));
    assert_eq!(terms(&after)[1], json!({"matchExpressions": [zone, on_virtual("In")]}));
    let name = json!({"key": "metadata.name", "operator": "In", "values": ["burst-cci"]});
    let own = json!([
        {"matchExpressions": [zone]},
        {"matchFields": [name]},
        {},
        {"matchExpressions": [on_virtual("In")]},
    ]);
    let preferred = json!([{"weight": 1, "preference": {"matchExpressions": [zone]}}]);
    let mut before = pod(burst("enforce"), with_terms(own));
    before["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] =
        preferred.clone();
    before["spec"]["tolerations"] = json!([{"key": "mine", "operator": "Exists"}]);
    let (after, _) = admitted(&World::default(), &before);
    assert_eq!(
        terms(&after),
        json!([
            {"matchExpressions": [zone, on_virtual("In")]},
            {"matchFields": [name], "matchExpressions": [on_virtual("In")]},
            {},
            {"matchExpressions": [on_virtual("In")]},
        ])
    );
    let node_affinity = &after["spec"]["affinity"]["nodeAffinity"];
    assert_eq!(node_affinity["preferredDuringSchedulingIgnoredDuringExecution"], preferred);
    assert_eq!(
        after["spec"]["tolerations"],
        json!([{"key": "mine", "operator": "Exists"}, provider(), prefer()])
    );
}

fn named(node: &str) -> Value {
    json!([{"key": "metadata.name", "operator": "In", "values": [node]}])
}

#[test]
fn enforce_names_the_virtual_nodes_that_there_are() {
    let mut world = World::default();
    world.settings.virtual_nodes = ["burst-a", "burst-b"].map(str::to_owned).into();
    let (after, _) = admitted(&world, &pod(burst("enforce"), json!({})));
    let one = |node| json!({"matchExpressions": [on_virtual("In")], "matchFields": named(node)});
    assert_eq!(terms(&after), json!([one("burst-a"), one("burst-b")]));
    assert_eq!(after["metadata"]["annotations"]["burst.io/virtual-nodes"], "burst-a,burst-b");

    let zone = |value: &str| json!({"key": "zone", "operator": "In", "values": [value]});
    let own = json!([{"matchExpressions": [zone("a")]}, {"matchExpressions": [zone("b")]}]);
    let (after, _) = admitted(&world, &pod(burst("enforce"), with_terms(own)));
    let each = |value, node| json!({"matchExpressions": [zone(value), on_virtual("In")], "matchFields": named(node)});
    let all = [("a", "burst-a"), ("a", "burst-b"), ("b", "burst-a"), ("b", "burst-b")];
    assert_eq!(terms(&after), Value::from(all.map(|(value, node)| each(value, node)).to_vec()));

    let chosen = json!({"nodeSelector": {"type": "virtual-kubelet"}, "tolerations": [provider()]});
    let (after, _) = admitted(&world, &pod(None, chosen));
    assert_eq!(terms(&after), json!([{"matchFields": named("burst-a")}, {"matchFields": named("burst-b")}]));
}

#[test]
fn no_node_is_named_where_that_would_change_what_the_pod_says() {
    let mut world = World::default();
    world.settings.virtual_nodes = ["burst-a".to_owned()].into();
    for policy in ["auto", "localPrefer", "off"] {
        assert_eq!(terms(&admitted(&world, &pod(burst(policy), json!({}))).0), Value::Null);
    }
    let empty = json!([{}, {"matchExpressions": [on_virtual("In")]}]);
    let chosen = json!([{"matchExpressions": [on_virtual("In")], "matchFields": named("burst-b")}]);
    let hollow = json!([{"matchExpressions": []}, {"matchExpressions": [on_virtual("In")]}]);
    for own in [empty, hollow, chosen] {
        assert_eq!(terms(&admitted(&world, &pod(burst("enforce"), with_terms(own.clone()))).0), own);
    }
    world.settings.virtual_nodes = (0..65).map(|i| format!("burst-{i}")).collect();
    let (after, _) = admitted(&world, &pod(burst("enforce"), json!({})));
    assert_eq!(terms(&after), json!([{"matchExpressions": [on_virtual("In")]}]), "too many names");
    assert!(after["metadata"]["annotations"]["burst.io/virtual-nodes"].is_null());
}

fn virtual_node(name: &str, zone: &str, cpu_milli: u64) -> NodeRow {
    let labels =
        BTreeMap::from([("type", "virtual-kubelet"), ("zone", zone)].map(|(k, v)| (k.into(), v.into())));
    let allocatable = Resources { cpu_milli, memory_bytes: 1 << 40, pods: 10, ..Resources::default() };
    NodeRow {
        name: name.to_owned(),
        class: NodeClass::Virtual,
        provider: None,
        allocatable,
        requested: Resources::default(),
        taints: vec![],
        labels: labels.into(),
        ready: true,
        unschedulable: false,
    }
}

#[test]
fn a_node_that_came_after_the_admission_is_overlooked_and_no_other() {
    let mut world = World::default();
    world.settings.virtual_nodes = ["burst-a".to_owned()].into();
    let zone = json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]);
    let pods =
        [with_terms(zone), json!({}), json!({"nodeSelector": {"type": "virtual-kubelet", "zone": "a"}})];
    for spec in pods {
        let (pod, _) = admitted(&world, &pod(burst("enforce"), spec));
        let facts = PodFacts::from_value(&pod).unwrap();
        let old = virtual_node("burst-a", "a", 100_000);
        let full = virtual_node("burst-b", "a", 100);
        let new = virtual_node("burst-c", "a", 100_000);
        let mut real = virtual_node("real", "a", 100_000);
        real.class = NodeClass::Real;
        let found =
            |nodes: &[&NodeRow]| overlooked(&facts, nodes.iter().copied()).map(|node| node.name.clone());
        assert_eq!(found(&[&old, &full, &real]), None);
        assert_eq!(found(&[&old, &full, &new, &real]).as_deref(), Some("burst-c"));
    }
    let zone = json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]);
    let (elsewhere, _) = admitted(&world, &pod(burst("enforce"), with_terms(zone)));
    let facts = PodFacts::from_value(&elsewhere).unwrap();
    assert_eq!(overlooked(&facts, [&virtual_node("burst-c", "b", 100_000)]), None, "another zone");
    let unnamed = PodFacts { annotations: BTreeMap::new(), ..facts };
    assert_eq!(overlooked(&unnamed, [&virtual_node("burst-c", "a", 100_000)]), None, "named by its user");
}

#[test]
fn off_is_kept_off_only_where_it_would_get_in() {
    let (after, _) = admitted(&World::default(), &pod(burst("off"), json!({})));
    assert_eq!(after["spec"], pod(None, json!({}))["spec"]);
    assert_eq!(recorded(&after), ("off", "pod label burst-to-cci"));

    let blanket = json!({"tolerations": [{"operator": "Exists"}]});
    let (after, _) = admitted(&World::default(), &pod(None, blanket.clone()));
    assert_eq!(terms(&after), json!([{"matchExpressions": [on_virtual("NotIn")]}]));
    assert_eq!(recorded(&after), ("off", "cluster default"));

    let named = json!({"tolerations": [provider()]});
    let (after, _) = admitted(&World::default(), &pod(burst("off"), named));
    assert_eq!(terms(&after), json!([{"matchExpressions": [on_virtual("NotIn")]}]));

    let mut elsewhere = blanket;
    elsewhere["nodeSelector"] = json!({"type": "bare-metal"});
    let (after, _) = admitted(&World::default(), &pod(None, elsewhere.clone()));
    assert_eq!(after, pod(None, elsewhere));

    let no_execute = json!({"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]});
    let (after, _) = admitted(&World::default(), &pod(None, no_execute.clone()));
    assert_eq!(after, pod(None, no_execute));
}

#[test]
fn a_toleration_of_the_user_stays_as_narrow_as_it_is() {
    let one = json!({"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": "huawei"});
    let (after, _) = admitted(&World::default(), &pod(burst("auto"), json!({"tolerations": [one]})));
    assert_eq!(after["spec"]["tolerations"], json!([one, prefer()]));
}

#[test]
fn the_vendors_manuals_without_any_label() {
    let spec = json!({
        "nodeSelector": {"type": "virtual-kubelet"},
        "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}]
    });
    let (after, _) = admitted(&World::default(), &pod(None, spec));
    assert_eq!(recorded(&after), ("enforce", "nodeSelector type=virtual-kubelet"));
    assert_eq!(terms(&after), Value::Null, "the selector confines already");
    let (after, _) = admitted(&World::default(), &pod(None, json!({"tolerations": [provider()]})));
    assert_eq!(recorded(&after), ("auto", "toleration virtual-kubelet.io/provider"));
}

#[test]
fn eci_keys_open_one_provider_only() {
    let only = json!({
        "key": "virtual-kubelet.io/provider", "operator": "Equal", "value": "alibabacloud",
        "effect": "NoSchedule"
    });
    let (after, _) = admitted(&World::default(), &pod(Some(("eci", "true")), json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([only, prefer()]));
    assert_eq!(admitted(&World::default(), &after).1, [] as [&str; 0], "what admission wrote is no warning");
    let (after, warnings) =
        admitted(&World::default(), &pod(Some(("eci", "true")), json!({"tolerations": [provider()]})));
    assert_eq!(after["spec"]["tolerations"], json!([provider(), prefer()]));
    assert!(warnings[0].contains("not only those of alibabacloud"), "{warnings:?}");
    let namespace = labels(&[("virtual-node-affinity-injection", "enabled")]);
    let world = World { namespace, ..World::default() };
    let (after, _) = admitted(&world, &pod(None, json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([only, prefer()]));
    assert_eq!(recorded(&after), ("enforce", "namespace label virtual-node-affinity-injection"));
}

#[test]
fn owners_and_namespaces_speak_twice_alike() {
    let world = World { deployment: labels(&[("burst-to-cci", "auto")]), ..World::default() };
    let (after, _) = admitted(&world, &pod(None, json!({})));
    assert_eq!(recorded(&after), ("auto", "Deployment/web label burst-to-cci"));
    let world = World { namespace: labels(&[("burst.io/policy", "localPrefer")]), ..World::default() };
    let (after, _) = admitted(&world, &pod(None, json!({})));
    assert_eq!(recorded(&after), ("localPrefer", "namespace label burst.io/policy"));
    assert_eq!(after["spec"]["tolerations"], json!([provider()]));
}

#[test]
fn a_record_that_is_not_true_is_corrected() {
    let mut before = pod(None, json!({}));
    before["metadata"]["annotations"] = json!({"burst.io/resolved-policy": "enforce"});
    let (after, _) = admitted(&World::default(), &before);
    assert_eq!(recorded(&after), ("off", "cluster default"));
    assert_eq!(after["spec"], before["spec"]);
}

#[test]
fn a_named_node_skips_scheduling() {
    let (after, _) = admitted(&World::default(), &pod(burst("auto"), json!({"nodeName": "burst-cci"})));
    assert_eq!(after["spec"], pod(None, json!({"nodeName": "burst-cci"}))["spec"]);
    let (after, _) = admitted(&World::default(), &pod(None, json!({"nodeName": "burst-cci"})));
    assert_eq!(recorded(&after), ("enforce", "nodeName"));
    let world = World { default: Policy::Enforce, ..World::default() };
    let before = pod(None, json!({"nodeName": "node-1"}));
    assert_eq!(admitted(&world, &before).0, before);
}

#[test]
fn conflicts_name_both_fields() {
    let check = |before: &Value, wanted: &[&str]| {
        let text = refused(&World::default(), before);
        for part in wanted {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
    };
    let label = "policy enforce (pod label burst-to-cci)";
    let selector = json!({"nodeSelector": {"type": "bare-metal"}});
    check(&pod(burst("enforce"), selector), &["pod shop/web-1", label, "spec.nodeSelector type=bare-metal"]);
    let away = with_terms(json!([{"matchExpressions": [on_virtual("NotIn")]}]));
    check(&pod(burst("enforce"), away), &[label, "nodeAffinity", "type NotIn [virtual-kubelet]"]);
    check(&pod(burst("enforce"), with_terms(json!([{}]))), &[label, "every term is empty"]);
    check(
        &pod(burst("enforce"), json!({"nodeName": "node-1"})),
        &[label, "spec.nodeName node-1 (a real node)"],
    );
    let chosen = json!({"nodeSelector": {"type": "virtual-kubelet"}});
    check(&pod(burst("off"), chosen), &["policy off (pod label burst-to-cci)", "spec.nodeSelector type="]);
    check(&pod(burst("Auto"), json!({})), &["burst-to-cci=\"Auto\"", "auto, localPrefer, enforce, off"]);
}

#[test]
fn what_the_provider_cannot_run() {
    let field = Unsupported { field: "spec.volumes[0].hostPath".into(), sentence: "no host there".into() };
    let world = World { unsupported: vec![field], ..World::default() };
    let text = refused(&world, &pod(burst("enforce"), json!({})));
    assert!(text.contains("spec.volumes[0].hostPath: no host there"), "{text}");
    for policy in ["auto", "localPrefer"] {
        let (after, warnings) = admitted(&world, &pod(burst(policy), json!({})));
        assert_eq!(after["spec"], pod(None, json!({}))["spec"], "withheld");
        assert!(warnings[0].contains("spec.volumes[0].hostPath"), "{warnings:?}");
    }
    let (after, _) = admitted(&world, &pod(None, json!({"tolerations": [provider()]})));
    assert_eq!(terms(&after), json!([{"matchExpressions": [on_virtual("NotIn")]}]));
    let text = refused(&world, &pod(burst("auto"), json!({"nodeSelector": {"type": "virtual-kubelet"}})));
    assert!(text.contains("policy auto (pod label burst-to-cci)"), "{text}");
    assert_eq!(admitted(&world, &pod(None, json!({}))).0, pod(None, json!({})));
}

#[test]
fn pods_without_a_request() {
    let bare = |policy| {
        let mut pod = pod(burst(policy), json!({}));
        pod["spec"]["containers"][0] = json!({"name": "c"});
        pod
    };
    let mut world = World::default();
    world.settings.marker = false;
    let (_, warnings) = admitted(&world, &bare("auto"));
    assert!(warnings[0].contains("no container has a request"), "{warnings:?}");
    admitted(&world, &bare("enforce"));
    world.settings.cpu_required = true;
    let text = refused(&world, &bare("enforce"));
    assert!(text.contains("spec.containers[0].resources.requests.cpu"), "{text}");
    for policy in ["auto", "localPrefer"] {
        let (after, warnings) = admitted(&world, &bare(policy));
        assert!(warnings[0].contains("stays on real nodes") && warnings[0].contains("cpu above 0"));
        assert!(after["spec"]["tolerations"].is_null(), "{after}");
    }
    world.settings.default_request = Some(DefaultRequest { cpu: "500m".into(), memory: "1Gi".into() });
    for policy in ["auto", "enforce", "localPrefer"] {
        let (after, warnings) = admitted(&world, &bare(policy));
        let requests = &after["spec"]["containers"][0]["resources"]["requests"];
        assert_eq!(*requests, json!({"cpu": "500m", "memory": "1Gi"}));
        assert_eq!(warnings, [] as [&str; 0]);
    }
    let (after, _) = admitted(&world, &bare("off"));
    assert!(after["spec"]["containers"][0]["resources"].is_null());
}

fn daemon_pod(label: Option<(&str, &str)>) -> Value {
    let mut pod = pod(label, json!({"tolerations": [{"operator": "Exists"}]}));
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "logs", "uid": "u", "controller": true}]);
    pod
}

#[test]
fn daemon_pods_are_never_changed() {
    let namespace = labels(&[("burst.io/policy", "enforce")]);
    let world = World { namespace, default: Policy::Auto, ..World::default() };
    assert_eq!(admitted(&world, &daemon_pod(None)).0, daemon_pod(None));
    let (after, warnings) = admitted(&world, &daemon_pod(burst("auto")));
    assert_eq!(after, daemon_pod(burst("auto")));
    assert!(warnings[0].contains("has no effect"), "{warnings:?}");
    assert!(refused(&world, &daemon_pod(burst("enforce"))).contains("a DaemonSet"));
}
