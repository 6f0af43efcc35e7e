//! What stands behind the claims of a pod, as CCI takes it: a file system of SFS or SFS Turbo that there is. The claim that
//! stands for it at CCI is shared by every pod that mounts the same file system in the same way.
//!
//! burst makes and deletes no file system. CCI 1.0 *imports* one into a claim (an extended claim, with the file system's id
//! and export in annotations), and deletes the file system with such a claim unless it is told not to: every removal says
//! so ([`removals`]). At CCI 2.0 the PersistentVolume is reproduced with the same `volumeHandle` and kept on removal
//! (`Retain`), and a claim is bound to it. Facts: Huawei's API reference of CCI ("Importing a Storage Device", "Unbinding a
//! Storage Device"), of CCI 2.0 (PersistentVolume, PersistentVolumeClaim; not in every region) and the limits of its
//! add-on (SFS and SFS Turbo through CSI classes). Silent there, and decided so: an SFS Turbo file system is imported as
//! `efs-standard` whichever of the two kinds it is, and unbound with the storage type that the listing has for it (`efs`).

use policies::keys::tag;
use policies::support::huawei::FILE_SYSTEMS;
use serde_json::{Map, Value, json};

use crate::cloud::encoding::sha256_hex;
use crate::cloud::kubelike::{Context, Removal, SharedClaim};
use crate::cloud::translate::Problem;
use crate::cloud::translate::json::{list, only, text};

use super::settings::Generation;

/// What can stand behind a claim.
struct Kind {
    /// The CSI driver.
    driver: &'static str,
    /// Begins the name of the claim at CCI.
    prefix: &'static str,
    /// CCI 1.0's class for an import.
    class: &'static str,
    /// CCI 1.0's word for it when it is unbound.
    storage: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind { driver: FILE_SYSTEMS[0], prefix: "burst-sfs-", class: "nfs-rw", storage: "nfs" },
    Kind { driver: FILE_SYSTEMS[1], prefix: "burst-sfsturbo-", class: "efs-standard", storage: "efs" },
];

/// What is told about any other volume.
const WHICH: &str = "mounts file systems of SFS (nas.csi.everest.io, for example StorageClass csi-nas or csi-sfs) and SFS \
                     Turbo (sfsturbo.csi.everest.io, csi-sfsturbo) only, through CSI classes: use one of them, or keep the \
                     pod on real nodes (policy off)";

/// Where the vendor's CSI drivers write the address of a file system.
const EXPORT: &str = "everest.io/share-export-location";
/// The annotation that says whose claim a shared one was made for first.
const SOURCE: &str = "burst.io/source";

/// The claim at CCI for one of this cluster's with this volume behind it.
pub(super) fn share(
    generation: Generation,
    context: &Context<'_>,
    claim: &str,
    volume: &Value,
) -> Result<SharedClaim, Problem> {
    let refuse = |what: String| Err(Problem::Invalid(format!("PersistentVolumeClaim {claim:?}: {what}")));
    let spec = volume.get("spec").unwrap_or(&Value::Null);
    if text(spec, "volumeMode") == Some("Block") {
        return refuse("CCI attaches no raw block devices: use volumeMode Filesystem".to_owned());
    }
    let csi = spec.get("csi").unwrap_or(&Value::Null);
    let driver = text(csi, "driver");
    let Some(kind) = KINDS.iter().find(|kind| driver == Some(kind.driver)) else {
        let behind = driver.map_or_else(|| without_csi(spec), |driver| format!("of {driver}"));
        return refuse(format!("its volume is {behind}, and CCI {} {WHICH}", generation.word()));
    };
    let Some(handle) = text(csi, "volumeHandle").filter(|handle| !handle.is_empty()) else {
        return refuse("its volume names no file system (csi.volumeHandle)".to_owned());
    };
    let identity = json!([context.cluster_id, mounted(spec)]).to_string();
    let hash: String = sha256_hex(identity.as_bytes()).chars().take(16).collect();
    let name = format!("{}{hash}", kind.prefix);
    let own = Own { context, claim, spec, name: &name };
    let objects = match generation {
        Generation::One => vec![imported(&own, kind, handle)],
        Generation::Two => reproduced(&own).into(),
    };
    Ok(SharedClaim { name, objects })
}

/// What a volume without CSI is, for people.
fn without_csi(spec: &Value) -> String {
    match spec.get("flexVolume").and_then(|flex| text(flex, "driver")) {
        Some(driver) => format!("a FlexVolume ({driver})"),
        None => "not of a CSI driver".to_owned(),
    }
}

/// What decides whether two volumes are the same thing to mount.
fn mounted(spec: &Value) -> Map<String, Value> {
    let mut same = only(spec, &["accessModes", "mountOptions"]);
    let csi = spec.get("csi").map(|csi| only(csi, &CSI_FIELDS)).unwrap_or_default();
    same.insert("csi".into(), Value::Object(csi));
    same
}

