//! Replies of the kubelet port.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::auth::Denied;
use super::negotiate::Refusal;
use crate::cloud::CloudError;

/// Errors end a body early.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// What is sent.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Text with a status.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", full(text.into()))
}

/// A body of some type.
pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A body of one piece.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// 405 with the methods that would do.
pub(crate) fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allow}\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// 401, 403 or 500.
pub(crate) fn denied(denied: Denied) -> Response<Body> {
    match denied {
        Denied::Unauthorized => text(StatusCode::UNAUTHORIZED, "Unauthorized"),
        Denied::Forbidden(why) => text(StatusCode::FORBIDDEN, why),
        Denied::Unknown(why) => text(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

/// What the node's cloud cannot do, and what can be done in its place.
pub(crate) fn not_offered(what: &str, instead: &str) -> Response<Body> {
    text(StatusCode::NOT_IMPLEMENTED, format!("{what} is not offered by this virtual node; {instead}"))
}

/// An upgrade that is not granted.
pub(crate) fn refused(refusal: Refusal) -> Response<Body> {
    let mut response = text(refusal.status, refusal.text);
    for (name, value) in refusal.headers {
        response.headers_mut().append(name, value);
    }
    response
}

/// What the cloud said, before anything was sent. The API server passes status and text on to the user.
pub(crate) fn cloud_error(error: &CloudError) -> Response<Body> {
    let status = match error {
        CloudError::Invalid(_) => StatusCode::BAD_REQUEST,
        CloudError::Gone(_) => StatusCode::NOT_FOUND,
        CloudError::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        CloudError::Retryable(_) | CloudError::Capacity(_) => StatusCode::SERVICE_UNAVAILABLE,
        CloudError::Auth(_) | CloudError::Account(_) => StatusCode::BAD_GATEWAY,
    };
    let mut response = text(status, error.to_string());
    if let CloudError::Throttled { after, .. } = error {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response
}
