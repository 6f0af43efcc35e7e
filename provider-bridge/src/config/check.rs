//! What a well-formed configuration must still satisfy: names, units, ports, and settings that need each other.

use std::collections::HashMap;

use policies::quantity::Quantity;

use super::{BridgeConfig, CubeConfig, EciConfig, KubeletConfig, NodeConfig};

/// Key path and reason of the first problem.
type Problem = (String, String);

/// Node names are DNS subdomains; the CCI add-on's own limit keeps tags and leases valid everywhere.
const MAX_NODE_NAME: usize = 63;

pub(super) fn check(config: &BridgeConfig) -> Result<(), Problem> {
    if config.address.is_unspecified() {
        return refuse(
            "address",
            format!(
                "{} is not an address of a node; write the one that the API server reaches",
                config.address
            ),
        );
    }
    kubelet(&config.kubelet)?;
    positive("pods.cloudCalls", config.pods.cloud_calls as u64)?;
    positive("pods.apiCalls", config.pods.api_calls as u64)?;
    positive("pods.maxBackoffSeconds", config.pods.max_backoff_seconds)?;
    positive("pods.callTimeoutSeconds", config.pods.call_timeout_seconds)?;
    positive("gc.intervalSeconds", config.gc.interval_seconds)?;
    if config.gc.max_percent > 100 {
        return refuse(
            "gc.maxPercent",
            format!("{} is not a share of 100; write 0 to 100", config.gc.max_percent),
        );
    }
    nodes(config)
}

fn refuse<T>(key: &str, reason: String) -> Result<T, Problem> {
    Err((key.to_owned(), reason))
}

fn positive(key: &str, value: u64) -> Result<(), Problem> {
    if value == 0 { refuse(key, "0 would stop all work; write at least 1".to_owned()) } else { Ok(()) }
}

fn kubelet(config: &KubeletConfig) -> Result<(), Problem> {
    match (&config.cert_file, &config.key_file, config.self_signed) {
        (Some(_), Some(_), false) | (None, None, true) => Ok(()),
        (Some(_), Some(_), true) => {
            refuse("kubelet.selfSigned", "contradicts certFile and keyFile; remove one of the two".to_owned())
        }
        (None, None, false) => refuse(
            "kubelet",
            "has no serving certificate; set certFile and keyFile, or selfSigned: true".to_owned(),
        ),
        (Some(_), None, _) => refuse("kubelet.keyFile", "is missing beside certFile; set both".to_owned()),
        (None, Some(_), _) => refuse("kubelet.certFile", "is missing beside keyFile; set both".to_owned()),
    }
}

