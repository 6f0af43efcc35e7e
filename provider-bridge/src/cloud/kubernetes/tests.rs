//! Component tests: the provider against the small server on loopback that CCI's tests use as well.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::SinkExt as _;
use hyper_util::rt::TokioIo;
use policies::keys::tag;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::*;
use crate::cloud::PodIdentity;
use crate::cloud::kubelike::instance_name;
use crate::cloud::kubelike::testing::{Answer, Seen, Server, status};
use crate::streams::{ExecOutcome, exec_pair};

const NODE: &str = "burst-east-0";

fn provider_in(server: &Server, namespaces: Namespaces) -> KubernetesProvider {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // The token is read once, at once.
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "opensesame").unwrap();
    KubernetesProvider::new(KubernetesSettings {
        cluster_id: "c-1".into(),
        node_names: vec![NODE.into()],
        login: Login::Token { server: server.endpoint.clone(), token, ca: None },
        namespaces,
    })
    .unwrap()
}

fn provider(server: &Server) -> KubernetesProvider {
    provider_in(server, Namespaces::Prefixed("burst".into()))
}

fn request(namespace: &str, name: &str) -> CreateRequest {
    let pod = PodIdentity { uid: format!("uid-{name}"), namespace: namespace.into(), name: name.into() };
    let object = json!({
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "spec": {"containers": [{"name": "app", "image": "app",
            "envFrom": [{"secretRef": {"name": "db"}}]}]},
    });
    CreateRequest {
        pod,
        node: NODE.into(),
        object: Arc::new(object),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        hidden: Vec::new(),
        needs_grant: false,
    }
}

struct Local;

#[async_trait]
impl Resolve for Local {
    async fn config_map(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }

    async fn secret(&self, _: &str, name: &str) -> Result<Option<Value>, CloudError> {
        Ok(Some(json!({"metadata": {"name": name}, "data": {"PASSWORD": "aHVudGVyMg=="}})))
    }

    async fn services(&self, _: &str) -> Result<Vec<Value>, CloudError> {
        Ok(Vec::new())
    }
}

async fn made(provider: &KubernetesProvider, namespace: &str, name: &str) -> Instance {
    provider.create(&request(namespace, name), &Local).await.unwrap()
}

fn is(method: &'static str, end: &'static str) -> impl Fn(&Seen) -> bool + Send {
    move |seen| seen.method == method && seen.path.ends_with(end)
}

#[tokio::test]
async fn a_namespace_becomes_one_there_and_is_made_once() {
    let server = Server::start().await;
    let provider = provider(&server);
    provider.prepare().await.unwrap();
    let first = made(&provider, "shop", "web").await;
    let namespace = server.object("/api/v1/namespaces/burst-shop").unwrap();
    assert_eq!(namespace["metadata"]["labels"][tag::CLUSTER], "c-1");
    assert_eq!(namespace["metadata"]["annotations"][tag::POD_NAMESPACE], "shop");
    let name = instance_name(&first.pod);
    assert!(server.object(&format!("/api/v1/namespaces/burst-shop/pods/{name}")).is_some());
    assert!(first.id.starts_with(&format!("burst-shop/{name}/cloud-")), "{}", first.id);
    made(&provider, "shop", "web-2").await;
    made(&provider, "bank", "till").await;
    let made = server.calls().iter().filter(|call| *call == "POST /api/v1/namespaces").count();
    assert_eq!(made, 2);
    let seen = server.seen();
    assert!(seen.iter().all(|seen| seen.headers["authorization"] == "Bearer opensesame"));
    let mut listed: Vec<String> = provider
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|i| format!("{}/{}", i.pod.namespace, i.pod.name))
        .collect();
    listed.sort();
    assert_eq!(listed, ["bank/till", "shop/web", "shop/web-2"]);
}

#[tokio::test]
async fn one_namespace_for_all_is_made_in_advance() {
    let server = Server::start().await;
    let provider = provider_in(&server, Namespaces::One("guests".into()));
    provider.prepare().await.unwrap();
    assert!(server.object("/api/v1/namespaces/guests").is_some());
    made(&provider, "shop", "web").await;
    made(&provider, "bank", "till").await;
    assert_eq!(provider.list().await.unwrap().len(), 2);
    let lists = server.seen().into_iter().filter(|seen| seen.query.contains("labelSelector"));
    assert!(lists.into_iter().all(|seen| seen.path == "/api/v1/namespaces/guests/pods"));
}