/// Fields of a CSI volume that mean the same at CCI; references to Secrets of this cluster do not.
const CSI_FIELDS: [&str; 5] = ["driver", "fsType", "readOnly", "volumeAttributes", "volumeHandle"];

/// One claim to be made.
struct Own<'a> {
    context: &'a Context<'a>,
    /// Name in this cluster.
    claim: &'a str,
    /// Of the volume.
    spec: &'a Value,
    /// Name at CCI.
    name: &'a str,
}

impl Own<'_> {
    fn metadata(&self, namespace: Option<&str>) -> Value {
        let source = format!("{}/{}", self.context.pod.namespace, self.claim);
        let mut metadata = json!({
            "name": self.name,
            "labels": {tag::CLUSTER: self.context.cluster_id},
            "annotations": {SOURCE: source},
        });
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        metadata
    }

    fn access_modes(&self) -> Value {
        let modes = list(self.spec, "accessModes");
        if modes.is_empty() { json!(["ReadWriteMany"]) } else { json!(modes) }
    }

    /// Says nothing: a file system has its own size.
    fn storage(&self) -> &str {
        let capacity = self.spec.get("capacity").and_then(|capacity| text(capacity, "storage"));
        capacity.unwrap_or("1Gi")
    }
}

/// The import of CCI 1.0.
fn imported(own: &Own<'_>, kind: &Kind, handle: &str) -> (String, Value) {
    let namespace = own.context.namespace;
    let mut metadata = own.metadata(Some(namespace));
    metadata["annotations"]["fsType"] = "nfs".into();
    metadata["annotations"]["volumeID"] = handle.into();
    let attributes = own.spec.get("csi").and_then(|csi| csi.get("volumeAttributes"));
    if let Some(export) = attributes.and_then(|attributes| text(attributes, EXPORT)) {
        metadata["annotations"]["deviceMountPath"] = export.into();
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "accessModes": own.access_modes(),
            "resources": {"requests": {"storage": own.storage()}},
            "storageClassName": kind.class,
        },
    });
    (format!("{}/namespaces/{namespace}/extended-persistentvolumeclaims", Generation::One.root()), object)
}

/// The volume of CCI 2.0 and the claim that is bound to it.
fn reproduced(own: &Own<'_>) -> [(String, Value); 2] {
    let (root, version) = (Generation::Two.root(), Generation::Two.api_version());
    let namespace = own.context.namespace;
    let mut volume = only(own.spec, &["mountOptions"]);
    let csi = own.spec.get("csi").map(|csi| only(csi, &CSI_FIELDS)).unwrap_or_default();
    let reference = json!({"kind": "PersistentVolumeClaim", "namespace": namespace, "name": own.name});
    for (field, value) in [
        ("accessModes", own.access_modes()),
        ("capacity", json!({"storage": own.storage()})),
        ("csi", Value::Object(csi)),
        ("claimRef", reference),
        ("persistentVolumeReclaimPolicy", "Retain".into()),
        ("storageClassName", "".into()),
    ] {
        volume.insert(field.to_owned(), value);
    }
    let volume = json!({"apiVersion": version, "kind": "PersistentVolume", "metadata": own.metadata(None), "spec": volume});
    let claim = json!({
        "apiVersion": version,
        "kind": "PersistentVolumeClaim",
        "metadata": own.metadata(Some(namespace)),
        "spec": {
            "accessModes": own.access_modes(),
            "resources": {"requests": {"storage": own.storage()}},
            "storageClassName": "",
            "volumeName": own.name,
        },
    });
    let claims = format!("{root}/namespaces/{namespace}/persistentvolumeclaims");
    [(format!("{root}/persistentvolumes"), volume), (claims, claim)]
}

/// How a claim of CCI 1.0 is removed so that the file system stays: it is unbound, not deleted.
pub(super) fn unbinding(namespace: &str, name: &str) -> Option<Vec<Removal>> {
    let kind = KINDS.iter().find(|kind| name.starts_with(kind.prefix))?;
    let path = format!("{}/namespaces/{namespace}/persistentvolumeclaims/{name}", Generation::One.root());
    Some(vec![(path, vec![("deleteVolume", "false".to_owned()), ("storageType", kind.storage.to_owned())])])
}

