//! What the cluster's nodes carry: their PreferNoSchedule taints, counted as the proof by taint needs them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use policies::keys;
use policies::proof::TaintCounts;
use policies::scheduler_config::SchedulerConfig;

/// Nodes per page of the list.
const PAGE: u32 = 500;

/// The cluster's nodes, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) taints: TaintCounts,
    real: u64,
    virtual_nodes: u64,
    /// The real node with the most PreferNoSchedule taints, if any has one.
    worst_real: Option<String>,
}

/// Reads the nodes of the cluster that `kubeconfig` (or the environment) names.
pub(crate) async fn read(kubeconfig: Option<&Path>) -> Result<Live> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = config(kubeconfig).await?;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).context("preparing the client of the API server")?;
    let nodes = list(client).await.with_context(|| format!("listing the nodes of {server}"))?;
    count(&nodes)
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

async fn list(client: Client) -> Result<Vec<Node>> {
    let api: Api<Node> = Api::all(client);
    let mut nodes = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        nodes.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(nodes),
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
        real: real.len() as u64,
        virtual_nodes: virtual_nodes.len() as u64,
        worst_real: worst.and_then(|n| n.metadata.name.clone()),
    })
}

fn is_virtual(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    labels.and_then(|l| l.get(keys::NODE_TYPE)).is_some_and(|v| v == keys::NODE_TYPE_VIRTUAL)
}

fn preferences(node: &Node, wanted: impl Fn(&Taint) -> bool) -> u32 {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let count = taints.iter().filter(|t| t.effect == "PreferNoSchedule" && wanted(t)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Live {
    /// What was read, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        let TaintCounts { virtual_min, real_max, .. } = self.taints;
        let worst = self.worst_real.as_ref().map_or_else(String::new, |name| format!(" (on {name})"));
        format!(
            "taints as in the cluster: virtual nodes {}, each with at least {virtual_min} of {}; real nodes {}, each with at \
             most {real_max} of PreferNoSchedule{worst}",
            self.virtual_nodes,
            keys::TAINT_PREFER,
            self.real
        )
    }

    /// Profiles whose sample of nodes could consist of virtual nodes only, while a real one is feasible.
    pub(crate) fn hidden_by_sampling(&self, config: &SchedulerConfig) -> Vec<String> {
        let nodes = self.real + self.virtual_nodes;
        let profiles = config.effective_profiles();
        let small = profiles.iter().filter_map(|profile| {
            let sample = config.nodes_to_find(profile, nodes);
            (sample < nodes && self.virtual_nodes >= sample).then(|| (profile.name().to_owned(), sample))
        });
        small
            .map(|(name, sample)| {
                format!(
                    "profile {name} looks at {sample} feasible nodes, and {} are virtual: a sample could hold no real node; \
                     raise percentageOfNodesToScore",
                    self.virtual_nodes
                )
            })
            .collect()
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
        assert!(spoiled.sentence().contains("at most 1 of PreferNoSchedule (on spot-1)"));
    }

    #[test]
    fn a_cluster_without_virtual_nodes_is_an_error() {
        assert!(count(&[node("a", false, &[])]).unwrap_err().to_string().contains("no virtual node"));
    }

    #[test]
    fn too_many_virtual_nodes_for_the_sample() {
        let live = |real, virtual_nodes| Live {
            taints: TaintCounts::SHIPPED,
            real,
            virtual_nodes,
            worst_real: None,
        };
        let config = SchedulerConfig::default();
        assert!(live(5000, 99).hidden_by_sampling(&config).is_empty());
        assert!(live(10, 80).hidden_by_sampling(&config).is_empty());
        assert!(live(100, 120).hidden_by_sampling(&config)[0].contains("looks at 107 feasible nodes"));
    }
}
