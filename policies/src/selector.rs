//! Node selectors and tolerations, judged as the scheduler judges them.
//!
//! Facts: core/v1 `NodeSelectorTerm`, `Toleration`; `k8s.io/component-helpers/scheduling/corev1/nodeaffinity` and
//! `Toleration.ToleratesTaint`. Nothing here knows about policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::node::{NodeRow, Taint, TaintEffect};

/// The field a `matchFields` requirement can name; Kubernetes knows only this one.
pub(crate) const FIELD_NAME: &str = "metadata.name";

/// A node selector requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Label key, or field path in `matchFields`.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`; anything else matches no node.
    pub operator: String,
    /// Values; exactly one for `Gt` and `Lt`.
    pub values: Vec<String>,
}

impl Requirement {
    /// Whether a node with this value of the key (or without the key) satisfies the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|v| self.values.iter().any(|w| w == v));
        match self.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => self.compares(value, |node, bound| node > bound),
            "Lt" => self.compares(value, |node, bound| node < bound),
            _ => false,
        }
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let [bound] = self.values.as_slice() else { return false };
        let number = |text: &str| text.parse::<i64>().ok();
        value.and_then(number).zip(number(bound)).is_some_and(|(node, bound)| holds(node, bound))
    }
}

/// One alternative of a required node selector: all its requirements must hold; an empty term matches no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Requirements on labels.
    pub match_expressions: Vec<Requirement>,
    /// Requirements on fields (`metadata.name`).
    pub match_fields: Vec<Requirement>,
}

impl Term {
    /// Whether the term has no requirement, and so matches nothing.
    pub const fn is_empty(&self) -> bool {
        self.match_expressions.is_empty() && self.match_fields.is_empty()
    }

    /// Whether the node of this name satisfies the term; `label` gives the value of a label.
    pub fn matches<'l>(&self, name: &str, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        !self.is_empty()
            && self.match_expressions.iter().all(|r| r.matches(label(&r.key)))
            && self.match_fields.iter().all(|r| r.key == FIELD_NAME && r.matches(Some(name)))
    }
}

/// A pod's toleration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toleration {
    /// Taint key; empty with `Exists` means every taint.
    pub key: String,
    /// `Equal` (also when empty), `Exists`, `Gt`, `Lt`.
    pub operator: String,
    /// Value to compare with.
    pub value: String,
    /// Effect; empty means every effect.
    pub effect: String,
}

impl Toleration {
    /// Whether the toleration is for every taint key.
    pub fn is_blanket(&self) -> bool {
        self.key.is_empty() && self.operator == "Exists"
    }

    /// Whether it is about this effect.
    pub fn has_effect(&self, effect: TaintEffect) -> bool {
        self.effect.is_empty() || self.effect == effect_name(effect)
    }

    /// Whether it tolerates the taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.has_effect(taint.effect)
            && (self.is_blanket() || (self.key == taint.key && self.value_holds(&taint.value)))
    }

    fn value_holds(&self, taint: &str) -> bool {
        let compares = |holds: fn(i64, i64) -> bool| {
            let bound = self.value.parse::<i64>().ok();
            taint.parse::<i64>().ok().zip(bound).is_some_and(|(taint, bound)| holds(taint, bound))
        };
        match self.operator.as_str() {
            "" | "Equal" => self.value == taint,
            "Exists" => true,
            "Gt" => compares(|taint, bound| taint > bound),
            "Lt" => compares(|taint, bound| taint < bound),
            _ => false,
        }
    }
}

/// The effect as Kubernetes spells it.
pub const fn effect_name(effect: TaintEffect) -> &'static str {
    match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}

/// Whether a node satisfies a pod's `nodeSelector` and required node affinity. `required` is `None` when the pod
/// requires nothing; an empty list matches no node.
pub fn selects(selector: &BTreeMap<String, String>, required: Option<&[Term]>, node: &NodeRow) -> bool {
    selector.iter().all(|(key, value)| node.labels.has(key, value))
        && required
            .is_none_or(|terms| terms.iter().any(|t| t.matches(&node.name, |key| node.labels.get(key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(operator: &str, values: &[&str]) -> Requirement {
        let values = values.iter().map(ToString::to_string).collect();
        Requirement { key: "k".into(), operator: operator.into(), values }
    }

    #[test]
    fn requirements() {
        let check = |operator: &str, values: &[&str], value: Option<&str>, wanted: bool| {
            let got = requirement(operator, values).matches(value);
            assert_eq!(got, wanted, "{operator} {values:?} against {value:?}");
        };
        check("In", &["a", "b"], Some("b"), true);
        check("In", &["a"], Some("c"), false);
        check("In", &["a"], None, false);
        check("NotIn", &["a"], Some("a"), false);
        check("NotIn", &["a"], Some("b"), true);
        check("NotIn", &["a"], None, true);
        check("Exists", &[], Some(""), true);
        check("Exists", &[], None, false);
        check("DoesNotExist", &[], None, true);
        check("DoesNotExist", &[], Some("x"), false);
        check("Gt", &["4"], Some("5"), true);
        check("Gt", &["4"], Some("4"), false);
        check("Gt", &["4"], Some("many"), false);
        check("Gt", &[], Some("5"), false);
        check("Lt", &["4"], Some("-5"), true);
        check("Lt", &["4"], None, false);
        check("Near", &["4"], Some("4"), false);
    }

    #[test]
    fn terms() {
        let labels = |key: &str| (key == "k").then_some("a");
        let name = |v: &str| Requirement { key: FIELD_NAME.into(), ..requirement("In", &[v]) };
        assert!(!Term::default().matches("n", labels));
        let term = |e, f| Term { match_expressions: e, match_fields: f };
        assert!(term(vec![requirement("In", &["a"])], vec![]).matches("n", labels));
        assert!(!term(vec![requirement("In", &["a"])], vec![name("m")]).matches("n", labels));
        assert!(term(vec![], vec![name("n")]).matches("n", labels));
        assert!(!term(vec![], vec![requirement("Exists", &[])]).matches("n", labels));
    }

    #[test]
    fn tolerations() {
        let check = |(key, operator, value, effect): (&str, &str, &str, &str), wanted: bool| {
            let t = Toleration {
                key: key.into(),
                operator: operator.into(),
                value: value.into(),
                effect: effect.into(),
            };
            let taint = Taint { key: "k".into(), value: "7".into(), effect: TaintEffect::NoSchedule };
            assert_eq!(t.tolerates(&taint), wanted, "{t:?}");
        };
        check(("k", "Exists", "", ""), true);
        check(("k", "Exists", "", "NoSchedule"), true);
        check(("k", "Exists", "", "NoExecute"), false);
        check(("k", "", "7", ""), true);
        check(("k", "Equal", "8", ""), false);
        check(("", "Exists", "", ""), true);
        check(("", "Equal", "", ""), false);
        check(("", "Exists", "", "PreferNoSchedule"), false);
        check(("other", "Exists", "", ""), false);
        check(("k", "Gt", "6", ""), true);
        check(("k", "Lt", "6", ""), false);
        check(("k", "Gt", "x", ""), false);
    }
}
