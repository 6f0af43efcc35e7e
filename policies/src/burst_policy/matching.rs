//! Which policy object speaks for a pod (DESIGN 4.1): of those that match, the one with most selector terms, then the
//! highest priority, then a BurstPolicy before a ClusterBurstPolicy, then the first name.
//!
//! Only objects that are read speak; what cannot be decoded is the caller's business. Nothing here looks anything up.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{LabelSelector, Operator, OwnerSelector, PodSelector, PolicyKind, PolicyObject, Requirement};
use crate::{pod::PodFacts, resolve::Owner};

type Labels = BTreeMap<String, String>;

/// The object that speaks for the pod. `owners` is the chain of its controllers, nearest first; `namespace` are the
/// labels of its namespace.
pub fn best<'a>(
    objects: &'a [PolicyObject],
    pod: &PodFacts,
    owners: &[Owner<'_>],
    namespace: &Labels,
) -> Option<&'a PolicyObject> {
    let matching = objects.iter().filter(|object| matches(object, pod, owners, namespace));
    matching.min_by(|a, b| order(a).cmp(&order(b)))
}

/// What two objects of equal rank differ in by name only; the smaller rank speaks.
pub(super) fn rank(object: &PolicyObject) -> (Reverse<usize>, Reverse<i32>, PolicyKind) {
    (Reverse(terms(object)), Reverse(object.spec.priority), object.kind)
}

fn order(object: &PolicyObject) -> ((Reverse<usize>, Reverse<i32>, PolicyKind), &str) {
    (rank(object), &object.name)
}

/// Number of requirements in an object's selectors.
pub fn terms(object: &PolicyObject) -> usize {
    let PodSelector { match_labels, match_expressions, owner, priority_class_name } = &object.spec.selector;
    let owner =
        owner.as_ref().map_or(0, |o| usize::from(!o.kind.is_empty()) + usize::from(!o.name.is_empty()));
    let namespaces = match object.kind {
        PolicyKind::BurstPolicy => 0,
        PolicyKind::ClusterBurstPolicy => object.spec.namespace_selector.terms(),
    };
    match_labels.len()
        + match_expressions.len()
        + owner
        + usize::from(priority_class_name.is_some())
        + namespaces
}

