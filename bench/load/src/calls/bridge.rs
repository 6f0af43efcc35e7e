//! The real burst-bridge with one virtual node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use lab::{Process, built_binary};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Provider, cloud::Cloud};
use crate::served::kubeconfig;

/// Its virtual node.
pub(super) const NODE: &str = "burst-calls-0";

/// What it is between.
pub(super) struct Bridge<'a> {
    pub(super) provider: Provider,
    pub(super) dir: &'a Path,
    pub(super) home: SocketAddr,
    pub(super) cloud: &'a Cloud,
}

impl Bridge<'_> {
    /// Starts it; `raised`: with the limits on calls that an operator's vendor agreed to.
    pub(super) fn start(&self, raised: bool) -> Result<Process> {
        let kubeconfig = write(self.dir, "home.kubeconfig", &kubeconfig(self.home))?;
        let mut node = json!({
            "name": NODE,
            "provider": self.provider.registered(),
            "port": self.port(0),
            "capacity": {"cpu": "40000", "memory": "160Ti", "pods": "10000", "ephemeral-storage": "1000Ti"},
        });
        node[self.provider.registered()] = self.settings(raised)?;
        let config = json!({
            "kubeconfig": kubeconfig,
            "address": "127.0.0.1",
            "http": {"bind": format!("127.0.0.1:{}", self.port(1))},
            "kubelet": {"selfSigned": true},
            "nodes": [node],
        });
        let config = write(self.dir, "burst-bridge.yaml", &config)?;
        let mut command = Command::new(built_binary("burst-bridge")?);
        command.arg("--config").arg(config);
        Process::start("burst-bridge", command, self.dir)
    }

    /// Ports of its own for every provider.
    const fn port(&self, index: u16) -> u16 {
        10_300 + 10 * (self.provider as u16) + index
    }

    fn settings(&self, raised: bool) -> Result<Value> {
        let (access, secret) = (self.dir.join("access-key"), self.dir.join("secret-key"));
        std::fs::write(&access, super::cloud::ACCESS_KEY)?;
        std::fs::write(&secret, super::cloud::SECRET_KEY)?;
        let (endpoint, ca) = (self.cloud.endpoint(), self.dir.join("pki/ca.crt"));
        Ok(match self.provider {
            Provider::Cci => json!({
                "endpoint": endpoint, "region": "cn-north-4", "projectId": "project", "domainId": "domain",
                "accessKeyFile": access, "secretKeyFile": secret, "caFile": ca, "availableZone": "cn-north-4a",
                "network": {"vpcId": "vpc", "networkId": "network", "subnetId": "subnet", "cidr": "10.16.0.0/14",
                    "securityGroupId": "group"},
            }),
            Provider::Cci2 => json!({
                "api": "2.0", "endpoint": endpoint, "region": "cn-north-4", "projectId": "project", "domainId": "domain",
                "accessKeyFile": access, "secretKeyFile": secret, "caFile": ca, "availableZone": "cn-north-4a",
                "network": {"subnetId": "subnet", "securityGroupId": "group"},
            }),
            Provider::Eci => json!({
                "endpoint": endpoint, "region": "cn-hangzhou", "vSwitches": "vsw-a", "securityGroup": "sg-a",
                "accessKeyFile": access, "secretKeyFile": secret, "caFile": ca,
                "callsPerMinute": if raised { agreed() } else { json!({}) },
            }),
            Provider::Cube => json!({
                "endpoint": endpoint, "region": "cn-bj2", "availableZone": "cn-bj2-05", "projectId": "project",
                "vpcId": "uvnet-a", "subnetId": "subnet-a", "publicKeyFile": access, "privateKeyFile": secret,
                "caFile": ca,
            }),
            Provider::Kubernetes => json!({
                "kubeconfigFile": write(self.dir, "cloud.kubeconfig", &kubeconfig(self.cloud.address()))?,
            }),
        })
    }
}

/// Calls per minute that carry 100 creates per second: each looks for the pod's instance first.
fn agreed() -> Value {
    json!({"CreateContainerGroup": 60_000, "DescribeContainerGroups": 60_000})
}

fn write(dir: &Path, name: &str, content: &Value) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, content.to_string())?;
    Ok(path)
}
