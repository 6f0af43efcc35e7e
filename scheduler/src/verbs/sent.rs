//! Which of the snapshot's virtual nodes were sent.

use cluster::Snapshot;
use policies::node::{NodeClass, NodeRow};

use crate::wire::Sent;

/// Up to this many virtual nodes are searched for one by one in the text; beyond it one walk over all names is cheaper.
const FEW: usize = 12;

/// The virtual nodes among those sent.
pub(super) fn virtual_nodes<'s>(snapshot: &'s Snapshot, sent: &Sent<'_>) -> Vec<&'s NodeRow> {
    match sent {
        Sent::Names(_) if snapshot.virtual_ids().len() <= FEW => {
            snapshot.virtual_nodes().filter(|node| sent.contains(&node.name)).collect()
        }
        _ => {
            let mut found: Vec<_> =
                sent.quoted().filter_map(|name| virtual_node(snapshot, plain(&name))).collect();
            found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            found.dedup_by(|a, b| a.name == b.name);
            found
        }
    }
}

fn virtual_node<'s>(snapshot: &'s Snapshot, name: &str) -> Option<&'s NodeRow> {
    let id = snapshot.id(name)?;
    (snapshot.class(id) == Some(NodeClass::Virtual)).then(|| snapshot.node(id)).flatten()
}

/// A name without its quotes. A name with escapes stays escaped: it is no legal node name and in no snapshot.
pub(super) fn plain(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(quoted)
}
