//! Signed calls to UCloud: sends, and turns every outcome into a value or a [`Refusal`].
//!
//! Repeats nothing by itself but once after re-reading keys that the cloud refused: there is no token that would make a
//! repetition harmless. After a refusal for too many calls all calls wait, longer each time. Proxies and redirects are
//! off. Nothing here prints a parameter.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::cloud::CloudError;
use crate::cloud::access_keys::{KeyPair, Keys};
use crate::cloud::encoding::encode_pairs;
use crate::cloud::http_client::{self, broken};

use super::action::Operation;
use super::fault::{self, Answer, Refusal};
use super::parameters::Pairs;
use super::settings::CubeSettings;
use super::sign::sign;

/// The gateway itself gives up after 60 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(55);
const FORM: &str = "application/x-www-form-urlencoded";
/// Longest wait after refusals for too many calls.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The client of one account in one region.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    keys: Keys,
    endpoint: String,
    region: String,
    project: String,
    pace: Mutex<Pace>,
}

/// Until when nothing is sent, and how often in a row that was asked for.
#[derive(Debug, Default)]
struct Pace {
    until: Option<Instant>,
    refused: u32,
}

impl Client {
    /// Builds the client; nothing is sent.
    pub(super) fn new(settings: &CubeSettings) -> Result<Self, CloudError> {
        let endpoint = settings.url().to_owned();
        let invalid =
            |error: &dyn std::fmt::Display| CloudError::Invalid(format!("endpoint {endpoint:?}: {error}"));
        reqwest::Url::parse(&endpoint).map_err(|error| invalid(&error))?;
        let builder = http_client::builder(settings.ca_pem.as_deref(), "Cube")?;
        let http = builder.build().map_err(|error| invalid(&error))?;
        Ok(Self {
            http,
            keys: Keys::load(settings.credentials.clone())?,
            endpoint,
            region: settings.region.clone(),
            project: settings.project_id.clone(),
            pace: Mutex::default(),
        })
    }

    /// Makes a call and answers its body.
    pub(super) async fn call(&self, operation: &Operation, parameters: Pairs) -> Result<Value, Refusal> {
        let pair = self.keys.current();
        let answer = self.send(operation, &parameters, &pair).await;
        if matches!(answer, Err(Refusal::Cloud(CloudError::Auth(_))))
            && let Some(fresh) = self.keys.reread().filter(|fresh| fresh.differs_from(&pair))
        {
            return self.send(operation, &parameters, &fresh).await;
        }
        answer
    }

    async fn send(
        &self,
        operation: &Operation,
        parameters: &Pairs,
        keys: &KeyPair,
    ) -> Result<Value, Refusal> {
        self.turn().await;
        let sent_at = Timestamp::now();
        let body = form(operation, parameters, (&self.region, &self.project), keys);
        let request = self
            .http
            .post(format!("{}/", self.endpoint))
            .header(CONTENT_TYPE, FORM)
            .header("U-Timestamp-Ms", sent_at.as_millisecond())
            .timeout(CALL_TIMEOUT)
            .body(body);
        let response = request.send().await.map_err(|error| transport(operation, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| transport(operation, error))?;
        let answer = fault::read(&Answer { operation, status, headers: &headers, body: &body, sent_at });
        self.learn(answer)
    }

    async fn turn(&self) {
        let until = self.pace.lock().unwrap_or_else(PoisonError::into_inner).until;
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn learn(&self, answer: Result<Value, Refusal>) -> Result<Value, Refusal> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Err(Refusal::Cloud(CloudError::Throttled { message, after })) => {
                let after = after.saturating_mul(1 << pace.refused.min(5)).min(LONGEST_WAIT);
                pace.refused = pace.refused.saturating_add(1);
                pace.until = Some(Instant::now() + after);
                Err(Refusal::Cloud(CloudError::Throttled { message, after }))
            }
            other => {
                if !matches!(other, Err(Refusal::Unknown(_))) {
                    pace.refused = 0;
                }
                other
            }
        }
    }
}

/// The signed body.
fn form(
    operation: &Operation,
    parameters: &Pairs,
    (region, project): (&str, &str),
    keys: &KeyPair,
) -> String {
    let mut all = parameters.clone();
    let token = keys.token().map(|token| ("SecurityToken", token));
    let common = [
        ("Action", operation.action.name()),
        ("ProjectId", project),
        ("PublicKey", &keys.access_key),
        ("Region", region),
    ];
    let common = common.into_iter().chain(token).filter(|(_, value)| !value.is_empty());
    all.extend(common.map(|(name, value)| (name.to_owned(), value.to_owned())));
    all.push(("Signature".to_owned(), sign(&all, keys.secret())));
    encode_pairs(all.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// No answer. The request may or may not have been carried out.
fn transport(operation: &Operation, error: reqwest::Error) -> Refusal {
    Refusal::Unknown(format!("{operation}: {}", broken(error)))
}
