//! Signed HTTP calls to CCI: builds, signs, sends, and turns every outcome into a value or a [`Refusal`].
//!
//! Never retries by itself except once after re-reading credentials that the cloud refused. The query goes over the
//! wire in the caller's order. Proxies and redirects are off: a signature covers exactly one host.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::cloud::CloudError;

use super::classify::{Refusal, classify};
use super::credentials::{KeyPair, Keys};
use super::operation::Operation;
use super::settings::CciSettings;
use super::sign::{self, Signable};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take; what of it, says [`Limit`].
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest error body that is read.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// One request before it is signed.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Body>,
    /// Headers that are sent but not signed (WebSocket upgrade).
    pub(super) unsigned_headers: Vec<(HeaderName, String)>,
    pub(super) limit: Limit,
}

/// What of a call must be done within [`CALL_TIMEOUT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// All of it.
    Whole,
    /// The beginning of the answer; the rest is a stream.
    Beginning,
    /// Nothing: a followed log may begin with the first line, hours later.
    Nothing,
}

/// A request body and what it is.
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) bytes: Bytes,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of {}", self.bytes.len(), self.content_type)
    }
}

impl Call {
    /// A call without query or body.
    pub(super) const fn new(operation: Operation, method: Method, path: String) -> Self {
        Self {
            operation,
            method,
            path,
            query: Vec::new(),
            body: None,
            unsigned_headers: Vec::new(),
            limit: Limit::Whole,
        }
    }

    /// Adds query parameters, sent in this order.
    pub(super) fn query(mut self, pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.query.extend(pairs);
        self
    }

    /// Sends `value` as JSON.
    pub(super) fn json(mut self, value: &serde_json::Value) -> Self {
        self.body = Some(Body { content_type: "application/json", bytes: value.to_string().into() });
        self
    }

    /// Sets what the time limit covers.
    pub(super) const fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }
}

/// The client of one account.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    keys: Keys,
    endpoint: String,
    authority: String,
    project_id: String,
}

impl Client {
    /// Builds the client; nothing is sent.
    pub(super) fn new(settings: &CciSettings) -> Result<Self, CloudError> {
        let endpoint = settings.endpoint.trim_end_matches('/').to_owned();
        let invalid =
            |error: &dyn std::fmt::Display| CloudError::Invalid(format!("endpoint {endpoint:?}: {error}"));
        let url = reqwest::Url::parse(&endpoint).map_err(|error| invalid(&error))?;
        let host = url.host_str().ok_or_else(|| invalid(&"no host"))?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .user_agent(concat!("burst-bridge/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &settings.ca_pem {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| {
                CloudError::Invalid(format!("the CA certificates of {}: {error}", settings.region))
            })?;
            if roots.is_empty() {
                return Err(CloudError::Invalid(format!(
                    "the CA file of {} holds no certificate",
                    settings.region
                )));
            }
            builder = builder.tls_certs_only(roots);
        }
        let http = builder.build().map_err(|error| invalid(&error))?;
        let keys = Keys::load(settings.credentials.clone())?;
        Ok(Self { http, keys, endpoint, authority, project_id: settings.project_id.clone() })
    }

    /// Sends and decodes a JSON answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Refusal> {
        let response = self.send(call).await?;
        let body = response.bytes().await.map_err(|error| transport(&call.operation, error))?;
        serde_json::from_slice(&body).map_err(|error| {
            Refusal::Unknown(format!("{}: the answer cannot be read: {error}", call.operation))
        })
    }

    /// Sends and drops the answer's body.
    pub(super) async fn accept(&self, call: &Call) -> Result<(), Refusal> {
        let response = self.send(call).await?;
        let _ = response.bytes().await;
        Ok(())
    }

    /// Sends; any status but success (or 101 for an upgrade) is a [`Refusal`]. Credentials that the cloud refuses are
    /// read again once.
    pub(super) async fn send(&self, call: &Call) -> Result<Response, Refusal> {
        let pair = self.keys.current();
        let first = self.send_signed(call, &pair).await;
        if !matches!(first, Err(Refusal::Cloud(CloudError::Auth(_)))) {
            return first;
        }
        match self.keys.reread() {
            Some(fresh) if fresh.differs_from(&pair) => self.send_signed(call, &fresh).await,
            _ => first,
        }
    }

    async fn send_signed(&self, call: &Call, keys: &KeyPair) -> Result<Response, Refusal> {
        let sent_at = Timestamp::now();
        let headers = self.headers(call, keys, sent_at)?;
        let mut url = format!("{}{}", self.endpoint, call.path);
        if !call.query.is_empty() {
            url.push('?');
            url.push_str(&sign::wire_query(&call.query));
        }
        let mut request = self.http.request(call.method.clone(), url).headers(headers);
        if let Some(body) = &call.body {
            request = request.body(body.bytes.clone());
        }
        if call.limit == Limit::Whole {
            request = request.timeout(CALL_TIMEOUT);
        }
        let answer = request.send();
        let answer = match call.limit {
            Limit::Beginning => timeout(CALL_TIMEOUT, answer)
                .await
                .map_err(|_| Refusal::Unknown(format!("{}: no answer in time", call.operation)))?,
            Limit::Whole | Limit::Nothing => answer.await,
        };
        let response = answer.map_err(|error| transport(&call.operation, error))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let body = error_body(response).await;
        Err(classify(&call.operation, status, &headers, &body, sent_at))
    }

    /// The signed headers, the signature and the unsigned ones.
    fn headers(&self, call: &Call, keys: &KeyPair, at: Timestamp) -> Result<HeaderMap, Refusal> {
        let date = sign::sdk_date(at);
        let mut signed = vec![
            ("host", self.authority.clone()),
            ("x-project-id", self.project_id.clone()),
            ("x-sdk-date", date.clone()),
        ];
        let content_type = call.body.as_ref().map_or("application/json", |body| body.content_type);
        signed.push(("content-type", content_type.to_owned()));
        let payload_hash = match &call.body {
            Some(body) if !sign::signs_payload(body.content_type) => {
                signed.push(("x-sdk-content-sha256", sign::UNSIGNED_PAYLOAD.to_owned()));
                sign::UNSIGNED_PAYLOAD.to_owned()
            }
            Some(body) => sign::sha256_hex(&body.bytes),
            None => sign::sha256_hex(b""),
        };
        let request = Signable {
            method: call.method.as_str(),
            path: &call.path,
            query: &call.query,
            headers: &signed,
            payload_hash: &payload_hash,
        };
        let authorization = sign::authorization(keys, &date, &request);
        let mut map = HeaderMap::new();
        for (name, value) in signed {
            map.insert(HeaderName::from_static(name), header_value(&call.operation, &value)?);
        }
        map.insert(header::AUTHORIZATION, header_value(&call.operation, &authorization)?);
        for (name, value) in &call.unsigned_headers {
            map.insert(name.clone(), header_value(&call.operation, value)?);
        }
        Ok(map)
    }
}

fn header_value(operation: &Operation, value: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(value).map_err(|_| {
        Refusal::Cloud(CloudError::Auth(format!(
            "{operation}: the access key or project id has an unprintable character"
        )))
    })
}

/// Reads an error body up to its limit; what cannot be read is left out.
async fn error_body(mut response: Response) -> Vec<u8> {
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

/// No answer: refused, reset, timed out, or TLS. The request may or may not have been carried out.
pub(super) fn transport(operation: &Operation, error: reqwest::Error) -> Refusal {
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
    Refusal::Unknown(format!("{operation}: {what}: {cause}"))
}
