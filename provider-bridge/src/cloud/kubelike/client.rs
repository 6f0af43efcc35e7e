//! HTTP calls to a Kubernetes-style API: sends what its [`Account`] signed, and turns every outcome into a value or a
//! [`Refusal`].
//!
//! Never retries by itself except once after re-reading credentials that were refused. The query goes over the wire in
//! the caller's order. Proxies and redirects are off: credentials are meant for exactly one host.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::cloud::CloudError;
use crate::cloud::encoding::wire_query;
use crate::cloud::http_client::{self, authority, broken, error_body};

use super::call::{Call, Limit};
use super::operation::Operation;
use super::refusal::{Answer, Refusal};

/// How long a call may take; what of it, says [`Limit`].
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Who calls, and what the vendor's own words in an answer mean.
pub(in crate::cloud) trait Account: std::fmt::Debug + Send + Sync {
    /// The headers of a call sent at `at`, all but [`Call::unsigned_headers`].
    fn sign(&self, call: &Call, at: Timestamp) -> Result<Signed, Refusal>;

    /// Reads the credentials again, because they were refused; their generation, or `None` if they cannot be read.
    fn reread(&self) -> Option<u64>;

    /// What an answer without success means.
    fn classify(&self, answer: &Answer<'_>) -> Refusal;
}

/// The proof of who calls.
pub(in crate::cloud) struct Signed {
    pub(in crate::cloud) headers: HeaderMap,
    /// Number of the credentials: others have another one.
    pub(in crate::cloud) generation: u64,
}

/// Where the API is, and how the connection is made.
#[derive(Default)]
pub(in crate::cloud) struct Endpoint {
    /// Scheme, host and port, and a path before all others if there is one.
    pub(in crate::cloud) url: String,
    /// Certificates to trust instead of the system's, PEM.
    pub(in crate::cloud) ca_pem: Option<Vec<u8>>,
    /// Whose certificates they are, for messages.
    pub(in crate::cloud) place: String,
    /// Certificate and key of ours.
    pub(in crate::cloud) identity: Option<reqwest::Identity>,
}

/// The client of one account.
#[derive(Debug)]
pub(in crate::cloud) struct Client {
    http: reqwest::Client,
    endpoint: String,
    account: Box<dyn Account>,
}

impl Client {
    /// Builds the client; nothing is sent.
    pub(in crate::cloud) fn new(to: Endpoint, account: Box<dyn Account>) -> Result<Self, CloudError> {
        let endpoint = to.url.trim_end_matches('/').to_owned();
        let invalid =
            |error: &dyn std::fmt::Display| CloudError::Invalid(format!("endpoint {endpoint:?}: {error}"));
        authority(&endpoint)?;
        let mut builder = http_client::builder(to.ca_pem.as_deref(), &to.place)?;
        if let Some(identity) = to.identity {
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|error| invalid(&error))?;
        Ok(Self { http, endpoint, account })
    }

    /// Sends and decodes a JSON answer.
    pub(in crate::cloud) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Refusal> {
        let response = self.send(call).await?;
        let body = response.bytes().await.map_err(|error| transport(&call.operation, error))?;
        serde_json::from_slice(&body).map_err(|error| {
            Refusal::Unknown(format!("{}: the answer cannot be read: {error}", call.operation))
        })
    }

    /// Sends and drops the answer's body.
    pub(in crate::cloud) async fn accept(&self, call: &Call) -> Result<(), Refusal> {
        let response = self.send(call).await?;
        let _ = response.bytes().await;
        Ok(())
    }

    /// Sends; any status but success (or 101 for an upgrade) is a [`Refusal`]. Credentials that the cloud refuses are
    /// read again once.
    pub(in crate::cloud) async fn send(&self, call: &Call) -> Result<Response, Refusal> {
        let (used, first) = self.send_signed(call).await?;
        if !matches!(first, Err(Refusal::Cloud(CloudError::Auth(_)))) {
            return first;
        }
        match self.account.reread() {
            Some(fresh) if fresh != used => self.send_signed(call).await?.1,
            _ => first,
        }
    }

    /// The generation of the credentials that were used, and what came of it.
    async fn send_signed(&self, call: &Call) -> Result<(u64, Result<Response, Refusal>), Refusal> {
        let sent_at = Timestamp::now();
        let Signed { mut headers, generation } = self.account.sign(call, sent_at)?;
        for (name, value) in &call.unsigned_headers {
            headers.insert(name.clone(), header_value(&call.operation, value)?);
        }
        Ok((generation, self.send_once(call, headers, sent_at).await))
    }

    async fn send_once(
        &self,
        call: &Call,
        headers: HeaderMap,
        sent_at: Timestamp,
    ) -> Result<Response, Refusal> {
        let mut url = format!("{}{}", self.endpoint, call.path);
        if !call.query.is_empty() {
            url.push('?');
            url.push_str(&wire_query(&call.query));
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
        let answer = Answer { operation: &call.operation, status, headers: &headers, body: &body, sent_at };
        Err(self.account.classify(&answer))
    }
}

/// A value that may stand in a header.
pub(in crate::cloud) fn header_value(operation: &Operation, value: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(value).map_err(|_| {
        Refusal::Cloud(CloudError::Auth(format!(
            "{operation}: a credential or the project id has an unprintable character"
        )))
    })
}

/// No answer. The request may or may not have been carried out.
pub(in crate::cloud) fn transport(operation: &Operation, error: reqwest::Error) -> Refusal {
    Refusal::Unknown(format!("{operation}: {}", broken(error)))
}
