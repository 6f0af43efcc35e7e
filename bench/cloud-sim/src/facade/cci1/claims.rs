//! Claims and volumes: file systems of SFS and SFS Turbo that pods of a namespace share.
//!
//! CCI 1.0 imports storage into a claim and deletes it with the claim unless the call says otherwise ("Importing a Storage
//! Device", "Unbinding a Storage Device"); CCI 2.0 has PersistentVolumes with CSI drivers. A file system is known by its id
//! alone, and exists unless it was deleted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{Call, Front};
use super::route::Route;
use crate::core::kind::{Generation, Kind};
use crate::core::store::{Key, Verdict};
use crate::error::{ApiError, FieldError};

/// Classes of CCI 1.0 whose storage is a file system.
const CLASSES: [&str; 3] = ["nfs-rw", "efs-standard", "efs-performance"];
/// Words for kinds of storage when a claim is unbound.
const STORAGE: [&str; 4] = ["bs", "nfs", "efs", "obs"];

/// What becomes of the files of a claim that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    Kept,
    Deleted,
    /// As the volume says.
    ByPolicy,
}

impl Files {
    /// As the query of a DELETE asks for.
    pub(super) fn asked(generation: Generation, call: &Call) -> Result<Self, ApiError> {
        if generation == Generation::Two {
            return Ok(Self::ByPolicy);
        }
        if call.param("deleteVolume") != Some("false") {
            return Ok(Self::Deleted);
        }
        if call.param("storageType").is_some_and(|kind| STORAGE.contains(&kind)) {
            return Ok(Self::Kept);
        }
        Err(ApiError::bad_request("storageType is mandatory when deleteVolume is false")
            .code("CCI.01.400301"))
    }

    /// When the whole namespace goes.
    pub(super) fn with_namespace(generation: Generation) -> Self {
        if generation == Generation::One { Self::Deleted } else { Self::ByPolicy }
    }
}

/// Checks a claim to be created and gives it its status.
pub(super) fn admit(front: &Front, route: &Route, name: &str, value: &mut Value) -> Result<(), ApiError> {
    let store = &front.cloud.store;
    let invalid = |field: &str, why: &str| {
        Err(ApiError::invalid("PersistentVolumeClaim", name, &[FieldError::new(field, why)])
            .code("CCI.01.400301"))
    };
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text("/spec/resources/requests/storage").is_empty() {
        return invalid("spec.resources.requests.storage", "Required value");
    }
    let bound = match route.generation {
        Generation::One if !route.import => {
            return Err(ApiError::forbidden("this simulator makes no storage, it only imports"));
        }
        Generation::One => {
            if !CLASSES.contains(&text("/spec/storageClassName").as_str()) {
                return invalid(
                    "spec.storageClassName",
                    "Unsupported value: supported values: nfs-rw, efs-standard, efs-performance",
                );
            }
            if text("/metadata/annotations/fsType") != "nfs" {
                return invalid("metadata.annotations[fsType]", "Unsupported value: supported value: nfs");
            }
            let id = text("/metadata/annotations/volumeID");
            if id.is_empty() || store.files_deleted(&id) {
                return invalid("metadata.annotations[volumeID]", "Not found");
            }
            value["spec"]["volumeName"] = json!(format!("pvc-{name}"));
            true
        }
        Generation::Two => bind(front, &route.namespace, name, &text("/spec/volumeName")),
    };
    value["status"] = json!({"phase": if bound { "Bound" } else { "Pending" }});
    Ok(())
}

/// Gives a volume its status.
pub(super) fn admit_volume(value: &mut Value) {
    value["status"] = json!({"phase": "Available"});
}

/// Binds a volume to a claim; whether it is there and free.
fn bind(front: &Front, namespace: &str, claim: &str, volume: &str) -> bool {
    let wanted = json!({"namespace": namespace, "name": claim});
    let mut bound = false;
    let _ = front.cloud.store.update::<()>(Kind::PersistentVolume, &Key::new("", volume), |value, _| {
        let of = |field: &str| value.pointer(&format!("/spec/claimRef/{field}")) == wanted.get(field);
        bound = value.pointer("/status/phase") == Some(&json!("Available")) && of("namespace") && of("name");
        if !bound {
            return Ok(Verdict::Keep);
        }
        value["status"]["phase"] = json!("Bound");
        Ok(Verdict::Write)
    });
    bound
}

/// A pod names only claims that there are.
pub(super) fn exist(front: &Front, key: &Key, pod: &Value) -> Result<(), ApiError> {
    let missing = |name: &&str| {
        front.cloud.store.get(Kind::PersistentVolumeClaim, &Key::new(&key.namespace, name)).is_none()
    };
    match names(pod).find(missing) {
        None => Ok(()),
        Some(name) => {
            let why = format!("persistentvolumeclaim {name:?} not found");
            Err(ApiError::invalid("Pod", &key.name, &[FieldError::new("spec.volumes", why)]))
        }
    }
}

/// The claims that a pod mounts.
fn names(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    volumes.filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName")?.as_str())
}

/// Whether a pod mounts the claim.
pub(super) fn used(front: &Front, key: &Key) -> bool {
    let pods = front.cloud.store.list(Kind::Pod, Some(&key.namespace)).items;
    pods.iter().any(|pod| names(&pod.value()).any(|name| name == key.name))
}

/// Removes a claim when no pod mounts it any more.
pub(super) fn remove_later(front: &Arc<Front>, key: &Key, files: Files) {
    let (front, key) = (front.clone(), key.clone());
    let cloud = front.cloud.clone();
    cloud.spawn(async move {
        let mut pods = front.cloud.store.subscribe(Kind::Pod);
        while used(&front, &key) {
            if pods.changed().await.is_err() {
                return;
            }
        }
        remove(&front, &key, files);
    });
}

/// Removes a claim now.
pub(super) fn remove(front: &Front, key: &Key, files: Files) {
    let store = &front.cloud.store;
    let gone = store.update::<()>(Kind::PersistentVolumeClaim, key, |_, _| Ok(Verdict::Remove));
    let Ok(Some(claim)) = gone else { return };
    let claim = claim.value();
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    if files == Files::Deleted {
        text(&claim, "/metadata/annotations/volumeID").iter().for_each(|id| store.delete_files(id));
    }
    let Some(volume) = text(&claim, "/spec/volumeName").filter(|_| files == Files::ByPolicy) else { return };
    let _ = store.update::<()>(Kind::PersistentVolume, &Key::new("", &volume), |value, _| {
        if text(value, "/spec/persistentVolumeReclaimPolicy").as_deref() == Some("Retain") {
            value["status"]["phase"] = json!("Released");
            return Ok(Verdict::Write);
        }
        text(value, "/spec/csi/volumeHandle").iter().for_each(|id| store.delete_files(id));
        Ok(Verdict::Remove)
    });
}
