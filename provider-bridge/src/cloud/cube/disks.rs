//! What stands behind the claims of a pod, as Cube takes it: a UDisk that there is, or an NFS server.
//!
//! Disks are made by the vendor's CSI driver, and deleted by it where their class says so; burst makes and deletes none.
//! Facts: the vendor's pages on the pod format and on virtual nodes.

use policies::quantity::Quantity;
use serde_json::{Value, json};

use crate::cloud::translate::json::{list, text};
use crate::cloud::translate::{Claims, Notice, Problem, bound};

/// The driver of UDisks.
const UDISK: &str = "udisk.csi.ucloud.cn";
/// The one file system that Cube mounts of a UDisk.
const FILE_SYSTEM: &str = "ext4";

/// A volume with a claim, as Cube has it.
pub(super) fn volume(
    volume: &str,
    source: &Value,
    claims: &Claims,
    notices: &mut Vec<Notice>,
) -> Result<Value, Problem> {
    let name = text(source, "claimName").unwrap_or_default();
    let (claim, behind) = bound(claims, name, volume)?;
    notices.extend(not_expanded(name, claim));
    let spec = behind.get("spec").unwrap_or(&Value::Null);
    if text(spec, "volumeMode") == Some("Block") {
        return Err(Problem::Invalid(format!(
            "PersistentVolumeClaim {name:?}: Cube attaches no raw block devices: use volumeMode Filesystem"
        )));
    }
    if let Some(nfs) = spec.get("nfs") {
        let field = |name: &str| text(nfs, name).unwrap_or_default();
        let options: Vec<&str> = list(spec, "mountOptions").iter().filter_map(Value::as_str).collect();
        let options = if options.is_empty() { "vers=4.0".to_owned() } else { options.join(",") };
        let address = format!("{}:{}", field("server"), field("path"));
        return Ok(json!({"name": volume, "nfs": {"address": address, "mountOption": options}}));
    }
    let driver = spec.get("csi").and_then(|csi| text(csi, "driver"));
    match spec.get("csi").filter(|_| driver == Some(UDISK)) {
        Some(csi) => Ok(json!({"name": volume, "udisk": disk(name, csi)?})),
        None => Err(Problem::Invalid(format!(
            "PersistentVolumeClaim {name:?}: its volume is of {}, and Cube attaches UDisks ({UDISK}) and mounts nfs volumes: \
             use one of these, or keep the pod on real nodes (policy off)",
            driver.unwrap_or("another kind")
        ))),
    }
}

/// A disk is never formatted anew: what is on it is the user's.
fn disk(claim: &str, csi: &Value) -> Result<Value, Problem> {
    let system = text(csi, "fsType").filter(|system| !system.is_empty()).unwrap_or(FILE_SYSTEM);
    if system != FILE_SYSTEM {
        return Err(Problem::Invalid(format!(
            "PersistentVolumeClaim {claim:?}: Cube mounts UDisks with {FILE_SYSTEM}, and this one has {system}: use a \
             StorageClass with fsType: {FILE_SYSTEM}"
        )));
    }
    let id = text(csi, "volumeHandle").unwrap_or_default();
    Ok(json!({"id": id, "fs": system, "forceFormat": false}))
}

/// Cube expands no volumes: who asked for more than there is should know.
fn not_expanded(name: &str, claim: &Value) -> Option<Notice> {
    let size = |pointer: &str| claim.pointer(pointer).and_then(Value::as_str);
    let (asked, has) = (size("/spec/resources/requests/storage")?, size("/status/capacity/storage")?);
    let bytes = |text: &str| Quantity::parse(text).ok().map(|quantity| quantity.to_value_ceil());
    (bytes(asked)? > bytes(has)?).then(|| Notice {
        reason: "VolumeNotExpanded",
        message: format!(
            "PersistentVolumeClaim {name:?} asks for {asked} and has {has}: Cube expands no volumes; make a larger claim and \
             copy the files"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Claim;

    fn claimed(volume: Option<Value>, asked: &str) -> Claims {
        let claim = json!({"spec": {"resources": {"requests": {"storage": asked}}}, "status": {"capacity": {"storage": "20Gi"}}});
        let volume = volume.map(|spec| json!({"spec": spec}));
        [("data".to_owned(), Some(Claim { claim, volume })), ("gone".to_owned(), None)].into()
    }

    fn said(claims: &Claims, name: &str) -> String {
        match volume("v", &json!({"claimName": name}), claims, &mut Vec::new()) {
            Ok(volume) => volume.to_string(),
            Err(Problem::Invalid(text)) => format!("never: {text}"),
            Err(Problem::Missing(notice)) => format!("later: {}", notice.message),
        }
    }

    #[test]
    fn what_stands_behind_claims() {
        let check = |volume: Value, wanted: &str| {
            let said = said(&claimed(Some(volume.clone()), "20Gi"), "data");
            assert!(said.contains(wanted), "{volume}: {said}");
        };
        let disk =
            |system: &str| json!({"csi": {"driver": UDISK, "volumeHandle": "bsr-1", "fsType": system}});
        for system in ["ext4", ""] {
            check(disk(system), r#""udisk":{"forceFormat":false,"fs":"ext4","id":"bsr-1"}"#);
        }
        check(disk("xfs"), "this one has xfs: use a StorageClass with fsType: ext4");
        check(
            json!({"nfs": {"server": "10.0.0.9", "path": "/"}}),
            r#""address":"10.0.0.9:/","mountOption":"vers=4.0""#,
        );
        check(
            json!({"nfs": {"server": "10.0.0.9", "path": "/"}, "mountOptions": ["vers=3", "ro"]}),
            r#""mountOption":"vers=3,ro""#,
        );
        check(
            json!({"csi": {"driver": "other.example.com"}}),
            "never: PersistentVolumeClaim \"data\": its volume is of other",
        );
        check(json!({"hostPath": {}}), "of another kind");
        check(json!({"volumeMode": "Block", "csi": {"driver": UDISK}}), "no raw block devices");
        assert!(
            said(&claimed(None, "20Gi"), "data")
                .contains("later: PersistentVolumeClaim \"data\" is not bound")
        );
        for missing in ["gone", "never"] {
            assert!(said(&claimed(None, "20Gi"), missing).contains("does not exist"));
        }
    }

    #[test]
    fn an_expansion_is_said_not_to_happen() {
        for (asked, wanted) in [("20Gi", 0), ("10Gi", 0), ("40Gi", 1)] {
            let claims = claimed(Some(json!({"csi": {"driver": UDISK, "volumeHandle": "bsr-1"}})), asked);
            let mut notices = Vec::new();
            assert!(volume("v", &json!({"claimName": "data"}), &claims, &mut notices).is_ok());
            assert_eq!(notices.len(), wanted, "{notices:?}");
        }
    }
}
