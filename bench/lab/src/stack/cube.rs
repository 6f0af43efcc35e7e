//! Virtual nodes of provider `cube`, over a simulator of their own beside that of CCI.

use anyhow::Result;
use serde_json::{Value, json};

use super::{PROJECT, Stack, credentials};
use crate::{CloudApi, Lab};

/// Region, zone and subnet that are played.
const REGION: &str = "cn-bj2";
const ZONE: &str = "cn-bj2-05";
const SUBNET: &str = "subnet-lab";

/// Name of a virtual node, as the vendor names them: the cluster and five characters.
pub fn name(index: usize) -> String {
    format!("uk8s-lab1lab1-vk-node{index}")
}

/// The virtual nodes of provider `cube`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CubeNodes {
    /// How many.
    pub count: usize,
    /// They are disabled, in the vendor's words: no new instances.
    pub disabled: bool,
}

impl Stack {
    /// Starts the bridge anew with these virtual nodes of the provider `cube`, with a simulated Cube ([`Stack::beside`])
    /// as long as there are any, and waits until every virtual node is Ready. What a decommissioned one leaves in the API
    /// server is deleted.
    ///
    /// # Errors
    /// When a process does not end or does not come up.
    pub async fn set_cube_nodes(&mut self, lab: &Lab, nodes: CubeNodes) -> Result<()> {
        let before = std::mem::replace(&mut self.options.cube_nodes, nodes);
        self.redeclare(lab, (nodes.count..before.count).map(name).collect()).await
    }

    /// The control API of the simulated Cube: GET of a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn cube_get(&self, lab: &Lab, path: &str) -> Result<Value> {
        self.beside(CloudApi::Cube)?.get(lab, path).await
    }

    /// The control API of the simulated Cube: POST of JSON to a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn cube_post(&self, lab: &Lab, path: &str, body: &Value) -> Result<Value> {
        self.beside(CloudApi::Cube)?.post(lab, path, body).await
    }
}

/// Arguments of the simulator: what is where.
pub(super) fn places() -> Vec<String> {
    ["--region", REGION, "--zones", ZONE, "--subnet-zone", &format!("{SUBNET}={ZONE}")]
        .map(str::to_owned)
        .to_vec()
}

/// The bridge's settings of one virtual node.
pub(super) fn virtual_node(lab: &Lab, nodes: CubeNodes, index: usize) -> Value {
    let secrets = credentials(lab);
    json!({
        "name": name(index),
        "provider": "cube",
        "port": 10750 + index,
        "cordon": nodes.disabled,
        // So many pods are the vendor's default.
        "capacity": {"cpu": "400", "memory": "1Ti", "pods": "200"},
        "cube": {
            "endpoint": format!("https://{}", CloudApi::Cube.address()),
            "region": REGION,
            "availableZone": ZONE,
            "projectId": PROJECT,
            "vpcId": "uvnet-lab",
            "subnetId": SUBNET,
            "publicKeyFile": secrets.join("access-key"),
            "privateKeyFile": secrets.join("secret-key"),
            "caFile": lab.authority().ca_cert(),
            "poll": "1s",
            // The simulator takes any name; what has `mem` in it is memory.
            "metrics": {"cpu": "CpuUsage", "memory": "MemUsage"},
        },
    })
}
