//! Virtual nodes of CCI 2.0, over a simulator of their own beside that of CCI 1.0.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{PROJECT, Stack, credentials, start_bridge};
use crate::{CloudApi, Lab};

/// The zone that is played.
const ZONE: &str = "cn-north-4a";

/// Name of a virtual node: the vendor's own has no number.
pub fn name(index: usize) -> String {
    format!("bursting-node-{index}")
}

impl Stack {
    /// Starts the bridge anew with so many virtual nodes of CCI 2.0, with a simulated one ([`Stack::beside`]) as long as
    /// there are any, and waits until every virtual node is Ready. What a decommissioned one leaves in the API server is
    /// deleted.
    ///
    /// # Errors
    /// When a process does not end or does not come up.
    pub async fn set_cci2_nodes(&mut self, lab: &Lab, count: usize) -> Result<()> {
        let before = std::mem::replace(&mut self.options.cci2_nodes, count);
        self.redeclare(lab, (count..before).map(name).collect()).await
    }

    /// Starts the bridge with another project at CCI 2.0, waits until it ends by itself, and starts it again as it was.
    /// Returns its last words.
    ///
    /// # Errors
    /// When it does not end within half a minute.
    pub async fn bridge_of_another_project(&mut self, lab: &Lab, project: &str) -> Result<String> {
        self.bridge.stop(Duration::from_secs(20)).await?;
        let before = self.options.cci2_project.replace(project.to_owned());
        self.bridge = start_bridge(lab, &self.options).await?;
        self.options.cci2_project = before;
        let mut tries = 0..300;
        while self.bridge.check_running().is_ok() && tries.next().is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (running, said) = (self.bridge.check_running().is_ok(), self.bridge.log_tail(80));
        if running {
            self.bridge.stop(Duration::from_secs(20)).await?;
        }
        self.restart_bridge(lab).await?;
        self.wait_ready(lab).await?;
        anyhow::ensure!(!running, "the bridge runs with project {project}:\n{said}");
        Ok(said)
    }
}

/// Arguments of the simulator: what is where.
pub(super) fn places() -> Vec<String> {
    Vec::new()
}

/// The bridge's settings of one virtual node.
pub(super) fn virtual_node(lab: &Lab, project: Option<&str>, index: usize) -> Value {
    let secrets = credentials(lab);
    json!({
        "name": name(index),
        "provider": "cci",
        "port": 10850 + index,
        "capacity": {"cpu": "4000", "memory": "16Ti", "pods": "5000", "ephemeral-storage": "100Ti"},
        "cci": {
            "api": "2.0",
            "endpoint": format!("https://{}", CloudApi::Cci2.address()),
            "region": "cn-north-4",
            "projectId": project.unwrap_or(PROJECT),
            "domainId": "lab-domain",
            "accessKeyFile": secrets.join("access-key"),
            "secretKeyFile": secrets.join("secret-key"),
            "caFile": lab.authority().ca_cert(),
            "availableZone": ZONE,
            "network": {"subnetId": "lab-subnet", "securityGroupId": "lab-security-group"},
        },
    })
}
