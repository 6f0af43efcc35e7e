//! Small reads of single objects as JSON.
//!
//! Never logs what it read (kube's own typed reads log a body that does not decode, and a body may hold secrets).

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Asks for metadata only.
pub(crate) const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Reads an object; none if it does not exist. The error is for people.
pub(crate) async fn get<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    accept: &str,
) -> Result<Option<T>, String> {
    let request = Request::get(path).header("accept", accept).body(Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let exchange = async {
        let response = client.send(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((status, body.to_bytes()))
    };
    let answer = tokio::time::timeout(ANSWER, exchange).await;
    let (status, body) = answer.map_err(|_| format!("no answer within {} s", ANSWER.as_secs()))??;
    match status.as_u16() {
        404 => Ok(None),
        200..=299 => {
            serde_json::from_slice(&body).map(Some).map_err(|error| format!("unreadable answer: {error}"))
        }
        code => Err(format!("{code} {}", message(&body))),
    }
}

fn message(body: &[u8]) -> String {
    let status: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    status.get("message").and_then(serde_json::Value::as_str).unwrap_or("without a message").to_owned()
}
