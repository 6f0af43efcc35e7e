//! A server that keeps Kubernetes-shaped objects by path, with a queue of answers that go before the ordinary ones.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::TryStreamExt as _;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use policies::keys::tag;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

type Body = BoxBody<Bytes, std::io::Error>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(in crate::cloud) struct Seen {
    pub(in crate::cloud) method: Method,
    pub(in crate::cloud) path: String,
    pub(in crate::cloud) query: String,
    pub(in crate::cloud) headers: HeaderMap,
    pub(in crate::cloud) body: Value,
}

/// An answer that was put in front of the ordinary one.
pub(in crate::cloud) enum Answer {
    /// This status and body.
    Status(u16, Value),
    /// The ordinary effect happens, then the connection breaks without an answer.
    Lost,
    /// The connection breaks and nothing happens.
    Dropped,
    /// A body that is written while the test runs.
    Stream(mpsc::Receiver<Bytes>),
    /// An upgrade: the chosen protocol, and where the connection goes.
    Upgrade(&'static str, tokio::sync::oneshot::Sender<OnUpgrade>),
}

type Matcher = Box<dyn Fn(&Seen) -> bool + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    page: usize,
    queued: VecDeque<(Matcher, Answer)>,
    seen: Vec<Seen>,
    /// The most pods at once, by the UID that their label says.
    most: BTreeMap<String, usize>,
}

