//! UCloud's signature, verified from the wire: SHA-1 over the sorted names and values and the private key, with no
//! separators and no encoding.
//!
//! Facts: the vendor's signature page and its SDKs; the vectors in the tests are theirs. JSON bodies are signed over the
//! nested structure in sorted order, as the Go SDK does.

use aws_lc_rs::{constant_time, digest};
use jiff::Timestamp;
use serde_json::Value;

use super::super::Call;
use super::error::CubeError;

/// What is tolerated between the clocks.
const WINDOW_MS: i64 = 15 * 60 * 1000;

/// Keys that requests must be signed with. Never printed.
pub(super) struct Keys<'a> {
    pub(super) public: &'a str,
    pub(super) private: &'a str,
    /// The security token that must come with them, if they are temporary.
    pub(super) security_token: Option<&'a str>,
}

/// Lets a call pass or says what the gateway says.
pub(super) fn verify(
    call: &Call,
    parameters: &[(String, String)],
    body: Option<&Value>,
    keys: &Keys<'_>,
    now: Timestamp,
) -> Result<(), CubeError> {
    let find = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let signature = find("Signature").filter(|text| !text.is_empty());
    let signature = signature.ok_or_else(|| CubeError::new(170, "Missing signature"))?;
    if find("PublicKey") != Some(keys.public) {
        return Err(CubeError::new(172, "User not found"));
    }
    let text = body.map_or_else(|| flat(parameters.iter().map(|(k, v)| (k.as_str(), v.as_str()))), nested);
    let good =
        constant_time::verify_slices_are_equal(sign(&text, keys.private).as_bytes(), signature.as_bytes());
    if good.is_err() {
        return Err(CubeError::new(171, "Signature VerifyAC Error"));
    }
    if let Some(wanted) = keys.security_token
        && find("SecurityToken") != Some(wanted)
    {
        return Err(CubeError::new(174, "Security token is invalid or expired"));
    }
    let sent = call.header("u-timestamp-ms").and_then(|text| text.parse::<i64>().ok());
    if sent.is_some_and(|sent| (now.as_millisecond() - sent).abs() > WINDOW_MS) {
        return Err(CubeError::new(
            171,
            "Signature VerifyAC Error: the request's time is too far from the server's",
        ));
    }
    Ok(())
}

/// What is signed of flat parameters.
fn flat<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<(&str, &str)> = parameters.filter(|(name, _)| *name != "Signature").collect();
    pairs.sort_unstable();
    pairs.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// What is signed of a JSON body.
fn nested(body: &Value) -> String {
    match body {
        Value::Null => String::new(),
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => super::number_text(number),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(nested).collect(),
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> =
                map.iter().filter(|(name, _)| *name != "Signature").collect();
            pairs.sort_unstable_by_key(|(name, _)| *name);
            pairs.into_iter().map(|(name, value)| format!("{name}{}", nested(value))).collect()
        }
    }
}

fn sign(text: &str, private: &str) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{text}{private}").as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PUBLIC: &str = "ucloudsomeone@example.com1296235120854146120";
    const PRIVATE: &str = "46f09bb9fab4f12dfc160dae12273d5332b5debe";

    fn check(keys: (&str, &str), pairs: &[(&str, &str)], expected: &str) {
        let all = pairs.iter().copied().chain([("PublicKey", keys.0), ("Signature", "never signed")]);
        let text = flat(all);
        assert_eq!(sign(&text, keys.1), expected, "{text}");
    }

    #[test]
    fn the_documentations_samples() {
        let keys = (PUBLIC, PRIVATE);
        check(
            keys,
            &[("Action", "DescribeUHostInstance"), ("Region", "cn-bj2"), ("Limit", "10")],
            "cba5cf5ec4d4233d206b1b54951e3787350a642f",
        );
        let mut host = vec![
            ("Action", "CreateUHostInstance"),
            ("CPU", "2"),
            ("ChargeType", "Month"),
            ("DiskSpace", "10"),
            ("ImageId", "f43736e1-65a5-4bea-ad2e-8a46e18883c2"),
            ("LoginMode", "Password"),
            ("Memory", "2048"),
            ("Name", "Host01"),
            ("Password", "VUNsb3VkLmNu"),
            ("Quantity", "1"),
            ("Region", "cn-bj2"),
            ("Zone", "cn-bj2-04"),
        ];
        check(keys, &host, "4f9ef5df2abab2c6fccd1e9515cb7e2df8c6bb65");
        host.push(("SecurityToken", "some_stoken"));
        check(keys, &host, "170c480ad176a247b324eb92a2cfe536aacfbd04");
        let names: Vec<String> = (0..12).map(|n| format!("Backends.{n}")).collect();
        let mut backends = vec![("Action", "AllocateBackendBatch")];
        backends
            .extend(names.iter().zip(["foo", "bar", "42"].into_iter().cycle()).map(|(n, v)| (n.as_str(), v)));
        check(keys, &backends, "6bc32642779f8cb0bb3d3f128b1c0688abf9a1a3");
    }

    #[test]
    fn calls_signed_by_the_official_sdk() {
        let keys = ("testPub", "testPriv");
        let common = [("Region", "cn-bj2"), ("Zone", "cn-bj2-05"), ("ProjectId", "org-xyz")];
        let with = |more: &[(&'static str, &'static str)]| [&common[..], more].concat();
        check(
            keys,
            &with(&[
                ("Action", "CreateCubePod"),
                ("VPCId", "uvnet-1"),
                ("SubnetId", "subnet-1"),
                ("Pod", "YXBpVmVyc2lvbjogdjEKa2luZDogUG9kCnNwZWM6CiAgY29udGFpbmVyczogW10K"),
            ]),
            "252117a2b4912fc49d39eb79044502ebf2101fd5",
        );
        let delete = |release: &'static str| {
            with(&[("Action", "DeleteCubePod"), ("CubeId", "cube-abc123"), ("ReleaseEIP", release)])
        };
        check(keys, &delete("true"), "1f873abcec9a2f18811a039c814a41ff96f0827a");
        check(keys, &delete("True"), "c5707cf18a678e3b34e2f525a2562ca00bc4b4ed");
    }

    #[test]
    fn json_is_signed_by_its_values() {
        let body = json!({"foo": "bar", "b": true, "f": 42.0, "g": 1.5, "PublicKey": "my_public_key"});
        assert_eq!(nested(&body), "PublicKeymy_public_keybtruef42foobarg1.5");
        assert_eq!(sign(&nested(&body), "my_private_key"), "cc8b5769f9a8bd1ebf310e1cb87533f3a0771735");
    }
}
