//! Huawei's request signing `SDK-HMAC-SHA256`, written from its rules (API Gateway signature guide; the vectors in the
//! tests come from the vendor's SDK), and its verification with the gateway's errors.
//!
//! The verifier sorts the query, whatever order the wire has: repeated `command` values of an exec keep their order on
//! the wire and are sorted only for the signature.

use aws_lc_rs::{constant_time, digest, hmac};
use http::{HeaderMap, Method, StatusCode};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::ApiError;

/// The algorithm's name, first word of the `Authorization` header.
const ALGORITHM: &str = "SDK-HMAC-SHA256";
/// What the gateway tolerates between its clock and `X-Sdk-Date`.
const SKEW: SignedDuration = SignedDuration::from_mins(15);
/// RFC 3986 unreserved characters stay, everything else is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Value of `X-Sdk-Content-Sha256` that leaves the body out of the signature.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What a request looks like to the signature.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// Path as sent, percent-encoded.
    pub path: &'a str,
    /// Query as sent, without the question mark.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body bytes.
    pub body: &'a [u8],
}

/// Signs: the `Authorization` header for `signed` header names (any order, any case). `X-Sdk-Date` must be among the headers.
#[must_use]
pub fn sign(request: &Request<'_>, access_key: &str, secret_key: &str, signed: &[&str]) -> String {
    let mut names: Vec<String> = signed.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let date = header(request.headers, "x-sdk-date").unwrap_or_default();
    let signature = signature(secret_key, date, &canonical_request(request, &names));
    format!("{ALGORITHM} Access={access_key}, SignedHeaders={}, Signature={signature}", names.join(";"))
}

/// The canonical request of section "Step 1" of the vendor's guide.
#[must_use]
pub fn canonical_request(request: &Request<'_>, signed: &[String]) -> String {
    let headers: String = (signed.iter())
        .map(|name| format!("{name}:{}\n", header(request.headers, name).unwrap_or_default().trim()))
        .collect();
    let payload = match header(request.headers, "x-sdk-content-sha256") {
        Some(given) => given.to_owned(),
        None => sha256_hex(request.body),
    };
    let (uri, query) = (canonical_uri(request.path), canonical_query(request.query));
    format!("{}\n{uri}\n{query}\n{headers}\n{}\n{payload}", request.method, signed.join(";"))
}

/// The signature of a canonical request made at `date` (the value of `X-Sdk-Date`).
#[must_use]
pub fn signature(secret_key: &str, date: &str, canonical: &str) -> String {
    let to_sign = format!("{ALGORITHM}\n{date}\n{}", sha256_hex(canonical.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.as_bytes());
    hex(hmac::sign(&key, to_sign.as_bytes()).as_ref())
}

/// Lower-case hexadecimal SHA-256.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Each segment re-encoded, always with a closing slash, although the wire has none.
fn canonical_uri(path: &str) -> String {
    let mut uri = path.split('/').map(|segment| escape(&unescape(segment))).collect::<Vec<_>>().join("/");
    if !uri.ends_with('/') {
        uri.push('/');
    }
    uri
}

/// Sorted by key, then by value; re-encoded, so `+` and `%20` are the same blank.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (escape(&k), escape(&v))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

/// The account that requests must belong to. Never printed.
pub(crate) struct Account {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) project_id: String,
    /// The token accepted as `X-Auth-Token`, if any.
    pub(crate) token: Option<String>,
}

impl Account {
    /// Lets the request pass or says what the gateway says.
    pub(crate) fn verify(&self, request: &Request<'_>, now: Timestamp) -> Result<(), ApiError> {
        let token = header(request.headers, "x-auth-token");
        let authorization = header(request.headers, "authorization");
        match (token, authorization) {
            (Some(_), Some(_)) => Err(refused("a token and an AK/SK signature must not both be sent")),
            (Some(token), None) => self.verify_token(token),
            (None, Some(authorization)) => self.verify_signature(request, authorization, now),
            (None, None) => Err(refused("X-Auth-Token or Authorization is required")),
        }
    }

    fn verify_token(&self, token: &str) -> Result<(), ApiError> {
        let good = self.token.as_ref().is_some_and(|known| same(known.as_bytes(), token.as_bytes()));
        good.then_some(()).ok_or_else(|| refused("decrypt token fail"))
    }

    fn verify_signature(
        &self,
        request: &Request<'_>,
        authorization: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let given = Given::parse(authorization).ok_or_else(|| {
            refused(
                "the Authorization header is not 'SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…'",
            )
        })?;
        if given.access != self.access_key {
            return Err(refused("the access key does not exist"));
        }
        let date = self.verify_headers(request, &given, now)?;
        let expected = signature(&self.secret_key, date, &canonical_request(request, &given.signed));
        if !same(expected.as_bytes(), given.signature.as_bytes()) {
            return Err(refused("verify aksk signature fail"));
        }
        verify_payload(request)
    }

    /// Everything that must hold of the headers; answers `X-Sdk-Date` as sent.
    fn verify_headers<'a>(
        &self,
        request: &Request<'a>,
        given: &Given,
        now: Timestamp,
    ) -> Result<&'a str, ApiError> {
        let date = header(request.headers, "x-sdk-date").ok_or_else(|| refused("X-Sdk-Date is required"))?;
        if !given.signed.iter().any(|name| name == "x-sdk-date") {
            return Err(refused("X-Sdk-Date must be signed"));
        }
        if let Some(missing) = given.signed.iter().find(|name| !request.headers.contains_key(name.as_str())) {
            return Err(refused(&format!("signed header {missing:?} is not in the request")));
        }
        let project = header(request.headers, "x-project-id");
        if project.is_some_and(|project| project != self.project_id) {
            return Err(refused("X-Project-Id is not a project of this access key"));
        }
        let sent = parse_date(date)
            .ok_or_else(|| refused("verify aksk signature fail: X-Sdk-Date is not YYYYMMDDTHHMMSSZ"))?;
        if now.duration_since(sent).abs() > SKEW {
            return Err(refused("the request time is more than 15 minutes away from the server time"));
        }
        Ok(date)
    }
}

/// A body hash that was signed must be the body's.
fn verify_payload(request: &Request<'_>) -> Result<(), ApiError> {
    match header(request.headers, "x-sdk-content-sha256") {
        Some(given) if given != UNSIGNED && given != sha256_hex(request.body) => {
            Err(refused("X-Sdk-Content-Sha256 is not the hash of the body"))
        }
        _ => Ok(()),
    }
}

fn refused(why: &str) -> ApiError {
    let message = format!("Incorrect IAM authentication information: {why}");
    ApiError::gateway(StatusCode::UNAUTHORIZED, "APIGW.0301", message)
}

fn same(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// The parts of an `Authorization` header.
struct Given {
    access: String,
    signed: Vec<String>,
    signature: String,
}

impl Given {
    fn parse(header: &str) -> Option<Self> {
        let fields = header.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let mut given = Self { access: String::new(), signed: Vec::new(), signature: String::new() };
        for field in fields.split(',') {
            match field.trim().split_once('=')? {
                ("Access", value) => value.clone_into(&mut given.access),
                ("SignedHeaders", value) => {
                    given.signed = value.split(';').map(str::to_ascii_lowercase).collect();
                }
                ("Signature", value) => value.clone_into(&mut given.signature),
                _ => return None,
            }
        }
        let complete = !given.access.is_empty() && !given.signed.is_empty() && !given.signature.is_empty();
        complete.then_some(given)
    }
}

#[cfg(test)]
mod tests;
