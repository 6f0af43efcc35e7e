//! Makes an account ready: the cluster's CCI namespace and, in it, the Network without which no pod runs there.
//!
//! Looks first and creates only what is absent; an existing namespace or Network is never changed. Facts: Huawei's CCI
//! API reference (Namespace, Network); a namespace's name stays taken for about 30 s after its deletion.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloud::CloudError;
use crate::cloud::kubelike::{Call, Client, Named, Operation, Page, Refusal, Verb};

use super::settings::{CciSettings, Generation};

/// Name of the Network that burst creates.
const NETWORK: &str = "burst";

/// Decides the class of compute of a namespace, at its creation only.
const FLAVOR: (&str, &str) = ("namespace.kubernetes.io/flavor", "general-computing");

#[derive(Debug, Default, Deserialize)]
struct Namespace {
    #[serde(default)]
    status: NamespaceStatus,
}

#[derive(Debug, Default, Deserialize)]
struct NamespaceStatus {
    #[serde(default)]
    phase: String,
}

/// Ensures namespace and Network.
pub(super) async fn run(client: &Client, settings: &CciSettings) -> Result<(), CloudError> {
    let namespace = settings.namespace();
    ensure_namespace(client, settings.generation, &namespace).await?;
    ensure_network(client, settings, &namespace).await
}

async fn ensure_namespace(
    client: &Client,
    generation: Generation,
    namespace: &str,
) -> Result<(), CloudError> {
    let all = format!("{}/namespaces", generation.root());
    let path = format!("{all}/{namespace}");
    let read = Call::new(Operation::new(super::CLOUD, Verb::ReadNamespace, namespace), Method::GET, path);
    match client.json::<Namespace>(&read).await {
        Ok(found) if found.status.phase == "Terminating" => return Err(still_ending(namespace)),
        Ok(_) => return Ok(()),
        Err(Refusal::Cloud(CloudError::Gone(_))) => {}
        Err(other) => return Err(other.into()),
    }
    let create = Call::new(Operation::new(super::CLOUD, Verb::CreateNamespace, namespace), Method::POST, all)
        .json(&namespace_object(generation, namespace));
    match client.accept(&create).await {
        Ok(()) => Ok(()),
        // Somebody else made it in between, or it was deleted less than 30 s ago: the next attempt looks again.
        Err(Refusal::AlreadyExists(text)) => {
            Err(CloudError::Retryable(format!("{text}; a deleted namespace keeps its name for about 30 s")))
        }
        Err(other) => Err(other.into()),
    }
}

fn still_ending(namespace: &str) -> CloudError {
    CloudError::Retryable(format!(
        "CCI namespace {namespace} is being deleted; it is made again when that is finished"
    ))
}

async fn ensure_network(client: &Client, settings: &CciSettings, namespace: &str) -> Result<(), CloudError> {
    let group = match settings.generation {
        Generation::One => "networking.cci.io/v1beta1",
        Generation::Two => "yangtse/v2",
    };
    let path = format!("/apis/{group}/namespaces/{namespace}/networks");
    let list =
        Call::new(Operation::new(super::CLOUD, Verb::ListNetworks, namespace), Method::GET, path.clone());
    if !client.json::<Page<Named>>(&list).await?.items.is_empty() {
        return Ok(());
    }
    let create = Call::new(Operation::new(super::CLOUD, Verb::CreateNetwork, namespace), Method::POST, path)
        .json(&match settings.generation {
            Generation::One => network_object(settings, namespace),
            Generation::Two => second_network(settings, namespace),
        });
    match client.accept(&create).await {
        Ok(()) | Err(Refusal::AlreadyExists(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn namespace_object(generation: Generation, namespace: &str) -> Value {
    let metadata = match generation {
        Generation::One => json!({"name": namespace, "annotations": {FLAVOR.0: FLAVOR.1}}),
        Generation::Two => json!({"name": namespace}),
    };
    json!({"apiVersion": generation.api_version(), "kind": "Namespace", "metadata": metadata})
}

fn network_object(settings: &CciSettings, namespace: &str) -> Value {
    let network = &settings.network;
    let mut object = json!({
        "apiVersion": "networking.cci.io/v1beta1",
        "kind": "Network",
        "metadata": {
            "name": NETWORK,
            "namespace": namespace,
            "annotations": {
                "network.alpha.kubernetes.io/default-security-group": network.security_group_id,
                "network.alpha.kubernetes.io/project-id": settings.project_id,
                "network.alpha.kubernetes.io/domain-id": settings.domain_id,
            },
        },
        "spec": {
            "attachedVPC": network.vpc_id,
            "cidr": network.cidr,
            "networkID": network.network_id,
            "networkType": "underlay_neutron",
            "subnetID": network.subnet_id,
        },
    });
    if !settings.availability_zone.is_empty() {
        object["spec"]["availableZone"] = settings.availability_zone.as_str().into();
    }
    object
}

/// The Network of CCI 2.0: subnets, and the security groups that are named. None named is the default one.
fn second_network(settings: &CciSettings, namespace: &str) -> Value {
    let network = &settings.network;
    let subnets: Vec<Value> = std::iter::once(&network.subnet_id)
        .chain(&network.more_subnets)
        .map(|subnet| json!({"subnetID": subnet}))
        .collect();
    json!({
        "apiVersion": "yangtse/v2",
        "kind": "Network",
        "metadata": {
            "name": NETWORK,
            "namespace": namespace,
            "annotations": {
                "yangtse.io/project-id": settings.project_id,
                "yangtse.io/domain-id": settings.domain_id,
            },
        },
        "spec": {
            "networkType": "underlay_neutron",
            "securityGroups": [network.security_group_id],
            "subnets": subnets,
            "ipFamilies": ["IPv4"],
        },
    })
}
