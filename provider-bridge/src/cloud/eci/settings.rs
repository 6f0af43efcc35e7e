//! What the operator decides about one ECI account and network, checked before anything is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cloud::CloudError;
use crate::cloud::access_keys::Credentials;

/// Most vSwitches of one virtual node.
const VSWITCHES_MAX: usize = 10;

/// How requests are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// `ACS3-HMAC-SHA256`, the current one.
    #[default]
    Acs3,
    /// The RPC interface's own `HMAC-SHA1`, where a gateway knows nothing newer.
    Rpc,
}

/// Everything an [`super::EciProvider`] needs to know. Secrets live in [`Credentials`] only.
#[derive(Clone, Debug)]
pub struct EciSettings {
    /// Identity of the cluster: a tag on every container group.
    pub cluster_id: String,
    /// The virtual nodes whose container groups this provider serves.
    pub node_names: Vec<String>,
    /// Region (`cn-hangzhou`).
    pub region: String,
    /// Scheme, host and port of the API; empty means the region's own endpoint.
    pub endpoint: String,
    /// The vSwitches to try, in their order; each is in one zone.
    pub vswitches: Vec<String>,
    /// Security group of the instances.
    pub security_group: String,
    /// Resource group; empty means the account's default.
    pub resource_group: String,
    /// Zone, where it must be named beside the vSwitch; empty leaves it to the vSwitch.
    pub zone: String,
    /// Keys.
    pub credentials: Credentials,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// How requests are signed.
    pub signature: Signature,
    /// Pods may reach this cluster's ClusterIP Services (`ECI_KUBE_PROXY`): its DNS is sent with them.
    pub kube_proxy: bool,
    /// Address of this cluster's DNS, reachable from the vSwitches; empty leaves DNS to the VPC.
    pub cluster_dns: String,
    /// Domain of this cluster.
    pub cluster_domain: String,
    /// Calls per minute that the vendor agreed to, by action, where they are not the published ones.
    pub calls_per_minute: BTreeMap<String, u32>,
    /// Time between two looks for changes while nothing is under way.
    pub poll: Duration,
}

impl EciSettings {
    /// The endpoint with its scheme.
    pub(super) fn url(&self) -> String {
        if self.endpoint.is_empty() {
            format!("https://eci.{}.aliyuncs.com", self.region)
        } else {
            self.endpoint.trim_end_matches('/').to_owned()
        }
    }
}

/// Refuses settings that can never work, in words.
pub(super) fn check(settings: &EciSettings) -> Result<(), CloudError> {
    let refuse = |text: String| Err(CloudError::Invalid(text));
    let missing = [
        ("clusterId", settings.cluster_id.is_empty()),
        ("region", settings.region.is_empty()),
        ("vSwitches", settings.vswitches.is_empty()),
        ("securityGroup", settings.security_group.is_empty()),
    ];
    if let Some((name, _)) = missing.iter().find(|(_, missing)| *missing) {
        return refuse(format!("the ECI settings lack {name}"));
    }
    if settings.vswitches.len() > VSWITCHES_MAX {
        return refuse(format!(
            "vSwitches has {} entries; ECI takes at most {VSWITCHES_MAX}",
            settings.vswitches.len()
        ));
    }
    if !settings.cluster_dns.is_empty() && settings.cluster_dns.parse::<std::net::IpAddr>().is_err() {
        return refuse(format!("clusterDns {:?} is not an address", settings.cluster_dns));
    }
    Ok(())
}
