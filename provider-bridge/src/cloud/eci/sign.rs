//! The two signatures of Alibaba Cloud's RPC interface: `ACS3-HMAC-SHA256`, and the older RPC `HMAC-SHA1`.
//!
//! Pure: clock and nonce are passed in. Facts: the vendor's description of the V3 and V2 request signatures.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::cloud::encoding::{encode, encode_pairs, hex, sha256_hex};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// A moment as both signatures write it.
pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Pairs sorted by name, encoded by RFC 3986, joined.
fn canonical_query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    encode_pairs(pairs.into_iter())
}

/// What ACS3 covers.
pub(super) struct Signable<'a> {
    pub(super) method: &'a str,
    /// Percent-encoded path; `/` for RPC actions.
    pub(super) path: &'a str,
    pub(super) query: &'a [(String, String)],
    /// Lower-case names; all of them are signed.
    pub(super) headers: &'a BTreeMap<&'a str, String>,
    /// Hex SHA-256 of the body.
    pub(super) payload: &'a str,
}

impl Signable<'_> {
    fn signed_headers(&self) -> String {
        self.headers.keys().copied().collect::<Vec<_>>().join(";")
    }

    fn canonical(&self) -> String {
        let query = canonical_query(self.query.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let (method, path, payload) = (self.method, self.path, self.payload);
        format!("{method}\n{path}\n{query}\n{headers}\n{}\n{payload}", self.signed_headers())
    }

    fn signature(&self, secret: &[u8]) -> String {
        let text = format!("{ALGORITHM}\n{}", sha256_hex(self.canonical().as_bytes()));
        hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref())
    }

    /// Value of the `Authorization` header.
    pub(super) fn authorization(&self, access_key: &str, secret: &[u8]) -> String {
        let (headers, signature) = (self.signed_headers(), self.signature(secret));
        format!("{ALGORITHM} Credential={access_key},SignedHeaders={headers},Signature={signature}")
    }
}

/// Value of the parameter `Signature` of the RPC signature: over every other parameter, of query and body together.
pub(super) fn rpc(method: &str, parameters: &[(String, String)], secret: &[u8]) -> String {
    let text = rpc_text(method, parameters);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[secret, b"&"].concat());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