fn nodes(config: &BridgeConfig) -> Result<(), Problem> {
    if config.nodes.is_empty() {
        return refuse("nodes", "is empty; declare at least one virtual node".to_owned());
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut ports: HashMap<u16, &str> = HashMap::from([(config.http.bind.port(), "http.bind")]);
    for node in &config.nodes {
        let i = node.entry;
        let at = |key: &str| format!("nodes[{i}].{key}");
        if let Some(other) = names.insert(&node.name, i) {
            let reason =
                format!("{:?} is already the name of nodes[{other}]; node names are unique", node.name);
            return Err((at("name"), reason));
        }
        if let Some(other) = ports.insert(node.port, &node.name) {
            let reason = format!(
                "{} is already used by {other}; requests do not name the node, so each needs its own",
                node.port
            );
            return Err((at("port"), reason));
        }
        one_node(node).map_err(|(key, reason)| (at(&key), reason))?;
    }
    let cubes: Vec<(usize, &CubeConfig)> =
        config.nodes.iter().filter_map(|node| Some((node.entry, node.cube.as_ref()?))).collect();
    CubeConfig::check_count(&cubes)
        .map_err(|(entry, key, reason)| (format!("nodes[{entry}].cube.{key}"), reason))
}

fn one_node(node: &NodeConfig) -> Result<(), Problem> {
    if !is_dns_name(&node.name) {
        let text = format!(
            "{:?} is not a node name; use lower-case letters, digits, '-' and '.', at most {MAX_NODE_NAME}",
            node.name
        );
        return refuse("name", text);
    }
    if node.port == 0 {
        return refuse("port", "0 is not a port; the API server must know it".to_owned());
    }
    quantity("capacity.cpu", &node.capacity.cpu)?;
    quantity("capacity.memory", &node.capacity.memory)?;
    if node.capacity.pods == 0 {
        return refuse(
            "capacity.pods",
            "is missing or 0; write how many pods the node may hold, for example 1000".to_owned(),
        );
    }
    node.capacity
        .ephemeral_storage
        .as_deref()
        .map_or(Ok(()), |text| quantity("capacity.ephemeral-storage", text))?;
    others(node)?;
    provider(node)
}

fn quantity(key: &str, text: &str) -> Result<(), Problem> {
    match Quantity::parse(text) {
        Ok(q) if q.to_milli_ceil() > 0 => Ok(()),
        Ok(_) => refuse(
            key,
            format!("{text:?} is nothing; write what the node may hold, for example 200 or 512Gi"),
        ),
        Err(error) => {
            refuse(key, format!("{error}; write a Kubernetes quantity, for example 200, 500m or 512Gi"))
        }
    }
}

/// Devices: the mock and other clusters have any, ECI has GPUs.
fn others(node: &NodeConfig) -> Result<(), Problem> {
    for (name, text) in &node.capacity.others {
        let key = format!("capacity.others.{name}");
        if !name.contains('/') {
            return refuse(&key, "is not the name of a device; write for example nvidia.com/gpu".to_owned());
        }
        let any = ["mock", "kubernetes"].contains(&node.provider.as_str());
        let gpu = node.provider == "eci" && name == policies::support::eci::GPU;
        if !(any || gpu) {
            let text = format!("provider {} has no devices; remove it", node.provider);
            return refuse(&key, text);
        }
        quantity(&key, text)?;
        if !Quantity::parse(text).is_ok_and(|q| q.to_milli_ceil() % 1000 == 0) {
            return refuse(&key, format!("{text:?} is not a whole number; devices are not divided"));
        }
    }
    Ok(())
}

fn provider(node: &NodeConfig) -> Result<(), Problem> {
    let stray = [
        ("cci", node.cci.is_some()),
        ("eci", node.eci.is_some()),
        ("cube", node.cube.is_some()),
        ("kubernetes", node.kubernetes.is_some()),
        ("mock", node.mock.is_some()),
    ];
    if let Some((key, _)) = stray.into_iter().find(|(key, set)| *set && *key != node.provider)
        && crate::registry::NAMES.contains(&node.provider.as_str())
    {
        let text = format!("belongs to provider {key}, and this node's is {}; remove it", node.provider);
        return refuse(key, text);
    }
    match (node.provider.as_str(), &node.cci) {
        ("cci", Some(cci)) => cci.check().map_err(|(key, reason)| (format!("cci.{key}"), reason)),
        ("cci", None) => refuse(
            "cci",
            "is missing; provider cci needs endpoint, region, projectId, keys and network".to_owned(),
        ),
        ("eci", _) => {
            let settings = node.eci.as_ref().map_or(Ok(()), EciConfig::check);
            settings.map_err(|(key, reason)| (format!("eci.{key}"), reason))
        }
        ("kubernetes", _) => super::kubernetes::check(node.kubernetes.as_ref()),
        ("cube", _) => {
            let settings = node.cube.as_ref().map_or(Ok(()), CubeConfig::check);
            settings.map_err(|(key, reason)| (format!("cube.{key}"), reason))
        }
        ("mock", _) => {
            let delays = node.mock.as_ref().map_or(Ok(()), |mock| mock.delays().map(drop));
            delays.map_err(|(key, reason)| (format!("mock.{key}"), reason))
        }
        (other, _) => refuse(
            "provider",
            format!("{other:?} is not a provider; known: {}", crate::registry::NAMES.join(", ")),
        ),
    }
}

fn is_dns_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= MAX_NODE_NAME
        && edge(name.chars().next())
        && edge(name.chars().last())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
}
