//! Headless Chromium, driven over its DevTools protocol.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running browser; it ends with this value.
pub(crate) struct Browser {
    child: Child,
    address: String,
    _profile: tempfile::TempDir,
}

/// One tab.
pub(crate) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    calls: u64,
    errors: Vec<String>,
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|program| program.is_file());
    found.expect(
        "the test of the capacity page needs Chromium: run `target/debug/lab build` as root, or \
         `apt-get install chromium`, or put chromium or google-chrome on the PATH",
    )
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(program())
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--remote-debugging-port=0", "--no-proxy-server", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Chromium starts");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let address = tokio::time::timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.expect("text").expect("Chromium says where it listens");
                if let Some((_, address)) = line.split_once("DevTools listening on ") {
                    break address.trim().to_owned();
                }
            }
        });
        let address = address.await.expect("Chromium starts in time");
        // What it says later must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address, _profile: profile }
    }

    pub(crate) async fn open(&mut self, url: &str) -> Page {
        let (socket, _) = connect_async(&self.address).await.expect("a connection to Chromium");
        let mut page = Page { socket, session: String::new(), calls: 0, errors: vec![] };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.call("Target.attachToTarget", attach).await;
        page.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            page.call(domain, json!({})).await;
        }
        page.call("Page.navigate", json!({"url": url})).await;
        page
    }

    pub(crate) async fn end(mut self) {
        self.child.kill().await.expect("Chromium ends");
    }
}

impl Page {
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).await.expect("Chromium listens");
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("an answer in time");
            let Message::Text(text) = next.expect("Chromium is there").expect("a message") else { continue };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            self.note(&message);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    /// Remembers what went wrong in the page.
    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.errors.push(params["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.errors.push(params["entry"]["text"].to_string());
            }
            _ => {}
        }
    }

    async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    pub(crate) async fn text(&mut self, expression: &str) -> String {
        self.evaluate(expression).await.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn number(&mut self, expression: &str) -> f64 {
        self.evaluate(expression).await.as_f64().expect("a number")
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        let start = tokio::time::Instant::now();
        while self.evaluate(&format!("Boolean({expression})")).await != json!(true) {
            let shown = if start.elapsed() > PATIENCE {
                self.text("document.body.innerText").await
            } else {
                String::new()
            };
            assert!(start.elapsed() <= PATIENCE, "{expression} did not come true:\n{shown}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn size(&mut self, width: u32, height: u32) {
        let mobile = width < 500;
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", params).await;
    }

    pub(crate) async fn dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let params = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.call("Emulation.setEmulatedMedia", params).await;
    }

    pub(crate) async fn press_tab(&mut self) {
        for kind in ["rawKeyDown", "keyUp"] {
            let params = json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Keeps a picture of the whole page under `target/page`, for people.
    pub(crate) async fn screenshot(&mut self, name: &str) {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.call("Page.captureScreenshot", params).await;
        let data = shot["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/page");
        std::fs::create_dir_all(&dir).expect("a folder");
        std::fs::write(dir.join(name), bytes).expect("written");
    }

    /// What the page complained of so far.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.clone()
    }
}
