#![allow(clippy::needless_pass_by_value, reason = "tables read best with literals in place")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

type Labels = BTreeMap<String, String>;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[derive(Default)]
struct Case<'a> {
    pod: &'a [(&'a str, &'a str)],
    spec: Value,
    /// (kind, name, label key, label value), nearest first.
    owners: &'a [(&'a str, &'a str, &'a str, &'a str)],
    namespace: &'a [(&'a str, &'a str)],
    default: Policy,
    daemon: bool,
    /// The policy of the object `BurstPolicy/shop/web`, if there is one.
    object: Option<Option<Policy>>,
}

impl Case<'_> {
    fn resolve(&self) -> Result<Resolved, ResolveError> {
        let mut pod = json!({"metadata": {"name": "web", "namespace": "shop", "labels": labels(self.pod)}});
        pod["spec"] = self.spec.clone();
        if self.daemon {
            pod["metadata"]["ownerReferences"] =
                json!([{"kind": "DaemonSet", "name": "d", "controller": true}]);
        }
        let facts = PodFacts::from_value(&pod).unwrap();
        let owner_labels: Vec<_> = self.owners.iter().map(|(.., k, v)| labels(&[(k, v)])).collect();
        let owners: Vec<_> = self
            .owners
            .iter()
            .zip(&owner_labels)
            .map(|((kind, name, ..), labels)| Owner { kind, name, labels })
            .collect();
        let object = self.object.map(|policy| {
            let spec = crate::burst_policy::BurstPolicySpec { policy, ..Default::default() };
            PolicyObject::new(Some("shop"), "web", spec)
        });
        let voices = Voices {
            pod: &facts,
            owners: &owners,
            namespace: &labels(self.namespace),
            default: self.default,
            class_of: &|name| match name {
                "burst-cci" => Some(NodeClass::Virtual),
                "node-1" => Some(NodeClass::Real),
                _ => None,
            },
        };
        resolve_with(&voices, object.as_ref())
    }
}

fn check(case: &Case<'_>, policy: Policy, source: &str) {
    let resolved = case.resolve().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((resolved.policy, resolved.source.to_string()), (policy, source.to_owned()));
}

