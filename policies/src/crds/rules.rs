//! What the API server refuses in a policy's spec, beyond types: bounds, so that rules can be priced, and rules (CEL),
//! each with the sentence that mends it. [`crate::burst_policy::check`] says the same to files; the cases in
//! `refused.json` keep the two together.

use serde_json::{Value, json};

use crate::burst_policy::PolicyKind;

/// A place in the spec, as `tiers[].max.cpu`; the spec itself is empty.
type Place = &'static str;

const QUANTITY: &str =
    r"self.matches('^[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$')";
const CPU: &str = r#"not an amount of cpu: write cores like "64" or "500m""#;
const MEMORY: &str = r#"not an amount of memory: write bytes like "256Gi""#;

const NOT_LOCAL: &str = "only Cloud tiers have it: write side: Cloud, or name real nodes by nodeSelector";

const UNREACHABLE: &str = "!self.exists(b, self.exists(a, \
    self.indexOf(a) < self.indexOf(b) \
    && a.side == b.side \
    && (!has(a.max) || !(has(a.max.pods) || has(a.max.cpu) || has(a.max.memory) || has(a.max.gpu))) \
    && (!has(a.nodeSelector) || size(a.nodeSelector) == 0 || (has(b.nodeSelector) \
        && a.nodeSelector.all(k, k in b.nodeSelector && b.nodeSelector[k] == a.nodeSelector[k]))) \
    && (!has(a.provider) || (has(b.provider) && a.provider == b.provider)) \
    && (!has(a.zones) || size(a.zones) == 0 \
        || (has(b.zones) && size(b.zones) > 0 && b.zones.all(z, z in a.zones)))))";

const REQUIREMENT: [(&str, &str); 2] = [
    (
        "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
        "In and NotIn need at least one value",
    ),
    (
        "self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
        "Exists and DoesNotExist take no values: remove them",
    ),
];

/// Every rule: where, the expression, the sentence.
fn rules(kind: PolicyKind) -> Vec<(Place, &'static str, &'static str)> {
    let mut rules = vec![
        (
            "",
            "!(has(self.policy) && self.policy in ['off', 'enforce'] && has(self.tiers) \
             && self.tiers.exists(t, t.side == 'Local'))",
            "policies off and enforce never order real nodes by tier: remove the Local tiers, or write policy auto or localPrefer",
        ),
        (
            "tiers",
            "self.all(t, self.exists_one(u, u.name == t.name))",
            "two tiers have the same name: give every tier a name of its own",
        ),
        (
            "tiers",
            UNREACHABLE,
            "no pod ever comes to a tier: one before it has no max and contains all of its nodes; give that one a max, or \
             change their order",
        ),
        ("tiers[].provider", "", NOT_LOCAL),
        ("tiers[].zones", "", NOT_LOCAL),
        (
            "selector.owner",
            "(has(self.kind) && self.kind != '') || (has(self.name) && self.name != '')",
            "name a kind, a name, or both; or remove owner",
        ),
        (
            "wait",
            "!has(self.deadlineSeconds) || !has(self.beforeBurstSeconds) || self.deadlineSeconds >= self.beforeBurstSeconds",
            "deadlineSeconds is before beforeBurstSeconds, which is then never waited for: raise the deadline or shorten the wait",
        ),
        (
            "budget.currency",
            "self.matches('^[A-Z]{3}$')",
            "no ISO code of a currency: write for example USD or CNY",
        ),
        (
            "budget",
            "has(self.perHour) || has(self.perDay) || has(self.perMonth)",
            "a budget without an amount limits nothing: write perHour, perDay or perMonth",
        ),
        ("gang.size", "self > 0", "0 would never be reached as a group: write how many pods belong together"),
        ("gang.labelKey", "self != ''", "name the label whose value tells the group"),
        ("repatriation.maxPerHour", "self > 0", "0 moves nothing: write at least 1, or remove repatriation"),
    ];
    for amount in ["budget.perHour", "budget.perDay", "budget.perMonth"] {
        let decimal = r"self.matches('^[0-9]{1,18}([.][0-9]{1,9})?$')";
        rules.push((
            amount,
            decimal,
            r#"not an amount of money: write a decimal of at most 9 places, for example "1.20""#,
        ));
    }
    for (cpu, memory) in [
        ("tiers[].max.cpu", "tiers[].max.memory"),
        ("max.local.cpu", "max.local.memory"),
        ("max.cloud.cpu", "max.cloud.memory"),
    ] {
        rules.extend([(cpu, QUANTITY, CPU), (memory, QUANTITY, MEMORY)]);
    }
    for place in ["selector.matchExpressions[]", "namespaceSelector.matchExpressions[]"] {
        rules.extend(REQUIREMENT.map(|(rule, message)| (place, rule, message)));
    }
    if kind == PolicyKind::BurstPolicy {
        rules.push((
            "",
            "!has(self.namespaceSelector)",
            "a BurstPolicy speaks for its own namespace: remove namespaceSelector, or write a ClusterBurstPolicy",
        ));
    }
    rules
}

