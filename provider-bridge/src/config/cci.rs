//! CCI, as the operator declares it: which generation, whose account, which network.

use std::path::PathBuf;

use serde::Deserialize;

use crate::cloud::cci::Generation;

/// Huawei CCI account, place and network.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CciConfig {
    /// Which CCI: `1.0` (if absent) or `2.0`.
    pub api: Option<String>,
    /// Base URL (`https://cci.cn-north-4.myhuaweicloud.com`).
    pub endpoint: String,
    /// Region, also the node's region label.
    pub region: String,
    /// Project id.
    pub project_id: String,
    /// Account (domain) id; 2.0 needs it.
    pub domain_id: Option<String>,
    /// File with the access key id.
    pub access_key_file: PathBuf,
    /// File with the secret access key.
    pub secret_key_file: PathBuf,
    /// CA bundle of the endpoint, PEM; the system's roots if absent.
    pub ca_file: Option<PathBuf>,
    /// Cluster id in the tags; the UID of the kube-system namespace if absent.
    pub cluster_id: Option<String>,
    /// Zone to create in.
    pub available_zone: Option<String>,
    /// Network of the namespace.
    pub network: CciNetworkConfig,
}

/// Network of a CCI namespace.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CciNetworkConfig {
    /// VPC id; 1.0 needs it, 2.0 has it of the subnet.
    #[serde(default)]
    pub vpc_id: String,
    /// Network id; likewise.
    #[serde(default)]
    pub network_id: String,
    /// Subnet id.
    pub subnet_id: String,
    /// More subnets that instances may be in; 2.0 only.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Subnet CIDR; 1.0 needs it.
    #[serde(default)]
    pub cidr: String,
    /// Security group id.
    pub security_group_id: Option<String>,
}

impl CciConfig {
    /// [`Self::api`].
    ///
    /// # Errors
    /// Key and reason.
    pub fn generation(&self) -> Result<Generation, (&'static str, String)> {
        // A number in YAML loses its `.0`.
        match self.api.as_deref() {
            None | Some("1.0" | "1") => Ok(Generation::One),
            Some("2.0" | "2") => Ok(Generation::Two),
            Some(other) => Err(("api", format!("{other:?} is no CCI; write 1.0 or 2.0"))),
        }
    }

    /// Key and reason of the first problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let generation = self.generation()?;
        let needs = match generation {
            Generation::One => [
                ("network.vpcId", self.network.vpc_id.as_str(), "vpc-1"),
                ("network.networkId", &self.network.network_id, "net-1"),
                ("network.cidr", &self.network.cidr, "192.168.0.0/18"),
            ],
            Generation::Two => [
                ("domainId", self.domain_id.as_deref().unwrap_or_default(), "0a1b2c3d"),
                ("projectId", &self.project_id, "4e5f6a7b"),
                ("network.subnetId", &self.network.subnet_id, "subnet-1"),
            ],
        };
        let api = if generation == Generation::One { "1.0" } else { "2.0" };
        if let Some((key, _, example)) = needs.into_iter().find(|(_, value, _)| value.is_empty()) {
            return Err((key, format!("is missing; CCI {api} needs it, for example {example}")));
        }
        if generation == Generation::One && !self.network.subnets.is_empty() {
            let reason = "has no meaning at CCI 1.0, whose Network has one subnet; set subnetId alone, or api: \"2.0\"";
            return Err(("network.subnets", reason.to_owned()));
        }
        Ok(())
    }
}
