//! What the HTTP client of every cloud does the same: how connections are made, and what a broken one, an error body and the
//! `Date` of an answer say.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};
use reqwest::Response;

use super::CloudError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest error body that is read.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// A client that trusts the certificates in `ca_pem` instead of the system's, if there are any; `whose` they are is for
/// messages. Proxies and redirects are off: credentials and signatures are meant for exactly one host.
pub(super) fn builder(ca_pem: Option<&[u8]>, whose: &str) -> Result<reqwest::ClientBuilder, CloudError> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .user_agent(concat!("burst-bridge/", env!("CARGO_PKG_VERSION")));
    let Some(pem) = ca_pem else { return Ok(builder) };
    let roots = reqwest::Certificate::from_pem_bundle(pem)
        .map_err(|error| CloudError::Invalid(format!("the CA certificates of {whose}: {error}")))?;
    if roots.is_empty() {
        return Err(CloudError::Invalid(format!("the CA file of {whose} holds no certificate")));
    }
    Ok(builder.tls_certs_only(roots))
}

/// Host and port of an endpoint, as the `Host` header has them.
pub(super) fn authority(endpoint: &str) -> Result<String, CloudError> {
    let endpoint = endpoint.trim_end_matches('/');
    let invalid =
        |error: &dyn std::fmt::Display| CloudError::Invalid(format!("endpoint {endpoint:?}: {error}"));
    let url = reqwest::Url::parse(endpoint).map_err(|error| invalid(&error))?;
    let host = url.host_str().ok_or_else(|| invalid(&"no host"))?;
    Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Why there is no answer: refused, reset, timed out, or TLS. The request may or may not have been carried out.
pub(super) fn broken(error: reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke"
    };
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("{what}: {cause}")
}

/// Reads an error body up to its limit; what cannot be read is left out.
pub(super) async fn error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ERROR_BODY_LIMIT.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if room <= chunk.len() {
            break;
        }
    }
    body
}

/// How far our clock is from the cloud's by the answer's `Date`, in words, if that is at least `tolerated`.
pub(super) fn skew(headers: &HeaderMap, sent_at: Timestamp, tolerated: SignedDuration) -> Option<String> {
    let cloud = http_date(headers.get(header::DATE)?.to_str().ok()?)?;
    let skew = sent_at.duration_since(cloud);
    if skew.abs() < tolerated {
        return None;
    }
    let direction = if skew.is_negative() { "behind" } else { "ahead of" };
    Some(format!("the clock here is {} min {direction} the cloud's", skew.abs().as_mins()))
}

/// A time as HTTP headers have it.
pub(super) fn http_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value.trim()).ok().map(|at| at.timestamp())
}
