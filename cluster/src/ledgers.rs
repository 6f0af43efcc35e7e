//! `BurstLedger` objects: the grants of one policy, all in the namespace of burst.
//!
//! The leader reads them live and writes them with compare-and-swap; the bridge watches them. One that cannot be read,
//! or that belongs to another policy, is an error and never an empty ledger: it would forget what is in the cloud.

use aws_lc_rs::digest;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client};
use policies::ledger::Ledger;
use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guarded::guarded;
use crate::kept::{self, Kept};
use crate::patch::WriteError;
use crate::versioned::{self, Put, Stored, stored};

stored!(Ledger, "BurstLedger", "burstledgers", NamespaceResourceScope);

/// A ledger as it was read.
pub type StoredLedger = Stored<Ledger>;

/// Why a ledger cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The API server did not give it.
    #[error("BurstLedger {namespace}/{name} cannot be fetched: {why}")]
    Unreachable {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// What the API server or the connection says.
        why: String,
    },
    /// It does not decode.
    #[error(
        "BurstLedger {namespace}/{name} cannot be read ({why}): repair it; nothing is granted until then"
    )]
    Undecodable {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// It is another policy's.
    #[error("BurstLedger {namespace}/{name} belongs to {found}, not to {wanted}: nothing is granted from it")]
    OtherPolicy {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// The policy that it names.
        found: String,
        /// The policy that was asked for.
        wanted: String,
    },
}

/// A ledger and the version under which it may be replaced; no version if it does not exist yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The ledger.
    pub ledger: Ledger,
    /// `metadata.resourceVersion`.
    pub version: Option<SmolStr>,
}

/// Name of the object of a policy (`BurstPolicy/shop/web`, `ClusterBurstPolicy/all`, `Driver/toleration`): `ledger-` and
/// 20 hex digits of the SHA-256 of its key, so that any key fits. Two that shared a name would be told apart by the
/// policy that the ledger names.
pub fn object_name(policy: &str) -> String {
    let hash = digest::digest(&digest::SHA256, policy.as_bytes());
    let hex: String = hash.as_ref().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    format!("ledger-{hex}")
}

/// Reads a policy's ledger live; an empty one without a version if there is none.
///
/// # Errors
/// [`Unusable`].
pub async fn read(client: &Client, namespace: &str, policy: &str) -> Result<Held, Unusable> {
    let name = object_name(policy);
    let found = versioned::read::<Ledger>(client, Some(namespace), &name).await;
    let namespace = namespace.to_owned();
    let Some(stored) = found.map_err(|why| Unusable::Unreachable {
        namespace: namespace.clone(),
        name: name.clone(),
        why,
    })?
    else {
        let ledger = Ledger { policy: policy.to_owned(), ..Ledger::default() };
        return Ok(Held { ledger, version: None });
    };
    let version = Some(stored.version());
    match stored.spec {
        Ok(ledger) if ledger.policy == policy => Ok(Held { ledger, version }),
        Ok(ledger) => {
            Err(Unusable::OtherPolicy { namespace, name, found: ledger.policy, wanted: policy.to_owned() })
        }
        Err(why) => Err(Unusable::Undecodable { namespace, name, why }),
    }
}

/// Writes a ledger: created if `version` is none, else replaced only if nobody wrote it since.
///
/// # Errors
/// [`WriteError`] when refused for good.
pub async fn put(
    client: &Client,
    namespace: &str,
    version: Option<&str>,
    ledger: &Ledger,
) -> Result<Put, WriteError> {
    versioned::put(client, Some(namespace), &object_name(&ledger.policy), version, ledger).await
}

/// Watches every ledger; keys are object names. Must be called within a tokio runtime.
pub fn watch(
    client: &Client,
    namespace: &str,
    cancel: CancellationToken,
    tracker: &TaskTracker,
) -> Kept<StoredLedger> {
    let api = Api::namespaced(guarded(client, std::sync::Arc::new(|| {})), namespace);
    kept::start(api, watcher::Config::default(), cancel, tracker)
}

#[cfg(test)]
mod tests;
