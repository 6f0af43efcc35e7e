//! The servers over real sockets: framing, keep-alive, limits, readiness, stopping, certificate reload, metrics, page.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

mod support {
    pub(crate) mod server;
}

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::testing::{FakeApi, Fault};
use policies::burst_policy::{Limit, SpendRow, Usage};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use scheduler::decisions::Decision;
use scheduler::leader::{PolicyRow, View};
use scheduler::metrics::{Kind, Metric};
use scheduler::tls::Certificate;
use serde_json::{Value, json};
use support::server::{
    Connection, Server, eventually, install_crypto, pair, settings, start, start_set, start_with, write_pair,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

fn cluster() -> FakeApi {
    let api = FakeApi::new();
    for (name, provider) in [("node-0", None), ("burst-cci-0", Some("huawei"))] {
        let labels = if provider.is_some() { json!({"type": "virtual-kubelet"}) } else { json!({}) };
        let taint = |p| json!([{"key": "virtual-kubelet.io/provider", "value": p, "effect": "NoSchedule"}]);
        api.put(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "spec": {"taints": provider.map(taint).unwrap_or(json!([]))},
            "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"},
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }));
    }
    api
}

fn pod(policy: &str) -> Value {
    json!({
        "metadata": {"name": "web", "annotations": {"burst.io/resolved-policy": policy}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
    })
}

/// 5000 names of 47 characters and the virtual node.
fn large(policy: &str) -> Vec<u8> {
    let names =
        (0..5000).map(|n| format!("ip-10-0-{:03}-{:03}.eu-west-1.compute.internal.{n:04}", n / 250, n % 250));
    let names: Vec<String> = names.chain(["burst-cci-0".to_owned()]).collect();
    assert_eq!(names[0].len(), 47);
    json!({"Pod": pod(policy), "Nodes": null, "NodeNames": names}).to_string().into_bytes()
}

fn body(policy: &str, names: &[&str]) -> Vec<u8> {
    json!({"Pod": pod(policy), "NodeNames": names}).to_string().into_bytes()
}

async fn metric(server: &Server, series: &str) -> f64 {
    let text = server.get("/metrics").await.text();
    let line = text.lines().find(|line| line.split(' ').next() == Some(series));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_every_call_and_each_reply_says_its_length() {
    let server = start(&cluster(), true).await;
    let before = metric(&server, r#"burst_extender_connections_total{listener="http"}"#).await;
    let mut connection = server.connect().await;
    let (filter, off) = (large("auto"), large("off"));
    for round in 0..300 {
        let (path, request) = match round % 3 {
            0 => ("/v1/filter", &filter),
            1 => ("/v1/prioritize", &filter),
            _ => ("/v1/filter", &off),
        };
        let reply = connection.call("POST", path, request).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers.get("content-type").map(String::as_str), Some("application/json"));
        assert!(!reply.headers.contains_key("transfer-encoding"));
        match round % 3 {
            0 => assert_eq!(reply.json()["NodeNames"].as_array().map(Vec::len), Some(5001)),
            1 => assert_eq!(reply.text(), r#"[{"Host":"burst-cci-0","Score":-10}]"#),
            _ => {
                assert_eq!(reply.json()["NodeNames"].as_array().map(Vec::len), Some(5000));
                assert!(reply.json()["FailedAndUnresolvableNodes"]["burst-cci-0"].is_string());
            }
        }
    }
    drop(connection);
    let after = metric(&server, r#"burst_extender_connections_total{listener="http"}"#).await;
    assert!((after - before - 2.0).abs() < 0.5, "one connection for all calls, one for the second scrape");
    let calls =
        metric(&server, r#"burst_extender_requests_total{verb="prioritize",code="ok",mode="names"}"#).await;
    assert!((calls - 100.0).abs() < 0.5, "{calls}");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_read_to_its_end_and_refused_in_words() {
    let server = start(&cluster(), true).await;
    let mut connection = server.connect().await;
    let size: usize = 100_000_000;
    let over: usize = 101 << 20;
    for (path, size, code) in
        [("/v1/filter", over, true), ("/v1/prioritize", over, true), ("/v1/filter", size, false)]
    {
        connection
            .send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n").as_bytes())
            .await;
        let chunk = vec![b' '; 1 << 20];
        let mut left = size;
        while left > 0 {
            connection.send(&chunk[..left.min(chunk.len())]).await;
            left -= left.min(chunk.len());
        }
        let reply = connection.receive().await;
        assert_eq!(reply.status, 200, "{path}");
        if path == "/v1/prioritize" {
            assert_eq!(reply.text(), "[]");
            continue;
        }
        let error = reply.json()["Error"].as_str().unwrap_or_default().to_owned();
        let words = if code { "nodeCacheCapable: true" } else { "not valid JSON" };
        assert!(error.contains(words), "{error}");
    }
    let reply = connection.call("POST", "/v1/filter", &body("auto", &["node-0"])).await;
    assert_eq!(reply.json()["NodeNames"], json!(["node-0"]), "the same connection goes on");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_and_truncated_requests() {
    let server = start(&cluster(), true).await;
    let mut connection = server.connect().await;
    let request = body("auto", &["node-0"]);
    connection.send(b"POST /v1/filter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for part in request.chunks(40) {
        connection.send(format!("{:x}\r\n", part.len()).as_bytes()).await;
        connection.send(part).await;
        connection.send(b"\r\n").await;
    }
    connection.send(b"0\r\n\r\n").await;
    assert_eq!(connection.receive().await.json()["NodeNames"], json!(["node-0"]));

    let mut cut = server.connect().await;
    cut.send(b"POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"Pod\"").await;
    drop(cut);
    let reply = connection.call("POST", "/v1/filter", &body("auto", &["node-0"])).await;
    assert_eq!(reply.json()["Error"], "", "others are not touched");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_picture_nothing_is_guessed() {
    let api = cluster();
    api.fault(Fault::hang().on("GET", "/api/v1/pods"));
    let server = start(&api, false).await;
    let mut connection = server.connect().await;
    let filter = connection.call("POST", "/v1/filter", &body("auto", &["node-0"])).await;
    assert_eq!(filter.status, 200);
    let error = filter.json()["Error"].as_str().unwrap_or_default().to_owned();
    assert!(error.starts_with("burst: the cluster cache is not filled yet"), "{error}");
    assert_eq!(connection.call("POST", "/v1/prioritize", &body("auto", &["node-0"])).await.text(), "[]");
    let ready = connection.call("GET", "/readyz", b"").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("not filled yet"), "{}", ready.text());
    for path in ["/healthz", "/livez"] {
        assert_eq!(connection.call("GET", path, b"").await.status, 200, "{path}");
    }
    let capacity = connection.call("GET", "/api/capacity", b"").await.json();
    assert_eq!(capacity["cache"]["ready"], false);
    assert!(capacity["cache"]["reason"].is_string());
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_end_is_given_up_in_words() {
    let settings = scheduler::app::Settings { body_timeout: Duration::from_millis(50), ..settings() };
    let server = start_set(&cluster(), true, None, settings).await;
    for (path, status) in [("/v1/filter", 200), ("/v1/prioritize", 200)] {
        let mut connection = server.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{");
        connection.send(head.as_bytes()).await;
        let reply = connection.receive().await;
        assert_eq!(reply.status, status);
        if path == "/v1/filter" {
            let error = reply.json()["Error"].as_str().unwrap_or_default().to_owned();
            assert!(
                error.contains("did not end within 50ms") && error.contains("bodyTimeoutSeconds"),
                "{error}"
            );
        }
    }
    // Whoever sends what it said is served as ever.
    let reply = server.connect().await.call("POST", "/v1/filter", &body("auto", &["node-0"])).await;
    assert_eq!(reply.json()["NodeNames"], json!(["node-0"]));
    server.end().await;
}

/// What requests hold is counted over all of them; it is free again when they are answered, or broken off.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_all_requests_share_one_budget() {
    let settings = scheduler::app::Settings { body_budget: 4096, ..settings() };
    let server = start_set(&cluster(), true, None, settings).await;
    let mut holds = server.connect().await;
    // In one piece, so that its bytes are there when the request is.
    let head = "POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 4090\r\n\r\n";
    holds.send(format!("{head}{:4050}", "").as_bytes()).await;
    let in_flight = || async { metric(&server, "burst_extender_inflight").await > 0.5 };
    eventually("the request is in flight", in_flight).await;
    let mut connection = server.connect().await;
    let ask = async |connection: &mut Connection<TcpStream>| {
        connection.call("POST", "/v1/filter", &body("auto", &["node-0"])).await.json()
    };
    eventually("there is no room", async || {
        !ask(&mut connection).await["Error"].as_str().unwrap_or("").is_empty()
    })
    .await;
    let error = ask(&mut connection).await["Error"].as_str().unwrap_or_default().to_owned();
    assert!(
        error.contains("no room") && error.contains("4096 bytes") && error.contains("bodyBudgetMib"),
        "{error}"
    );
    let refused =
        metric(&server, r#"burst_extender_requests_total{verb="filter",code="no_room",mode="none"}"#).await;
    assert!(refused > 1.5, "{refused}");
    drop(holds);
    eventually("the room is free again", async || {
        ask(&mut connection).await["NodeNames"] == json!(["node-0"])
    })
    .await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_fails_readiness_first_and_finishes_what_is_in_flight() {
    let server = start(&cluster(), true).await;
    assert_eq!(server.get("/readyz").await.status, 200);
    server.app.drain();
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, ready.text().trim()), (503, "burst: stopping"));

    let mut connection = server.connect().await;
    let request = body("auto", &["node-0"]);
    let head = format!("POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", request.len());
    connection.send(head.as_bytes()).await;
    connection.send(&request[..10]).await;
    let in_flight = || async { metric(&server, "burst_extender_inflight").await > 0.5 };
    eventually("the request is in flight", in_flight).await;
    let address = server.http;
    let stopping = tokio::spawn(server.end());
    eventually("the listener is closed", async || TcpStream::connect(address).await.is_err()).await;
    connection.send(&request[10..]).await;
    assert_eq!(connection.receive().await.json()["NodeNames"], json!(["node-0"]));
    drop(connection);
    stopping.await.expect("stopped");
}

/// A leader that counts one policy with a ceiling and a budget.
fn leading() -> View {
    let pods = |pods| Limit { pods: Some(pods), ..Limit::default() };
    let usage = Usage { name: "cloud".to_owned(), used: pods(4), max: pods(10) };
    let spend = SpendRow { window: "day".to_owned(), currency: "CNY".to_owned(), ..SpendRow::default() };
    let policy = "BurstPolicy/shop/web".to_owned();
    let row = PolicyRow { policy, usage: vec![usage], spend: vec![spend], ..PolicyRow::default() };
    View { leading: true, policies: vec![row] }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_described_once_and_rendered() {
    let server = start(&cluster(), true).await;
    let mut connection = server.connect().await;
    for path in ["/v1/filter", "/v1/prioritize", "/v1/preempt"] {
        connection.call("POST", path, &body("auto", &["node-0"])).await;
    }
    server
        .app
        .metrics
        .count(Metric::Decisions, [("policy", "auto"), ("outcome", "cloud"), ("reason", "ShortOfCpu")]);
    server.app.metrics.count(Metric::AdmissionRequests, [("hook", "pods"), ("result", "allowed")]);
    server.app.metrics.observe(Metric::AdmissionDuration, [("hook", "pods")], 0.001);
    server.app.metrics.count(Metric::Events, []);
    server.app.metrics.count(Metric::CertificateReloads, [("result", "loaded")]);
    server.app.metrics.count(Metric::LedgerWrites, [("result", "written")]);
    server.app.metrics.count(Metric::Repatriations, [("result", "moved")]);
    server.app.metrics.observe(Metric::DecisionWait, [], 0.5);
    server.app.leader.store(Arc::new(leading()));
    let text = connection.call("GET", "/metrics", b"").await.text();
    for metric in Metric::ALL {
        let name = metric.name();
        let lines = |start: String| text.lines().filter(|line| line.starts_with(&start)).count();
        assert_eq!(lines(format!("# HELP {name} ")), 1, "{name}:\n{text}");
        assert_eq!(lines(format!("# TYPE {name} {}", metric.kind().as_str())), 1, "{name}");
        let series =
            if metric.kind() == Kind::Histogram { format!("{name}_bucket{{") } else { name.to_owned() };
        assert!(lines(series) > 0, "{name} has no series");
    }
    assert!(text.contains(r#"burst_virtual_node_info{node="burst-cci-0",provider="huawei"} 1"#), "{text}");
    assert!(
        text.contains(r#"burst_extender_request_duration_seconds_bucket{verb="filter",le="0.00005"}"#),
        "{text}"
    );
    assert!(text.contains(r#"burst_cpu_allocatable_cores{class="real"} 8"#), "{text}");
    assert!(
        text.contains(r#"burst_policy_limit{policy="BurstPolicy/shop/web",tier="cloud",resource="pods"} 10"#),
        "{text}"
    );
    assert!(!text.contains("node-0"), "no series per real node");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_whole_and_shows_real_against_virtual() {
    let api = cluster();
    api.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1",
            "annotations": {"burst.io/resolved-policy": "auto", "burst.io/policy-source": "Deployment/web"}},
        "spec": {"nodeName": "burst-cci-0", "containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m"}}}]},
        "status": {"phase": "Running"},
    }));
    let server = start(&api, true).await;
    let page = server.get("/").await;
    assert_eq!(page.headers.get("content-type").map(String::as_str), Some("text/html; charset=utf-8"));
    assert!(!page.text().contains("//"), "nothing from elsewhere: every address is relative");
    for asset in ["page/app.css", "page/app.js"] {
        assert!(page.text().contains(&format!("\"{asset}\"")), "{asset}");
        assert_eq!(server.get(&format!("/{asset}")).await.status, 200, "{asset}");
    }
    let script = server.get("/page/app.js").await.text();
    assert!(!script.contains("innerHTML"), "text goes in as text");
    let capacity = server.get("/api/capacity").await.json();
    assert_eq!(capacity["cache"]["ready"], true);
    assert_eq!(capacity["classes"]["real"]["cpuMilli"], json!({"allocatable": 8000, "requested": 0}));
    assert_eq!(capacity["classes"]["virtual"]["cpuMilli"], json!({"allocatable": 8000, "requested": 1500}));
    assert_eq!(capacity["classes"]["virtual"]["pods"]["requested"], 1);
    assert_eq!(capacity["nodes"][0]["name"], "burst-cci-0", "virtual nodes first");
    assert_eq!(capacity["nodes"][0]["class"], "virtual");
    let pod = &capacity["burstPods"][0];
    assert_eq!(
        (&pod["name"], &pod["policy"], &pod["source"]),
        (&json!("web-1"), &json!("auto"), &json!("Deployment/web"))
    );
    assert_eq!(capacity["policies"], json!([{"policy": "auto", "pending": 0, "local": 0, "burst": 1}]));
    assert_eq!(server.get("/api/decisions?pod=shop/web-1").await.json(), json!([]));
    server.app.decisions.push(Decision {
        namespace: "shop".to_owned(),
        name: "web-1".to_owned(),
        workload: Some("Deployment/web".to_owned()),
        ..Decision::default()
    });
    for (question, found) in [
        ("", 1),
        ("?pod=shop/web-1", 1),
        ("?deploy=shop/web", 1),
        ("?deploy=shop/db", 0),
        ("?pod=a/web-1", 0),
    ] {
        let list = server.get(&format!("/api/decisions{question}")).await.json();
        assert_eq!(list.as_array().map(Vec::len), Some(found), "{question}: {list}");
    }
    assert_eq!(server.get("/api/decisions?deploy=web").await.status, 400);
    let wrong = server.get("/api/decisions?pod=web-1").await;
    assert_eq!((wrong.status, wrong.json()["error"].is_string()), (400, true));
    assert_eq!(server.get("/nothing").await.status, 404);
    server.end().await;
}

async fn handshake(
    address: std::net::SocketAddr,
    trusted: &str,
) -> std::io::Result<Connection<TlsStream<TcpStream>>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).expect("PEM")).expect("a root");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").expect("a name");
    Ok(Connection::new(connector.connect(name, TcpStream::connect(address).await?).await?))
}

fn load(dir: &Path) -> Arc<Certificate> {
    Certificate::load(&dir.join("tls.crt"), &dir.join("tls.key")).expect("a good pair")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_and_old_connections_go_on() {
    install_crypto();
    let dir = tempfile::tempdir().expect("a folder");
    let (first, second) = (pair(), pair());
    write_pair(dir.path(), &first);
    let certificate = load(dir.path());
    let tls = certificate.server_config().expect("a configuration");
    let server = start_with(&cluster(), true, Some(tls)).await;
    let address = server.running.https.expect("an https listener");
    let mut old = handshake(address, &first.0).await.expect("the first certificate");
    let reply = old.call("POST", "/v1/filter", &body("auto", &["node-0"])).await;
    assert_eq!(reply.json()["NodeNames"], json!(["node-0"]));
    assert_eq!(old.call("GET", "/metrics", b"").await.status, 404, "only on the plain listener");

    write_pair(dir.path(), &second);
    assert!(certificate.refresh().expect("a good pair"));
    assert!(handshake(address, &first.0).await.is_err(), "the first certificate is gone");
    let mut new = handshake(address, &second.0).await.expect("the second certificate");
    assert_eq!(new.call("GET", "/readyz", b"").await.status, 200);
    assert_eq!(old.call("GET", "/readyz", b"").await.status, 200, "open connections stay");
    drop((old, new));
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_files_are_followed() {
    install_crypto();
    let dir = tempfile::tempdir().expect("a folder");
    write_pair(dir.path(), &pair());
    let (stop, (sent, mut reports)) =
        (tokio_util::sync::CancellationToken::new(), tokio::sync::mpsc::unbounded_channel());
    let follow = load(dir.path()).follow(stop.clone(), move |result| _ = sent.send(result.is_ok()));
    let task = tokio::spawn(follow);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(reports.try_recv().is_err(), "nothing changed");
    write_pair(dir.path(), &pair());
    assert_eq!(reports.recv().await, Some(true));
    std::fs::write(dir.path().join("tls.key"), "half").expect("written");
    assert_eq!(reports.recv().await, Some(false));
    stop.cancel();
    task.await.expect("ended");
}
