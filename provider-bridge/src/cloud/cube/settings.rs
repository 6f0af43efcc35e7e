//! What the operator decides about one Cube account and network, checked before anything is sent.

use std::time::Duration;

use policies::shape::{Size, cube};

use crate::cloud::CloudError;
use crate::cloud::access_keys::Credentials;

/// The one host of every region.
const ENDPOINT: &str = "https://api.ucloud.cn";

/// Everything a [`super::CubeProvider`] needs to know. Secrets live in [`Credentials`] only.
#[derive(Clone, Debug)]
pub struct CubeSettings {
    /// Identity of the cluster, in the YAML of every pod.
    pub cluster_id: String,
    /// The virtual nodes whose pods this provider serves.
    pub node_names: Vec<String>,
    /// Region (`cn-bj2`).
    pub region: String,
    /// Zone (`cn-bj2-05`).
    pub zone: String,
    /// Project (`org-xyz`).
    pub project_id: String,
    /// VPC (`uvnet-1`).
    pub vpc_id: String,
    /// Subnet (`subnet-1`).
    pub subnet_id: String,
    /// Scheme, host and port of the API; empty means the vendor's own.
    pub endpoint: String,
    /// Keys.
    pub credentials: Credentials,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Size of pods that ask for nothing.
    pub default_size: Size,
    /// Pods may reach this cluster's ClusterIP Services: its DNS and service variables are sent with them.
    pub cluster_ip: bool,
    /// Address of this cluster's DNS, reachable from the subnet; empty leaves DNS to the VPC.
    pub cluster_dns: String,
    /// Domain of this cluster.
    pub cluster_domain: String,
    /// Time between two lists.
    pub poll: Duration,
    /// Names of the metrics for CPU and memory in use, in percent of the container's limit; none if nobody said them.
    pub metrics: Option<(String, String)>,
    /// How long a create whose answer was lost may still take effect: the gateway's own timeout.
    pub lost_answer: Duration,
}

impl CubeSettings {
    /// The endpoint with its scheme.
    pub(super) fn url(&self) -> &str {
        let own = self.endpoint.trim_end_matches('/');
        if own.is_empty() { ENDPOINT } else { own }
    }
}

/// Refuses settings that can never work, in words.
pub(super) fn check(settings: &CubeSettings) -> Result<(), CloudError> {
    let refuse = |text: String| Err(CloudError::Invalid(text));
    let missing = [
        ("clusterId", settings.cluster_id.is_empty()),
        ("region", settings.region.is_empty()),
        ("availableZone", settings.zone.is_empty()),
        ("projectId", settings.project_id.is_empty()),
        ("vpcId", settings.vpc_id.is_empty()),
        ("subnetId", settings.subnet_id.is_empty()),
    ];
    if let Some((name, _)) = missing.iter().find(|(_, missing)| *missing) {
        return refuse(format!("the Cube settings lack {name}"));
    }
    if !cube::sizes().any(|size| size == settings.default_size) {
        return refuse("defaultSize is not a size of Cube".to_owned());
    }
    Ok(())
}
