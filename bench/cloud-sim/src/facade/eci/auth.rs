//! Alibaba Cloud's two request signatures, verified from the wire with the gateway's errors: `ACS3-HMAC-SHA256` (header
//! `Authorization`) and RPC `HMAC-SHA1` (parameter `Signature`).
//!
//! Facts: "V3 request body and signature mechanism" and "Request signature (RPC)". Both are checked over what was
//! received, re-encoded: the wire may say `+` where the signature says `%20`. Which headers are signed says
//! `SignedHeaders`, and `host` counts with its port.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::super::Call;
use super::error::EciError;

/// First word of the header of the current signature.
const ACS3: &str = "ACS3-HMAC-SHA256";
/// RFC 3986 unreserved characters stay.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What the gateway tolerates between its clock and the request's, and how long it remembers a nonce.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// Keys that requests must be signed with. Never printed.
pub(super) struct Keys<'a> {
    pub(super) access_key: &'a str,
    pub(super) secret_key: &'a str,
    /// The security token that must come with them, if they are temporary.
    pub(super) security_token: Option<&'a str>,
}

/// Nonces of the last quarter of an hour.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    inner: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    known: HashSet<String>,
    order: VecDeque<(Timestamp, String)>,
}

impl Nonces {
    /// Whether a nonce is new; it is not any more after this.
    fn take(&self, nonce: &str, now: Timestamp) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { known, order } = &mut *inner;
        let oldest = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        while let Some((_, gone)) = order.pop_front_if(|(at, _)| *at < oldest) {
            known.remove(&gone);
        }
        if !known.insert(nonce.to_owned()) {
            return false;
        }
        order.push_back((now, nonce.to_owned()));
        true
    }
}

/// Lets a call pass or says what the gateway says.
pub(super) fn verify(
    call: &Call,
    parameters: &[(String, String)],
    keys: &Keys<'_>,
    nonces: &Nonces,
    now: Timestamp,
) -> Result<(), EciError> {
    let given = match call.header("authorization") {
        Some(header) => acs3(call, header, keys)?,
        None => rpc(call, parameters, keys)?,
    };
    let sent: Timestamp = given.date.parse().map_err(|_| {
        EciError::new(400, "IllegalTimestamp", "The input parameter \"Timestamp\" that is mandatory for processing this request is not in the form YYYY-MM-DDThh:mm:ssZ.")
    })?;
    if now.duration_since(sent).abs() > WINDOW {
        let message = "Specified time stamp or date value is expired.";
        return Err(EciError::new(400, "InvalidTimeStamp.Expired", message));
    }
    if let Some(wanted) = keys.security_token
        && given.token != Some(wanted)
    {
        let message = "Specified SecurityToken is expired.";
        return Err(EciError::new(400, "InvalidSecurityToken.Expired", message));
    }
    if nonces.take(given.nonce, now) {
        return Ok(());
    }
    Err(EciError::new(400, "SignatureNonceUsed", "Specified signature nonce was used already."))
}

/// What both signatures carry.
struct Given<'a> {
    date: &'a str,
    nonce: &'a str,
    token: Option<&'a str>,
}

