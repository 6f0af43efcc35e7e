//! Any pod in any cluster: admitted once is admitted twice, merged and never replaced, and the promise holds.

use proptest::prelude::*;

use super::{super::Providers, *};

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

fn any_spread() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["kubernetes.io/hostname", "zone"]);
    let answer = prop::sample::select(vec!["DoNotSchedule", "ScheduleAnyway"]);
    (key, answer)
        .prop_map(|(key, answer)| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": answer}))
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
        governance in prop::option::of(any::<(bool, bool, bool)>()),
        spread in prop::collection::vec(any_spread(), 0..3),
        virtual_labels in prop::sample::select(vec![None, Some("type"), Some("kubernetes.io/hostname")]),
    ) -> (World, Value) {
        let mut spec = terms.map_or_else(|| json!({}), |terms| with_terms(json!(terms)));
        spec["tolerations"] = json!(tolerations);
        if let Some(value) = selector { spec["nodeSelector"] = json!({"type": value}); }
        if let Some(name) = node { spec["nodeName"] = json!(name); }
        if !spread.is_empty() { spec["topologySpreadConstraints"] = json!(spread); }
        let mut pod = pod(label, spec);
        if !requests { pod["spec"]["containers"][0] = json!({"name": "c"}); }
        let mut namespace: Labels = namespace.map(|(k, v)| labels(&[(k, v)])).unwrap_or_default();
        if injection { namespace.insert("virtual-node-affinity-injection".into(), "enabled".into()); }
        let world = World {
            deployment: owner.map(|(k, v)| labels(&[(k, v)])).unwrap_or_default(),
            namespace,
            default,
            governance: governance.map(|(holds_back, gates, rewrites_topology)| Governance {
                policy: "BurstPolicy/shop/web".into(), holds_back, gates, rewrites_topology,
            }),
            unsupported: if unsupported {
                vec![Unsupported { field: "spec.hostPID".into(), sentence: "no".into() }]
            } else { vec![] },
            settings: Settings {
                marker,
                sold_out: default_request,
                spare_call: cpu_required,
                cpu_required,
                default_request: default_request.then(|| DefaultRequest { cpu: "1".into(), memory: "1Gi".into() }),
                virtual_labels: virtual_labels.map(|key| [key.to_owned()].into()),
                beside: Beside::default(),
                virtual_nodes: marker.then(|| "burst-a".to_owned()).into_iter().collect(),
                providers: if marker == cpu_required { Providers::default() } else {
                    Providers { able: ["mock".to_owned()].into(), unable: ["huawei".to_owned()].into() }
                },
            },
        };
        (world, pod)
    }
}

/// Whether `inside` still has everything that `outside` had, list order included.
fn keeps(inside: &Value, outside: &Value) -> bool {
    match (inside, outside) {
        (Value::Object(new), Value::Object(old)) => {
            let rewritten = |k: &str| k == "annotations" || k == "topologySpreadConstraints";
            old.iter().all(|(k, v)| rewritten(k) || new.get(k).is_some_and(|n| keeps(n, v)))
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
            labels(&[("type", "virtual-kubelet"), ("zone", "other")]).into()
        } else {
            Labels::new().into()
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
        let rewrites = world.governance.as_ref().is_some_and(|g| g.rewrites_topology);
        if !rewrites {
            let spread = "topologySpreadConstraints";
            prop_assert_eq!(&after["spec"][spread], &before["spec"][spread], "rewritten only where asked");
        }
        let held_back = after["metadata"]["labels"]["burst.io/governed"] == "true";
        if held_back {
            let gated = after["spec"]["schedulingGates"].is_array();
            prop_assert!(gated || !can_land(&after, NodeClass::Virtual), "no way in before the grant: {after}");
        }
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
