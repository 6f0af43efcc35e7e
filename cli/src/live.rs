//! What the cluster carries that the proof counts: PreferNoSchedule taints of nodes, how many nodes there are, and what
//! localPrefer pods tolerate.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{self as core, Node, Pod};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use policies::keys;
use policies::node::{Taint, TaintEffect};
use policies::policy::Policy;
use policies::proof::{Facts, NodeCounts, TaintCounts, Verdict};
use policies::selector::Toleration;

/// Objects per page of a list.
const PAGE: u32 = 500;
/// So many pods are named before the rest is counted.
const NAMED: usize = 5;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    taints: TaintCounts,
    nodes: NodeCounts,
    /// The real node with the most PreferNoSchedule taints, if any has one.
    worst_real: Option<String>,
    pods: Preferring,
}

/// The cluster's localPrefer pods, by the name of their scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Preferring(BTreeMap<String, Group>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    count: usize,
    /// Those that tolerate our preference: TaintToleration says the same of every node to them.
    blind: Vec<String>,
}

/// Reads the nodes and pods of the cluster that `kubeconfig` (or the environment) names.
pub(crate) async fn read(kubeconfig: Option<&Path>) -> Result<Live> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = config(kubeconfig).await?;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).context("preparing the client of the API server")?;
    let mut nodes = Vec::new();
    pages(Api::<Node>::all(client.clone()), |node| nodes.push(node))
        .await
        .with_context(|| format!("listing the nodes of {server}"))?;
    let mut live = count(&nodes)?;
    pages(Api::<Pod>::all(client), |pod| live.pods.add(&pod))
        .await
        .with_context(|| format!("listing the pods of {server}"))?;
    Ok(live)
}

