//! Whether some pod could meet the selectors of two objects at once. Exact for labels, whose keys are independent;
//! otherwise it says yes where it cannot know.

use std::collections::{BTreeMap, BTreeSet};

use super::{Operator, OwnerSelector, PolicyObject, Requirement};

/// Whether some pod in some namespace could be selected by both.
pub(super) fn objects(a: &PolicyObject, b: &PolicyObject) -> bool {
    let (x, y) = (&a.spec.selector, &b.spec.selector);
    let classes = x.priority_class_name.as_ref().zip(y.priority_class_name.as_ref());
    let owners = x.owner.as_ref().zip(y.owner.as_ref());
    let (m, n) = (&a.spec.namespace_selector, &b.spec.namespace_selector);
    classes.is_none_or(|(x, y)| x == y)
        && owners.is_none_or(|(x, y)| one_chain(x, y))
        && both((&x.match_labels, &x.match_expressions), (&y.match_labels, &y.match_expressions))
        && both((&m.match_labels, &m.match_expressions), (&n.match_labels, &n.match_expressions))
}

/// A chain has owners of several kinds, but one of each.
fn one_chain(a: &OwnerSelector, b: &OwnerSelector) -> bool {
    let named = |o: &OwnerSelector| !o.kind.is_empty() && !o.name.is_empty();
    !(named(a) && named(b) && a.kind == b.kind && a.name != b.name)
}

type Labels = BTreeMap<String, String>;
type Selector<'a> = (&'a Labels, &'a [Requirement]);

fn both(a: (&Labels, &Vec<Requirement>), b: (&Labels, &Vec<Requirement>)) -> bool {
    satisfiable(&[(a.0, a.1), (b.0, b.1)])
}

/// Whether some set of labels meets a selector.
pub(super) fn possible(labels: &Labels, requirements: &[Requirement]) -> bool {
    satisfiable(&[(labels, requirements)])
}

/// What several requirements leave open for one label.
#[derive(Default)]
struct Open<'a> {
    allowed: Option<BTreeSet<&'a str>>,
    forbidden: BTreeSet<&'a str>,
    present: bool,
    absent: bool,
}

impl<'a> Open<'a> {
    fn allow(&mut self, values: BTreeSet<&'a str>) {
        self.present = true;
        self.allowed = Some(match self.allowed.take() {
            Some(before) => before.intersection(&values).copied().collect(),
            None => values,
        });
    }

    fn require(&mut self, requirement: &'a Requirement) {
        let values = || requirement.values.iter().map(String::as_str);
        match requirement.operator {
            Operator::In => self.allow(values().collect()),
            Operator::NotIn => self.forbidden.extend(values()),
            Operator::Exists => self.present = true,
            Operator::DoesNotExist => self.absent = true,
        }
    }

    fn is_possible(&self) -> bool {
        let some_value = self.allowed.as_ref().is_none_or(|a| !a.is_subset(&self.forbidden));
        some_value && !(self.present && self.absent)
    }
}

fn satisfiable(selectors: &[Selector<'_>]) -> bool {
    let mut keys: BTreeMap<&str, Open<'_>> = BTreeMap::new();
    for (labels, requirements) in selectors {
        for (key, value) in *labels {
            keys.entry(key).or_default().allow(BTreeSet::from([value.as_str()]));
        }
        for requirement in *requirements {
            keys.entry(&requirement.key).or_default().require(requirement);
        }
    }
    keys.values().all(Open::is_possible)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requirement() -> impl Strategy<Value = Requirement> {
        use Operator::{DoesNotExist, Exists, In, NotIn};
        let operator = prop::sample::select(vec![In, NotIn, Exists, DoesNotExist]);
        let values = prop::collection::vec("[abc]", 1..3);
        ("[kl]", operator, values).prop_map(|(key, operator, values)| Requirement { key, operator, values })
    }

    proptest! {
        /// Against trying every labelling of two keys with three values, one value that nobody names, or none.
        #[test]
        fn satisfiable_is_exact(
            labels in prop::collection::btree_map("[kl]", "[abc]", 0..2),
            requirements in prop::collection::vec(requirement(), 0..5),
        ) {
            let values = [None, Some("a"), Some("b"), Some("c"), Some("other")];
            let mut found = false;
            for k in values {
                for l in values {
                    let has = |key: &str| if key == "k" { k } else { l };
                    found |= labels.iter().all(|(key, value)| has(key) == Some(value))
                        && requirements.iter().all(|r| r.matches(has(&r.key)));
                }
            }
            prop_assert_eq!(possible(&labels, &requirements), found);
        }
    }
}