/// How a claim of CCI 2.0 is removed: it and its volume, which retains the file system.
pub(super) fn deletion(namespace: &str, name: &str) -> Option<Vec<Removal>> {
    KINDS.iter().find(|kind| name.starts_with(kind.prefix))?;
    let root = Generation::Two.root();
    let claim = format!("{root}/namespaces/{namespace}/persistentvolumeclaims/{name}");
    Some(vec![(claim, Vec::new()), (format!("{root}/persistentvolumes/{name}"), Vec::new())])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cloud::PodIdentity;

    fn shared(generation: Generation, spec: &Value) -> Result<SharedClaim, String> {
        let pod = PodIdentity { uid: "u-1".into(), namespace: "shop".into(), name: "web".into() };
        let none = BTreeMap::new();
        let context = Context {
            cluster_id: "c-1",
            namespace: "space",
            instance: "web-1",
            node: "n",
            pod: &pod,
            labels: &none,
            annotations: &none,
            hidden: "",
        };
        match share(generation, &context, "data", &json!({"spec": spec})) {
            Ok(claim) => Ok(claim),
            Err(Problem::Invalid(text)) => Err(text),
            Err(Problem::Missing(notice)) => panic!("{notice:?}"),
        }
    }

    fn sfs(driver: &str, handle: &str) -> Value {
        json!({"csi": {"driver": driver, "volumeHandle": handle}, "accessModes": ["ReadWriteMany"]})
    }

    #[test]
    fn what_stands_behind_claims_at_cci() {
        for generation in [Generation::One, Generation::Two] {
            let good = |driver: &str, prefix: &str| {
                let claim = shared(generation, &sfs(driver, "fs-1")).unwrap();
                assert!(claim.name.starts_with(prefix), "{claim:?}");
            };
            good("nas.csi.everest.io", "burst-sfs-");
            good("sfsturbo.csi.everest.io", "burst-sfsturbo-");
            let check = |spec: Value, wanted: &[&str]| {
                let said = shared(generation, &spec).unwrap_err();
                assert!(wanted.iter().all(|part| said.contains(part)), "{spec}: {said}");
            };
            let which = "SFS (nas.csi.everest.io, for example StorageClass csi-nas or csi-sfs)";
            for driver in ["disk.csi.everest.io", "obs.csi.everest.io", "other.example.com"] {
                check(
                    sfs(driver, "x"),
                    &[&format!("of {driver}, and CCI {}", generation.word()), which, "policy off"],
                );
            }
            let flex =
                json!({"flexVolume": {"driver": "huawei.com/fuxinfs", "options": {"volumeID": "fs-1"}}});
            check(flex, &["a FlexVolume (huawei.com/fuxinfs)", which]);
            for source in ["hostPath", "nfs", "local", "cinder"] {
                check(json!({(source): {}}), &["not of a CSI driver", "through CSI classes"]);
            }
            check(sfs("nas.csi.everest.io", ""), &["csi.volumeHandle"]);
            let mut block = sfs("nas.csi.everest.io", "fs-1");
            block["volumeMode"] = "Block".into();
            check(block, &["no raw block devices"]);
        }
    }

    /// The same file system, mounted in the same way, is one claim whoever asks; its size says nothing.
    #[test]
    fn one_claim_for_one_file_system() {
        let name = |spec: &Value| shared(Generation::One, spec).unwrap().name;
        let plain = sfs("nas.csi.everest.io", "fs-1");
        let mut larger = plain.clone();
        larger["capacity"] = json!({"storage": "500Gi"});
        larger["claimRef"] = json!({"namespace": "other", "name": "files"});
        assert_eq!(name(&plain), name(&larger));
        let mut read_only = plain.clone();
        read_only["mountOptions"] = json!(["ro"]);
        let mut folder = plain.clone();
        folder["csi"]["volumeAttributes"] = json!({EXPORT: "sfs:/share/folder"});
        for other in [sfs("nas.csi.everest.io", "fs-2"), read_only, folder] {
            assert_ne!(name(&plain), name(&other), "{other}");
        }
    }

    /// Guards data: CCI 1.0 deletes the file system with the claim unless the call says that it stays, and what burst did
    /// not make is never removed.
    #[test]
    fn a_removal_keeps_the_files() {
        let name = |driver: &str| shared(Generation::One, &sfs(driver, "fs-1")).unwrap().name;
        for (driver, storage) in [("nas.csi.everest.io", "nfs"), ("sfsturbo.csi.everest.io", "efs")] {
            let removals = unbinding("space", &name(driver)).unwrap();
            assert_eq!(removals.len(), 1);
            for (path, query) in removals {
                assert_eq!(path, format!("/api/v1/namespaces/space/persistentvolumeclaims/{}", name(driver)));
                assert_eq!(
                    query,
                    [("deleteVolume", "false".to_owned()), ("storageType", storage.to_owned())]
                );
            }
        }
        let volume = &shared(Generation::Two, &sfs("nas.csi.everest.io", "fs-1")).unwrap().objects[0].1;
        assert_eq!(volume["spec"]["persistentVolumeReclaimPolicy"], "Retain");
        for removals in [unbinding, deletion] {
            assert_eq!(removals("space", "data"), None);
            assert_eq!(removals("space", "burst-other"), None);
        }
    }
}
