//! A client for long reads that notices a dead server, and tells when it was heard.
//!
//! kube waits for response headers and list bodies without limit; a half-open connection would stop a watch for a
//! quarter of an hour. Watches must be bounded by the server's own timeout, shorter than [`SILENCE`].

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use kube::Client;
use kube::client::Body;
use tower::{BoxError, service_fn};

/// Seconds after which a server ends our watches; bookmarks come about as often.
pub(crate) const WATCH_SECONDS: u32 = 60;

/// Longest wait for response headers.
const HEADERS: Duration = Duration::from_secs(30);

/// Longest silence within a body: longer than a watch may last, plus kube's own margin.
const SILENCE: Duration = Duration::from_secs(75);

/// Called whenever the server was heard successfully.
pub(crate) type Contact = Arc<dyn Fn() + Send + Sync>;

/// Wraps a client.
pub(crate) fn guarded(client: &Client, contact: Contact) -> Client {
    let inner = client.clone();
    let service = service_fn(move |request: http::Request<Body>| {
        let (client, contact) = (inner.clone(), Arc::clone(&contact));
        async move {
            let answer = tokio::time::timeout(HEADERS, client.send(request)).await;
            let response = answer.map_err(|_| silent("answer", HEADERS))??;
            let contact = response.status().is_success().then_some(contact);
            if let Some(contact) = &contact {
                contact();
            }
            Ok::<_, BoxError>(response.map(|body| watched(body, contact)))
        }
    });
    Client::new(service, client.default_namespace())
}

fn watched(
    body: Body,
    contact: Option<Contact>,
) -> impl http_body::Body<Data = bytes::Bytes, Error = BoxError> + Send {
    StreamBody::new(stream::unfold(Some((body, contact)), |state| async {
        let (mut body, contact) = state?;
        match tokio::time::timeout(SILENCE, body.frame()).await {
            Err(_) => Some((Err(silent("data", SILENCE)), None)),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some((Err(error.into()), None)),
            Ok(Some(Ok(frame))) => {
                if let Some(contact) = &contact {
                    contact();
                }
                Some((Ok(frame), Some((body, contact))))
            }
        }
    }))
}

fn silent(what: &str, after: Duration) -> BoxError {
    format!("no {what} from the API server for {} s", after.as_secs()).into()
}
