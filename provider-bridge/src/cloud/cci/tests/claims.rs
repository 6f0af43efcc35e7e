//! Claims at both generations: one for all pods that mount a file system, and none is left when they are gone.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::timeout;

use super::*;
use crate::cloud::kubelike::testing::{Answer, Seen, status};

fn of(server: &Server, generation: Generation) -> CciProvider {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    CciProvider::new(CciSettings { generation, ..settings(&server.endpoint) }).unwrap()
}

fn space(generation: Generation) -> String {
    let name = settings("").namespace();
    match generation {
        Generation::One => format!("/api/v1/namespaces/{name}"),
        Generation::Two => "/apis/cci/v2/namespaces/bursting-c-1".to_owned(),
    }
}

fn local() -> Local {
    let sfs = json!({"csi": {"driver": "nas.csi.everest.io", "volumeHandle": "fs-1"}, "accessModes": ["ReadWriteMany"]});
    let disk = json!({"csi": {"driver": "disk.csi.everest.io", "volumeHandle": "d-1"}});
    Local { volumes: vec![("files", sfs), ("disk", disk), ("unbound", Value::Null)], ..Local::default() }
}

fn mounting(name: &str, claim: &str) -> CreateRequest {
    request(name, |pod| {
        pod["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    })
}

fn claims(server: &Server) -> Vec<String> {
    server.paths().into_iter().filter(|path| path.contains("persistentvolume")).collect()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let waited = timeout(Duration::from_secs(20), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn pods_share_a_claim_that_goes_with_the_last_of_them() {
    for generation in [Generation::One, Generation::Two] {
        let server = Server::start().await;
        let provider = of(&server, generation);
        let mut made = Vec::new();
        for name in ["one", "two"] {
            made.push(provider.create(&mounting(name, "files"), &local()).await.unwrap());
        }
        let found = claims(&server);
        assert_eq!(found.len(), if generation == Generation::One { 1 } else { 2 }, "{found:?}");
        let claim = found.iter().find(|path| path.contains("/namespaces/")).unwrap().clone();
        let name = claim.rsplit('/').next().unwrap().to_owned();
        let pods = format!("{}/pods", space(generation));
        let pod_of = |name: &str| format!("{pods}/{}", kubelike::instance_name(&identity(name)));
        let pod = server.object(&pod_of("one")).unwrap();
        assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], name.as_str());
        // A watch that begins after a restart knows them too.
        let (lines, chunks) = tokio::sync::mpsc::channel(16);
        server.next(|seen: &Seen| seen.query.contains("watch=1"), Answer::Stream(chunks));
        let mut events = provider.watch();
        for _ in 0..4 {
            events.next().await.unwrap().unwrap();
        }
        let gone = async |name: &str| {
            let object = server.object(&pod_of(name)).unwrap();
            server.remove(&pod_of(name));
            lines.send(format!("{}\n", json!({"type": "DELETED", "object": object})).into()).await.unwrap();
        };
        gone("one").await;
        assert!(matches!(events.next().await, Some(Ok(InstanceEvent::Gone(_)))));
        assert_eq!(claims(&server), found, "somebody still uses it");
        // Somebody else's bridge has one that this watch does not see.
        let mut other = server.object(&pod_of("two")).unwrap();
        other["metadata"]["labels"]["burst.io/virtual-node"] = "burst-other".into();
        server.put(&format!("{pods}/other"), other);
        gone("two").await;
        let lists =
            || server.seen().iter().filter(|seen| seen.path == pods && seen.query == "limit=500").count();
        until("all pods are looked at", || lists() == 1).await;
        assert_eq!(claims(&server), found, "a pod of another virtual node uses it");
        server.remove(&format!("{pods}/other"));
        // The look at the pods may not be finished.
        while let Err(error) = provider.create(&mounting("last", "files"), &local()).await {
            assert!(matches!(error, CloudError::Retryable(_)), "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let object = server.object(&pod_of("last")).unwrap();
        lines.send(format!("{}\n", json!({"type": "ADDED", "object": object})).into()).await.unwrap();
        gone("last").await;
        until("the claim goes with the last pod", || claims(&server).is_empty()).await;
        let removed =
            server.seen().into_iter().find(|seen| seen.method == "DELETE" && seen.path == claim).unwrap();
        let wanted = if generation == Generation::One { "deleteVolume=false&storageType=nfs" } else { "" };
        assert_eq!(removed.query, wanted, "the file system stays");
    }
}

#[tokio::test]
async fn other_volumes_are_refused_and_unbound_claims_waited_for() {
    let server = Server::start().await;
    let provider = of(&server, Generation::One);
    let refused = provider.create(&mounting("web", "disk"), &local()).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, CloudError::Invalid(_)) && text.contains("disk.csi.everest.io"), "{text}");
    for claim in ["unbound", "nowhere"] {
        let (local, error) = (local(), provider.create(&mounting("web", claim), &local()).await.unwrap_err());
        assert!(matches!(error, CloudError::Retryable(_)), "{error}");
        assert!(provider.create(&mounting("web", claim), &local).await.is_err());
        assert!(local.told.lock().unwrap()[0].starts_with("FailedMount: PersistentVolumeClaim"));
    }
    assert_eq!(server.paths(), [""; 0]);
    // One that is being removed is waited for too.
    let found = json!({"metadata": {"name": "burst-sfs-1", "deletionTimestamp": "2026-01-02T03:04:05Z"}});
    server.next(|seen: &Seen| seen.path.contains("/persistentvolumeclaims/"), Answer::Status(200, found));
    let error = provider.create(&mounting("web", "files"), &local()).await.unwrap_err();
    assert!(matches!(&error, CloudError::Retryable(text) if text.contains("still being removed")), "{error}");
    server.next(
        |seen: &Seen| seen.path.ends_with("/extended-persistentvolumeclaims"),
        Answer::Status(404, status(404, "NotFound")),
    );
    let error = provider.create(&mounting("web", "files"), &local()).await.unwrap_err();
    assert!(matches!(error, CloudError::Account(_)), "the namespace is missing: {error}");
}

/// Guards data: a namespace of CCI 1.0 takes the file systems of its claims along, so none may be left in it.
#[tokio::test]
async fn leaving_unbinds_claims_before_the_namespace_goes() {
    let server = Server::start().await;
    let provider = of(&server, Generation::One);
    provider.prepare().await.unwrap();
    provider.create(&mounting("web", "files"), &local()).await.unwrap();
    let pod = server.paths().into_iter().find(|path| path.contains("/pods/")).unwrap();
    server.remove(&pod);
    let deletion = format!("DELETE {}", space(Generation::One));
    let foreign = format!("{}/persistentvolumeclaims/mine", space(Generation::One));
    server.put(&foreign, json!({"metadata": {"name": "mine"}}));
    let error = provider.leave().await.unwrap_err().to_string();
    assert!(error.contains("claims that burst did not make (mine)"), "{error}");
    assert!(!server.calls().contains(&deletion));
    server.remove(&foreign);
    provider.leave().await.unwrap();
    let calls = server.calls();
    let unbound =
        calls.iter().position(|call| call.starts_with("DELETE") && call.contains("/burst-sfs-")).unwrap();
    assert!(unbound < calls.iter().position(|call| *call == deletion).unwrap(), "{calls:?}");
}
