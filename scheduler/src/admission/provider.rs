//! What the providers of the virtual nodes that a pod could go to cannot run.
//!
//! A pod is kept from a provider that cannot run it, and open to the others; only what none of them can run is
//! unsupported. A provider of which burst has no table may be able to run anything; where no virtual node is known nothing
//! is refused. Filter and the bridge still check node by node.

use std::collections::{BTreeMap, BTreeSet};

use cluster::Snapshot;
use policies::admission::Providers;
use policies::keys;
use policies::node::{NodeRow, TaintEffect};
use policies::pod::PodFacts;
use policies::providers::needs_cpu;
use policies::selector::selects;
use policies::support::{self, Unsupported};
use serde_json::Value;

/// What the providers say of a pod, or of a pod template.
#[derive(Debug, Default)]
pub(super) struct Opinion {
    /// What none of them can run, in the words of the first; empty if one of them can run it all.
    pub(super) unsupported: Vec<Unsupported>,
    /// Who can and who cannot, where they differ.
    pub(super) providers: Providers,
    /// All of them.
    pub(super) open: BTreeSet<String>,
    /// The virtual nodes of those that can.
    pub(super) nodes: BTreeSet<String>,
    /// Every provider that is left bills by CPU.
    pub(super) cpu_required: bool,
}

/// Asks the provider of every virtual node that the pod could go to. `provider` is the one that its policy's own key
/// names.
pub(super) fn opinion(
    snapshot: &Snapshot,
    provider: Option<&str>,
    pod: &PodFacts,
    object: &Value,
) -> Opinion {
    let could_go_to: Vec<&NodeRow> =
        snapshot.virtual_nodes().filter(|node| could_go(node, provider, pod)).collect();
    // Which of a provider's nodes it will be is not known here, so one with network interop speaks for all of them.
    let mut asked: BTreeMap<&str, bool> = BTreeMap::new();
    for node in &could_go_to {
        let interop = asked.entry(node.provider.as_deref().unwrap_or_default()).or_default();
        *interop = *interop || node.interop();
    }
    let names: BTreeSet<&str> = asked.keys().copied().collect();
    let found: Vec<_> =
        asked.iter().map(|(name, interop)| (*name, support::check_on(name, *interop, object))).collect();
    let cpu_required = !names.is_empty() && names.iter().all(|name| needs_cpu(name));
    // Where all of them bill by CPU the pod may still get a size by default.
    let unbillable = |name: &str| needs_cpu(name) && !cpu_required && !pod.asks_cpu;
    let cannot = |(name, found): &&(&str, Vec<Unsupported>)| !found.is_empty() || unbillable(name);
    let all = || names.iter().map(|name| (*name).to_owned());
    let unable: BTreeSet<String> = found.iter().filter(cannot).map(|(name, _)| (*name).to_owned()).collect();
    if unable.len() < names.len() {
        let able = all().filter(|name| !unable.contains(name));
        let able = if unable.is_empty() { BTreeSet::new() } else { able.collect() };
        let can = |node: &&NodeRow| !unable.contains(node.provider.as_deref().unwrap_or_default());
        let nodes = could_go_to.into_iter().filter(can);
        return Opinion {
            nodes: nodes.map(|node| node.name.clone()).collect(),
            open: all().collect(),
            providers: Providers { able, unable },
            cpu_required,
            ..Opinion::default()
        };
    }
    let unsupported = found.into_iter().map(|(_, found)| found).find(|found| !found.is_empty());
    Opinion {
        unsupported: unsupported.unwrap_or_default(),
        open: all().collect(),
        cpu_required,
        ..Opinion::default()
    }
}

fn could_go(node: &NodeRow, provider: Option<&str>, pod: &PodFacts) -> bool {
    if let Some(name) = &pod.node_name {
        return node.name == *name;
    }
    provider.is_none_or(|provider| node.provider.as_deref() == Some(provider))
        && tolerated(node, pod)
        && selects(&pod.node_selector, pod.required_terms.as_deref(), node)
}

/// Whoever names the provider taint has chosen by itself; everybody else gets the toleration that opens any.
fn tolerated(node: &NodeRow, pod: &PodFacts) -> bool {
    let mut own = pod
        .tolerations
        .iter()
        .filter(|t| t.key == keys::TAINT_PROVIDER && t.has_effect(TaintEffect::NoSchedule))
        .peekable();
    let taint = node.taints.iter().find(|t| t.key == keys::TAINT_PROVIDER);
    own.peek().is_none() || taint.is_none_or(|taint| own.any(|t| t.tolerates(taint)))
}
