//! Every case is admitted twice through resolution and the patch is applied by an independent JSON Patch
//! implementation: the second pass must find nothing left to do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    node::NodeClass,
    pod::PodFacts,
    policy::Policy,
    resolve::{Owner, ResolveError, Resolved, Voices, resolve},
    support::Unsupported,
};

type Labels = BTreeMap<String, String>;

/// The cluster around a pod.
#[derive(Debug)]
struct World {
    deployment: Labels,
    namespace: Labels,
    default: Policy,
    unsupported: Vec<Unsupported>,
    settings: Settings,
}

impl Default for World {
    fn default() -> Self {
        Self {
            deployment: Labels::new(),
            namespace: Labels::new(),
            default: Policy::Off,
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
    admit_pod(pod, &facts, &resolved(world, &facts)?, &world.unsupported, &world.settings)
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
    let labels: Value = label.map_or(json!({"app": "web"}), |(k, v)| json!({"app": "web", k: v}));
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
    world.settings.marker = false;
    let (after, _) = admitted(&world, &pod(burst("auto"), json!({})));
    assert_eq!(after["spec"]["containers"][0]["resources"], json!({"requests": {"cpu": "500m"}}));
}

#[test]
fn local_prefer_does_not_tolerate_our_taint() {
    let (after, warnings) = admitted(&World::default(), &pod(burst("localPrefer"), json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([provider()]));
    assert_eq!(after["spec"]["containers"], pod(None, json!({}))["spec"]["containers"]);
    assert_eq!(warnings, [] as [&str; 0]);
    let blanket = json!({"tolerations": [{"operator": "Exists"}]});
    let (after, warnings) = admitted(&World::default(), &pod(burst("localPrefer"), blanket.clone()));
    assert_eq!(after["spec"]["tolerations"], blanket["tolerations"]);
    assert!(warnings[0].contains("pod shop/web-1: its own toleration covers"), "{warnings:?}");
}

#[test]
fn enforce_adds_a_term_or_a_requirement_to_every_term() {
    let (after, _) = admitted(&World::default(), &pod(burst("enforce"), json!({})));
    assert_eq!(after["spec"]["tolerations"], json!([provider(), prefer()]));
    assert_eq!(terms(&after), json!([{"matchExpressions": [on_virtual("In")]}]));
    assert!(after["spec"]["containers"][0]["resources"]["limits"].is_null());

    let zone = json!({"key": "zone", "operator": "In", "values": ["a"]});
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

fn workload(kind: &str, own: &[(&str, &str)], template: &[(&str, &str)], spec: Value) -> Value {
    let template = json!({"metadata": {"labels": labels(template)}, "spec": spec});
    let spec = match kind {
        "CronJob" => json!({"jobTemplate": {"spec": {"template": template}}}),
        _ => json!({"template": template}),
    };
    json!({"kind": kind, "metadata": {"name": "web", "namespace": "shop", "labels": labels(own)}, "spec": spec})
}

#[test]
fn workloads_with_bad_labels_are_refused() {
    let check = |object: &Value, wanted: &[&str]| {
        let text = admit_workload(object, None, &[]).expect_err("admitted").to_string();
        for part in wanted {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
        let again = admit_workload(object, Some(object), &[]).expect("what was there before may be updated");
        assert_eq!((again.patch.len(), &again.warnings[0]), (0, &text));
    };
    for kind in ["Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob", "DaemonSet"] {
        let title = format!("{kind}/web");
        let bad = [("burst-to-cci", "always")];
        check(
            &workload(kind, &bad, &[], json!({})),
            &[&title, "\"always\"", "auto, localPrefer, enforce, off"],
        );
        check(&workload(kind, &[], &bad, json!({})), &[&title, "\"always\""]);
        let two = [("burst-to-cci", "auto"), ("burst.io/policy", "off")];
        check(
            &workload(kind, &two, &[], json!({})),
            &["label burst.io/policy=off", "label burst-to-cci=auto"],
        );
        let auto = [("burst-to-cci", "auto")];
        check(&workload(kind, &bad, &auto, json!({})), &[&title, "\"always\""]);
    }
    let selector = json!({"nodeSelector": {"type": "bare-metal"}});
    let enforce = [("burst-to-cci", "enforce")];
    check(
        &workload("Deployment", &enforce, &[], selector),
        &["Deployment/web label burst-to-cci", "spec.nodeSelector type=bare-metal"],
    );
    check(&workload("DaemonSet", &enforce, &[], json!({})), &["its kind, DaemonSet", "Deployment"]);
    check(&workload("DaemonSet", &[], &[("burst-to-cci", "auto")], json!({})), &["its kind, DaemonSet"]);
    let quantity = json!({"containers": [{"resources": {"requests": {"cpu": "1 core"}}}]});
    check(
        &workload("Job", &[], &[], quantity),
        &["pod template of Job/web", "spec.containers[0].resources.requests.cpu", "\"1 core\""],
    );
}

#[test]
fn workloads_are_left_alone() {
    let auto = [("burst-to-cci", "auto")];
    for kind in ["Deployment", "StatefulSet", "ReplicaSet", "Job", "CronJob"] {
        let object = workload(kind, &auto, &[], json!({"tolerations": [{"operator": "Exists"}]}));
        assert_eq!(admit_workload(&object, None, &[]).unwrap(), Admission::default());
    }
    let other = json!({"kind": "Service", "metadata": {"labels": {"burst-to-cci": "always"}}});
    assert_eq!(admit_workload(&other, None, &[]).unwrap(), Admission::default());
    let object = workload("Deployment", &auto, &[("burst-to-cci", "off")], json!({}));
    let warnings = admit_workload(&object, None, &[]).unwrap().warnings;
    assert!(warnings[0].contains("label burst-to-cci=auto has no effect"), "{warnings:?}");
}

#[test]
fn unsupported_templates() {
    let field = Unsupported { field: "spec.volumes[0].hostPath".into(), sentence: "no host there".into() };
    let admit = |policy| {
        let object = workload("Deployment", &[("burst-to-cci", policy)], &[], json!({}));
        admit_workload(&object, None, std::slice::from_ref(&field))
    };
    assert!(admit("enforce").unwrap_err().to_string().contains("hostPath: no host there"));
    assert!(admit("auto").unwrap().warnings[0].contains("hostPath"));
    assert_eq!(admit("off").unwrap(), Admission::default());
}

#[test]
fn a_daemon_set_that_tolerates_everything_is_kept_away_in_its_template() {
    let blanket = json!({"tolerations": [{"operator": "Exists"}]});
    let set = workload("DaemonSet", &[], &[], blanket.clone());
    let after = apply(&set, &admit_workload(&set, None, &[]).unwrap().patch);
    assert_eq!(terms(&after["spec"]["template"]), json!([{"matchExpressions": [on_virtual("NotIn")]}]));
    assert_eq!(admit_workload(&after, None, &[]).unwrap().patch, []);

    let mut relabelled = set.clone();
    relabelled["metadata"]["labels"] = json!({"team": "infra"});
    let untouched = admit_workload(&relabelled, Some(&set), &[]).unwrap();
    assert_eq!(untouched.patch, [], "no rollout behind the owner's back");
    let replaced = admit_workload(&set, Some(&after), &[]).unwrap().patch;
    assert_eq!(apply(&set, &replaced), after, "a replaced template gets it again, and so does not roll out");

    let narrow =
        workload("DaemonSet", &[], &[], json!({"tolerations": [{"key": "a", "operator": "Exists"}]}));
    assert_eq!(admit_workload(&narrow, None, &[]).unwrap(), Admission::default());
    let named = workload("DaemonSet", &[], &[], json!({"tolerations": [provider()]}));
    let admission = admit_workload(&named, None, &[]).unwrap();
    assert_eq!(admission.patch, []);
    assert!(admission.warnings[0].contains("a pod on every virtual node"));
    let off = workload("DaemonSet", &[("burst-to-cci", "off")], &[], blanket);
    assert!(!admit_workload(&off, None, &[]).unwrap().patch.is_empty());
}

fn any_toleration() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["", "virtual-kubelet.io/provider", "burst.io/virtual-node", "mine"]);
    let operator = prop::sample::select(vec!["Exists", "Equal"]);
    let effect = prop::sample::select(vec!["", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
    (key, operator, effect).prop_map(|(key, operator, effect)| {
        json!({"key": key, "operator": operator, "value": if operator == "Equal" { "x" } else { "" }, "effect": effect})
    })
}

fn any_term() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["type", "zone"]);
    let operator = prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]);
    let value = prop::sample::select(vec!["virtual-kubelet", "other"]);
    let requirement = (key, operator, value).prop_map(|(key, operator, value)| {
        let values = if operator.contains("Exist") { json!([]) } else { json!([value]) };
        json!({"key": key, "operator": operator, "values": values})
    });
    prop::collection::vec(requirement, 0..3).prop_map(|expressions| json!({"matchExpressions": expressions}))
}

fn any_label() -> impl Strategy<Value = Option<(&'static str, &'static str)>> {
    let key = prop::sample::select(vec!["burst-to-cci", "burst.io/policy", "eci"]);
    let value = prop::sample::select(vec!["auto", "localPrefer", "enforce", "off", "true", "bad"]);
    prop::option::of((key, value))
}

prop_compose! {
    fn any_case()(
        label in any_label(),
        tolerations in prop::collection::vec(any_toleration(), 0..3),
        terms in prop::option::of(prop::collection::vec(any_term(), 0..3)),
        selector in prop::sample::select(vec![None, Some("virtual-kubelet"), Some("other")]),
        node in prop::sample::select(vec![None, None, None, Some("burst-cci"), Some("node-1"), Some("unknown")]),
        requests in any::<bool>(),
        owner in any_label(),
        namespace in any_label(),
        injection in any::<bool>(),
        default in prop::sample::select(Policy::ALL.to_vec()),
        unsupported in prop::bool::weighted(0.2),
        (marker, cpu_required, default_request) in any::<(bool, bool, bool)>(),
    ) -> (World, Value) {
        let mut spec = terms.map_or(json!({}), |terms| with_terms(json!(terms)));
        spec["tolerations"] = json!(tolerations);
        if let Some(value) = selector { spec["nodeSelector"] = json!({"type": value}); }
        if let Some(name) = node { spec["nodeName"] = json!(name); }
        let mut pod = pod(label, spec);
        if !requests { pod["spec"]["containers"][0] = json!({"name": "c"}); }
        let mut namespace: Labels = namespace.map(|(k, v)| labels(&[(k, v)])).unwrap_or_default();
        if injection { namespace.insert("virtual-node-affinity-injection".into(), "enabled".into()); }
        let world = World {
            deployment: owner.map(|(k, v)| labels(&[(k, v)])).unwrap_or_default(),
            namespace,
            default,
            unsupported: if unsupported {
                vec![Unsupported { field: "spec.hostPID".into(), sentence: "no".into() }]
            } else { vec![] },
            settings: Settings {
                marker,
                cpu_required,
                default_request: default_request.then(|| DefaultRequest { cpu: "1".into(), memory: "1Gi".into() }),
            },
        };
        (world, pod)
    }
}

/// Whether `inside` still has everything that `outside` had, list order included.
fn keeps(inside: &Value, outside: &Value) -> bool {
    match (inside, outside) {
        (Value::Object(new), Value::Object(old)) => {
            old.iter().all(|(k, v)| k == "annotations" || new.get(k).is_some_and(|n| keeps(n, v)))
        }
        (Value::Array(new), Value::Array(old)) => {
            old.len() <= new.len() && old.iter().zip(new).all(|(o, n)| keeps(n, o))
        }
        (new, old) => new == old,
    }
}

/// Whether the scheduler could put the pod on a node with this type label and the provider taint of a vendor.
fn can_land(pod: &Value, class: NodeClass) -> bool {
    use crate::{
        decide::feasible,
        node::{NodeRow, Taint, TaintEffect},
        resources::Resources,
    };
    let facts = PodFacts::from_value(pod).unwrap();
    let is_virtual = class == NodeClass::Virtual;
    let taint = Taint {
        key: "virtual-kubelet.io/provider".into(),
        value: "x".into(),
        effect: TaintEffect::NoSchedule,
    };
    // Named, because without a toleration of its own the engine would count the policy's grant.
    let tolerated = facts.tolerations.iter().any(|t| t.tolerates(&taint));
    let row = NodeRow {
        name: "n".into(),
        class,
        provider: None,
        allocatable: Resources { cpu_milli: 9000, memory_bytes: 1 << 40, pods: 9, ..Resources::default() },
        requested: Resources::default(),
        taints: if is_virtual { vec![taint] } else { vec![] },
        labels: if is_virtual {
            labels(&[("type", "virtual-kubelet"), ("zone", "other")])
        } else {
            Labels::new()
        },
        ready: true,
        unschedulable: false,
    };
    (!is_virtual || tolerated) && feasible::obstacle(&facts, Policy::Auto, &row).is_none()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_pod_is_admitted_once_merged_and_its_promise_kept((world, before) in any_case()) {
        let Ok(first) = admit(&world, &before) else { return Ok(()) };
        let after = apply(&before, &first.patch);
        let second = admit(&world, &after);
        prop_assert!(second.is_ok(), "{}", second.unwrap_err());
        prop_assert_eq!(second.unwrap().patch, vec![], "twice is once");
        prop_assert!(keeps(&after, &before), "merged, never replaced:\n{before}\n{after}");
        if !before["spec"]["nodeName"].is_null() {
            prop_assert_eq!(&after["spec"]["tolerations"], &before["spec"]["tolerations"]);
            return Ok(());
        }
        let facts = PodFacts::from_value(&before).unwrap();
        match resolved(&world, &facts).unwrap().policy {
            Policy::Off => prop_assert!(!can_land(&after, NodeClass::Virtual), "off: {after}"),
            Policy::Enforce => prop_assert!(!can_land(&after, NodeClass::Real), "enforce: {after}"),
            _ if !world.unsupported.is_empty() => prop_assert!(!can_land(&after, NodeClass::Virtual), "{after}"),
            Policy::Auto | Policy::LocalPrefer => {
                let same = |class| can_land(&before, class) == can_land(&after, class);
                prop_assert!(same(NodeClass::Real), "real nodes stay as open as they were: {after}");
            }
        }
    }
}
