//! The known providers: one line each in [`open`] and [`NAMES`]; nothing else names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::cloud::access_keys::Credentials as AccessKeys;
use crate::cloud::cci::{CciProvider, CciSettings, Credentials, InteropSettings, NetworkSettings};
use crate::cloud::cube::{CubeProvider, CubeSettings};
use crate::cloud::eci::{EciProvider, EciSettings, Signature};
use crate::cloud::kubernetes::KubernetesProvider;
use crate::cloud::mock::{MockProvider, MockSettings};
use crate::cloud::{CloudError, Provider};
use crate::config::{CciConfig, CubeConfig, EciConfig, MockConfig, NodeConfig, SignatureConfig};

/// Names that `nodes[].provider` may have.
pub const NAMES: [&str; 5] = ["cci", "eci", "cube", "kubernetes", "mock"];

/// How long UCloud's gateway may still carry out a call whose answer was lost.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens the provider of a node. `cluster_id` scopes what it owns unless the node's settings name another.
///
/// # Errors
/// What the provider says about its settings; nothing is sent.
pub fn open(node: &NodeConfig, cluster_id: &str) -> Result<Arc<dyn Provider>, CloudError> {
    match (node.provider.as_str(), &node.cci) {
        ("cci", Some(cci)) => Ok(Arc::new(CciProvider::new(cci_settings(node, cci, cluster_id)?)?)),
        ("eci", _) => Ok(Arc::new(EciProvider::new(eci_settings(node, cluster_id)?)?)),
        ("kubernetes", _) => match &node.kubernetes {
            Some(other) => Ok(Arc::new(KubernetesProvider::new(other.settings(&node.name, cluster_id))?)),
            None => Err(CloudError::Invalid("the settings of provider kubernetes are missing".to_owned())),
        },
        ("cube", _) => Ok(Arc::new(CubeProvider::new(cube_settings(node, cluster_id)?)?)),
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
    let ca_pem = pem("cci.caFile", cci.ca_file.as_deref())?;
    let refused = |(key, reason): (&str, String)| CloudError::Invalid(format!("cci.{key}: {reason}"));
    Ok(CciSettings {
        generation: cci.generation().map_err(refused)?,
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
            more_subnets: cci.network.subnets.clone(),
            cidr: cci.network.cidr.clone(),
            security_group_id: cci.network.security_group_id.clone().unwrap_or_default(),
        },
        interop: cci.network_interop.as_ref().map(|interop| InteropSettings {
            image: interop.image.clone(),
            kubeconfig_file: interop.kubeconfig_file.clone(),
        }),
    })
}

fn eci_settings(node: &NodeConfig, cluster_id: &str) -> Result<EciSettings, CloudError> {
    let nothing = EciConfig::default();
    let config = node.eci.as_ref().unwrap_or(&nothing);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let poll = config.poll().map_err(|(key, reason)| CloudError::Invalid(format!("eci.{key}: {reason}")))?;
    Ok(EciSettings {
        cluster_id: config.cluster_id.clone().unwrap_or_else(|| cluster_id.to_owned()),
        node_names: vec![node.name.clone()],
        region: text(&config.region),
        endpoint: text(&config.endpoint),
        vswitches: config.v_switches.items(),
        security_group: text(&config.security_group),
        resource_group: text(&config.resource_group),
        zone: text(&config.available_zone),
        credentials: eci_keys(config)?,
        ca_pem: pem("eci.caFile", config.ca_file.as_deref())?,
        signature: match config.signature {
            SignatureConfig::Acs3 => Signature::Acs3,
            SignatureConfig::Rpc => Signature::Rpc,
        },
        kube_proxy: config.kube_proxy.unwrap_or(true),
        cluster_dns: text(&config.cluster_dns),
        cluster_domain: config.cluster_domain.clone().unwrap_or_else(|| "cluster.local".to_owned()),
        calls_per_minute: config.calls_per_minute.clone(),
        poll,
    })
}

fn eci_keys(config: &EciConfig) -> Result<AccessKeys, CloudError> {
    if let Some(path) = &config.sts_file {
        return Ok(AccessKeys::Sts(path.clone()));
    }
    let files = [&config.access_key_file, &config.secret_key_file, &config.security_token_file];
    let missing = "no access key: set eci.accessKeyFile and eci.secretKeyFile, or eci.stsFile";
    keys(files, config.keys.clone(), missing)
}

fn cube_settings(node: &NodeConfig, cluster_id: &str) -> Result<CubeSettings, CloudError> {
    let nothing = CubeConfig::default();
    let config = node.cube.as_ref().unwrap_or(&nothing);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let refused = |(key, reason): (&str, String)| CloudError::Invalid(format!("cube.{key}: {reason}"));
    Ok(CubeSettings {
        cluster_id: config.cluster_id.clone().unwrap_or_else(|| cluster_id.to_owned()),
        node_names: vec![node.name.clone()],
        region: text(&config.region),
        zone: text(&config.available_zone),
        project_id: text(&config.project_id),
        vpc_id: text(&config.vpc_id),
        subnet_id: text(&config.subnet_id),
        endpoint: text(&config.endpoint),
        credentials: cube_keys(config)?,
        ca_pem: pem("cube.caFile", config.ca_file.as_deref())?,
        default_size: config.default_size().map_err(refused)?,
        cluster_ip: config.cluster_ip.unwrap_or(true),
        cluster_dns: text(&config.cluster_dns),
        cluster_domain: config.cluster_domain.clone().unwrap_or_else(|| "cluster.local".to_owned()),
        poll: config.poll().map_err(refused)?,
        metrics: config.metrics.as_ref().map(|names| (names.cpu.clone(), names.memory.clone())),
        lost_answer: GATEWAY_TIMEOUT,
    })
}

fn cube_keys(config: &CubeConfig) -> Result<AccessKeys, CloudError> {
    let files = [&config.public_key_file, &config.private_key_file, &config.security_token_file];
    keys(files, config.keys.clone(), "no keys: set cube.publicKeyFile and cube.privateKeyFile")
}

/// Keys from the files of id, secret and token, else those of the environment; else what is `missing`.
fn keys(
    [access_key, secret_key, token]: [&Option<PathBuf>; 3],
    fixed: Option<(String, SecretString, Option<SecretString>)>,
    missing: &str,
) -> Result<AccessKeys, CloudError> {
    if let (Some(access_key), Some(secret_key)) = (access_key.clone(), secret_key.clone()) {
        return Ok(AccessKeys::Files { access_key, secret_key, token: token.clone() });
    }
    let (access_key, secret_key, token) = fixed.ok_or_else(|| CloudError::Auth(missing.to_owned()))?;
    Ok(AccessKeys::Fixed { access_key, secret_key, token })
}

/// A CA bundle.
fn pem(key: &str, path: Option<&Path>) -> Result<Option<Vec<u8>>, CloudError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            CloudError::Invalid(format!("{key} {}: {error}; give a readable PEM file", path.display()))
        })
    };
    path.map(read).transpose()
}
