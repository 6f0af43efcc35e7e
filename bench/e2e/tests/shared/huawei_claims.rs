//! Claims of Huawei's file systems, with scripted and with real instances.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Placement, World};
use lab::{Workload, eventually_within};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A claim and what the vendor's CSI driver makes for it.
fn bound(ns: &str, claim: &str, driver: &str) -> [Value; 2] {
    let (size, modes) = (json!({"storage": "10Gi"}), json!(["ReadWriteMany"]));
    let name = format!("{ns}-{claim}");
    [
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
            "accessModes": modes, "capacity": size, "storageClassName": "", "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": ns, "name": claim},
            "csi": {"driver": driver, "volumeHandle": name, "volumeAttributes": {
                "everest.io/share-export-location": "sfs-nas01.example.com:/share"}}}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"namespace": ns, "name": claim}, "spec": {
            "accessModes": modes, "storageClassName": "", "volumeName": name, "resources": {"requests": size}}}),
    ]
}

/// A pod that goes to CCI and mounts a claim.
fn mounting(ns: &str, name: &str, claim: &str, command: &str) -> Workload {
    Workload::pod(ns, name).label("burst-to-cci", "enforce").spec(|spec| {
        spec["volumes"] = json!([{"name": "files", "persistentVolumeClaim": {"claimName": claim}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": "files", "mountPath": "/files"}]);
        spec["containers"][0]["command"] = json!(["sh", "-c", command]);
    })
}

/// How often a route was called with this method and answered well.
async fn calls(world: &World, method: &str, route: &str) -> Result<u64> {
    let stack = world.stack.lock().await;
    let calls = stack.cloud_get(&world.lab, "requests").await?;
    let rows = calls["counts"].as_array().cloned().unwrap_or_default();
    let same = |row: &&Value| {
        let status = row["status"].as_u64().unwrap_or_default();
        row["method"] == method
            && status < 300
            && row["route"].as_str().is_some_and(|found| found.ends_with(route))
    };
    Ok(rows.iter().filter(same).filter_map(|row| row["count"].as_u64()).sum())
}

/// Two pods mount one claim of SFS through one claim at CCI, which goes with the last of them and leaves the files: a third
/// pod has them again. A disk is refused in words, and a claim that is not bound yet is waited for.
pub(crate) async fn claims_of_sfs_are_mounted(world: Arc<World>) -> Result<()> {
    let ns = "huawei-claims";
    world.namespace(ns).await?;
    let result = claims(&world, ns).await;
    let cleaned = world.clean(ns).await;
    for claim in ["files", "disk", "late-disk", "later"] {
        let name = format!("{ns}-{claim}");
        world.lab.kubectl(&["delete", "pv", &name, "--ignore-not-found", "--wait=false"]).await?;
    }
    result.and(cleaned)
}

async fn claims(world: &World, ns: &str) -> Result<()> {
    const IMPORT: &str = "/extended-persistentvolumeclaims";
    const CLAIM: &str = "/persistentvolumeclaims/{name}";
    for object in bound(ns, "files", "nas.csi.everest.io") {
        world.lab.apply(&object.to_string()).await?;
    }
    let (imported, unbound) = (calls(world, "POST", IMPORT).await?, calls(world, "DELETE", CLAIM).await?);
    let wait = "sleep 1000";
    world
        .lab
        .apply(&mounting(ns, "writer", "files", &format!("echo kept > /files/note; {wait}")).text())
        .await?;
    world.lab.apply(&mounting(ns, "reader", "files", wait).text()).await?;
    ensure!(world.running(ns, 2).await? == Placement { local: 0, burst: 2 }, "both run at CCI");
    reads(world, ns, "reader").await?;
    ensure!(calls(world, "POST", IMPORT).await? == imported + 1, "one claim for both");
    world.lab.kubectl(&["delete", "pod", "writer", "-n", ns, "--timeout=60s"]).await?;
    ensure!(calls(world, "DELETE", CLAIM).await? == unbound, "the reader still mounts it");
    world.lab.kubectl(&["delete", "pod", "reader", "-n", ns, "--timeout=60s"]).await?;
    eventually_within(PATIENCE, "the claim goes with the last pod", || async {
        ensure!(calls(world, "DELETE", CLAIM).await? == unbound + 1, "not yet");
        Ok(())
    })
    .await?;
    world.lab.apply(&mounting(ns, "again", "files", wait).text()).await?;
    ensure!(world.running(ns, 1).await? == Placement { local: 0, burst: 1 }, "it runs at CCI");
    reads(world, ns, "again").await?;
    others(world, ns).await
}

/// What is not a file system of CCI's, and what is not bound yet.
async fn others(world: &World, ns: &str) -> Result<()> {
    let [disk, claim] = bound(ns, "disk", "disk.csi.everest.io");
    let [later, unbound] = bound(ns, "later", "sfsturbo.csi.everest.io");
    for object in [disk, claim, unbound] {
        world.lab.apply(&object.to_string()).await?;
    }
    // Bound, it is known at admission; the bridge says the same of one that was not.
    eventually_within(PATIENCE, "a pod with a disk is refused", || async {
        let said = world.lab.apply(&mounting(ns, "on-disk", "disk", "sleep 1000").text()).await;
        let said = said.err().map(|error| format!("{error:#}")).unwrap_or_default();
        for words in
            ["spec.volumes[0].persistentVolumeClaim", "csi-nas", "sfsturbo.csi.everest.io", "policy off"]
        {
            ensure!(said.contains(words), "{words}: {said}");
        }
        Ok(())
    })
    .await?;
    world.lab.apply(&mounting(ns, "on-late-disk", "late-disk", "sleep 1000").text()).await?;
    let [late, claim] = bound(ns, "late-disk", "disk.csi.everest.io");
    for object in [claim, late] {
        world.lab.apply(&object.to_string()).await?;
    }
    let selector = "involvedObject.name=on-late-disk";
    eventually_within(PATIENCE, "the pod with a disk is told what works", || async {
        let args =
            ["get", "events", "-n", ns, "--field-selector", selector, "-o", "jsonpath={.items[*].message}"];
        let said = world.lab.kubectl(&args).await?;
        for words in ["of disk.csi.everest.io", "csi-nas", "sfsturbo.csi.everest.io", "policy off"] {
            ensure!(said.contains(words), "{words}: {said}");
        }
        Ok(())
    })
    .await?;
    world.lab.apply(&mounting(ns, "waits", "later", "sleep 1000").text()).await?;
    ensure!(world.pod(ns, "waits").await?["status"]["phase"] == "Pending", "its claim is not bound");
    world.lab.apply(&later.to_string()).await?;
    eventually_within(PATIENCE, "the pod runs once its claim is bound", || async {
        let pod = world.pod(ns, "waits").await?;
        ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
        Ok(())
    })
    .await
}

/// Where instances are real, the file that the first pod wrote is there.
async fn reads(world: &World, ns: &str, pod: &str) -> Result<()> {
    if !world.real {
        return Ok(());
    }
    eventually_within(PATIENCE, "the file of the first pod is seen", || async {
        let said = world.lab.kubectl(&["exec", pod, "-n", ns, "--", "cat", "/files/note"]).await?;
        ensure!(said == "kept\n", "{said:?}");
        Ok(())
    })
    .await
}
