//! A client that speaks protobuf with the API server under kube's JSON, for lists and watches of nodes and pods.
//!
//! The API server encodes an object once per encoding for all its watchers, and kube-scheduler and the controllers watch
//! in protobuf: one more of them costs it next to nothing, a first one in JSON costs it an encoding of every change. What it
//! answers is turned into JSON with only the fields that are read ([`schema`]); kube's watcher sees lists and lines as ever.
//! An API server that answers JSON is passed through. Kinds with definitions of ours have no protobuf and no table here.

mod frames;
mod json;
mod schema;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use thiserror::Error;
use tower::{BoxError, service_fn};

use frames::Frames;

/// Its media type; a watch's has `;stream=watch` behind it.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What we ask for, as client-go does.
const WANTED: &str = "application/vnd.kubernetes.protobuf, application/json;q=0.9";

/// A body that is not as Kubernetes writes it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the API server's protobuf cannot be read: {0}")]
struct Malformed(&'static str);

/// Called with every successful answer: whether it is protobuf.
pub type Told = Arc<dyn Fn(bool) + Send + Sync>;

/// Wraps a client.
///
/// After a body that cannot be read it asks for JSON, for as long as it lives: a cluster that is seen dearly is better than one
/// that is not seen.
pub fn spoken(client: &Client, told: Told) -> Client {
    let (inner, given_up) = (client.clone(), GivenUp::default());
    let service = service_fn(move |mut request: Request<Body>| {
        let (client, given_up, told) = (inner.clone(), given_up.clone(), Arc::clone(&told));
        async move {
            if request.method() == Method::GET && !given_up.is() {
                request.headers_mut().insert(ACCEPT, HeaderValue::from_static(WANTED));
            }
            let response = client.send(request).await?;
            let spoken = Spoken::of(response.headers());
            if response.status().is_success() {
                told(spoken != Spoken::Other);
            }
            match spoken {
                Spoken::Other => Ok(response.map(|body| body.map_err(Into::into).boxed_unsync())),
                Spoken::Object => object(response, &given_up).await,
                Spoken::Watch => Ok(as_json(response, |body| lines(body, given_up))),
            }
        }
    });
    Client::new(service, client.default_namespace())
}

/// A body that kube reads.
type Read = UnsyncBoxBody<Bytes, BoxError>;

/// What an answer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Object,
    Watch,
    Other,
}

impl Spoken {
    fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match value.strip_prefix(PROTOBUF) {
            Some(parameters) if parameters.contains("stream=watch") => Self::Watch,
            Some(_) => Self::Object,
            None => Self::Other,
        }
    }
}

/// Whether a body could not be read.
#[derive(Clone, Default)]
struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn on(&self, malformed: Malformed) -> BoxError {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(%malformed, "JSON is asked for from now on");
        }
        malformed.into()
    }
}

/// A list, or what a Status says.
async fn object(response: Response<Body>, given_up: &GivenUp) -> Result<Response<Read>, BoxError> {
    let (parts, body) = response.into_parts();
    let received = body.collect().await?.to_bytes();
    let mut out = Vec::with_capacity(received.len());
    frames::document(&mut out, &received).map_err(|malformed| given_up.on(malformed))?;
    let body = Full::from(out).map_err(|never| match never {}).boxed_unsync();
    Ok(as_json(Response::from_parts(parts, body), |body| body))
}

fn as_json<B>(response: Response<B>, body: impl FnOnce(B) -> Read) -> Response<Read> {
    let mut response = response.map(body);
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A watch: a line per event, as soon as its frame is whole.
fn lines(body: Body, given_up: GivenUp) -> Read {
    let state = Some((body, Frames::default(), given_up));
    let lines = stream::unfold(state, |state| async {
        let (mut body, mut frames, given_up) = state?;
        let mut out = Vec::new();
        while out.is_empty() {
            let data = match body.frame().await {
                None if frames.whole() => return None,
                None => return Some((Err(cut_off()), None)),
                Some(Err(error)) => return Some((Err(error.into()), None)),
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            if let Err(malformed) = frames.push(&data, &mut out) {
                return Some((Err(given_up.on(malformed)), None));
            }
        }
        Some((Ok(Frame::data(Bytes::from(out))), Some((body, frames, given_up))))
    });
    StreamBody::new(lines).boxed_unsync()
}

/// kube takes it for the end of a watch that is to be resumed.
fn cut_off() -> BoxError {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the watch ended within an event").into()
}
