//! `BurstLedger` objects: the grants of one policy, all in the namespace of burst.
//!
//! The leader reads them live and writes them with compare-and-swap; the bridge watches them. One that cannot be read,
//! or that belongs to another policy, is an error and never an empty ledger: it would forget what is in the cloud.

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

/// Most characters of an object's name.
const NAME: usize = 253;

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

/// Name of the object of a policy (`BurstPolicy/shop/web`, `ClusterBurstPolicy/all`, `Driver/toleration`).
///
/// Kinds begin differently and a namespace holds no dot, so two policies never share a name; one that would be too long
/// is cut and ends with a hash of the whole.
pub fn object_name(policy: &str) -> String {
    let (kind, rest) = policy.split_once('/').unwrap_or(("other", policy));
    let kind = match kind {
        "BurstPolicy" => "bp",
        "ClusterBurstPolicy" => "cbp",
        "Driver" => "driver",
        _ => "other",
    };
    let name = format!("{kind}.{}", rest.replacen('/', ".", 1));
    if name.len() <= NAME {
        return name;
    }
    let hash = format!("-{:016x}", fnv(policy));
    let cut = name.chars().take(NAME - hash.len()).collect::<String>();
    format!("{}{hash}", cut.trim_end_matches(['.', '-']))
}

/// FNV-1a: stable over versions and platforms, which the standard library's hashers are not.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
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
