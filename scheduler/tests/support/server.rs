//! burst-scheduler's servers on real sockets, over the in-memory API server; and a client that shows framing.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::ClusterWatch;
use cluster::policy_objects::PolicyObjects;
use cluster::testing::FakeApi;
use policies::policy::Policy;
use scheduler::admission::Lookups;
use scheduler::app::{App, Settings};
use scheduler::config::Shutdown;
use scheduler::decisions::Ring;
use scheduler::http::{Listeners, Running, serve};
use scheduler::metrics::Metrics;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) http: SocketAddr,
    pub(crate) app: Arc<App>,
    pub(crate) running: Running,
    pub(crate) stop: CancellationToken,
}

pub(crate) fn settings() -> Settings {
    Settings {
        default_policy: Policy::Off,
        marker: true,
        spare_calls: false,
        toleration_driver: false,
        prices: Arc::default(),
        exempt: vec!["kube-system".to_owned()],
        stale_after: Duration::from_secs(120),
        body_timeout: PATIENCE,
        body_budget: 512 << 20,
    }
}

/// Starts the plain listener, and waits for the first picture unless the API server hangs.
pub(crate) async fn start(api: &FakeApi, synced: bool) -> Server {
    start_with(api, synced, None).await
}

pub(crate) async fn start_with(api: &FakeApi, synced: bool, tls: Option<rustls::ServerConfig>) -> Server {
    start_set(api, synced, tls, settings()).await
}

/// With these settings.
pub(crate) async fn start_set(
    api: &FakeApi,
    synced: bool,
    tls: Option<rustls::ServerConfig>,
    settings: Settings,
) -> Server {
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let policies = PolicyObjects::start(&api.client(), &stop, &tracker);
    let lookups =
        Lookups::start(&api.client(), policies.clone(), "burst-system", &settings.exempt, &stop, &tracker);
    let cluster = ClusterWatch::start(api.client(), stop.clone(), &tracker);
    if synced {
        tokio::time::timeout(PATIENCE, cluster.wait_synced()).await.expect("the first lists");
        tokio::time::timeout(PATIENCE, policies.wait_synced()).await.expect("the policy objects");
        tokio::time::timeout(PATIENCE, lookups.daemons().wait_synced()).await.expect("the DaemonSets");
    }
    let app = App::new(cluster, lookups, settings, Arc::new(Metrics::new()), Arc::new(Ring::default()));
    let app = Arc::new(app);
    tracker.spawn(app.overview.clone().run(api.client(), stop.clone()));
    let socket = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listeners = Listeners { http: socket(), https: tls.map(|tls| (socket(), tls)) };
    let running = serve(&app, listeners, &Shutdown { drain_seconds: 0, grace_seconds: 5 }).expect("servers");
    Server { http: running.http, app, running, stop }
}

impl Server {
    pub(crate) async fn connect(&self) -> Connection<TcpStream> {
        Connection::new(TcpStream::connect(self.http).await.expect("a connection"))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.connect().await.call("GET", path, b"").await
    }

    pub(crate) async fn end(self) {
        self.running.stop(Duration::ZERO).await;
        self.stop.cancel();
    }
}

/// One keep-alive connection.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Response {
        let length = body.len();
        self.send(
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
        )
        .await;
        self.send(body).await;
        self.receive().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the connection is open");
    }

    /// Reads one response; it must say its length.
    pub(crate) async fn receive(&mut self) -> Response {
        let head = loop {
            match self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(end) => break String::from_utf8(self.read.drain(..end + 4).collect()).expect("text"),
                None => self.more().await,
            }
        };
        let mut lines = head.lines();
        let status =
            lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.to_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers.get("content-length").expect("Content-Length").parse().expect("a number");
        while self.read.len() < length {
            self.more().await;
        }
        Response { status, headers, body: self.read.drain(..length).collect() }
    }

    async fn more(&mut self) {
        let got =
            tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await.expect("an answer");
        assert!(got.expect("the connection is open") > 0, "the server closed the connection");
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what} did not come true");
}

/// A self-signed certificate for `localhost` and its key, as PEM.
pub(crate) fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

pub(crate) fn write_pair(dir: &Path, (cert, key): &(String, String)) {
    std::fs::write(dir.join("tls.crt"), cert).expect("written");
    std::fs::write(dir.join("tls.key"), key).expect("written");
}

pub(crate) fn install_crypto() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
