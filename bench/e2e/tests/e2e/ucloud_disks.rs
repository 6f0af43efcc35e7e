//! UCloud: the page's UDisk example with its class that waits for the first consumer, NFS, and what is said of the rest.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::World;
use lab::{cube_node, eventually_within};
use serde_json::{Value, json};

use crate::ucloud::{PATIENCE, apply, get, pod, running_at_cube, told, with_cube};

/// The page's class and claim, word for word but for the comments.
const CLASS_AND_CLAIM: &str = r#"apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: ssd-csi-udisk
provisioner: udisk.csi.ucloud.cn
parameters:
  type: "ssd"
  fsType: "ext4"
reclaimPolicy: Delete
volumeBindingMode: WaitForFirstConsumer
---
kind: PersistentVolumeClaim
apiVersion: v1
metadata:
  name: logdisk-claim
spec:
  accessModes:
    - ReadWriteOnce
  storageClassName: ssd-csi-udisk
  resources:
    requests:
      storage: 20Gi
"#;

/// The page's pod, likewise.
const POD: &str = r#"apiVersion: v1
kind: Pod
metadata:
  name: nginx
spec:
  tolerations:                               
  - effect: NoSchedule
    key: virtual-kubelet.io/provider
    operator: Equal
    value: ucloud
  nodeSelector:
    type: virtual-kubelet
  containers:
  - name: http
    image: uhub.service.ucloud.cn/ucloud/nginx:latest
    volumeMounts:
    - name: log
      mountPath: /data
  volumes:
  - name: log
    persistentVolumeClaim:
      claimName: logdisk-claim
"#;

/// The page's example, with the token that the page says to leave out; the disk that the CSI driver made is attached, and
/// outlives the pod.
pub(crate) async fn the_vendors_disk_example(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-disks";
    let result = with_cube(&world, ns, || disks(&world, ns)).await;
    // They are in no namespace.
    world.lab.kubectl(&["delete", "storageclass", "ssd-csi-udisk", "--ignore-not-found"]).await?;
    for volume in ["pv-bsr-lab1", "pv-bsr-xfs"] {
        world.lab.kubectl(&["delete", "pv", volume, "--ignore-not-found", "--wait=false"]).await?;
    }
    result
}

async fn disks(world: &World, ns: &str) -> Result<()> {
    apply(world, ns, CLASS_AND_CLAIM).await?;
    let as_it_stands =
        apply(world, ns, POD).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(as_it_stands.contains("automountServiceAccountToken: false"), "{as_it_stands}");
    let without_token = POD.replace("spec:\n  tol", "spec:\n  automountServiceAccountToken: false\n  tol");
    apply(world, ns, &without_token).await?;
    // The driver makes the disk where the scheduler wants the pod.
    eventually_within(PATIENCE, "the scheduler has chosen a node for the claim", || async {
        let claim = claim(world, ns, "logdisk-claim").await?;
        let node = claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].as_str();
        ensure!([cube_node(0), cube_node(1)].iter().any(|name| node == Some(name)), "{claim}");
        Ok(())
    })
    .await?;
    apply(world, ns, &volume(ns, "pv-bsr-lab1", "logdisk-claim", "ext4").to_string()).await?;
    running_at_cube(world, ns, 1).await?;
    let attached = get(world, "disks").await?;
    ensure!(attached["pv-bsr-lab1"].is_string(), "{attached}");
    let more = json!({"spec": {"resources": {"requests": {"storage": "40Gi"}}}}).to_string();
    let expanded = world.lab.kubectl(&["patch", "pvc", "logdisk-claim", "-n", ns, "-p", &more]).await;
    ensure!(expanded.is_err(), "a class without allowVolumeExpansion is expanded");
    others(world, ns).await?;
    world.lab.kubectl(&["delete", "pod", "--all", "-n", ns, "--timeout=60s"]).await?;
    let (left, claim) = (get(world, "disks").await?, claim(world, ns, "logdisk-claim").await?);
    ensure!(
        left == json!({}) && claim["status"]["phase"] == "Bound",
        "the disk is nobody's and is kept: {left} {claim}"
    );
    Ok(())
}

/// What does not run is told with what to do; NFS runs.
async fn others(world: &World, ns: &str) -> Result<()> {
    let with = |name: &str, source: Value, named: bool| {
        pod(name, |spec| {
            spec["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": source}}]);
            if source.is_object() {
                spec["volumes"] = json!([{"name": "v", "nfs": source}]);
            }
            spec["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
            if named {
                spec["nodeName"] = json!(cube_node(0));
            }
        })
    };
    apply(world, ns, &with("files", json!({"server": "10.9.8.7", "path": "/"}), false).to_string()).await?;
    apply(world, ns, &claim_of("xfs", "").to_string()).await?;
    apply(world, ns, &volume(ns, "pv-bsr-xfs", "xfs", "xfs").to_string()).await?;
    apply(world, ns, &with("on-xfs", json!("xfs"), true).to_string()).await?;
    apply(world, ns, &claim_of("waits", "ssd-csi-udisk").to_string()).await?;
    apply(world, ns, &with("waiting", json!("waits"), true).to_string()).await?;
    told(world, ns, "on-xfs", &["this one has xfs", "fsType: ext4"]).await?;
    told(world, ns, "waiting", &["WaitForFirstConsumer", "nodeSelector"]).await?;
    eventually_within(PATIENCE, "the pod with nfs runs", || async {
        let pod = world.pod(ns, "files").await?;
        ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
        Ok(())
    })
    .await
}

fn claim_of(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "20Gi"}}}})
}

/// What the vendor's CSI driver makes for a claim.
fn volume(ns: &str, name: &str, claim: &str, system: &str) -> Value {
    let class = if claim == "logdisk-claim" { "ssd-csi-udisk" } else { "" };
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "20Gi"}, "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Delete", "claimRef": {"namespace": ns, "name": claim},
        "csi": {"driver": "udisk.csi.ucloud.cn", "volumeHandle": name, "fsType": system}}})
}

async fn claim(world: &World, ns: &str, name: &str) -> Result<Value> {
    let text = world.lab.kubectl(&["get", "pvc", name, "-n", ns, "-o", "json"]).await?;
    Ok(serde_json::from_str(&text)?)
}