fn refused(case: &Case<'_>, wanted: &[&str]) {
    let text = case.resolve().expect_err("resolved").to_string();
    for part in wanted {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn every_key_and_value() {
    for key in crate::keys::POLICY {
        for policy in Policy::ALL {
            let pair = [(key, policy.as_str())];
            check(&Case { pod: &pair, ..Case::default() }, policy, &format!("pod label {key}"));
            check(&Case { namespace: &pair, ..Case::default() }, policy, &format!("namespace label {key}"));
            let owners = [("Deployment", "web", key, policy.as_str())];
            check(
                &Case { owners: &owners, ..Case::default() },
                policy,
                &format!("Deployment/web label {key}"),
            );
        }
        for bad in ["Auto", "", "localprefer", "true", "enforced"] {
            let legal = "auto, localPrefer, enforce, off";
            refused(&Case { pod: &[(key, bad)], ..Case::default() }, &["pod shop/web", key, bad, legal]);
            refused(&Case { namespace: &[(key, bad)], ..Case::default() }, &["namespace shop", key, legal]);
            let owners = [("CronJob", "nightly", key, bad)];
            refused(&Case { owners: &owners, ..Case::default() }, &["CronJob/nightly", key, legal]);
        }
    }
    for key in crate::keys::ECI_POD {
        let case = |value| Case { pod: &[(key, value)], ..Case::default() }.resolve();
        let on = case("true").unwrap();
        assert_eq!((on.policy, on.provider), (Policy::Enforce, Some("alibabacloud")));
        assert_eq!(case("false").unwrap().policy, Policy::Off);
    }
    check(&Case { pod: &[("eci", "blue")], ..Case::default() }, Policy::Off, "cluster default");
    refused(&Case { pod: &[("alibabacloud.com/eci", "yes")], ..Case::default() }, &["true, false"]);
    let namespace = [("virtual-node-affinity-injection", "enabled")];
    let source = "namespace label virtual-node-affinity-injection";
    check(&Case { namespace: &namespace, ..Case::default() }, Policy::Enforce, source);
    let namespace = [("virtual-node-affinity-injection", "disabled")];
    check(&Case { namespace: &namespace, ..Case::default() }, Policy::Off, "cluster default");
    check(
        &Case { owners: &[("Deployment", "web", "eci", "true")], ..Case::default() },
        Policy::Off,
        "cluster default",
    );
}

#[test]
fn an_object_speaks_after_pod_and_owners_and_before_the_namespace() {
    let object = Some(Some(Policy::LocalPrefer));
    let off = [("burst-to-cci", "off")];
    let spoken = "BurstPolicy/shop/web";
    check(&Case { object, ..Case::default() }, Policy::LocalPrefer, spoken);
    check(&Case { object, namespace: &off, ..Case::default() }, Policy::LocalPrefer, spoken);
    check(&Case { object, default: Policy::Auto, ..Case::default() }, Policy::LocalPrefer, spoken);
    // A namespace that is not asked cannot fail.
    let broken = [("burst-to-cci", "broken")];
    check(&Case { object, namespace: &broken, ..Case::default() }, Policy::LocalPrefer, spoken);
    check(&Case { object, pod: &off, ..Case::default() }, Policy::Off, "pod label burst-to-cci");
    let owners = [("Deployment", "web", "burst-to-cci", "enforce")];
    let owner = "Deployment/web label burst-to-cci";
    check(&Case { object, owners: &owners, ..Case::default() }, Policy::Enforce, owner);
    let spec = json!({"nodeSelector": {"type": "virtual-kubelet"}});
    check(&Case { object, spec, ..Case::default() }, Policy::Enforce, "nodeSelector type=virtual-kubelet");
    check(&Case { object, daemon: true, ..Case::default() }, Policy::Off, "DaemonSet pod");
    // One that only limits leaves the word to the namespace.
    let silent = Some(None);
    check(
        &Case { object: silent, namespace: &off, ..Case::default() },
        Policy::Off,
        "namespace label burst-to-cci",
    );
    check(
        &Case { object: silent, default: Policy::Auto, ..Case::default() },
        Policy::Auto,
        "cluster default",
    );
}

#[test]
fn contradictions_name_both() {
    let two = [("burst-to-cci", "auto"), ("burst.io/policy", "enforce")];
    let both = ["label burst-to-cci=auto", "label burst.io/policy=enforce"];
    refused(&Case { pod: &two, ..Case::default() }, &both);
    refused(&Case { namespace: &two, ..Case::default() }, &both);
    refused(
        &Case { pod: &[("eci", "true"), ("burst-to-cci", "off")], ..Case::default() },
        &["label eci=true", "label burst-to-cci=off"],
    );
    refused(
        &Case { pod: &[("eci", "true"), ("alibabacloud.com/eci", "false")], ..Case::default() },
        &["label eci=true", "label alibabacloud.com/eci=false"],
    );
    let not_eci = [("burst-to-cci", "auto"), ("eci", "false")];
    check(&Case { pod: &not_eci, ..Case::default() }, Policy::Auto, "pod label burst-to-cci");
    let agree = [("burst-to-cci", "enforce"), ("eci", "true")];
    let resolved = Case { pod: &agree, ..Case::default() }.resolve().unwrap();
    assert_eq!((resolved.policy, resolved.provider), (Policy::Enforce, Some("alibabacloud")));
    let across = Case { pod: &two[..1], namespace: &two[1..], ..Case::default() };
    check(&across, Policy::Auto, "pod label burst-to-cci");
}

fn terms(operator: &str, values: &[&str]) -> Value {
    let requirement = json!({"key": "type", "operator": operator, "values": values});
    let term = json!({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]});
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}})
}