pub(in crate::cloud) struct Server {
    pub(in crate::cloud) endpoint: String,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    pub(in crate::cloud) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(in crate::cloud) async fn start_with(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { page: usize::MAX, ..State::default() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, state) = (tls.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, state).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                serve(socket, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { endpoint, state, _task: AbortOnDropHandle::new(task) }
    }

    /// Answers the next request that matches with this instead.
    pub(in crate::cloud) fn next(&self, matches: impl Fn(&Seen) -> bool + Send + 'static, answer: Answer) {
        self.state.lock().unwrap().queued.push_back((Box::new(matches), answer));
    }

    /// At most so many objects per page.
    pub(in crate::cloud) fn page(&self, size: usize) {
        self.state.lock().unwrap().page = size;
    }

    pub(in crate::cloud) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// `METHOD path` of every request so far.
    pub(in crate::cloud) fn calls(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }

    /// The most pods of this UID that were there at the same time.
    pub(in crate::cloud) fn most_at_once(&self, uid: &str) -> usize {
        self.state.lock().unwrap().most.get(uid).copied().unwrap_or_default()
    }

    pub(in crate::cloud) fn object(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    pub(in crate::cloud) fn paths(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    pub(in crate::cloud) fn put(&self, path: &str, object: Value) {
        self.state.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    pub(in crate::cloud) fn remove(&self, path: &str) {
        self.state.lock().unwrap().objects.remove(path);
    }

    pub(in crate::cloud) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        change(self.state.lock().unwrap().objects.get_mut(path).unwrap());
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(socket: S, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    let _ = connection.with_upgrades().await;
}

async fn answer(mut request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Body>, Gone> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Gone)?.to_bytes();
    let seen = Seen {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let mut state = state.lock().unwrap();
    state.seen.push(seen.clone());
    let queued = state.queued.iter().position(|(matches, _)| matches(&seen));
    match queued.and_then(|index| state.queued.remove(index)).map(|(_, answer)| answer) {
        None => Ok(state.ordinary(&seen)),
        Some(Answer::Status(status, body)) => Ok(reply(status, &body)),
        Some(Answer::Dropped) => Err(Gone),
        Some(Answer::Lost) => {
            state.ordinary(&seen);
            Err(Gone)
        }
        Some(Answer::Stream(chunks)) => Ok(Response::new(stream(chunks))),
        Some(Answer::Upgrade(protocol, to)) => {
            let _ = to.send(upgrade);
            Ok(switch(&seen, protocol))
        }
    }
}

/// Closes the connection instead of answering.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("gone")
    }
}

impl std::error::Error for Gone {}

impl State {
    fn ordinary(&mut self, seen: &Seen) -> Response<Body> {
        self.version += 1;
        match seen.method {
            Method::POST => self.create(seen),
            Method::DELETE => self.delete(seen),
            _ if self.is_collection(&seen.path) => self.list(seen),
            _ => self
                .objects
                .get(&seen.path)
                .map_or_else(|| failure(404, "NotFound"), |object| reply(200, object)),
        }
    }

    fn is_collection(&self, path: &str) -> bool {
        ["pods", "configmaps", "secrets", "networks", "persistentvolumeclaims", "events"]
            .iter()
            .any(|plural| path.ends_with(plural))
    }

    fn create(&mut self, seen: &Seen) -> Response<Body> {
        let name = seen.body["metadata"]["name"].as_str().unwrap_or_default();
        // An import is found among the other claims.
        let path = format!("{}/{name}", seen.path.replace("extended-", ""));
        if self.objects.contains_key(&path) {
            return failure(409, "AlreadyExists");
        }
        let mut object = seen.body.clone();
        object["metadata"]["uid"] = format!("cloud-{}", self.version).into();
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z".into();
        object["metadata"]["finalizers"] = json!(["billing.kubernetes.io/podbilling-finalizer"]);
        if object["kind"] == "Pod" {
            object["status"] = json!({"phase": "Pending", "qosClass": "Guaranteed"});
        }
        let answer = reply(201, &object);
        let uid = object["metadata"]["labels"][tag::POD_UID].clone();
        self.objects.insert(path, object);
        if let Some(uid) = uid.as_str() {
            let of = |object: &&Value| {
                object["kind"] == "Pod" && object["metadata"]["labels"][tag::POD_UID] == uid
            };
            let now = self.objects.values().filter(of).count();
            let most = self.most.entry(uid.to_owned()).or_default();
            *most = now.max(*most);
        }
        answer
    }

    fn delete(&mut self, seen: &Seen) -> Response<Body> {
        let Some(object) = self.objects.get_mut(&seen.path) else { return failure(404, "NotFound") };
        let wanted = &seen.body["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
            return failure(409, "Conflict");
        }
        object["metadata"]["deletionTimestamp"] = "2026-01-02T04:00:00Z".into();
        let answer = reply(200, object);
        if object["kind"] != "Pod" {
            self.objects.remove(&seen.path);
        }
        answer
    }

    fn list(&self, seen: &Seen) -> Response<Body> {
        let parameter =
            |name: &str| url::form_urlencoded::parse(seen.query.as_bytes()).find(|(key, _)| key == name);
        let from: usize = parameter("continue").and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
        let below = |path: &str| match seen.path.strip_prefix("/api/v1/") {
            // Over all namespaces.
            Some(plural) if !plural.contains('/') => path.contains(&format!("/{plural}/")),
            _ => path.starts_with(&format!("{}/", seen.path)),
        };
        let all: Vec<_> = self.objects.iter().filter(|(path, _)| below(path)).map(|(_, o)| o).collect();
        let items: Vec<_> = all.iter().skip(from).take(self.page).collect();
        let end = from + items.len();
        let mut metadata = json!({"resourceVersion": "1000"});
        if end < all.len() {
            metadata["continue"] = end.to_string().into();
        }
        reply(200, &json!({"kind": "List", "metadata": metadata, "items": items}))
    }
}

fn reply(status: u16, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body).unwrap()
}

pub(in crate::cloud) fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": format!("said {reason}"), "reason": reason, "code": code})
}

fn failure(code: u16, reason: &str) -> Response<Body> {
    reply(code, &status(code, reason))
}

fn stream(chunks: mpsc::Receiver<Bytes>) -> Body {
    let chunks = tokio_stream::wrappers::ReceiverStream::new(chunks);
    let frames = futures::StreamExt::map(chunks, Ok::<_, std::io::Error>).map_ok(Frame::data);
    BodyExt::boxed(StreamBody::new(frames))
}

fn switch(seen: &Seen, protocol: &str) -> Response<Body> {
    let key = seen.headers["sec-websocket-key"].as_bytes();
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key);
    let mut response = reply(101, &Value::Null);
    *response.body_mut() = Full::default().map_err(|never: Infallible| match never {}).boxed();
    let headers = response.headers_mut();
    headers.insert("connection", "Upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    headers.insert("sec-websocket-accept", accept.parse().unwrap());
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    response
}
