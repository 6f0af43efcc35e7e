//! Huawei's request signature `SDK-HMAC-SHA256`: pure functions from a request to its `Authorization` header.
//!
//! Never sends anything and never reorders what is sent: the query is sorted in the canonical form only (sorting the
//! `command=` parameters of an exec on the wire would scramble the command). Facts: Huawei's API signature manual and
//! the vectors of its official SDK, which are the tests below.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use jiff::Timestamp;

use crate::cloud::encoding::{encode, encode_pairs, hex, sha256_hex};

use super::credentials::KeyPair;

/// Literal that stands for the body's hash when the body is not signed.
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// A request as the signature sees it.
#[derive(Debug)]
pub(super) struct Signable<'a> {
    /// Upper-case method.
    pub(super) method: &'a str,
    /// Path as sent, not encoded, without the query.
    pub(super) path: &'a str,
    /// Query pairs in the order they are sent, not encoded.
    pub(super) query: &'a [(&'static str, String)],
    /// Headers to sign: lower-case names.
    pub(super) headers: &'a [(&'static str, String)],
    /// The body's hash or [`UNSIGNED_PAYLOAD`].
    pub(super) payload_hash: &'a str,
}

/// `X-Sdk-Date` of a moment: UTC without separators.
pub(super) fn sdk_date(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Whether the body of this content type is signed. JSON and JSON Patch are; merge and strategic merge patches are not,
/// as the official SDK has it.
pub(super) fn signs_payload(content_type: &str) -> bool {
    content_type.starts_with("application/json")
}

/// The value of `Authorization`; `date` is the value of the `x-sdk-date` header, which must be among the headers.
pub(super) fn authorization(keys: &KeyPair, date: &str, request: &Signable<'_>) -> String {
    let canonical = canonical_request(request);
    let to_sign = format!("SDK-HMAC-SHA256\n{date}\n{}", sha256_hex(canonical.as_bytes()));
    let signature = hex(hmac::sign(&keys.key, to_sign.as_bytes()).as_ref());
    let names = sorted_headers(request.headers).map(|(name, _)| name).collect::<Vec<_>>().join(";");
    format!("SDK-HMAC-SHA256 Access={}, SignedHeaders={names}, Signature={signature}", keys.access_key)
}

fn canonical_request(request: &Signable<'_>) -> String {
    let mut query: Vec<_> = request.query.iter().map(|(key, value)| (*key, value.as_str())).collect();
    query.sort_unstable();
    let mut headers = String::new();
    let mut names = Vec::new();
    for (name, value) in sorted_headers(request.headers) {
        let _ = writeln!(headers, "{name}:{}", value.trim());
        names.push(name);
    }
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        canonical_uri(request.path),
        encode_pairs(query.into_iter()),
        names.join(";"),
        request.payload_hash
    )
}

/// Every segment encoded and a slash at the end, although the wire path has none.
fn canonical_uri(path: &str) -> String {
    let mut uri = path.split('/').map(encode).collect::<Vec<_>>().join("/");
    if !uri.ends_with('/') {
        uri.push('/');
    }
    uri
}

