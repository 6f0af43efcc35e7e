//! What stands behind bound claims: the driver of each PersistentVolume, so that a cloud that cannot mount one is known
//! before a pod is let into it.
//!
//! A claim that is not bound, or not seen yet, is judged by the bridge when the pod is made.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use policies::support::CLAIM_DRIVER;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use smol_str::{SmolStr, ToSmolStr};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guarded::guarded;
use crate::kept::{self, Kept, Keyed, Objects};
use crate::slim::wire::{identity_of, text};

/// A volume, reduced.
#[derive(Clone, Debug, Default)]
pub struct KeptVolume {
    /// Name, UID and resource version only.
    pub metadata: ObjectMeta,
    /// Namespace and name of the claim that it is bound to; empty if to none.
    pub claim: (SmolStr, SmolStr),
    /// Its CSI driver; empty for volumes of any other kind.
    pub driver: SmolStr,
}

/// Watches all volumes; keys are their names. Must be called within a tokio runtime.
pub fn watch(client: &Client, cancel: CancellationToken, tracker: &TaskTracker) -> Kept<KeptVolume> {
    let api = Api::all(guarded(client, std::sync::Arc::new(|| {})));
    kept::start(api, watcher::Config::default(), cancel, tracker)
}

/// The pod with the driver written beside each claim whose volume is known.
pub fn described<'p>(pod: &'p Value, namespace: &str, all: &Objects<KeptVolume>) -> Cow<'p, Value> {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    let known = volumes.enumerate().filter_map(|(at, volume)| {
        let claim = text(volume, "/persistentVolumeClaim/claimName");
        let of = |kept: &&std::sync::Arc<KeptVolume>| kept.claim.0 == namespace && kept.claim.1 == claim;
        let kept = all.values().filter(|_| !claim.is_empty()).find(of)?;
        Some((at, kept.driver.clone()))
    });
    let known: Vec<(usize, SmolStr)> = known.collect();
    if known.is_empty() {
        return Cow::Borrowed(pod);
    }
    let mut pod = pod.clone();
    for (at, driver) in known {
        let claim = pod.pointer_mut(&format!("/spec/volumes/{at}/persistentVolumeClaim"));
        if let Some(claim) = claim.and_then(Value::as_object_mut) {
            claim.insert(CLAIM_DRIVER.to_owned(), driver.as_str().into());
        }
    }
    Cow::Owned(pod)
}

impl Keyed for KeptVolume {
    const OPTIONAL: bool = false;

    fn key(&self) -> SmolStr {
        self.metadata.name.as_deref().unwrap_or_default().to_smolstr()
    }
}

impl<'de> Deserialize<'de> for KeptVolume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|volume| Self::of(&volume))
    }
}

impl KeptVolume {
    fn of(volume: &Value) -> Self {
        let part = |pointer: &str| text(volume, pointer).to_smolstr();
        let bound = text(volume, "/status/phase") == "Bound";
        let claim = (part("/spec/claimRef/namespace"), part("/spec/claimRef/name"));
        Self {
            metadata: identity_of(volume),
            claim: if bound { claim } else { Default::default() },
            driver: part("/spec/csi/driver"),
        }
    }
}

crate::read_as!(KeptVolume as PersistentVolume);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::FakeApi;

    fn volume(name: &str, phase: &str, source: Value) -> Value {
        let mut spec = source;
        spec["claimRef"] = json!({"namespace": "shop", "name": "data"});
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "uid": name},
            "spec": spec, "status": {"phase": phase}})
    }

    #[tokio::test(start_paused = true)]
    async fn claims_are_described_by_the_volume_that_they_are_bound_to() {
        let api = FakeApi::new();
        api.register("v1", "PersistentVolume", "persistentvolumes", false);
        api.put(volume("old", "Released", json!({"csi": {"driver": "old.example.com"}})));
        api.put(volume("new", "Bound", json!({"csi": {"driver": "new.example.com"}})));
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let kept = watch(&api.client(), stop.clone(), &tracker);
        kept.wait_synced().await;
        let pod = json!({"spec": {"volumes": [{"name": "e", "emptyDir": {}},
            {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "w", "persistentVolumeClaim": {"claimName": "other"}}]}});
        let told = described(&pod, "shop", &kept.objects()).into_owned();
        assert_eq!(told["spec"]["volumes"][1]["persistentVolumeClaim"][CLAIM_DRIVER], "new.example.com");
        assert_eq!(told["spec"]["volumes"][2], pod["spec"]["volumes"][2]);
        assert!(matches!(described(&pod, "elsewhere", &kept.objects()), Cow::Borrowed(_)));
        assert!(matches!(described(&json!({}), "shop", &kept.objects()), Cow::Borrowed(_)));
        stop.cancel();
    }
}
