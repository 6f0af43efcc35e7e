//! The claims of a pod: which ones it names, and what stands behind each once it is bound.
//!
//! Pure. Which kinds of volumes a cloud can mount is the provider's business.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cloud::Claim;

use super::json::{list, text};
use super::problem::{Notice, Problem};

/// Claims by name; `None` is "does not exist".
pub(in crate::cloud) type Claims = BTreeMap<String, Option<Claim>>;

/// Names of the claims that a pod mounts.
pub(in crate::cloud) fn claim_names(pod: &Value) -> BTreeSet<String> {
    let volumes = pod.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
    let names = volumes.iter().filter_map(|volume| text(volume.get("persistentVolumeClaim")?, "claimName"));
    names.map(str::to_owned).collect()
}

/// A claim and the volume that it is bound to; one that is missing or unbound is waited for.
pub(in crate::cloud) fn bound<'a>(
    claims: &'a Claims,
    name: &str,
    volume: &str,
) -> Result<(&'a Value, &'a Value), Problem> {
    let waits = |message: String| Problem::Missing(Notice { reason: "FailedMount", message });
    match claims.get(name) {
        Some(Some(Claim { claim, volume: Some(behind) })) => Ok((claim, behind)),
        Some(Some(Claim { volume: None, .. })) => Err(waits(format!(
            "PersistentVolumeClaim {name:?} is not bound to a volume yet; if its class has volumeBindingMode \
             WaitForFirstConsumer, the pod has to choose the virtual node by nodeSelector, not by nodeName"
        ))),
        _ => Err(waits(format!("PersistentVolumeClaim {name:?} of volume {volume} does not exist"))),
    }
}
