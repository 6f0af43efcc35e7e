//! The tolerations that open virtual nodes to a pod, added beside the user's own.
//!
//! A toleration of the user that names the same taint stays as narrow as it is: who tolerates one provider only has
//! chosen that provider.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::patch::Draft;
use crate::{
    keys,
    node::{Taint, TaintEffect},
    pod::PodFacts,
    selector::{Toleration, effect_name},
};

/// Lets the pod past the provider taint; of one provider only, where the policy's own key says so.
pub(super) fn open_provider(draft: &mut Draft, pod: &PodFacts, provider: Option<&str>) {
    let effect = TaintEffect::NoSchedule;
    if covers(pod, keys::TAINT_PROVIDER, effect) {
        return;
    }
    let toleration = match provider {
        None => exists(keys::TAINT_PROVIDER, effect),
        Some(value) => json!({
            "key": keys::TAINT_PROVIDER, "operator": "Equal", "value": value, "effect": effect_name(effect)
        }),
    };
    draft.push(&["spec", "tolerations"], toleration);
}

/// Lets the pod past the taints of these providers only: others cannot run it.
pub(super) fn open_some(draft: &mut Draft, pod: &PodFacts, able: &BTreeSet<String>) {
    let own = take_back(draft, pod);
    if covers(&own, keys::TAINT_PROVIDER, TaintEffect::NoSchedule) {
        return;
    }
    for value in able {
        open_provider(draft, &own, Some(value));
    }
}

/// Whether the pod as it is admitted tolerates the taint of one of these providers.
pub(super) fn opens_one_of(draft: &Draft, providers: &BTreeSet<String>) -> bool {
    let written = draft.get(&["spec", "tolerations"]).and_then(Value::as_array);
    let opens = |toleration: &Value, provider: &String| {
        let text = |field: &str| toleration[field].as_str().unwrap_or_default().to_owned();
        let toleration = Toleration {
            key: text("key"),
            operator: text("operator"),
            value: text("value"),
            effect: text("effect"),
        };
        let (key, value) = (keys::TAINT_PROVIDER.to_owned(), provider.clone());
        toleration.tolerates(&Taint { key, value, effect: TaintEffect::NoSchedule })
    };
    written.into_iter().flatten().any(|toleration| providers.iter().any(|p| opens(toleration, p)))
}

/// Takes back the provider toleration that the in-process admission policy wrote on a pod which turns out to be governed:
/// that policy cannot look objects up, and its annotation tells its toleration from the user's own. Returns the pod
/// without it.
pub(super) fn take_back(draft: &mut Draft, pod: &PodFacts) -> PodFacts {
    let written = Toleration {
        key: keys::TAINT_PROVIDER.to_owned(),
        operator: "Exists".to_owned(),
        value: String::new(),
        effect: effect_name(TaintEffect::NoSchedule).to_owned(),
    };
    let mut own = pod.clone();
    let mark = ["metadata", "annotations", keys::OPENED_IN_PROCESS];
    if !pod.annotations.contains_key(keys::OPENED_IN_PROCESS) {
        return own;
    }
    draft.remove(&mark);
    if let Some(index) = pod.tolerations.iter().rposition(|t| *t == written) {
        draft.remove(&["spec", "tolerations", &index.to_string()]);
        own.tolerations.remove(index);
    }
    own
}

/// Makes the scheduler's taint score blind to virtual nodes, so that the total score decides.
pub(super) fn accept_preference(draft: &mut Draft, pod: &PodFacts) {
    let effect = TaintEffect::PreferNoSchedule;
    if !covers(pod, keys::TAINT_PREFER, effect) {
        draft.push(&["spec", "tolerations"], exists(keys::TAINT_PREFER, effect));
    }
}

/// Whether the pod already says something about the taint, by name or wholesale.
pub(super) fn covers(pod: &PodFacts, key: &str, effect: TaintEffect) -> bool {
    pod.tolerations.iter().any(|t| (t.key == key || t.is_blanket()) && t.has_effect(effect))
}

/// Whether the pod's own tolerations open the nodes of another provider too.
pub(super) fn wider_than(pod: &PodFacts, provider: &str) -> bool {
    let about_taint = |t: &&Toleration| {
        (t.key == keys::TAINT_PROVIDER || t.is_blanket()) && t.has_effect(TaintEffect::NoSchedule)
    };
    pod.tolerations.iter().filter(about_taint).any(|t| t.operator == "Exists" || t.value != provider)
}

fn exists(key: &str, effect: TaintEffect) -> Value {
    json!({ "key": key, "operator": "Exists", "effect": effect_name(effect) })
}