fn acs3<'a>(call: &'a Call, authorization: &str, keys: &Keys<'_>) -> Result<Given<'a>, EciError> {
    let fields = authorization
        .strip_prefix(ACS3)
        .ok_or_else(|| incomplete("the algorithm is not ACS3-HMAC-SHA256"))?;
    let field = |name: &str| {
        let all = fields.split(',').map(str::trim);
        all.filter_map(|field| field.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let (Some(access), Some(signed), Some(signature)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"))
    else {
        return Err(incomplete("Authorization lacks Credential, SignedHeaders or Signature"));
    };
    known_key(access, keys)?;
    let names: Vec<&str> = signed.split(';').collect();
    for needed in ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"] {
        if !names.contains(&needed) {
            return Err(incomplete(&format!("the header {needed} is not signed")));
        }
    }
    if let Some(absent) = names.iter().find(|name| call.header(name).is_none()) {
        return Err(incomplete(&format!("the signed header {absent} is not in the request")));
    }
    let hash = sha256_hex(&call.body);
    if call.header("x-acs-content-sha256").is_some_and(|given| given != hash) {
        return Err(incomplete("x-acs-content-sha256 is not the hash of the body"));
    }
    let headers: Vec<(&str, &str)> =
        names.iter().map(|name| (*name, call.header(name).unwrap_or_default())).collect();
    let canonical =
        canonical_request(call.parts.method.as_str(), call.parts.uri.path(), &call.query, &headers, &hash);
    if !same(&acs3_signature(keys.secret_key, &canonical), signature) {
        return Err(mismatch(&format!("{ACS3}\n{}", sha256_hex(canonical.as_bytes()))));
    }
    let header = |name: &str| call.header(name).unwrap_or_default();
    Ok(Given {
        date: header("x-acs-date"),
        nonce: header("x-acs-signature-nonce"),
        token: call.header("x-acs-security-token"),
    })
}

/// The canonical request of the current signature; `headers` in the order of `SignedHeaders`.
fn canonical_request(
    method: &str,
    path: &str,
    query: &[(String, String)],
    headers: &[(&str, &str)],
    payload: &str,
) -> String {
    let segments = path.split('/').map(|s| escape(&percent_decode_str(s).decode_utf8_lossy()));
    let uri = segments.collect::<Vec<_>>().join("/");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    format!("{method}\n{uri}\n{}\n{lines}\n{names}\n{payload}", canonical_query(query.iter()))
}

fn acs3_signature(secret_key: &str, canonical: &str) -> String {
    let to_sign = format!("{ACS3}\n{}", sha256_hex(canonical.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.as_bytes());
    hex(hmac::sign(&key, to_sign.as_bytes()).as_ref())
}

fn rpc<'a>(call: &Call, parameters: &'a [(String, String)], keys: &Keys<'_>) -> Result<Given<'a>, EciError> {
    let find = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let needed =
        |name: &str| find(name).filter(|value| !value.is_empty()).ok_or_else(|| EciError::missing(name));
    known_key(needed("AccessKeyId")?, keys)?;
    let signature = needed("Signature")?;
    if needed("SignatureMethod")? != "HMAC-SHA1" || needed("SignatureVersion")? != "1.0" {
        return Err(incomplete("SignatureMethod is not HMAC-SHA1 or SignatureVersion not 1.0"));
    }
    let given =
        Given { date: needed("Timestamp")?, nonce: needed("SignatureNonce")?, token: find("SecurityToken") };
    let to_sign = rpc_to_sign(call.parts.method.as_str(), parameters);
    if same(&rpc_signature(keys.secret_key, &to_sign), signature) {
        Ok(given)
    } else {
        Err(mismatch(&to_sign))
    }
}

fn rpc_to_sign(method: &str, parameters: &[(String, String)]) -> String {
    let query = canonical_query(parameters.iter().filter(|(name, _)| name != "Signature"));
    format!("{method}&{}&{}", escape("/"), escape(&query))
}

fn rpc_signature(secret_key: &str, to_sign: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, format!("{secret_key}&").as_bytes());
    STANDARD.encode(hmac::sign(&key, to_sign.as_bytes()))
}

/// Sorted by name, re-encoded.
fn canonical_query<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> String {
    let mut pairs: Vec<(&str, &str)> = pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.sort_unstable();
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn known_key(given: &str, keys: &Keys<'_>) -> Result<(), EciError> {
    if given == keys.access_key {
        return Ok(());
    }
    Err(EciError::new(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."))
}

fn incomplete(why: &str) -> EciError {
    EciError::new(
        400,
        "IncompleteSignature",
        format!("The request signature does not conform to Aliyun standards: {why}."),
    )
}

fn mismatch(to_sign: &str) -> EciError {
    let message = format!(
        "Specified signature is not matched with our calculation. server string to sign is:{to_sign}"
    );
    EciError::new(400, "SignatureDoesNotMatch", message)
}

fn same(ours: &str, theirs: &str) -> bool {
    constant_time::verify_slices_are_equal(ours.as_bytes(), theirs.as_bytes()).is_ok()
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