fn sorted_headers<'a>(
    headers: &'a [(&'static str, String)],
) -> impl Iterator<Item = (&'static str, &'a str)> {
    let mut sorted: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    sorted.into_iter()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    const HOST: &str = "cci.cn-north-4.myhuaweicloud.com";
    const DATE: &str = "20260102T030405Z";

    struct Vector {
        name: &'static str,
        method: &'static str,
        path: &'static str,
        query: &'static [(&'static str, &'static str)],
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
        unsigned: bool,
        canonical_query: &'static str,
        canonical_sha256: &'static str,
        signature: &'static str,
    }

    fn check(vector: &Vector) {
        let owned = |pairs: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
            pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect()
        };
        let (query, headers) = (owned(vector.query), owned(vector.headers));
        let payload_hash =
            if vector.unsigned { UNSIGNED_PAYLOAD.to_owned() } else { sha256_hex(vector.body.as_bytes()) };
        let request = Signable {
            method: vector.method,
            path: vector.path,
            query: &query,
            headers: &headers,
            payload_hash: &payload_hash,
        };
        let canonical = canonical_request(&request);
        let name = vector.name;
        assert_eq!(canonical.lines().nth(2), Some(vector.canonical_query), "{name}");
        assert_eq!(sha256_hex(canonical.as_bytes()), vector.canonical_sha256, "{name}\n{canonical}");
        let keys = KeyPair::new("testAK", &SecretString::from("testSK"));
        let date = headers.iter().find(|(k, _)| *k == "x-sdk-date").map(|(_, v)| v.clone()).unwrap();
        let header = authorization(&keys, &date, &request);
        assert!(header.starts_with("SDK-HMAC-SHA256 Access=testAK, SignedHeaders="), "{header}");
        assert!(header.ends_with(&format!(", Signature={}", vector.signature)), "{name}: {header}");
    }

    #[test]
    fn published_vectors() {
        let vectors = [
            Vector {
                name: "H1",
                method: "GET",
                path: "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
                query: &[("limit", "2"), ("marker", "13551d6b-755d-4757-b956-536f674975c0")],
                headers: &[
                    ("content-type", "application/json"),
                    ("host", "service.region.example.com"),
                    ("x-sdk-date", "20191115T033655Z"),
                ],
                body: "",
                unsigned: false,
                canonical_query: "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
                canonical_sha256: "b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a",
                signature: "1ce02ffed91dfc294aed8863aaf0fec29ccbf2f45ddcca7f120baabddba29782",
            },
            Vector {
                name: "H2",
                method: "POST",
                path: "/apis/cci/v2/namespaces/ns1/pods",
                query: &[],
                headers: &[
                    ("x-sdk-date", DATE),
                    ("x-project-id", "proj123"),
                    ("host", HOST),
                    ("content-type", " application/json "),
                ],
                body: r#"{"apiVersion":"cci/v2","kind":"Pod","metadata":{"name":"nginx","annotations":{"resource.cci.io/pod-size-specs":"1.00_2.0"}},"spec":{"containers":[{"name":"c0","image":"nginx:alpine","resources":{"limits":{"cpu":"1","memory":"2Gi"},"requests":{"cpu":"1","memory":"2Gi"}}}]}}"#,
                unsigned: false,
                canonical_query: "",
                canonical_sha256: "f876ded92ff7ac8d0b2777dd85633fd6a1f22f13de835313ba5d19c8f1a527ad",
                signature: "01608ac3c177f1cbeb4157a36b49b460629ae4277cd6d23769b1f93cffaf30c2",
            },
            Vector {
                name: "H3",
                method: "GET",
                path: "/apis/cci/v2/namespaces/ns1/pods",
                query: &[("limit", "500"), ("labelSelector", "burst.io/cluster=c1,app in (a b)")],
                headers: &[("content-type", "application/json"), ("host", HOST), ("x-sdk-date", DATE)],
                body: "",
                unsigned: false,
                canonical_query: "labelSelector=burst.io%2Fcluster%3Dc1%2Capp%20in%20%28a%20b%29&limit=500",
                canonical_sha256: "2fd549e3535ab3bc13ec41de1fc06640903bdcbcc95583cd4047264404be2097",
                signature: "2e277c74adc6aec25e0966d6c26cd0b0b5a2fa52fde91ad487504de042a53c7e",
            },
            Vector {
                name: "H4",
                method: "PATCH",
                path: "/apis/cci/v2/namespaces/ns1/pods/nginx",
                query: &[],
                headers: &[
                    ("content-type", "application/merge-patch+json"),
                    ("host", HOST),
                    ("x-sdk-content-sha256", UNSIGNED_PAYLOAD),
                    ("x-sdk-date", DATE),
                ],
                body: r#"{"metadata":{"labels":{"a":"b"}}}"#,
                unsigned: true,
                canonical_query: "",
                canonical_sha256: "9f301da19a061cd6a87042ecfcd65864e9b48e82705e63e0295a0d6a4bdd642b",
                signature: "d84663a973fee774c77729ea96245e0b71cd53fc1fce0b1a3fc381dcaa98b39f",
            },
            Vector {
                name: "H5",
                method: "PATCH",
                path: "/apis/cci/v2/namespaces/ns1/pods/nginx",
                query: &[],
                headers: &[
                    ("content-type", "application/json-patch+json"),
                    ("host", HOST),
                    ("x-sdk-date", DATE),
                ],
                body: r#"[{"op":"add","path":"/metadata/labels/a","value":"b"}]"#,
                unsigned: false,
                canonical_query: "",
                canonical_sha256: "8b0b63788de88d88f56a43d7bac6c39f0eac6cf9cc22f97a4b3366608560efb4",
                signature: "5b318992c003d6d16329c5d80122479dd360514c2d2a9ffa418da28f9e615488",
            },
            Vector {
                name: "H6",
                method: "GET",
                path: "/apis/cci/v2/namespaces/ns1/pods/nginx/exec",
                query: &[
                    ("command", "sh"),
                    ("command", "-c"),
                    ("command", "echo hi"),
                    ("container", "c0"),
                    ("stdout", "true"),
                ],
                headers: &[("host", HOST), ("x-sdk-date", DATE)],
                body: "",
                unsigned: false,
                canonical_query: "command=-c&command=echo%20hi&command=sh&container=c0&stdout=true",
                canonical_sha256: "e646eac19537591cc41bc209c5a4156b0371fe8b7392530abd559af651a239be",
                signature: "654349abffa7b29bb7433d18914a18b0e49b2790636f9d1dc776d3de2089d827",
            },
        ];
        for vector in &vectors {
            check(vector);
        }
    }

    #[test]
    fn which_bodies_are_signed() {
        let cases = [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("application/json-patch+json", true),
            ("application/merge-patch+json", false),
            ("application/strategic-merge-patch+json", false),
        ];
        for (content_type, signed) in cases {
            assert_eq!(signs_payload(content_type), signed, "{content_type}");
        }
    }

    #[test]
    fn dates_have_no_separators() {
        assert_eq!(sdk_date("2026-01-02T03:04:05.678Z".parse().unwrap()), DATE);
    }
}
