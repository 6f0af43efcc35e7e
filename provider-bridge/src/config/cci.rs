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
    /// The vendor's network interop (网络互通): pods reach ClusterIP Services of the cluster. Off if absent.
    pub network_interop: Option<CciInteropConfig>,
}

/// The container that is run beside every pod for network interop.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CciInteropConfig {
    /// An image with kube-proxy and nft that instances can pull.
    #[serde(default)]
    pub image: String,
    /// The kubeconfig that kube-proxy gets, complete in itself; read again for every instance.
    #[serde(default)]
    pub kubeconfig_file: PathBuf,
}

impl CciInteropConfig {
    /// Key and reason of the first problem.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let image = "networkInterop.image";
        if self.image.is_empty() {
            let reason = "is missing; name an image with kube-proxy and nft in the cluster's version, for example \
                          swr.example.com/ops/kube-proxy:v1.36.3";
            return Err((image, reason.to_owned()));
        }
        if self.image.contains(char::is_whitespace) {
            return Err((image, format!("{:?} is no image; remove the blanks", self.image)));
        }
        if self.kubeconfig_file.as_os_str().is_empty() {
            let reason = "is missing; name the file of a kubeconfig whose user may do what role system:node-proxier may";
            return Err(("networkInterop.kubeconfigFile", reason.to_owned()));
        }
        Ok(())
    }
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
        self.network_interop.as_ref().map_or(Ok(()), CciInteropConfig::check)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(interop: &Value) -> Result<(), String> {
        let entry = json!({
            "endpoint": "https://cci", "region": "r", "projectId": "p", "accessKeyFile": "ak", "secretKeyFile": "sk",
            "network": {"vpcId": "v", "networkId": "n", "subnetId": "s", "cidr": "192.168.0.0/18"},
            "networkInterop": interop,
        });
        let config: CciConfig = serde_json::from_value(entry).map_err(|error| error.to_string())?;
        config.check().map_err(|(key, reason)| format!("{key} {reason}"))
    }

    #[test]
    fn network_interop_is_read_and_refused_in_words() {
        assert_eq!(check(&Value::Null), Ok(()));
        assert_eq!(check(&json!({"image": "kube-proxy:v1", "kubeconfigFile": "k"})), Ok(()));
        let cases: [(Value, &[&str]); 4] = [
            (json!({"kubeconfigFile": "k"}), &["networkInterop.image is missing", "kube-proxy"]),
            (json!({"image": "a b", "kubeconfigFile": "k"}), &["networkInterop.image", "a b", "blanks"]),
            (json!({"image": "p"}), &["networkInterop.kubeconfigFile is missing", "system:node-proxier"]),
            (json!({"image": "p", "kubeconfigFile": "k", "resources": {}}), &["resources", "unknown field"]),
        ];
        for (interop, words) in cases {
            let said = check(&interop).unwrap_err();
            assert!(words.iter().all(|word| said.contains(word)), "{interop}: {said}");
        }
    }
}
