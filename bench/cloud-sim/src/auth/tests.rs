//! The vendor SDK's own vectors, and what the gateway refuses.

use super::*;
use http::HeaderValue;
use http::header::HeaderName;

struct Vector {
    method: Method,
    path: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    canonical_sha256: &'static str,
    signature: &'static str,
}

const HOST: (&str, &str) = ("host", "cci.cn-north-4.myhuaweicloud.com");
const DATE: (&str, &str) = ("x-sdk-date", "20260102T030405Z");
const JSON: (&str, &str) = ("content-type", "application/json");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const POD: &str = "/apis/cci/v2/namespaces/ns1/pods/nginx";
const PODS: &str = "/apis/cci/v2/namespaces/ns1/pods";
const CREATE_BODY: &str = r#"{"apiVersion":"cci/v2","kind":"Pod","metadata":{"name":"nginx","annotations":{"resource.cci.io/pod-size-specs":"1.00_2.0"}},"spec":{"containers":[{"name":"c0","image":"nginx:alpine","resources":{"limits":{"cpu":"1","memory":"2Gi"},"requests":{"cpu":"1","memory":"2Gi"}}}]}}"#;

fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    headers.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
}

fn check(name: &str, vector: &Vector) {
    let headers = map(vector.headers);
    let request = Request {
        method: &vector.method,
        path: vector.path,
        query: vector.query,
        headers: &headers,
        body: vector.body.as_bytes(),
    };
    let mut signed: Vec<String> = vector.headers.iter().map(|(k, _)| (*k).to_owned()).collect();
    signed.sort_unstable();
    let canonical = canonical_request(&request, &signed);
    assert_eq!(sha256_hex(canonical.as_bytes()), vector.canonical_sha256, "{name}\n{canonical}");
    let date = header(&headers, "x-sdk-date").expect("a date");
    assert_eq!(signature("testSK", date, &canonical), vector.signature, "{name}");
    let account = account();
    let now = parse_date(date).expect("a date");
    let names: Vec<&str> = signed.iter().map(String::as_str).collect();
    let mut headers = headers.clone();
    let authorization = sign(&request, "testAK", "testSK", &names);
    headers.insert("authorization", authorization.parse().expect("a header"));
    let request = Request { headers: &headers, ..request };
    assert_eq!(account.verify(&request, now), Ok(()), "{name}");
}

fn account() -> Account {
    let [access_key, secret_key, project_id] = ["testAK", "testSK", "proj123"].map(str::to_owned);
    Account { access_key, secret_key, project_id, token: Some("MIItoken".to_owned()) }
}

#[test]
fn the_vendors_vectors_hold() {
    let h1 = Vector {
        method: Method::GET,
        path: "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
        query: "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
        headers: &[JSON, ("host", "service.region.example.com"), ("x-sdk-date", "20191115T033655Z")],
        body: "",
        canonical_sha256: "b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a",
        signature: "1ce02ffed91dfc294aed8863aaf0fec29ccbf2f45ddcca7f120baabddba29782",
    };
    check("H1 documentation", &h1);
    let h2 = Vector {
        method: Method::POST,
        path: PODS,
        query: "",
        headers: &[JSON, HOST, ("x-project-id", "proj123"), DATE],
        body: CREATE_BODY,
        canonical_sha256: "f876ded92ff7ac8d0b2777dd85633fd6a1f22f13de835313ba5d19c8f1a527ad",
        signature: "01608ac3c177f1cbeb4157a36b49b460629ae4277cd6d23769b1f93cffaf30c2",
    };
    check("H2 create", &h2);
    let h3 = Vector {
        method: Method::GET,
        path: PODS,
        query: "limit=500&labelSelector=burst.io%2Fcluster%3Dc1%2Capp+in+%28a+b%29",
        headers: &[JSON, HOST, DATE],
        body: "",
        canonical_sha256: "2fd549e3535ab3bc13ec41de1fc06640903bdcbcc95583cd4047264404be2097",
        signature: "2e277c74adc6aec25e0966d6c26cd0b0b5a2fa52fde91ad487504de042a53c7e",
    };
    check("H3 list", &h3);
}

