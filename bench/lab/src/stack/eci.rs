//! Virtual nodes of provider `eci`, over a simulator of their own beside that of CCI.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Stack, StackOptions, allow_nodes, credentials, curl};
use crate::{ADDRESS, BRIDGE, BRIDGE_SUBNET, Lab, Process, binaries::built_binary};

/// The address of the simulated ECI.
const CLOUD: &str = "198.18.0.1:7444";
/// Region and zones that are played.
const REGION: &str = "cn-hangzhou";
/// vSwitches of every node and their zones: two, so that there is somewhere else to go.
const SWITCHES: [(&str, &str); 2] = [("vsw-lab-a", "cn-hangzhou-h"), ("vsw-lab-b", "cn-hangzhou-i")];

/// Name of a virtual node, as the vendor's chart names them.
pub fn name(index: usize) -> String {
    format!("virtual-node-eci-{index}")
}

impl Stack {
    /// Starts the bridge anew with so many virtual nodes of the provider `eci`, with a simulated ECI as long as there are
    /// any, and waits until every virtual node is Ready. What a decommissioned one leaves in the API server is deleted.
    ///
    /// # Errors
    /// When a process does not end or does not come up.
    pub async fn set_eci_nodes(&mut self, lab: &Lab, count: usize) -> Result<()> {
        let before = std::mem::replace(&mut self.options.eci_nodes, count);
        self.bridge.stop(Duration::from_secs(20)).await?;
        for i in count..before {
            for kind in ["node", "virtualnodereport"] {
                lab.kubectl(&["delete", kind, &name(i), "--ignore-not-found"]).await?;
            }
        }
        if count == 0 {
            if let Some(mut cloud) = self.eci.take() {
                cloud.stop(Duration::from_secs(20)).await?;
            }
        } else if self.eci.is_none() {
            self.eci = Some(start(lab, &self.options)?);
        }
        allow_nodes(lab, (0..count).map(name)).await?;
        self.restart_bridge(lab).await?;
        self.wait_ready(lab).await
    }

    /// The control API of the simulated ECI: GET of a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn eci_get(&self, lab: &Lab, path: &str) -> Result<Value> {
        curl(lab, &[&format!("https://{CLOUD}/_sim/{path}")]).await
    }

    /// The control API of the simulated ECI: POST of JSON to a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn eci_post(&self, lab: &Lab, path: &str, body: &Value) -> Result<Value> {
        curl(lab, &["-X", "POST", "-d", &body.to_string(), &format!("https://{CLOUD}/_sim/{path}")]).await
    }
}

fn start(lab: &Lab, options: &StackOptions) -> Result<Process> {
    let serving = lab.authority().issue("eci.simulated.cloud", &[], &[ADDRESS, "127.0.0.1"])?;
    let state = lab.dir().join("cloud-eci");
    std::fs::create_dir_all(&state).with_context(|| state.display().to_string())?;
    let zones: Vec<&str> = SWITCHES.iter().map(|(_, zone)| *zone).collect();
    let switches: Vec<String> = SWITCHES.iter().map(|(id, zone)| format!("{id}={zone}")).collect();
    let mut command = Command::new(built_binary("cloud-sim")?);
    command
        .args(["--api", "eci", "--listen", CLOUD, "--region", REGION, "--project-id", "lab-project"])
        .args(["--access-key", "LABACCESSKEY", "--secret-key", "lab-secret-key"])
        .args(["--zones", &zones.join(","), "--subnet-zone", &switches.join(",")])
        .args(["--runtime", options.runtime.flag(), "--bridge", BRIDGE, "--subnet", BRIDGE_SUBNET])
        .arg("--tls-cert")
        .arg(&serving.cert)
        .arg("--tls-key")
        .arg(&serving.key)
        .arg("--state-dir")
        .arg(&state)
        .arg("--meter")
        .arg(lab.logs().join("billing-meter-eci.jsonl"))
        .arg("--busybox")
        .arg(lab.tools().busybox());
    lab.spawn("cloud-sim-eci", command)
}

/// The bridge's settings of one virtual node.
pub(super) fn virtual_node(lab: &Lab, index: usize) -> Value {
    let secrets = credentials(lab);
    let switches: Vec<&str> = SWITCHES.iter().map(|(id, _)| *id).collect();
    json!({
        "name": name(index),
        "provider": "eci",
        "port": 10550 + index,
        "capacity": {"cpu": "4000", "memory": "16Ti", "pods": "3000", "ephemeral-storage": "100Ti"},
        "eci": {
            "endpoint": format!("https://{CLOUD}"),
            "region": REGION,
            // As the vendor's chart writes them: blanks after commas.
            "vSwitches": switches.join(", "),
            "securityGroup": "sg-lab",
            "accessKeyFile": secrets.join("access-key"),
            "secretKeyFile": secrets.join("secret-key"),
            "caFile": lab.authority().ca_cert(),
            "poll": "1s",
        },
    })
}
