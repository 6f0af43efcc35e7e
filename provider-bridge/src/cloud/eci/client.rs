//! Signed calls to ECI: paces, signs, sends, and turns every outcome into a value or a [`Refusal`].
//!
//! Repeats by itself only what cannot have happened: a nonce that was seen before, and once after re-reading credentials
//! that the cloud refused. Every request has a new nonce and signature. Proxies and redirects are off: a signature covers
//! exactly one host. Nothing here prints a parameter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::cloud::CloudError;
use crate::cloud::access_keys::{KeyPair, Keys};
use crate::cloud::encoding::{encode_pairs, hex, sha256_hex};
use crate::cloud::http_client::{self, authority, broken, error_body};

use super::action::{Action, Operation};
use super::fault::{Answer, Refusal, classify};
use super::pace::Pace;
use super::parameters::Pairs;
use super::settings::{EciSettings, Signature};
use super::sign::{self, Signable};

const VERSION: &str = "2018-08-08";
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Parameters that make a longer query than this go into a form body.
const QUERY_LIMIT: usize = 4096;
/// How often a call is made again because its nonce was seen before.
const NONCE_ATTEMPTS: usize = 3;
const FORM: &str = "application/x-www-form-urlencoded";

/// The client of one account in one region.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    keys: Keys,
    pace: Arc<Pace>,
    endpoint: String,
    authority: String,
    region: String,
    signature: Signature,
}

/// A request ready to be sent.
struct Request {
    query: String,
    body: String,
    headers: HeaderMap,
}

impl Client {
    /// Builds the client; nothing is sent.
    pub(super) fn new(settings: &EciSettings) -> Result<Self, CloudError> {
        let endpoint = settings.url();
        let invalid =
            |error: &dyn std::fmt::Display| CloudError::Invalid(format!("endpoint {endpoint:?}: {error}"));
        let authority = authority(&endpoint)?;
        let builder = http_client::builder(settings.ca_pem.as_deref(), &settings.region)?;
        let http = builder.build().map_err(|error| invalid(&error))?;
        let keys = Keys::load(settings.credentials.clone())?;
        let account = format!("{endpoint} {} {}", settings.region, keys.current().access_key);
        let pace = Pace::of(&account, &settings.calls_per_minute);
        let (region, signature) = (settings.region.clone(), settings.signature);
        Ok(Self { http, keys, pace, endpoint, authority, region, signature })
    }