async fn config(kubeconfig: Option<&Path>) -> Result<Config> {
    let Some(path) = kubeconfig else {
        return Config::infer().await.context("finding a kubeconfig; name one with --kubeconfig");
    };
    let file =
        Kubeconfig::read_from(path).with_context(|| format!("reading kubeconfig {}", path.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    config.with_context(|| format!("kubeconfig {}", path.display()))
}

/// Lists page by page, so that no cluster is too large.
async fn pages<K>(api: Api<K>, mut each: impl FnMut(K)) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        page.items.into_iter().for_each(&mut each);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

fn count(nodes: &[Node]) -> Result<Live> {
    let (virtual_nodes, real): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|n| is_virtual(n));
    let Some(virtual_min) =
        virtual_nodes.iter().map(|n| preferences(n, |t| t.key == keys::TAINT_PREFER)).min()
    else {
        bail!(
            "the cluster has no virtual node (label {}={}): start burst-bridge, or verify without --live",
            keys::NODE_TYPE,
            keys::NODE_TYPE_VIRTUAL
        );
    };
    let most = |nodes: &[&Node]| nodes.iter().map(|n| preferences(n, |_| true)).max().unwrap_or(0);
    let real_max = most(&real);
    let worst = real.iter().find(|n| real_max > 0 && preferences(n, |_| true) == real_max);
    Ok(Live {
        taints: TaintCounts { virtual_min, virtual_max: most(&virtual_nodes), real_max },
        nodes: NodeCounts { real: real.len() as u64, virtual_nodes: virtual_nodes.len() as u64 },
        worst_real: worst.and_then(|n| n.metadata.name.clone()),
        pods: Preferring::default(),
    })
}

fn is_virtual(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    labels.and_then(|l| l.get(keys::NODE_TYPE)).is_some_and(|v| v == keys::NODE_TYPE_VIRTUAL)
}

fn preferences(node: &Node, wanted: impl Fn(&core::Taint) -> bool) -> u32 {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let count = taints.iter().filter(|t| t.effect == "PreferNoSchedule" && wanted(t)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Preferring {
    fn add(&mut self, pod: &Pod) {
        let annotations = pod.metadata.annotations.as_ref();
        let policy = annotations.and_then(|a| a.get(keys::RESOLVED_POLICY)).and_then(|v| Policy::parse(v));
        let Some(spec) = pod.spec.as_ref().filter(|_| policy == Some(Policy::LocalPrefer)) else { return };
        let group = self.0.entry(spec.scheduler_name.clone().unwrap_or_default()).or_default();
        group.count += 1;
        let preference = Taint {
            key: keys::TAINT_PREFER.to_owned(),
            value: String::new(),
            effect: TaintEffect::PreferNoSchedule,
        };
        let tolerations = spec.tolerations.as_deref().unwrap_or_default();
        if tolerations.iter().any(|t| toleration(t).tolerates(&preference)) {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            group.blind.push(format!("{}/{}", text(&pod.metadata.namespace), text(&pod.metadata.name)));
        }
    }
}

fn toleration(t: &core::Toleration) -> Toleration {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Toleration {
        key: text(&t.key),
        operator: text(&t.operator),
        value: text(&t.value),
        effect: text(&t.effect),
    }
}

impl Live {
    /// What the proof takes from the cluster; the gap of the extender is none of it.
    pub(crate) const fn facts(&self) -> Facts {
        Facts { taints: self.taints, nodes: Some(self.nodes), ..Facts::SHIPPED }
    }

    /// What was read, in sentences; `judged` are the profiles of the file.
    pub(crate) fn sentence(&self, judged: &[Verdict]) -> String {
        let TaintCounts { virtual_min, real_max, .. } = self.taints;
        let worst = self.worst_real.as_ref().map_or_else(String::new, |name| format!(" (on {name})"));
        let nodes = format!(
            "taints as in the cluster: virtual nodes {}, each with at least {virtual_min} of {}; real nodes {}, each with at \
             most {real_max} of PreferNoSchedule{worst}",
            self.nodes.virtual_nodes,
            keys::TAINT_PREFER,
            self.nodes.real
        );
        let foreign = self.pods.0.iter().filter(|(name, _)| !judged.iter().any(|v| v.profile == **name));
        let foreign: Vec<String> = foreign.map(|(name, group)| format!("{name} ({})", group.count)).collect();
        if foreign.is_empty() {
            return nodes;
        }
        format!("{nodes}\nlocalPrefer pods of schedulers that are not judged here: {}", foreign.join(", "))
    }

    /// Pods of the cluster for which the profile's proof says nothing.
    pub(crate) fn outside(&self, verdict: &Verdict) -> Option<String> {
        let blind = &self.pods.0.get(&verdict.profile)?.blind;
        let by_extender = verdict.extender.as_ref().is_some_and(|p| p.proved);
        if blind.is_empty() || by_extender {
            return None;
        }
        let named = blind.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = blind.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!(
            "{} localPrefer pods tolerate {} and are left to the total score: {named}{more}",
            blind.len(),
            keys::TAINT_PREFER
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, virtual_node: bool, taints: &[(&str, &str)]) -> Node {
        let labels = if virtual_node { json!({"type": "virtual-kubelet"}) } else { json!({}) };
        let taints: Vec<_> =
            taints.iter().map(|(key, effect)| json!({"key": key, "effect": effect})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}))
        .unwrap()
    }

    const PREFER: (&str, &str) = ("burst.io/virtual-node", "PreferNoSchedule");
    const HARD: (&str, &str) = ("virtual-kubelet.io/provider", "NoSchedule");

    #[track_caller]
    fn check(nodes: &[Node], virtual_min: u32, virtual_max: u32, real_max: u32) {
        assert_eq!(count(nodes).unwrap().taints, TaintCounts { virtual_min, virtual_max, real_max });
    }

    #[test]
    fn taints_are_counted_by_class() {
        let burst = node("burst-cci-0", true, &[HARD, PREFER]);
        check(&[burst.clone(), node("a", false, &[])], 1, 1, 0);
        check(&[burst.clone(), node("a", false, &[("spot", "PreferNoSchedule")])], 1, 1, 1);
        check(&[burst.clone(), node("b", true, &[HARD])], 0, 1, 0);
        check(&[node("b", true, &[PREFER, ("own", "PreferNoSchedule")])], 1, 2, 0);
        let spoiled = count(&[burst, node("spot-1", false, &[("spot", "PreferNoSchedule")])]).unwrap();
        assert!(spoiled.sentence(&[]).contains("at most 1 of PreferNoSchedule (on spot-1)"));
    }

    #[test]
    fn a_cluster_without_virtual_nodes_is_an_error() {
        assert!(count(&[node("a", false, &[])]).unwrap_err().to_string().contains("no virtual node"));
    }

    fn pod(name: &str, policy: &str, scheduler: &str, tolerations: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": name, "annotations": {"burst.io/resolved-policy": policy}},
            "spec": {"containers": [], "schedulerName": scheduler, "tolerations": tolerations}}))
        .unwrap()
    }

    #[test]
    fn pods_that_tolerate_the_preference_are_outside_of_the_proof_by_taint() {
        let mut live = count(&[node("burst-cci-0", true, &[HARD, PREFER]), node("a", false, &[])]).unwrap();
        let narrow =
            json!([{"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"}]);
        let blanket = json!([{"operator": "Exists"}]);
        live.pods.add(&pod("good", "localPrefer", "default-scheduler", &narrow));
        live.pods.add(&pod("auto", "auto", "default-scheduler", &blanket));
        live.pods.add(&pod("elsewhere", "localPrefer", "volcano", &narrow));
        let config = policies::scheduler_config::SchedulerConfig::default();
        let judged = policies::proof::verify(&config, live.facts());
        assert_eq!(live.outside(&judged[0]), None);
        assert!(
            live.sentence(&judged).ends_with("not judged here: volcano (1)"),
            "{}",
            live.sentence(&judged)
        );
        live.pods.add(&pod("blind", "localPrefer", "default-scheduler", &blanket));
        let said = live.outside(&judged[0]).unwrap();
        assert!(said.starts_with("1 localPrefer pods") && said.contains("shop/blind"), "{said}");
    }
}