#[tokio::test]
async fn this_very_cluster_is_refused() {
    let server = Server::start().await;
    server.put("/api/v1/namespaces/kube-system", json!({"metadata": {"uid": "c-1"}}));
    let error = provider(&server).prepare().await.unwrap_err();
    assert!(error.to_string().contains("this very cluster"), "{error}");
}

#[tokio::test]
async fn a_namespace_that_was_deleted_is_made_again() {
    let server = Server::start().await;
    let provider = provider(&server);
    made(&provider, "shop", "web").await;
    server.next(is("POST", "/secrets"), Answer::Status(404, status(404, "NotFound")));
    let error = provider.create(&request("shop", "web-2"), &Local).await.unwrap_err();
    assert!(matches!(&error, CloudError::Account(text) if text.contains("will be made again")), "{error}");
    provider.prepare().await.unwrap();
    made(&provider, "shop", "web-2").await;
    let looked = server.calls().iter().filter(|call| *call == "GET /api/v1/namespaces/burst-shop").count();
    assert_eq!(looked, 2);
}

#[tokio::test]
async fn whoever_may_not_read_namespaces_may_still_use_one() {
    let server = Server::start().await;
    let provider = provider_in(&server, Namespaces::One("guests".into()));
    for name in ["/kube-system", "/guests"] {
        server.next(is("GET", name), Answer::Status(403, status(403, "Forbidden")));
    }
    provider.prepare().await.unwrap();
    made(&provider, "shop", "web").await;
}

#[tokio::test]
async fn creating_twice_makes_one_and_a_lost_answer_is_looked_up() {
    let server = Server::start().await;
    let provider = provider(&server);
    server.next(is("POST", "/pods"), Answer::Lost);
    let first = made(&provider, "shop", "web").await;
    let second = made(&provider, "shop", "web").await;
    assert_eq!(first.id, second.id);
    assert_eq!(provider.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn exactly_this_incarnation_is_deleted_and_its_copies_go_with_it() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = made(&provider, "shop", "web").await;
    let copies =
        |server: &Server| server.paths().into_iter().filter(|path| path.contains("/secrets/")).count();
    assert_eq!(copies(&server), 1);
    let path = format!("/api/v1/namespaces/burst-shop/pods/{}", instance_name(&instance.pod));
    let mut events = provider.watch();
    let (lines, chunks) = tokio::sync::mpsc::channel(4);
    server.next(|seen| seen.query.contains("watch=1"), Answer::Stream(chunks));
    for _ in 0..3 {
        events.next().await.unwrap().unwrap();
    }
    provider.delete(&instance, 5).await.unwrap();
    let sent = server.seen().into_iter().rfind(|seen| seen.method == "DELETE").unwrap();
    assert_eq!(sent.path, path);
    assert!(instance.id.ends_with(sent.body["preconditions"]["uid"].as_str().unwrap()));
    let line = json!({"type": "DELETED", "object": server.object(&path).unwrap()});
    lines.send(format!("{line}\n").into()).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(InstanceEvent::Gone(gone))) if gone.pod == instance.pod));
    let gone = async {
        while copies(&server) > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.unwrap();
}

/// The far side of the next upgrade of a subresource.
fn upgrade(
    server: &Server,
    end: &'static str,
    protocol: &'static str,
) -> oneshot::Receiver<hyper::upgrade::OnUpgrade> {
    let (to, upgrade) = oneshot::channel();
    server.next(move |seen| seen.path.ends_with(end), Answer::Upgrade(protocol, to));
    upgrade
}

type Far = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn far(upgrade: oneshot::Receiver<hyper::upgrade::OnUpgrade>) -> Far {
    let upgraded = TokioIo::new(upgrade.await.unwrap().await.unwrap());
    WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await
}

async fn say(far: &mut Far, channel: u8, bytes: &[u8]) {
    far.send(Message::Binary([&[channel], bytes].concat().into())).await.unwrap();
}