    /// Makes a call and decodes its answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        mut parameters: Pairs,
    ) -> Result<T, Refusal> {
        parameters.push(("RegionId".to_owned(), self.region.clone()));
        let mut pair = self.keys.current();
        let mut answer = self.turn(operation, &parameters, &pair).await;
        if matches!(answer, Err(Refusal::Cloud(CloudError::Auth(_))))
            && let Some(fresh) = self.keys.reread().filter(|fresh| fresh.differs_from(&pair))
        {
            pair = fresh;
            answer = self.turn(operation, &parameters, &pair).await;
        }
        for _ in 1..NONCE_ATTEMPTS {
            if !matches!(answer, Err(Refusal::Nonce(_))) {
                break;
            }
            answer = self.turn(operation, &parameters, &pair).await;
        }
        let body = answer.map_err(|refusal| match (refusal, pair.expired(Timestamp::now())) {
            (Refusal::Cloud(CloudError::Auth(text)), Some(expired)) => {
                Refusal::Cloud(CloudError::Auth(format!("{text}; {expired}")))
            }
            (refusal, _) => refusal,
        })?;
        serde_json::from_slice(&body)
            .map_err(|error| Refusal::Unknown(format!("{operation}: the answer cannot be read: {error}")))
    }

    /// One request, in its turn.
    async fn turn(
        &self,
        operation: &Operation,
        parameters: &Pairs,
        keys: &KeyPair,
    ) -> Result<Vec<u8>, Refusal> {
        self.pace.turn(operation.action).await;
        let answer = self.send(operation, parameters, keys).await;
        match &answer {
            Err(Refusal::Cloud(CloudError::Throttled { after, .. })) => {
                self.pace.throttled(operation.action, *after);
            }
            Err(Refusal::Unknown(_)) => {}
            _ => self.pace.answered(operation.action),
        }
        answer
    }

    async fn send(
        &self,
        operation: &Operation,
        parameters: &Pairs,
        keys: &KeyPair,
    ) -> Result<Vec<u8>, Refusal> {
        let sent_at = Timestamp::now();
        let request = match self.signature {
            Signature::Acs3 => self.acs3(operation, parameters, keys, sent_at)?,
            Signature::Rpc => self.rpc(operation, parameters, keys, sent_at)?,
        };
        let mut url = format!("{}/", self.endpoint);
        if !request.query.is_empty() {
            url.push('?');
            url.push_str(&request.query);
        }
        let sent = self.http.post(url).headers(request.headers).timeout(CALL_TIMEOUT).body(request.body);
        let response = sent.send().await.map_err(|error| transport(operation, error))?;
        if response.status().is_success() {
            let body = response.bytes().await.map_err(|error| transport(operation, error))?;
            return Ok(body.into());
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = error_body(response).await;
        Err(classify(&Answer { operation, status, headers: &headers, body: &body, sent_at }))
    }

    /// Signed by headers; a long query becomes a form body.
    fn acs3(
        &self,
        operation: &Operation,
        parameters: &Pairs,
        keys: &KeyPair,
        at: Timestamp,
    ) -> Result<Request, Refusal> {
        let encoded = encode(parameters);
        // What a group is made from holds secrets, and addresses are written down on the way.
        let in_body = operation.action == Action::CreateGroup || encoded.len() > QUERY_LIMIT;
        let (query, body) = if in_body { (String::new(), encoded) } else { (encoded, String::new()) };
        let payload = sha256_hex(body.as_bytes());
        let mut headers = BTreeMap::from([
            ("accept", "application/json".to_owned()),
            ("host", self.authority.clone()),
            ("x-acs-action", operation.action.name().to_owned()),
            ("x-acs-content-sha256", payload.clone()),
            ("x-acs-date", sign::date(at)),
            ("x-acs-signature-nonce", nonce(operation)?),
            ("x-acs-version", VERSION.to_owned()),
        ]);
        if !body.is_empty() {
            headers.insert("content-type", FORM.to_owned());
        }
        if let Some(token) = keys.token() {
            headers.insert("x-acs-accesskey-id", keys.access_key.clone());
            headers.insert("x-acs-security-token", token.to_owned());
        }
        let signed: &[(String, String)] = if query.is_empty() { &[] } else { parameters };
        let signable =
            Signable { method: "POST", path: "/", query: signed, headers: &headers, payload: &payload };
        let authorization = signable.authorization(&keys.access_key, keys.secret());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), header_value(operation, &value)?);
        }
        map.insert(http::header::AUTHORIZATION, header_value(operation, &authorization)?);
        Ok(Request { query, body, headers: map })
    }

    /// Signed by parameters, all of them in a form body.
    fn rpc(
        &self,
        operation: &Operation,
        parameters: &Pairs,
        keys: &KeyPair,
        at: Timestamp,
    ) -> Result<Request, Refusal> {
        let mut all = parameters.clone();
        let system = [
            ("AccessKeyId", keys.access_key.clone()),
            ("Action", operation.action.name().to_owned()),
            ("Format", "JSON".to_owned()),
            ("SignatureMethod", "HMAC-SHA1".to_owned()),
            ("SignatureNonce", nonce(operation)?),
            ("SignatureVersion", "1.0".to_owned()),
            ("Timestamp", sign::date(at)),
            ("Version", VERSION.to_owned()),
        ];
        let token = keys.token().map(|token| ("SecurityToken", token.to_owned()));
        all.extend(system.into_iter().chain(token).map(|(name, value)| (name.to_owned(), value)));
        let signature = sign::rpc("POST", &all, keys.secret());
        all.push(("Signature".to_owned(), signature));
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        Ok(Request { query: String::new(), body: encode(&all), headers })
    }
}

fn encode(parameters: &Pairs) -> String {
    encode_pairs(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Different for every request.
fn nonce(operation: &Operation) -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes)
        .map_err(|_| Refusal::Cloud(CloudError::Retryable(format!("{operation}: no random numbers"))))?;
    Ok(hex(&bytes))
}

fn header_value(operation: &Operation, value: &str) -> Result<HeaderValue, Refusal> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Refusal::Cloud(CloudError::Auth(format!(
            "{operation}: the access key or token has an unprintable character"
        )))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// No answer. The request may or may not have been carried out.
pub(super) fn transport(operation: &Operation, error: reqwest::Error) -> Refusal {
    Refusal::Unknown(format!("{operation}: {}", broken(error)))
}

/// Whether a WebSocket was opened.
pub(super) fn is_upgrade(status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS
}
