//! What only a provider knows of a pod: whether it can run all of its fields, and sells a size that large.
//!
//! The same tables refuse a pod at admission and at creation; here they keep it off a virtual node that could not run
//! it, and explain why.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    daemons::record,
    node::NodeRow,
    pod::{PodFacts, view::PodView},
    providers,
    reasons::Reason,
    shape::{Rules, disk},
    support,
};

/// Why a virtual node's provider cannot run the pod with this text there; none if it can, or if there is no table for the
/// provider. Two nodes of one provider differ in network interop only.
pub fn objection(node: &NodeRow, text: &str, facts: &PodFacts) -> Option<Reason> {
    let provider = node.provider.as_deref()?;
    let rules = providers::of(provider)?.shape;
    if rules.is_some_and(|rules| rules.needs_cpu) && !facts.asks_cpu {
        return Some(Reason::NoCpuRequest);
    }
    let pod = Specified::read(text)?;
    let size = rules.and_then(|rules| misfit(&rules, &pod, facts));
    size.or_else(|| {
        (!support::check_on(provider, node.interop(), &pod).is_empty()).then_some(Reason::UnsupportedField)
    })
}

/// Judged together with what runs beside the pod.
fn misfit(rules: &Rules, pod: &Value, facts: &PodFacts) -> Option<Reason> {
    let view = PodView::deserialize(pod).ok()?;
    let beside = record::sizes(&facts.annotations).unwrap_or_default();
    match rules.size(&view, &beside) {
        Err(misfit) => Some(misfit.reason),
        Ok(_) => rules.disk.filter(|(most, _)| disk(&view) > *most).map(|_| Reason::ShapeTooLarge),
    }
}

/// A pod of which only `spec` and annotations are read: nothing else is looked at here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Specified {
    metadata: Annotated,
    spec: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotated {
    annotations: Value,
}

impl Specified {
    fn read(text: &str) -> Option<Value> {
        let Self { metadata: Annotated { annotations }, spec } = serde_json::from_str(text).ok()?;
        Some(json!({"metadata": {"annotations": annotations}, "spec": spec}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::NodeClass;
    use crate::{keys, support::HUAWEI};

    fn node(interop: bool) -> NodeRow {
        NodeRow {
            name: "burst-cci-0".to_owned(),
            class: NodeClass::Virtual,
            provider: Some(HUAWEI.to_owned()),
            allocatable: Default::default(),
            requested: Default::default(),
            taints: Vec::new(),
            labels: interop
                .then(|| (keys::NETWORK_INTEROP.to_owned(), "true".to_owned()))
                .into_iter()
                .collect(),
            ready: true,
            unschedulable: false,
        }
    }

    /// Guards a start that could only fail: network interop takes the last of CCI's five places.
    #[test]
    fn network_interop_is_one_container_more() {
        let judged = |containers: usize, interop: bool| {
            let one = |i| json!({"name": format!("c{i}"), "resources": {"requests": {"cpu": "250m"}}});
            let pod = json!({"spec": {"containers": (0..containers).map(one).collect::<Vec<_>>()}});
            objection(&node(interop), &pod.to_string(), &PodFacts::from_value(&pod).expect("facts"))
        };
        assert_eq!((judged(5, false), judged(4, true)), (None, None));
        assert_eq!(judged(5, true), Some(Reason::UnsupportedField));
        assert_eq!(judged(6, true), judged(6, false));
    }

    /// Guards enforce: what is sold together with the agents decides, not what the pod asks for alone.
    #[test]
    fn the_size_is_that_of_the_pod_and_of_what_runs_beside_it() {
        let judged = |cpu: &str, annotations: Value| {
            let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [
                {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "64Gi"}}}]}});
            let facts = PodFacts::from_value(&pod).expect("facts");
            objection(&node(false), &pod.to_string(), &facts)
        };
        let beside = |cpu: &str| json!({"burst.io/daemonsets-requests": json!({"cpu": cpu}).to_string()});
        assert_eq!(judged("32", json!({})), None);
        assert_eq!(judged("32", beside("10m")), Some(Reason::ShapeTooLarge));
        assert_eq!(judged("31", beside("1")), None);
        assert_eq!(judged("31", beside("1001m")), Some(Reason::ShapeTooLarge));
        let several = json!({"burst.io/daemonsets-requests": r#"{"cpu":"400m"}"#,
            "burst.io/daemonsets-sizes": r#"[{"cpu":"50m"},{"cpu":"100m"},{"cpu":"250m"}]"#});
        assert_eq!(judged("31250m", several.clone()), None, "three quarters beside it");
        assert_eq!(judged("31500m", several), Some(Reason::ShapeTooLarge), "each is rounded");
        assert_eq!(judged("32", beside("much")), None, "what cannot be read is the ledger's business");
    }
}
