//! Network interop over the server: what is posted, and which kubeconfig it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A kubeconfig with a token.
fn kubeconfig(token: &str) -> String {
    json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://192.168.0.9:5443"}}],
        "users": [{"name": "u", "user": {"token": token}}],
    })
    .to_string()
}

fn with_interop(server: &Server, file: &std::path::Path) -> Result<CciProvider, CloudError> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let interop = InteropSettings { image: "proxy".into(), kubeconfig_file: file.to_owned() };
    CciProvider::new(CciSettings { interop: Some(interop), ..settings(&server.endpoint) })
}

/// The kubeconfigs that were posted, in order.
fn posted(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let secrets = seen.iter().filter(|seen| seen.method == "POST" && seen.path.ends_with("/secrets"));
    let data = secrets.filter_map(|seen| seen.body["data"]["kubeconfig"].as_str().map(str::to_owned));
    data.map(|text| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()).collect()
}

/// Guards a rotated token: a file that was exchanged holds for the next instance, and while it cannot be used no instance is
/// made that would be without the cluster.
#[tokio::test]
async fn an_exchanged_kubeconfig_holds_for_new_instances() {
    let server = Server::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig("first")).unwrap();
    let provider = with_interop(&server, file.path()).unwrap();
    assert!(provider.network_interop());
    let made = provider.create(&request("a", |_| ()), &Local::default()).await.unwrap();
    std::fs::write(file.path(), kubeconfig("next")).unwrap();
    provider.create(&request("b", |_| ()), &Local::default()).await.unwrap();
    assert_eq!(posted(&server), [kubeconfig("first"), kubeconfig("next")]);
    std::fs::write(file.path(), "users: [{name: u, user: {token: [topsecret]}}]").unwrap();
    let before = server.calls().len();
    let error = provider.create(&request("c", |_| ()), &Local::default()).await.unwrap_err();
    assert!(
        matches!(error, CloudError::Retryable(_)) && error.to_string().contains("kubeconfigFile"),
        "{error}"
    );
    assert!(!error.to_string().contains("topsecret"), "{error}");
    assert_eq!(server.calls().len(), before, "nothing was sent");
    assert_eq!(made.status.get("containerStatuses"), None);
    // Nothing starts with a file that was never good.
    let error = with_interop(&server, file.path()).unwrap_err();
    assert!(matches!(error, CloudError::Invalid(_)), "{error}");
}

/// What runs beside a pod neither shows nor keeps it from ending.
#[tokio::test]
async fn the_sidecar_is_in_no_status() {
    let server = Server::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig("t")).unwrap();
    let provider = with_interop(&server, file.path()).unwrap();
    provider
        .create(&request("job", |pod| pod["spec"]["restartPolicy"] = json!("Never")), &Local::default())
        .await
        .unwrap();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{}", kubelike::instance_name(&identity("job")));
    server.change(&path, |pod| {
        assert_eq!(pod["spec"]["containers"].as_array().map(Vec::len), Some(2), "{pod}");
        let name = pod["spec"]["containers"][1]["name"].clone();
        pod["status"] = json!({"phase": "Running", "containerStatuses": [
            {"name": "app", "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-02T03:04:05Z"}}},
            {"name": name, "ready": true, "restartCount": 7, "state": {"running": {}}},
        ]});
    });
    let seen = provider.list().await.unwrap();
    assert_eq!(seen[0].status["phase"], "Succeeded");
    assert_eq!(seen[0].status["containerStatuses"].as_array().map(Vec::len), Some(1));
}
