//! A signer of `ACS3-HMAC-SHA256` for the tests, written a second time on purpose.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, hmac};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use super::support::Client;

static NONCE: AtomicU64 = AtomicU64::new(1);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn escape(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if keep(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Pairs as a query.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    pairs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect::<Vec<_>>().join("&")
}

impl Client {
    /// Headers of a signed call of an action.
    pub fn acs3(&self, action: &str, query: &str, body: &str, more: &[(&str, &str)]) -> HeaderMap {
        let nonce = format!("{}-{}", std::process::id(), NONCE.fetch_add(1, Ordering::Relaxed));
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (host, hash) = (self.address.to_string(), sha256(body.as_bytes()));
        let mut all = vec![
            ("host", host.as_str()),
            ("x-acs-action", action),
            ("x-acs-version", "2018-08-08"),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-content-sha256", &hash),
        ];
        if !body.is_empty() {
            all.push(("content-type", "application/x-www-form-urlencoded"));
        }
        all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        all.extend(more);
        all.sort_unstable();
        let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n{query}\n{lines}\n{names}\n{hash}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret_key.as_bytes());
        let signed =
            hmac::sign(&key, format!("ACS3-HMAC-SHA256\n{}", sha256(canonical.as_bytes())).as_bytes());
        let signature = hex(signed.as_ref());
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers
                .insert(http::HeaderName::try_from(name).expect("a name"), value.parse().expect("a value"));
        }
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential=testAK,SignedHeaders={names},Signature={signature}");
        headers.insert("authorization", authorization.parse().expect("a value"));
        headers
    }

    /// Calls an action; `None` when the answer was lost.
    pub async fn try_eci(&self, action: &str, pairs: &[(&str, &str)]) -> Option<(StatusCode, Value)> {
        let mut all = pairs.to_vec();
        if !pairs.iter().any(|(name, _)| *name == "RegionId") {
            all.push(("RegionId", "cn-hangzhou"));
        }
        let query = query(&all);
        // By the cloud's own clock, which tests move.
        let now = self.get("/_sim/clock").await.1["now"].as_str().and_then(|now| now.parse().ok());
        let now: jiff::Timestamp = now.expect("a clock");
        let date = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let headers = self.acs3(action, &query, "", &[("x-acs-date", &date)]);
        let response = self.raw(Method::POST, &format!("/?{query}"), headers, Vec::new()).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// Calls an action and is answered.
    pub async fn eci(&self, action: &str, pairs: &[(&str, &str)]) -> Value {
        self.try_eci(action, pairs).await.expect("an answer").1
    }

    /// `HTTP status` and code of a refusal, empty for success.
    pub async fn refusal(&self, action: &str, pairs: &[(&str, &str)]) -> String {
        let (status, body) = self.try_eci(action, pairs).await.expect("an answer");
        match body.get("Code").and_then(Value::as_str) {
            Some(code) => format!("{} {code}", status.as_u16()),
            None => String::new(),
        }
    }
}
