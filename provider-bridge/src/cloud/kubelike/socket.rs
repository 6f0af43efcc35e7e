//! A WebSocket to a subresource of a pod.

use http::{Method, StatusCode, header};
use reqwest::Upgraded;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::cloud::CloudError;

use super::api::{Api, Place};
use super::call::{Call, Limit};
use super::client::transport;
use super::operation::Verb;

/// An open connection.
pub(super) type Socket = WebSocketStream<Upgraded>;

/// Opens it and tells which of the `protocols` the cloud chose.
pub(super) async fn open(
    api: &Api,
    place: Place<'_>,
    (verb, subresource): (Verb, &str),
    query: Vec<(&'static str, String)>,
    protocols: &[&'static str],
) -> Result<(Socket, &'static str), CloudError> {
    let operation = api.on_pod(verb, place);
    let key = generate_key();
    let mut call = Call::new(operation.clone(), Method::GET, api.pod_path(place, subresource))
        .query(query)
        .limit(Limit::Beginning);
    call.unsigned_headers = vec![
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_VERSION, "13".to_owned()),
        (header::SEC_WEBSOCKET_KEY, key.clone()),
        (header::SEC_WEBSOCKET_PROTOCOL, protocols.join(", ")),
    ];
    let response = api.client.send(&call).await?;
    let shown = |name| response.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS
        || shown(header::SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_str())
    {
        return Err(CloudError::Retryable(format!("{operation}: the answer is not a WebSocket upgrade")));
    }
    let chosen = shown(header::SEC_WEBSOCKET_PROTOCOL).unwrap_or("none");
    let Some(protocol) = protocols.iter().copied().find(|protocol| *protocol == chosen) else {
        return Err(CloudError::Retryable(format!(
            "{operation}: the cloud chose the protocol {chosen}, not {}",
            protocols.join(" or ")
        )));
    };
    let upgraded =
        response.upgrade().await.map_err(|error| CloudError::from(transport(&operation, error)))?;
    Ok((WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await, protocol))
}
