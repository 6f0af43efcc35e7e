//! A client of our own for the tests: signs, sends over a real socket, reads JSON, streams and WebSockets.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use cloud_sim::{Options, Simulator, auth};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub const NS: &str = "cce-burst-c1";
pub const PODS: &str = "/api/v1/namespaces/cce-burst-c1/pods";
pub const NETWORKS: &str = "/apis/networking.cci.io/v1beta1/namespaces/cce-burst-c1/networks";

/// A simulator with its folder.
pub struct Cloud {
    pub client: Client,
    pub dir: tempfile::TempDir,
    simulator: Option<Simulator>,
}

/// Talks to one.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub secret_key: String,
}

impl Cloud {
    /// A script-runtime simulator with small latencies plus these arguments.
    pub async fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let options = options(dir.path(), more);
        let simulator = Simulator::start(options).await.expect("a simulator");
        let client = Client { address: simulator.address(), secret_key: "testSK".to_owned() };
        Self { client, dir, simulator: Some(simulator) }
    }

    /// The same with the API of another cloud, whose keys are lasting.
    pub async fn of(api: &str, more: &[&str]) -> Self {
        let mut all = vec!["--api", api];
        all.extend(more);
        let dir = tempfile::tempdir().expect("a folder");
        let simulator = Simulator::start(Options { token: None, ..options(dir.path(), &all) }).await;
        let simulator = simulator.expect("a simulator");
        let client = Client { address: simulator.address(), secret_key: "testSK".to_owned() };
        Self { client, dir, simulator: Some(simulator) }
    }

    /// The same, with a namespace whose Network is Active.
    pub async fn with_namespace(more: &[&str]) -> Self {
        let cloud = Self::start(more).await;
        cloud.client.namespace(NS).await;
        cloud
    }

    pub async fn stop(mut self) {
        if let Some(simulator) = self.simulator.take() {
            simulator.stop().await;
        }
    }

    pub fn meter_lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("meter.jsonl")).expect("a meter");
        text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
    }
}

pub fn options(dir: &Path, more: &[&str]) -> Options {
    let state = dir.to_str().expect("a path");
    let mut all =
        vec!["cloud-sim", "--listen", "127.0.0.1:0", "--access-key", "testAK", "--secret-key", "testSK"];
    all.extend(["--project-id", "proj123", "--token", "MIItoken", "--state-dir", state]);
    for latency in ["--schedule-ms", "--start-ms", "--delete-ms", "--network-ms"] {
        if !more.contains(&latency) {
            all.extend([latency, "0"]);
        }
    }
    all.extend(more);
    Options::parse_from(all)
}

/// A pod that CCI accepts.
pub fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [
        {"name": "c", "image": "busybox", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]}})
}

pub fn network() -> Value {
    json!({"apiVersion": "networking.cci.io/v1beta1", "kind": "Network",
        "metadata": {"name": "n", "annotations": {
            "network.alpha.kubernetes.io/default-security-group": "sg", "network.alpha.kubernetes.io/domain-id": "d",
            "network.alpha.kubernetes.io/project-id": "proj123"}},
        "spec": {"attachedVPC": "v", "availableZone": "z", "cidr": "10.0.0.0/16", "networkID": "n",
            "networkType": "underlay_neutron", "subnetID": "s"}})
}

impl Client {
    async fn connection(&self) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.expect("connected");
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("http");
        tokio::spawn(connection.with_upgrades());
        sender
    }

    /// Signed headers of a request.
    pub fn headers(&self, method: &Method, path: &str, content_type: Option<&str>, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let date = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        headers.insert("host", self.address.to_string().parse().expect("a header"));
        headers.insert("x-sdk-date", date.parse().expect("a header"));
        headers.insert("x-project-id", "proj123".parse().expect("a header"));
        if let Some(content_type) = content_type {
            headers.insert("content-type", content_type.parse().expect("a header"));
        }
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let request = auth::Request { method, path: bare, query, headers: &headers, body };
        let authorization =
            auth::sign(&request, "testAK", &self.secret_key, &["host", "x-sdk-date", "x-project-id"]);
        headers.insert("authorization", authorization.parse().expect("a header"));
        headers
    }

    /// Sends a request with these headers; `None` when the connection is cut before an answer.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Option<Response<Incoming>> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path");
        *request.headers_mut() = headers;
        self.connection().await.send_request(request).await.ok()
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Option<Response<Incoming>> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = self.headers(&method, path, Some(content_type), &body);
        self.raw(method, path, headers, body).await
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let response = self.send(method, path, "application/json", &body).await.expect("an answer");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, body).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::DELETE, path, Value::Null).await
    }

    pub async fn patch(&self, path: &str, kind: &str, body: Value) -> (StatusCode, Value) {
        let content_type = format!("application/{kind}+json");
        let response = self.send(Method::PATCH, path, &content_type, &body).await.expect("an answer");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    /// Creates a namespace with an Active Network.
    pub async fn namespace(&self, name: &str) {
        let flavor = json!({"namespace.kubernetes.io/flavor": "general-computing"});
        let body = json!({"metadata": {"name": name, "annotations": flavor}});
        assert_eq!(self.post("/api/v1/namespaces", body).await.0, StatusCode::CREATED);
        let networks = format!("/apis/networking.cci.io/v1beta1/namespaces/{name}/networks");
        assert_eq!(self.post(&networks, network()).await.0, StatusCode::CREATED);
        self.until(&format!("{networks}/n"), |network| network["status"]["state"] == "Active").await;
    }

    /// Reads an object until it is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.get(path).await.1;
            if wanted(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{path} never became as wanted: {last}");
    }

    pub async fn until_phase(&self, name: &str, phase: &str) -> Value {
        self.until(&format!("{PODS}/{name}"), |pod| pod["status"]["phase"] == phase).await
    }

    pub async fn until_gone(&self, name: &str) {
        self.until(&format!("{PODS}/{name}"), |answer| answer["reason"] == "NotFound").await;
    }

    pub async fn faults(&self, rules: Value) {
        assert_eq!(self.post("/_sim/faults", rules).await.0, StatusCode::OK);
    }

    pub async fn meter(&self) -> Value {
        self.get("/_sim/meter").await.1
    }

    /// Opens a watch and reads its events line by line.
    pub async fn watch(&self, path: &str) -> Watch {
        let headers = self.headers(&Method::GET, path, None, b"");
        let response = self.raw(Method::GET, path, headers, Vec::new()).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        Watch { body: response.into_body(), rest: Vec::new() }
    }
}

/// An open watch or log.
pub struct Watch {
    body: Incoming,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event; `None` at a clean end, an error when it was cut.
    pub async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| error.to_string());
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
            match frame.map_err(|_| "nothing for 20 s".to_owned())? {
                None => return Ok(None),
                Some(Ok(frame)) => self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    }

    pub async fn event(&mut self) -> (String, Value) {
        let event = self.next().await.expect("not cut").expect("not ended");
        (event["type"].as_str().unwrap_or_default().to_owned(), event["object"].clone())
    }
}