#[test]
fn the_vendors_vectors_for_patches_and_exec_hold() {
    let h4 = Vector {
        method: Method::PATCH,
        path: POD,
        query: "",
        headers: &[MERGE, HOST, DATE, ("x-sdk-content-sha256", UNSIGNED)],
        body: r#"{"metadata":{"labels":{"a":"b"}}}"#,
        canonical_sha256: "9f301da19a061cd6a87042ecfcd65864e9b48e82705e63e0295a0d6a4bdd642b",
        signature: "d84663a973fee774c77729ea96245e0b71cd53fc1fce0b1a3fc381dcaa98b39f",
    };
    check("H4 merge patch", &h4);
    let h5 = Vector {
        method: Method::PATCH,
        path: POD,
        query: "",
        headers: &[("content-type", "application/json-patch+json"), HOST, DATE],
        body: r#"[{"op":"add","path":"/metadata/labels/a","value":"b"}]"#,
        canonical_sha256: "8b0b63788de88d88f56a43d7bac6c39f0eac6cf9cc22f97a4b3366608560efb4",
        signature: "5b318992c003d6d16329c5d80122479dd360514c2d2a9ffa418da28f9e615488",
    };
    check("H5 json patch", &h5);
    let h6 = Vector {
        method: Method::GET,
        path: "/apis/cci/v2/namespaces/ns1/pods/nginx/exec",
        query: "command=sh&command=-c&command=echo%20hi&container=c0&stdout=true",
        headers: &[HOST, DATE],
        body: "",
        canonical_sha256: "e646eac19537591cc41bc209c5a4156b0371fe8b7392530abd559af651a239be",
        signature: "654349abffa7b29bb7433d18914a18b0e49b2790636f9d1dc776d3de2089d827",
    };
    check("H6 exec, sent in its own order", &h6);
}

fn refuse(why: &str, change: impl FnOnce(&mut HeaderMap), now: &str) {
    let mut headers = map(&[JSON, HOST, DATE]);
    let unsigned = headers.clone();
    let request = Request { method: &Method::GET, path: POD, query: "", headers: &unsigned, body: b"" };
    let authorization = sign(&request, "testAK", "testSK", &["host", "x-sdk-date", "content-type"]);
    headers.insert("authorization", authorization.parse().expect("a header"));
    change(&mut headers);
    let request = Request { headers: &headers, ..request };
    let error = account().verify(&request, now.parse().expect("a time")).expect_err(why);
    assert_eq!(error.status, StatusCode::UNAUTHORIZED, "{why}");
    assert_eq!(error.body()["error_code"], "APIGW.0301", "{why}");
    let message = error.body()["error_msg"].as_str().expect("a message").to_owned();
    assert!(message.contains(why), "{message} does not say {why}");
}

#[test]
fn the_gateway_refuses() {
    let now = "2026-01-02T03:04:05Z";
    refuse("15 minutes", |_| {}, "2026-01-02T03:19:06Z");
    refuse("15 minutes", |_| {}, "2026-01-02T02:49:04Z");
    let set = |name: &'static str, value: &'static str| {
        move |headers: &mut HeaderMap| {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    refuse("signature fail", set("content-type", "text/plain"), now);
    refuse("must not both", set("x-auth-token", "MIItoken"), now);
    refuse("not a project", set("x-project-id", "other"), now);
    refuse("Authorization header is not", set("authorization", "Bearer x"), now);
    refuse(
        "access key",
        set("authorization", "SDK-HMAC-SHA256 Access=x, SignedHeaders=x-sdk-date, Signature=00"),
        now,
    );
    refuse(
        "must be signed",
        set("authorization", "SDK-HMAC-SHA256 Access=testAK, SignedHeaders=host, Signature=00"),
        now,
    );
    refuse("is required", |headers| drop(headers.remove("authorization")), now);
    refuse("X-Sdk-Date is required", |headers| drop(headers.remove("x-sdk-date")), now);
    refuse("YYYYMMDDTHHMMSSZ", set("x-sdk-date", "2026-01-02T03:04:05Z"), now);
}

#[test]
fn a_known_token_passes_and_another_does_not() {
    for (token, good) in [("MIItoken", true), ("MIIother", false)] {
        let headers = map(&[("x-auth-token", token)]);
        let request = Request { method: &Method::GET, path: POD, query: "", headers: &headers, body: b"" };
        assert_eq!(account().verify(&request, Timestamp::UNIX_EPOCH).is_ok(), good);
    }
}