#[tokio::test]
async fn attached_to_the_containers_own_process() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = made(&provider, "shop", "web").await;
    let upgrade = upgrade(&server, "/attach", "v5.channel.k8s.io");
    let (mut client, streams) = exec_pair(4);
    let request = ExecRequest { command: Vec::new(), stdin: true, stdout: true, stderr: true, tty: false };
    provider.attach(&instance, "app", &request, streams).await.unwrap();
    assert_eq!(server.seen().pop().unwrap().query, "container=app&stdin=true&stdout=true&stderr=true");
    let mut far = far(upgrade).await;
    say(&mut far, 1, b"out").await;
    say(&mut far, 3, br#"{"status":"Success"}"#).await;
    assert_eq!(client.stdout.recv().await.unwrap(), "out");
    assert_eq!(client.outcome.await.unwrap(), ExecOutcome::Exited(0));
}

#[tokio::test]
async fn a_port_is_forwarded_both_ways_until_the_pod_ends_it() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = made(&provider, "shop", "web").await;
    let upgrade = upgrade(&server, "/portforward", "v4.channel.k8s.io");
    let mut connection = provider.connect(&instance, 80).await.unwrap();
    assert_eq!(server.seen().pop().unwrap().query, "ports=80");
    let mut far = far(upgrade).await;
    for channel in [0, 1] {
        say(&mut far, channel, &80_u16.to_le_bytes()).await;
    }
    connection.write_all(b"GET").await.unwrap();
    let heard = timeout(Duration::from_secs(20), far.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(heard, Message::Binary(b"\0GET".as_slice().into()));
    say(&mut far, 0, b"page").await;
    far.close(None).await.unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).await.unwrap();
    assert_eq!(page, "page");
}

#[tokio::test]
async fn what_the_other_cluster_says_of_a_connection_is_its_error() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = made(&provider, "shop", "web").await;
    let upgrade = upgrade(&server, "/portforward", "v4.channel.k8s.io");
    let mut connection = provider.connect(&instance, 81).await.unwrap();
    let mut far = far(upgrade).await;
    say(&mut far, 1, &81_u16.to_le_bytes()).await;
    say(&mut far, 1, b"connection refused").await;
    let error = connection.read_to_string(&mut String::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "connection refused");
}

/// One list over all namespaces; of a pod that the other cluster has not measured yet nothing is said.
#[tokio::test]
async fn usage_is_one_list_of_the_other_clusters_metrics() {
    let server = Server::start().await;
    let provider = provider(&server);
    let (web, till, new) = (
        made(&provider, "shop", "web").await,
        made(&provider, "bank", "till").await,
        made(&provider, "shop", "new").await,
    );
    let metrics = |namespace: &str, instance: &Instance, cpu: &str, memory: &str| {
        let container =
            |name: &str, memory: &str| json!({"name": name, "usage": {"cpu": cpu, "memory": memory}});
        json!({"metadata": {"name": instance_name(&instance.pod), "namespace": namespace},
            "timestamp": "2026-01-02T03:04:05Z", "window": "15s",
            "containers": [container("app", memory), container("odd", "much")]})
    };
    let items = json!([
        metrics("burst-shop", &web, "1500m", "64Mi"),
        metrics("burst-bank", &till, "1234567n", "12Ki"),
        metrics("burst-bank", &web, "9", "9Gi"),
    ]);
    let list = json!({"kind": "PodMetricsList", "metadata": {}, "items": items});
    server.next(is("GET", "/apis/metrics.k8s.io/v1beta1/pods"), Answer::Status(200, list));
    let before = server.calls().len();
    let used = provider.usage(&[web, till, new]).await.unwrap();
    assert_eq!(server.calls().len(), before + 1);
    let rows: Vec<_> = used
        .iter()
        .flat_map(|pod| {
            pod.containers.iter().map(move |c| (pod.pod_uid.as_str(), c.nano_cores, c.memory.working_set))
        })
        .collect();
    let expected =
        [("uid-web", Some(1_500_000_000), Some(64 << 20)), ("uid-till", Some(1_234_567), Some(12 << 10))];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_cluster_without_metrics_server_is_said() {
    let server = Server::start().await;
    let provider = provider(&server);
    let web = made(&provider, "shop", "web").await;
    server.next(is("GET", "/v1beta1/pods"), Answer::Status(404, status(404, "NotFound")));
    let error = provider.usage(&[web]).await.unwrap_err().to_string();
    assert!(error.contains("install metrics-server in that cluster"), "{error}");
}
