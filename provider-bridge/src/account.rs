//! Guards the instances of a virtual node against a configuration that names another account, region, project or cluster.
//!
//! There the cloud lists none of them, and from an empty list it would follow that they are gone: their pods would be made
//! again, while they run on and cost money. So the Node object says whose account its instances are in, and a start with
//! another one is refused as long as something is left, unless the cloud itself shows that it is the same account (rotated
//! keys, an API server with a new name). Nothing is ever deleted here.

use std::fmt;

use cluster::patch::{self, WriteError};
use cluster::reports;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client};
use policies::keys;
use serde_json::json;

use crate::cloud::{CloudError, Instance};

/// How many pods a refusal names.
const NAMED: usize = 3;

/// Why a virtual node is not started.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Its instances are somewhere else.
    #[error(
        "{remains} of this virtual node belong to {before}, and the configuration now says {now}, where none of them is \
         {said}. Nothing was started, nothing was deleted. Put the old settings back. To move: with the old settings, \
         `kubectl drain {node} --ignore-daemonsets`, wait until the cloud holds nothing, then start with the new ones. If \
         both are the same account: `kubectl annotate node {node} burst.io/account-`"
    )]
    Moved {
        /// The virtual node.
        node: String,
        /// What is left.
        remains: Remains,
        /// The account that it belongs to.
        before: String,
        /// The one that is configured.
        now: String,
        /// Why nothing of it was found there.
        said: String,
    },
    /// What is left cannot be read.
    #[error("reading what is left on virtual node {0}: {1}")]
    Read(String, Box<kube::Error>),
    /// The account cannot be written down.
    #[error("writing the account on virtual node {0}: {1}")]
    Write(String, WriteError),
}

/// What is left of a virtual node's work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Its pods that have not ended: UID and name with namespace.
    pods: Vec<(String, String)>,
    /// Instances by its last report.
    instances: u64,
}

impl Remains {
    const fn nothing(&self) -> bool {
        self.pods.is_empty() && self.instances == 0
    }

    /// Whether a cloud that lists these holds what is left.
    fn are_among(&self, listed: &[Instance]) -> bool {
        if self.pods.is_empty() {
            return !listed.is_empty();
        }
        listed.iter().any(|instance| self.pods.iter().any(|(uid, _)| *uid == instance.pod.uid))
    }
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pods.is_empty() {
            return write!(f, "{} instances", self.instances);
        }
        let names: Vec<&str> = self.pods.iter().take(NAMED).map(|(_, name)| name.as_str()).collect();
        let more = if self.pods.len() > NAMED { ", …" } else { "" };
        write!(f, "{} pods ({}{more})", self.pods.len(), names.join(", "))
    }
}

/// Whether the cloud has to be asked: the account is another one than that on the Node, and something is left there.
fn suspicious(before: Option<&str>, now: Option<&str>, remains: &Remains) -> bool {
    before.is_some() && before != now && !remains.nothing()
}

/// Refuses the start of a virtual node whose instances are in another account than `now`, and writes `now` on its Node
/// otherwise. `list` asks the cloud that is configured; it is awaited only where there is doubt. `own` reads and marks the
/// Node, `as_node` reads its pods.
///
/// # Errors
/// [`AccountError`].
pub async fn check(
    (own, as_node): (&Client, &Client),
    node: &str,
    now: Option<&str>,
    list: impl Future<Output = Result<Vec<Instance>, CloudError>>,
) -> Result<(), AccountError> {
    let read = |error| AccountError::Read(node.to_owned(), Box::new(error));
    let Some(stored) = Api::<Node>::all(own.clone()).get_opt(node).await.map_err(read)? else {
        // Whoever makes the object writes the account into it.
        return Ok(());
    };
    let annotations = stored.metadata.annotations.unwrap_or_default();
    let before = annotations.get(keys::ACCOUNT).map(String::as_str);
    if before == now {
        return Ok(());
    }
    let remains = remains(own, as_node, node).await.map_err(read)?;
    if suspicious(before, now, &remains) {
        let said = match list.await {
            Ok(listed) if remains.are_among(&listed) => None,
            Ok(listed) => Some(format!("(it lists {} instances of this node)", listed.len())),
            Err(error) => Some(format!("to be seen ({error})")),
        };
        if let Some(said) = said {
            let [before, now] = [before, now].map(|text| text.unwrap_or("no account").to_owned());
            return Err(AccountError::Moved { node: node.to_owned(), remains, before, now, said });
        }
    }
    tracing::info!(node, before, now, "the account of the virtual node is written down");
    let change = json!({"metadata": {"annotations": {keys::ACCOUNT: now}}});
    let written = patch::patch_node(own, node, &change).await;
    written.map(drop).map_err(|error| AccountError::Write(node.to_owned(), error))
}

async fn remains(own: &Client, as_node: &Client, node: &str) -> Result<Remains, kube::Error> {
    let bound = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let pods = Api::<Pod>::all(as_node.clone()).list(&bound).await?;
    let ended = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let named = |pod: Pod| {
        let (namespace, name) =
            (pod.metadata.namespace.unwrap_or_default(), pod.metadata.name.unwrap_or_default());
        (pod.metadata.uid.unwrap_or_default(), format!("{namespace}/{name}"))
    };
    let pods = pods.items.into_iter().filter(|pod| !ended(pod)).map(named).collect();
    // Without the kind there are no reports.
    let report = reports::read(own, node).await.unwrap_or_default();
    let instances = report.and_then(|report| report.spec.ok()).map_or(0, |report| report.instances);
    Ok(Remains { pods, instances })
}

#[cfg(test)]
mod tests;