/// Bounds on lists, maps and texts: the API server prices a rule by the largest object that it may meet.
const BOUNDS: [(Place, &str, u32); 31] = [
    ("tiers", "maxItems", 16),
    ("tiers[].name", "minLength", 1),
    ("tiers[].name", "maxLength", 63),
    ("tiers[].provider", "maxLength", 63),
    ("tiers[].zones", "maxItems", 16),
    ("tiers[].zones[]", "maxLength", 63),
    ("tiers[].nodeSelector", "maxProperties", 16),
    ("tiers[].nodeSelector{}", "maxLength", 63),
    ("tiers[].max.cpu", "maxLength", 32),
    ("tiers[].max.memory", "maxLength", 32),
    ("max.local.cpu", "maxLength", 32),
    ("max.local.memory", "maxLength", 32),
    ("max.cloud.cpu", "maxLength", 32),
    ("max.cloud.memory", "maxLength", 32),
    ("selector.matchLabels", "maxProperties", 64),
    ("selector.matchExpressions", "maxItems", 32),
    ("selector.matchExpressions[].values", "maxItems", 64),
    ("selector.matchExpressions[].values[]", "maxLength", 63),
    ("selector.owner.kind", "maxLength", 63),
    ("selector.owner.name", "maxLength", 253),
    ("selector.priorityClassName", "maxLength", 253),
    ("namespaceSelector.matchLabels", "maxProperties", 64),
    ("namespaceSelector.matchExpressions", "maxItems", 32),
    ("namespaceSelector.matchExpressions[].values", "maxItems", 64),
    ("namespaceSelector.matchExpressions[].values[]", "maxLength", 63),
    ("budget.currency", "maxLength", 8),
    ("budget.perHour", "maxLength", 32),
    ("budget.perDay", "maxLength", 32),
    ("budget.perMonth", "maxLength", 32),
    ("gang.labelKey", "maxLength", 317),
    ("cloudLabels", "maxProperties", 64),
];

/// Adds bounds and rules to the schema of the spec.
pub(super) fn add(kind: PolicyKind, spec: &mut Value) {
    for (place, bound, value) in BOUNDS {
        set(spec, place, bound, json!(value));
    }
    for (place, rule, message) in rules(kind) {
        match place.rsplit_once('.') {
            // A rule about a field in sight of its tier is written on the tier, and says where it points.
            Some((tier @ "tiers[]", field)) if rule.is_empty() => {
                let rule = format!("self.side == 'Cloud' || !has(self.{field})");
                push(spec, tier, json!({"rule": rule, "message": message, "fieldPath": format!(".{field}")}));
            }
            _ => push(spec, place, json!({"rule": rule, "message": message})),
        }
    }
    // Amounts say what is wrong with them in words instead of a pattern.
    for amount in ["budget.perHour", "budget.perDay", "budget.perMonth"] {
        if let Some(fields) = at(spec, amount).and_then(Value::as_object_mut) {
            fields.remove("pattern");
        }
    }
}

fn set(spec: &mut Value, place: &str, key: &str, value: Value) {
    if let Some(fields) = at(spec, place).and_then(Value::as_object_mut) {
        fields.insert(key.to_owned(), value);
    }
}

fn push(spec: &mut Value, place: &str, rule: Value) {
    let Some(fields) = at(spec, place).and_then(Value::as_object_mut) else { return };
    let rules = fields.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.push(rule);
    }
}

/// The schema of a place: `a.b`, `a[]` for a list's items, `a{}` for a map's values.
pub(super) fn at<'a>(schema: &'a mut Value, place: &str) -> Option<&'a mut Value> {
    let mut here = schema;
    for step in place.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches(['[', ']', '{', '}']);
        here = here.get_mut("properties")?.get_mut(name)?;
        if step.ends_with("[]") {
            here = here.get_mut("items")?;
        }
        if step.ends_with("{}") {
            here = here.get_mut("additionalProperties")?;
        }
    }
    Some(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_exists() {
        for kind in PolicyKind::ALL {
            let mut spec = super::super::schema::of::<crate::burst_policy::BurstPolicySpec>();
            let places = BOUNDS.map(|(place, ..)| place);
            for place in rules(kind).into_iter().map(|(place, ..)| place).chain(places) {
                assert!(at(&mut spec, place).is_some(), "{place}");
            }
        }
    }
}