/// Whether the object's selectors match the pod.
pub fn matches(object: &PolicyObject, pod: &PodFacts, owners: &[Owner<'_>], namespace: &Labels) -> bool {
    let place = match object.kind {
        PolicyKind::BurstPolicy => object.namespace == pod.namespace,
        PolicyKind::ClusterBurstPolicy => object.spec.namespace_selector.matches(namespace),
    };
    place && object.spec.selector.matches(pod, owners)
}

impl PodSelector {
    fn matches(&self, pod: &PodFacts, owners: &[Owner<'_>]) -> bool {
        all(&self.match_labels, &self.match_expressions, &pod.labels)
            && self.priority_class_name.as_ref().is_none_or(|class| *class == pod.priority_class_name)
            && self.owner.as_ref().is_none_or(|owner| owner.matches(pod, owners))
    }
}

impl OwnerSelector {
    /// Any owner of the chain; the managing controller counts also where the chain could not be read.
    fn matches(&self, pod: &PodFacts, owners: &[Owner<'_>]) -> bool {
        let is = |kind: &str, name: &str| {
            (self.kind.is_empty() || self.kind == kind) && (self.name.is_empty() || self.name == name)
        };
        owners.iter().any(|o| is(o.kind, o.name)) || pod.controller().is_some_and(|c| is(&c.kind, &c.name))
    }
}

impl LabelSelector {
    /// Number of requirements.
    pub fn terms(&self) -> usize {
        self.match_labels.len() + self.match_expressions.len()
    }

    /// Whether these labels meet every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        all(&self.match_labels, &self.match_expressions, labels)
    }
}

fn all(wanted: &Labels, requirements: &[Requirement], labels: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        && requirements.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
}

impl Requirement {
    /// Whether a label with this value (or its absence) meets the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|v| self.values.iter().any(|w| w == v));
        match self.operator {
            Operator::In => listed(),
            Operator::NotIn => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, spec: Value) -> PolicyObject {
        let spec = serde_json::from_value(spec).unwrap_or_else(|e| panic!("{name}: {e}"));
        match name.split_once('/') {
            Some((namespace, name)) => PolicyObject::new(Some(namespace), name, spec),
            None => PolicyObject::new(None, name, spec),
        }
    }

    /// The pod `shop/web-7f` with labels app=web and tier=front, of Deployment web, class `high`, in a namespace
    /// with team=blue.
    fn check(objects: &[(&str, Value)], wanted: Option<&str>) {
        let objects: Vec<_> = objects.iter().map(|(name, spec)| object(name, spec.clone())).collect();
        let pod = PodFacts::from_value(&json!({
            "metadata": {
                "namespace": "shop", "name": "web-7f", "labels": {"app": "web", "tier": "front"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": true}],
            },
            "spec": {"priorityClassName": "high", "containers": []},
        }))
        .expect("a pod");
        let none = BTreeMap::new();
        let owners = [
            Owner { kind: "ReplicaSet", name: "web-1", labels: &none },
            Owner { kind: "Deployment", name: "web", labels: &none },
        ];
        let namespace = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
        let key = |objects: &[PolicyObject]| best(objects, &pod, &owners, &namespace).map(|o| o.key.clone());
        assert_eq!(key(&objects).as_deref(), wanted);
        let backwards: Vec<_> = objects.into_iter().rev().collect();
        assert_eq!(key(&backwards).as_deref(), wanted, "the order of the objects must not matter");
    }

    #[test]
    fn what_matches() {
        let here = Some("BurstPolicy/shop/a");
        let selector = |selector: Value, wanted| check(&[("shop/a", json!({"selector": selector}))], wanted);
        selector(json!({}), here);
        selector(json!({"matchLabels": {"app": "web"}}), here);
        selector(json!({"matchLabels": {"app": "web", "tier": "back"}}), None);
        selector(
            json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "web"]}]}),
            here,
        );
        selector(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), None);
        selector(json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), here);
        selector(json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), None);
        selector(json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), here);
        selector(json!({"owner": {"kind": "Deployment", "name": "web"}}), here);
        selector(json!({"owner": {"kind": "Deployment"}}), here);
        selector(json!({"owner": {"name": "web-1"}}), here);
        selector(json!({"owner": {"kind": "ReplicaSet", "name": "web"}}), None);
        selector(json!({"priorityClassName": "high"}), here);
        selector(json!({"priorityClassName": "low"}), None);
        check(&[("bank/a", json!({}))], None);
        check(&[("a", json!({}))], Some("ClusterBurstPolicy/a"));
        check(
            &[("a", json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}}))],
            Some("ClusterBurstPolicy/a"),
        );
        check(&[("a", json!({"namespaceSelector": {"matchLabels": {"team": "red"}}}))], None);
        check(&[], None);
    }

    #[test]
    fn the_best_speaks() {
        let app = json!({"selector": {"matchLabels": {"app": "web"}}});
        let both = json!({"selector": {"matchLabels": {"app": "web", "tier": "front"}}});
        let owner = json!({"selector": {"owner": {"kind": "Deployment", "name": "web"}}});
        let urgent = json!({"priority": 9});
        let team = json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}});
        // Most terms, whatever the priority.
        check(&[("shop/a", urgent.clone()), ("shop/b", app.clone())], Some("BurstPolicy/shop/b"));
        check(&[("shop/a", app.clone()), ("shop/b", both.clone())], Some("BurstPolicy/shop/b"));
        check(&[("shop/a", app.clone()), ("b", both)], Some("ClusterBurstPolicy/b"));
        check(&[("shop/a", app.clone()), ("shop/b", owner)], Some("BurstPolicy/shop/b"));
        check(&[("shop/a", json!({})), ("b", team)], Some("ClusterBurstPolicy/b"));
        // Then the priority, of whatever kind.
        check(&[("shop/a", json!({})), ("shop/b", urgent.clone())], Some("BurstPolicy/shop/b"));
        check(&[("shop/a", json!({})), ("b", urgent)], Some("ClusterBurstPolicy/b"));
        // Then the nearer kind, then the name.
        check(&[("a", json!({})), ("shop/b", json!({}))], Some("BurstPolicy/shop/b"));
        check(&[("shop/b", app.clone()), ("shop/a", app)], Some("BurstPolicy/shop/a"));
    }
}
