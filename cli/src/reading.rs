//! What burst knows, read from the API server alone: nodes and pods as one picture, policy objects, ledgers, reports.
//!
//! The same records that burst-scheduler decides from, so that the same engine gives the same answer here.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use cluster::{GovernedPod, Index, SlimNode, SlimPod, Snapshot, claims, policy_objects};
use kube::api::DynamicObject;
use policies::burst_policy::{BurstPolicyStatus, GROUP, PolicyKind, PolicyObject, VERSION};
use policies::keys;
use policies::ledger::{Claim, Ledger, NodeReport, VirtualNode};
use policies::node::NodeRow;
use policies::pod::PodFacts;
use serde_json::Value;

use crate::api::{Api, text};

/// A policy object as it is in the cluster.
pub(crate) struct Object {
    /// Identity and spec; an error if the spec cannot be read.
    pub(crate) object: Result<PolicyObject, String>,
    pub(crate) key: String,
    pub(crate) status: BurstPolicyStatus,
}

/// Everything read.
pub(crate) struct Reading {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) objects: Vec<Object>,
    /// By policy key.
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    /// By virtual node.
    pub(crate) reports: BTreeMap<String, NodeReport>,
    /// Labels of namespaces.
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Governed pods.
    pub(crate) governed: Vec<GovernedPod>,
    /// Things that could not be read, in words.
    pub(crate) problems: Vec<String>,
}

impl Reading {
    pub(crate) async fn take(api: &Api, burst_namespace: &str) -> Result<Self> {
        let mut index = Index::default();
        let mut problems = Vec::new();
        api.each("/api/v1/nodes", |node| match serde_json::from_value::<SlimNode>(node) {
            Ok(node) => index.apply_node(node),
            Err(error) => problems.push(format!("a node cannot be read: {error}")),
        })
        .await?;
        let mut governed = Vec::new();
        api.each("/api/v1/pods", |pod| {
            if pod.pointer("/metadata/labels").and_then(|l| l.get(keys::GOVERNED)).is_some() {
                if let Err(error) = PodFacts::from_value(&pod) {
                    let (namespace, name) = (text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
                    problems.push(format!(
                        "pod {namespace}/{name}: {error}; it counts as larger than any ceiling"
                    ));
                }
                match serde_json::from_value::<GovernedPod>(pod.clone()) {
                    Ok(pod) => governed.push(pod),
                    Err(error) => problems.push(format!("a governed pod cannot be read: {error}")),
                }
            }
            match serde_json::from_value::<SlimPod>(pod) {
                Ok(pod) => index.apply_pod(&pod),
                Err(error) => problems.push(format!("a pod cannot be read: {error}")),
            }
        })
        .await?;
        let mut namespaces = BTreeMap::new();
        api.each("/api/v1/namespaces", |namespace| {
            let labels =
                namespace.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
            let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            namespaces.insert(text(&namespace, "/metadata/name").to_owned(), labels.collect());
        })
        .await?;
        let mut objects = Vec::new();
        for kind in PolicyKind::ALL {
            let path = format!("/apis/{GROUP}/{VERSION}/{}", kind.plural());
            for value in api.list(&path).await? {
                objects.push(object(kind, value)?);
            }
        }
        let ledgers = format!("/apis/{GROUP}/{VERSION}/namespaces/{burst_namespace}/burstledgers");
        let ledgers = specs::<Ledger>(&api.list(&ledgers).await?, "BurstLedger", &mut problems);
        let reports = api.list(&format!("/apis/{GROUP}/{VERSION}/virtualnodereports")).await?;
        Ok(Self {
            snapshot: index.snapshot(true),
            objects,
            ledgers: ledgers.into_iter().map(|(_, ledger)| (ledger.policy.clone(), ledger)).collect(),
            reports: specs(&reports, "VirtualNodeReport", &mut problems).into_iter().collect(),
            namespaces,
            governed,
            problems,
        })
    }

    /// Every node, in the order of names.
    pub(crate) fn rows(&self) -> Vec<&NodeRow> {
        let mut rows: Vec<&NodeRow> = self.snapshot.nodes().map(|(_, row)| row).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    pub(crate) fn object(&self, key: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.key == key)
    }

    /// The pods that an object governs, as claims.
    pub(crate) fn claims(&self, object: &PolicyObject) -> Vec<Claim> {
        let ours = self.governed.iter().filter(|pod| pod.burst_policy() == Some(&object.key));
        ours.map(|pod| self.claim(pod, object)).collect()
    }

    /// A pod as a claim of an object.
    pub(crate) fn claim(&self, pod: &GovernedPod, object: &PolicyObject) -> Claim {
        claims::claim(pod, &object.spec, &self.snapshot, false)
    }

    pub(crate) fn virtual_nodes(&self) -> Vec<VirtualNode> {
        claims::virtual_nodes(&self.snapshot)
    }
}

fn object(kind: PolicyKind, value: Value) -> Result<Object> {
    let status = value.get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
    let status = status.unwrap_or_default();
    let object: DynamicObject = serde_json::from_value(value).context("a policy object without metadata")?;
    Ok(match policy_objects::read(kind, &object) {
        Ok(object) => Object { key: object.key.clone(), object: Ok(object), status },
        Err(broken) => Object { key: broken.key, object: Err(broken.error), status },
    })
}

/// `spec` of each object by its name.
fn specs<T: serde::de::DeserializeOwned>(
    objects: &[Value],
    kind: &str,
    problems: &mut Vec<String>,
) -> Vec<(String, T)> {
    let mut read = Vec::new();
    for object in objects {
        let name = text(object, "/metadata/name").to_owned();
        match serde_json::from_value(object.get("spec").cloned().unwrap_or_default()) {
            Ok(spec) => read.push((name, spec)),
            Err(error) => problems.push(format!("{kind} {name} cannot be read: {error}")),
        }
    }
    read
}
