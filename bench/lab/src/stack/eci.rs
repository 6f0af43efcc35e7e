//! Virtual nodes of provider `eci`, over a simulator of their own beside that of CCI.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Stack, credentials};
use crate::{CloudApi, Lab};

/// Region and zones that are played.
const REGION: &str = "cn-hangzhou";
/// vSwitches of every node and their zones: two, so that there is somewhere else to go.
const SWITCHES: [(&str, &str); 2] = [("vsw-lab-a", "cn-hangzhou-h"), ("vsw-lab-b", "cn-hangzhou-i")];

/// Name of a virtual node, as the vendor's chart names them.
pub fn name(index: usize) -> String {
    format!("virtual-node-eci-{index}")
}

impl Stack {
    /// Starts the bridge anew with so many virtual nodes of the provider `eci`, with a simulated ECI
    /// ([`Stack::beside`]) as long as there are any, and waits until every virtual node is Ready. What a decommissioned
    /// one leaves in the API server is deleted.
    ///
    /// # Errors
    /// When a process does not end or does not come up.
    pub async fn set_eci_nodes(&mut self, lab: &Lab, count: usize) -> Result<()> {
        let before = std::mem::replace(&mut self.options.eci_nodes, count);
        self.redeclare(lab, (count..before).map(name).collect()).await
    }

    /// The control API of the simulated ECI: GET of a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn eci_get(&self, lab: &Lab, path: &str) -> Result<Value> {
        self.beside(CloudApi::Eci)?.get(lab, path).await
    }

    /// The control API of the simulated ECI: POST of JSON to a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn eci_post(&self, lab: &Lab, path: &str, body: &Value) -> Result<Value> {
        self.beside(CloudApi::Eci)?.post(lab, path, body).await
    }
}

/// Arguments of the simulator: what is where.
pub(super) fn places() -> Vec<String> {
    let zones: Vec<&str> = SWITCHES.iter().map(|(_, zone)| *zone).collect();
    let switches: Vec<String> = SWITCHES.iter().map(|(id, zone)| format!("{id}={zone}")).collect();
    ["--region", REGION, "--zones", &zones.join(","), "--subnet-zone", &switches.join(",")]
        .map(str::to_owned)
        .to_vec()
}

/// The bridge's settings of so many virtual nodes, as one entry.
pub(super) fn virtual_nodes(lab: &Lab, count: usize) -> Value {
    let secrets = credentials(lab);
    let switches: Vec<&str> = SWITCHES.iter().map(|(id, _)| *id).collect();
    json!({
        "name": "virtual-node-eci",
        "count": count,
        "provider": "eci",
        "port": 10550,
        "capacity": {"cpu": "4000", "memory": "16Ti", "pods": "3000", "ephemeral-storage": "100Ti"},
        "eci": {
            "endpoint": format!("https://{}", CloudApi::Eci.address()),
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
