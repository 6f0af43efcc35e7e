//! Claims: what is imported, what is refused, and what becomes of the files.

use http::StatusCode;
use serde_json::{Value, json};

use super::support::{Cloud, NS, PODS, pod};

const CLAIMS: &str = "/api/v1/namespaces/cce-burst-c1/persistentvolumeclaims";
const IMPORTS: &str = "/api/v1/namespaces/cce-burst-c1/extended-persistentvolumeclaims";

fn import(name: &str, volume: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NS, "annotations": {"fsType": "nfs", "volumeID": volume}},
        "spec": {"storageClassName": "nfs-rw", "resources": {"requests": {"storage": "1Gi"}}}})
}

fn mounting(name: &str, claim: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
    pod
}

/// Guards data: of CCI 1.0 a claim takes its file system along unless the call says that it stays.
#[tokio::test]
async fn claims_of_the_first_generation() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let mut wrong = import("a", "fs-1");
    wrong["spec"]["storageClassName"] = json!("gold");
    assert_eq!(client.post(IMPORTS, wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(client.post(IMPORTS, import("a", "")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(client.post(PODS, mounting("p", "a")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, made) = client.post(IMPORTS, import("a", "fs-1")).await;
    assert_eq!((status, &made["status"]["phase"]), (StatusCode::CREATED, &json!("Bound")), "{made}");
    assert_eq!(client.post(IMPORTS, import("a", "fs-1")).await.0, StatusCode::CONFLICT);
    assert_eq!(client.post(PODS, mounting("p", "a")).await.0, StatusCode::CREATED);
    let path = format!("{PODS}/p");
    client.until(&path, |pod| pod["status"]["phase"] == "Running").await;
    let half = format!("{CLAIMS}/a?deleteVolume=false");
    assert_eq!(client.delete(&half).await.0, StatusCode::BAD_REQUEST, "storageType is mandatory");
    let unbind = format!("{CLAIMS}/a?deleteVolume=false&storageType=nfs");
    assert_eq!(client.delete(&unbind).await.0, StatusCode::OK);
    let (_, ending) = client.get(&format!("{CLAIMS}/a")).await;
    assert!(ending["metadata"]["deletionTimestamp"].is_string(), "it stays while a pod mounts it: {ending}");
    client.delete(&path).await;
    client.until(&format!("{CLAIMS}/a"), |answer| answer["reason"] == "NotFound").await;
    assert_eq!(client.post(IMPORTS, import("b", "fs-1")).await.0, StatusCode::CREATED, "the files are there");
    assert_eq!(client.delete(&format!("{CLAIMS}/b")).await.0, StatusCode::OK);
    assert_eq!(
        client.post(IMPORTS, import("c", "fs-1")).await.0,
        StatusCode::UNPROCESSABLE_ENTITY,
        "and now are not"
    );
    assert_eq!(client.post(IMPORTS, import("d", "fs-2")).await.0, StatusCode::CREATED);
    client.delete(&format!("/api/v1/namespaces/{NS}")).await;
    client.until(&format!("/api/v1/namespaces/{NS}"), |answer| answer["reason"] == "NotFound").await;
    client.post("/_sim/clock", json!({"advanceSeconds": 31})).await;
    client.namespace(NS).await;
    let lost = client.post(IMPORTS, import("d", "fs-2")).await;
    assert_eq!(lost.0, StatusCode::UNPROCESSABLE_ENTITY, "the namespace took them along");
}

/// Of CCI 2.0 a volume with Retain is released, and the files stay.
#[tokio::test]
async fn claims_of_the_second_generation() {
    let cloud = Cloud::start(&["--api", "cci2"]).await;
    let client = &cloud.client;
    let space = "/apis/cci/v2/namespaces/bursting-c1";
    let (all, volumes) = (format!("{space}/persistentvolumeclaims"), "/apis/cci/v2/persistentvolumes");
    client.post("/apis/cci/v2/namespaces", json!({"metadata": {"name": "bursting-c1"}})).await;
    let claim = json!({"metadata": {"name": "a"}, "spec": {"volumeName": "a", "resources": {"requests": {"storage": "1Gi"}}}});
    let volume = json!({"metadata": {"name": "a"}, "spec": {"persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "bursting-c1", "name": "a"}, "csi": {"driver": "nas.csi.everest.io", "volumeHandle": "fs-1"}}});
    assert_eq!(client.post(volumes, volume).await.0, StatusCode::CREATED);
    let (status, made) = client.post(&all, claim).await;
    assert_eq!((status, &made["status"]["phase"]), (StatusCode::CREATED, &json!("Bound")), "{made}");
    assert_eq!(client.get(&format!("{volumes}/a")).await.1["status"]["phase"], "Bound");
    assert_eq!(client.delete(&format!("{all}/a")).await.0, StatusCode::OK);
    assert_eq!(client.get(&format!("{volumes}/a")).await.1["status"]["phase"], "Released");
    assert_eq!(client.delete(&format!("{volumes}/a")).await.0, StatusCode::OK);
    assert_eq!(client.get(volumes).await.1["items"], json!([]));
}