fn rpc_text(method: &str, parameters: &[(String, String)]) -> String {
    let query = canonical_query(parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    format!("{method}&{}&{}", encode("/"), encode(&query))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn headers<'a>(list: &[(&'a str, &str)]) -> BTreeMap<&'a str, String> {
        list.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    #[track_caller]
    fn check(signable: &Signable<'_>, keys: (&str, &str), canonical: &str, signature: &str) {
        assert_eq!(sha256_hex(signable.canonical().as_bytes()), canonical, "{}", signable.canonical());
        assert_eq!(signable.signature(keys.1.as_bytes()), signature);
        let whole = signable.authorization(keys.0, keys.1.as_bytes());
        assert_eq!(
            whole,
            format!(
                "ACS3-HMAC-SHA256 Credential={},SignedHeaders={},Signature={signature}",
                keys.0,
                signable.signed_headers()
            )
        );
    }

    /// The sample of the vendor's documentation.
    #[test]
    fn acs3_official_sample() {
        let query = pairs(&[
            ("RegionId", "cn-shanghai"),
            ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
        ]);
        let headers = headers(&[
            ("host", "ecs.cn-shanghai.aliyuncs.com"),
            ("x-acs-action", "RunInstances"),
            ("x-acs-content-sha256", EMPTY),
            ("x-acs-date", "2023-10-26T10:22:32Z"),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
            ("x-acs-version", "2014-05-26"),
        ]);
        let signable =
            Signable { method: "POST", path: "/", query: &query, headers: &headers, payload: EMPTY };
        check(
            &signable,
            ("YourAccessKeyId", "YourAccessKeySecret"),
            "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259",
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
        );
    }

    #[track_caller]
    fn recorded(
        action: &str,
        query: &[(&str, &str)],
        more: &[(&str, &str)],
        body: &str,
        canonical: &str,
        signature: &str,
    ) {
        let query = pairs(query);
        let payload = sha256_hex(body.as_bytes());
        let mut all = headers(&[
            ("accept", "application/json"),
            ("host", "eci.cn-hangzhou.aliyuncs.com"),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &payload),
            ("x-acs-date", "2026-01-02T03:04:05Z"),
            ("x-acs-signature-nonce", "00112233445566778899aabbccddeeff"),
            ("x-acs-version", "2018-08-08"),
        ]);
        all.extend(headers(more));
        let signable =
            Signable { method: "POST", path: "/", query: &query, headers: &all, payload: &payload };
        check(&signable, ("testAK", "testSK"), canonical, signature);
    }

    /// Recorded from the vendor's own signer.
    #[test]
    fn acs3_recorded() {
        recorded(
            "CreateContainerGroup",
            &[
                ("RegionId", "cn-hangzhou"),
                ("ContainerGroupName", "nginx-test"),
                ("Cpu", "2.0"),
                ("Memory", "4.0"),
                ("Container.1.Name", "nginx"),
                ("Container.1.Image", "nginx:1.25"),
                ("Container.1.Command.1", "sh"),
                ("Container.1.Command.2", "echo \"hi\" && sleep 1"),
                ("Tag.1.Key", "burst/pod"),
                ("Tag.1.Value", "default/nginx a*b~c+d"),
            ],
            &[],
            "",
            "e82debd0f4016d7c1684fa98d81c22f175ee738faf3e53506870534cb2071549",
            "dedc703782c4bb2a65c316fe7f4f71e84662d2f0e2b7397c79f42a38191f88ad",
        );
        recorded(
            "DescribeContainerGroups",
            &[("RegionId", "cn-hangzhou"), ("ContainerGroupIds", r#"["eci-1","eci-2"]"#), ("Limit", "20")],
            &[],
            "",
            "7c8851f447bc8b1c23932b2f84d145b1e88cf3da8106a54a06b791841d141fe8",
            "e75778d4a18278fabf629cd1d95bd4e5178229aaaed0cc0faf6fd7cc2acae68a",
        );
        recorded(
            "DeleteContainerGroup",
            &[("RegionId", "cn-hangzhou"), ("ContainerGroupId", "eci-1")],
            &[("x-acs-accesskey-id", "testAK"), ("x-acs-security-token", "STS.tok/en+==")],
            "",
            "5d03d407e017060dd479f2935313eb7837d2a6ea71176b8b07cd97ed03b8e458",
            "859efa13aaf6826f7985e1ebd660572cf1a7cc2326cc0a6aeaf3c182ace510ab",
        );
        recorded(
            "CreateContainerGroup",
            &[],
            &[("content-type", "application/x-www-form-urlencoded")],
            "Container.1.EnvironmentVar.1.Value=%E4%B8%AD%E6%96%87%20x&RegionId=cn-hangzhou",
            "f6c6cb4b56fb6ca175115e0e9693dfbc4251b45eccda4b1b572d8d64a2641bea",
            "f7206d81d372b136e26c19bab87f429390122d4315326d688e072f3cb8277755",
        );
    }

    /// The sample of the vendor's documentation, and what its own signer makes of other requests.
    #[test]
    fn rpc_vectors() {
        let official = pairs(&[
            ("AccessKeyId", "testid"),
            ("Action", "DescribeRegions"),
            ("Format", "XML"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "2016-02-23T12:46:24Z"),
            ("Version", "2014-05-26"),
        ]);
        assert_eq!(
            rpc_text("GET", &official),
            "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion%3D1.0%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26"
        );
        assert_eq!(rpc("GET", &official, b"testsecret"), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
        let common = |action: &str, more: &[(&str, &str)]| {
            let mut all = pairs(&[
                ("AccessKeyId", "testAK"),
                ("Action", action),
                ("Format", "JSON"),
                ("RegionId", "cn-hangzhou"),
                ("SignatureMethod", "HMAC-SHA1"),
                ("SignatureNonce", "nonce-1"),
                ("SignatureVersion", "1.0"),
                ("Timestamp", "2026-01-02T03:04:05Z"),
                ("Version", "2018-08-08"),
            ]);
            all.extend(pairs(more));
            all
        };
        let describe = common("DescribeContainerGroups", &[("ContainerGroupIds", r#"["eci-1"]"#)]);
        assert_eq!(rpc("GET", &describe, b"testSK"), "Osrp4N+bR0fJraFTs4Bo+NxB0bc=");
        assert_eq!(rpc("POST", &describe, b"testSK"), "GYlCq0eET8wakSVK1h9wS+GCJOE=");
        let create = common(
            "CreateContainerGroup",
            &[
                ("Container.1.Name", "nginx"),
                ("Container.1.Image", "nginx:1.25"),
                ("Container.1.EnvironmentVar.1.Key", "A"),
                ("Container.1.EnvironmentVar.1.Value", "\u{4e2d}\u{6587} x*~+"),
            ],
        );
        assert_eq!(rpc("POST", &create, b"testSK"), "IhJtLmVpRh4ur28FLc6J1FxtvN4=");
    }

    /// Lists of more than nine: `.10` comes before `.2` in both signatures.
    #[test]
    fn names_are_sorted_as_texts() {
        let many = pairs(&[("Arg.2", "b"), ("Arg.10", "c"), ("Arg.1", "a")]);
        let query = canonical_query(many.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        assert_eq!(query, "Arg.1=a&Arg.10=c&Arg.2=b");
    }

    #[test]
    fn dates_are_utc_seconds() {
        assert_eq!(date("2026-01-02T04:04:05.9+01:00".parse().unwrap()), "2026-01-02T03:04:05Z");
    }
}
