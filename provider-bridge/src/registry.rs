//! The known providers: one line each in [`open`] and [`NAMES`]; nothing else names them.

use std::sync::Arc;

use crate::cloud::cci::{CciProvider, CciSettings, Credentials, NetworkSettings};
use crate::cloud::mock::{MockProvider, MockSettings};
use crate::cloud::{CloudError, Provider};
use crate::config::{CciConfig, MockConfig, NodeConfig};

/// Names that `nodes[].provider` may have.
pub const NAMES: [&str; 2] = ["cci", "mock"];

/// Opens the provider of a node. `cluster_id` scopes what it owns unless the node's settings name another.
///
/// # Errors
/// What the provider says about its settings; nothing is sent.
pub fn open(node: &NodeConfig, cluster_id: &str) -> Result<Arc<dyn Provider>, CloudError> {
    match (node.provider.as_str(), &node.cci) {
        ("cci", Some(cci)) => Ok(Arc::new(CciProvider::new(cci_settings(node, cci, cluster_id)?)?)),
        ("mock", _) => Ok(Arc::new(MockProvider::new(mock_settings(node.mock.as_ref())?))),
        (other, _) => Err(CloudError::Invalid(format!(
            "{other:?} is not a provider, or its settings are missing; known: {}",
            NAMES.join(", ")
        ))),
    }
}

fn mock_settings(mock: Option<&MockConfig>) -> Result<MockSettings, CloudError> {
    let delays = mock.map_or_else(|| Ok(<[_; 2]>::default()), MockConfig::delays);
    let [start_delay, stop_delay] =
        delays.map_err(|(key, reason)| CloudError::Invalid(format!("mock.{key}: {reason}")))?;
    Ok(MockSettings { start_delay, stop_delay })
}

fn cci_settings(node: &NodeConfig, cci: &CciConfig, cluster_id: &str) -> Result<CciSettings, CloudError> {
    let ca_pem = match &cci.ca_file {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            CloudError::Invalid(format!("cci.caFile {}: {error}; give a readable PEM file", path.display()))
        })?),
    };
    Ok(CciSettings {
        cluster_id: cci.cluster_id.clone().unwrap_or_else(|| cluster_id.to_owned()),
        node_names: vec![node.name.clone()],
        endpoint: cci.endpoint.clone(),
        region: cci.region.clone(),
        project_id: cci.project_id.clone(),
        domain_id: cci.domain_id.clone().unwrap_or_default(),
        credentials: Credentials::Files {
            access_key: cci.access_key_file.clone(),
            secret_key: cci.secret_key_file.clone(),
        },
        ca_pem,
        availability_zone: cci.available_zone.clone().unwrap_or_default(),
        network: NetworkSettings {
            vpc_id: cci.network.vpc_id.clone(),
            network_id: cci.network.network_id.clone(),
            subnet_id: cci.network.subnet_id.clone(),
            cidr: cci.network.cidr.clone(),
            security_group_id: cci.network.security_group_id.clone().unwrap_or_default(),
        },
    })
}
