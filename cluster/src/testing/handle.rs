//! The HTTP side: a tower service that reads a request, applies a fault, asks [`super::serve`] and streams watches.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::Instant;
use tower::{BoxError, service_fn};

use super::faults::{Effect, Recorded, take};
use super::meta::{failure, reason_of};
use super::serve::{Reply, Wanted, serve};
use super::watchers::bookmark;
use super::{FakeApi, State};

/// Time between bookmarks, as the API server's.
const BOOKMARK: Duration = Duration::from_secs(60);

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

pub(super) fn client(api: FakeApi) -> Client {
    let service = service_fn(move |request: Request<Body>| {
        let api = api.clone();
        async move { answer(&api, request).await }
    });
    Client::new(service, "default")
}

async fn answer(api: &FakeApi, request: Request<Body>) -> Result<Answer, BoxError> {
    let (parts, body) = request.into_parts();
    let wanted = wanted(&parts, &body.collect().await?.to_bytes());
    let effect = take(&mut api.lock().faults, wanted.verb(), &wanted.path);
    match effect {
        Some(Effect::Refused) => {
            record(&mut api.lock(), &wanted, 0);
            return Err("connection refused (fault)".into());
        }
        Some(Effect::Hang) => {
            record(&mut api.lock(), &wanted, 0);
            std::future::pending::<()>().await;
        }
        Some(Effect::Status { code, reason, retry_after }) => {
            record(&mut api.lock(), &wanted, code);
            return fault_answer(code, reason.as_deref(), retry_after);
        }
        Some(Effect::Delay(time)) => tokio::time::sleep(time).await,
        Some(Effect::LostAnswer) => {
            execute(api, &wanted, 0);
            return Err("connection reset before the answer arrived (fault)".into());
        }
        None => {}
    }
    match execute(api, &wanted, u16::MAX) {
        Reply::Json(code, value) => plain(code, &value, None),
        Reply::Watch(lines) => streamed(api.clone(), lines, &wanted),
    }
}

/// Executes and records; `status` overrides the recorded status unless it is `u16::MAX`.
fn execute(api: &FakeApi, wanted: &Wanted, status: u16) -> Reply {
    let mut state = api.lock();
    let reply = serve(&mut state, wanted);
    let code = if let Reply::Json(code, _) = &reply { *code } else { 200 };
    record(&mut state, wanted, if status == u16::MAX { code } else { status });
    drop(state);
    reply
}

fn record(state: &mut State, wanted: &Wanted, status: u16) {
    state.requests.push(Recorded {
        method: wanted.verb().to_owned(),
        path: wanted.path.clone(),
        query: wanted.raw_query.clone(),
        impersonated: wanted.impersonated.clone(),
        content_type: wanted.content_type.clone(),
        body: wanted.body.clone(),
        status,
    });
}

fn wanted(parts: &http::request::Parts, body: &Bytes) -> Wanted {
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let raw_query = parts.uri.query().unwrap_or_default().to_owned();
    Wanted {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: query(&raw_query),
        raw_query,
        impersonated: header("impersonate-user"),
        content_type: header("content-type").unwrap_or_default(),
        metadata_only: header("accept").is_some_and(|accept| accept.contains("as=PartialObjectMetadata")),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
    }
}

fn query(raw: &str) -> BTreeMap<String, String> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(key), decode(value))
    };
    raw.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Percent-decoding, with `+` as a blank.
fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|b| b.and_then(|b| (b as char).to_digit(16)));
                if let [Some(high), Some(low)] = digits {
                    out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn fault_answer(code: u16, reason: Option<&str>, retry_after: Option<u32>) -> Result<Answer, BoxError> {
    let mut status = failure(code, reason.unwrap_or_else(|| reason_of(code)), "fault asked for by the test");
    if let (Some(seconds), Some(status)) = (retry_after, status.as_object_mut()) {
        status.insert("details".to_owned(), serde_json::json!({"retryAfterSeconds": seconds}));
    }
    plain(code, &status, retry_after)
}

fn plain(code: u16, value: &Value, retry_after: Option<u32>) -> Result<Answer, BoxError> {
    let mut response = Response::builder().status(code).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body(Full::new(Bytes::from(value.to_string())).boxed_unsync())?)
}

/// A watch that is being streamed.
struct Streaming {
    api: FakeApi,
    lines: UnboundedReceiver<String>,
    ends: Option<Instant>,
    next_bookmark: Option<Instant>,
}

fn streamed(api: FakeApi, lines: UnboundedReceiver<String>, wanted: &Wanted) -> Result<Answer, BoxError> {
    let after = |seconds: &String| Some(Instant::now() + Duration::from_secs(seconds.parse().ok()?));
    let bookmarks = wanted.query.get("allowWatchBookmarks").is_some_and(|v| v == "true");
    let streaming = Streaming {
        api,
        lines,
        ends: wanted.query.get("timeoutSeconds").and_then(after),
        next_bookmark: bookmarks.then(|| Instant::now() + BOOKMARK),
    };
    let frames = stream::unfold(streaming, |mut streaming| async move {
        let line = streaming.next().await?;
        Some((Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(line))), streaming))
    });
    let response = Response::builder().status(200).header("content-type", "application/json");
    Ok(response.body(StreamBody::new(frames).boxed_unsync())?)
}

impl Streaming {
    async fn next(&mut self) -> Option<String> {
        loop {
            let wake = [self.ends, self.next_bookmark].into_iter().flatten().min();
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                line = self.lines.recv() => return line,
                () = timer => {}
            }
            let now = Instant::now();
            if self.next_bookmark.is_some_and(|at| at <= now) {
                self.next_bookmark = Some(now + BOOKMARK);
                if let Some(line) = self.bookmark() {
                    return Some(line);
                }
            }
            if self.ends.is_some_and(|at| at <= now) {
                return None;
            }
        }
    }

    /// A bookmark, unless lines are waiting: it must not run ahead of them.
    fn bookmark(&mut self) -> Option<String> {
        let state = self.api.lock();
        let version = state.store.version();
        match self.lines.try_recv() {
            Ok(line) => Some(line),
            Err(TryRecvError::Empty) => Some(bookmark(version, false)),
            Err(TryRecvError::Disconnected) => None,
        }
    }
}
