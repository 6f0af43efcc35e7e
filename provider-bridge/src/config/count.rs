//! `count`: several virtual nodes from one entry, named and numbered as a StatefulSet names its pods.
//!
//! Alibaba's chart makes virtual nodes by the number of replicas: `virtual-node-eci-0`, `virtual-node-eci-1`, …. Ports count
//! up with the names, because every virtual node has its own.

use super::NodeConfig;

/// As many nodes as the entries ask for; every one remembers its entry, which messages name. An error is the entry, the
/// key and the reason.
pub(super) fn expand(nodes: Vec<NodeConfig>) -> Result<Vec<NodeConfig>, (usize, &'static str, String)> {
    let mut all = Vec::new();
    for (entry, node) in nodes.into_iter().enumerate() {
        let Some(count) = node.count else {
            all.push(NodeConfig { entry, ..node });
            continue;
        };
        if count == 0 {
            let text = "0 declares no virtual node; write at least 1, or remove the entry";
            return Err((entry, "count", text.to_owned()));
        }
        for i in 0..count {
            let port = node.port.checked_add(i).ok_or_else(|| {
                (entry, "port", format!("{} and {count} nodes: their ports count up past 65535", node.port))
            })?;
            all.push(NodeConfig {
                entry,
                name: format!("{}-{i}", node.name),
                port,
                count: None,
                ..node.clone()
            });
        }
    }
    Ok(all)
}