#[test]
fn pods_that_choose_by_themselves() {
    let spec = |spec| Case { spec, ..Case::default() };
    let selector = || json!({"nodeSelector": {"type": "virtual-kubelet"}});
    check(&spec(selector()), Policy::Enforce, "nodeSelector type=virtual-kubelet");
    check(&spec(json!({"nodeName": "burst-cci"})), Policy::Enforce, "nodeName");
    check(&spec(json!({"nodeName": "unknown"})), Policy::Off, "cluster default");
    check(
        &spec(terms("In", &["virtual-kubelet"])),
        Policy::Enforce,
        "node affinity type In [virtual-kubelet]",
    );
    check(&spec(terms("In", &["virtual-kubelet", "other"])), Policy::Off, "cluster default");
    check(&spec(terms("Exists", &[])), Policy::Off, "cluster default");
    let two = |second: Value| {
        let mut spec = terms("In", &["virtual-kubelet"]);
        let required =
            "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/1";
        let add = json!([{"op": "add", "path": required, "value": second}]);
        let patch: json_patch::Patch = serde_json::from_value(add).unwrap();
        json_patch::patch(&mut spec, &patch).unwrap();
        spec
    };
    let zone = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]});
    check(&spec(two(zone)), Policy::Off, "cluster default");
    check(&spec(two(json!({}))), Policy::Enforce, "node affinity type In [virtual-kubelet]");
    let toleration = |t: Value| spec(json!({"tolerations": [t]}));
    let named = "toleration virtual-kubelet.io/provider";
    check(
        &toleration(json!({"key": "virtual-kubelet.io/provider", "operator": "Exists"})),
        Policy::Auto,
        named,
    );
    let equal = json!({"key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule"});
    check(&toleration(equal), Policy::Auto, named);
    check(&toleration(json!({"operator": "Exists"})), Policy::Off, "cluster default");
    let other_effect =
        json!({"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoExecute"});
    check(&toleration(other_effect), Policy::Off, "cluster default");

    let off = Case { pod: &[("burst-to-cci", "off")], spec: selector(), ..Case::default() };
    refused(&off, &["policy off (pod label burst-to-cci)", "spec.nodeSelector type=virtual-kubelet"]);
    let owners = [("Deployment", "web", "burst-to-cci", "off")];
    let off = Case { owners: &owners, spec: json!({"nodeName": "burst-cci"}), ..Case::default() };
    refused(&off, &["Deployment/web label burst-to-cci", "spec.nodeName burst-cci (a virtual node)"]);
    let pod = [("burst-to-cci", "enforce")];
    let enforce = Case { pod: &pod, spec: json!({"nodeName": "node-1"}), ..Case::default() };
    refused(&enforce, &["spec.nodeName node-1 (a real node)"]);

    let namespace = [("burst-to-cci", "off")];
    let chosen = Case { namespace: &namespace, spec: selector(), ..Case::default() };
    check(&chosen, Policy::Enforce, "nodeSelector type=virtual-kubelet");
    let labelled = Case { pod: &[("burst-to-cci", "auto")], spec: selector(), ..Case::default() };
    check(&labelled, Policy::Auto, "pod label burst-to-cci");
}

#[test]
fn daemon_pods_listen_to_their_own_labels_only() {
    let namespace = [("burst.io/policy", "enforce")];
    let case = Case { daemon: true, namespace: &namespace, default: Policy::Auto, ..Case::default() };
    check(&case, Policy::Off, "DaemonSet pod");
    check(&Case { pod: &[("burst-to-cci", "auto")], ..case }, Policy::Auto, "pod label burst-to-cci");
}

#[test]
fn the_extender_reads_the_record() {
    let pod = json!({"metadata": {"annotations": {
        "burst.io/resolved-policy": "auto", "burst.io/policy-source": "Deployment/web label burst-to-cci"
    }}});
    let resolved = Resolved::recorded(&PodFacts::from_value(&pod).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&resolved).unwrap()["source"], "Deployment/web label burst-to-cci");
    assert_eq!(Resolved::recorded(&PodFacts::default()), None);
}

proptest! {
    /// Whoever speaks first decides, and whoever comes later cannot change it or make it fail.
    #[test]
    fn the_first_that_speaks_wins(
        said in prop::collection::vec(prop::option::of(prop::sample::select(Policy::ALL.to_vec())), 4),
        default in prop::sample::select(Policy::ALL.to_vec()),
        broken_after in any::<bool>(),
    ) {
        let first = said.iter().position(Option::is_some);
        let value = |i: usize| match said[i] {
            Some(policy) if first == Some(i) => Some(policy.as_str()),
            _ if broken_after && first.is_some_and(|f| f < i) => Some("broken"),
            other => other.map(Policy::as_str),
        };
        let pair = |i| value(i).map(|v| [("burst-to-cci", v)]);
        let slots = [pair(0), pair(1), pair(2), pair(3)];
        let slot = |i: usize| slots[i].as_ref().map_or(&[][..], |s| &s[..]);
        let owner = |i: usize, kind: &'static str| (kind, "web", "burst-to-cci", value(i).unwrap_or("off"));
        let owners: Vec<_> = [(1, "ReplicaSet"), (2, "Deployment")]
            .into_iter()
            .filter(|(i, _)| value(*i).is_some())
            .map(|(i, kind)| owner(i, kind))
            .collect();
        let case = Case { pod: slot(0), owners: &owners, namespace: slot(3), default, ..Case::default() };
        let resolved = case.resolve();
        prop_assert!(resolved.is_ok(), "{:?}", resolved);
        let wanted = first.and_then(|i| said[i]).unwrap_or(default);
        prop_assert_eq!(resolved.unwrap().policy, wanted);
    }
}
