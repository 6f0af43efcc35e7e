//! Lists: selectors, `limit` and `continue`. A page continues after the last key of the one before.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, BytesMut};
use http::{Response, StatusCode};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::faults::Injected;
use super::super::{Body, Call, Front, json as reply};
use super::route::Route;
use crate::core::kind::Kind;
use crate::core::selector::Selector;
use crate::core::store::{Key, selectable};
use crate::error::ApiError;

/// What `continue` carries.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    /// Version of the first page.
    version: u64,
    /// Last key that was sent.
    after: (String, String),
}

/// The selectors of a call, checked against what the kind offers.
pub(super) fn selector(call: &Call, kind: Kind) -> Result<Selector, ApiError> {
    let selector = Selector::parse(call.param("labelSelector"), call.param("fieldSelector"))
        .map_err(ApiError::bad_request)?;
    match selector.unknown_field(selectable(kind)) {
        Some(field) => Err(ApiError::bad_request(format!("field label not supported: {field}"))),
        None => Ok(selector),
    }
}

/// The namespace that a collection is limited to.
pub(super) fn scope(route: &Route) -> Option<&str> {
    route.kind.is_namespaced().then_some(route.namespace.as_str())
}

/// Answers a list.
pub(super) fn page(
    front: &Front,
    call: &Call,
    route: &Route,
    injected: &Injected,
) -> Result<Response<Body>, ApiError> {
    let kind = route.kind;
    let selector = selector(call, kind)?;
    let limit = call
        .number("limit")?
        .filter(|limit| *limit > 0)
        .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let token = call
        .param("continue")
        .filter(|text| !text.is_empty())
        .map(|text| decode(front, kind, text))
        .transpose()?;
    let page = front.cloud.store.list(kind, scope(route));
    let lag = SignedDuration::try_from(injected.list_lag).unwrap_or(SignedDuration::ZERO);
    let now = front.cloud.clock.now();
    let after = token.as_ref().map(|token| Key::new(&token.after.0, &token.after.1));
    let mut selected = (page.items.iter())
        .filter(|object| after.as_ref().is_none_or(|after| object.key > *after))
        .filter(|object| selector.matches(&object.index))
        .filter(|object| lag.is_zero() || now.duration_since(object.created) >= lag);
    let version = token.map_or(page.version, |token| token.version);
    let mut out = BytesMut::with_capacity(
        64 + page.items.iter().take(limit).map(|o| o.item().len() + 1).sum::<usize>(),
    );
    let mut last = None;
    for (n, object) in selected.by_ref().take(limit).enumerate() {
        if n > 0 {
            out.put_u8(b',');
        }
        out.put_slice(object.item());
        last = Some(object.key.clone());
    }
    let remaining = if last.is_some() { selected.count() } else { 0 };
    let metadata = metadata(version, remaining, last, selector.is_empty());
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        kind.name(),
        kind.api_version(route.generation)
    );
    let mut body = BytesMut::with_capacity(head.len() + out.len() + 2);
    body.put_slice(head.as_bytes());
    body.unsplit(out);
    body.put_slice(b"]}");
    Ok(reply(StatusCode::OK, body.freeze()))
}

/// A list's metadata; the rest is counted only without selectors, as the API server does.
fn metadata(version: u64, remaining: usize, last: Option<Key>, countable: bool) -> Value {
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let (1.., Some(last), Some(map)) = (remaining, last, metadata.as_object_mut()) {
        let token = Token { version, after: (last.namespace, last.name) };
        map.insert("continue".into(), json!(URL_SAFE_NO_PAD.encode(json!(token).to_string())));
        if countable {
            map.insert("remainingItemCount".into(), json!(remaining));
        }
    }
    metadata
}

fn decode(front: &Front, kind: Kind, text: &str) -> Result<Token, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let token = bytes.and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok());
    let token = token.ok_or_else(|| ApiError::bad_request("continue key is not valid"))?;
    if front.cloud.store.events_after(kind, token.version, 0).is_err() {
        let message = "The provided continue parameter is too old to display a consistent list result.";
        return Err(ApiError::expired(message));
    }
    Ok(token)
}
