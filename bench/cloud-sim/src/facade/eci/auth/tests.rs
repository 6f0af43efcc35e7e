//! Every published vector, and what the gateway refuses.

use bytes::Bytes;
use http::Request;

use super::*;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn check(query: &str, headers: &[(&str, &str)], payload: &str, secret: &str, digest: &str, signature: &str) {
    let mut headers = headers.to_vec();
    headers.sort_unstable();
    let canonical = canonical_request("POST", "/", &pairs(query), &headers, payload);
    assert_eq!(sha256_hex(canonical.as_bytes()), digest, "{canonical}");
    assert_eq!(acs3_signature(secret, &canonical), signature);
}

fn eci<'a>(action: &'a str, payload: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("accept", "application/json"),
        ("host", "eci.cn-hangzhou.aliyuncs.com"),
        ("x-acs-version", "2018-08-08"),
        ("x-acs-date", "2026-01-02T03:04:05Z"),
        ("x-acs-signature-nonce", "00112233445566778899aabbccddeeff"),
        ("x-acs-action", action),
        ("x-acs-content-sha256", payload),
    ]
}

#[test]
fn the_documentations_own_sample() {
    let headers = [
        ("host", "ecs.cn-shanghai.aliyuncs.com"),
        ("x-acs-action", "RunInstances"),
        ("x-acs-content-sha256", EMPTY),
        ("x-acs-date", "2023-10-26T10:22:32Z"),
        ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ("x-acs-version", "2014-05-26"),
    ];
    check(
        "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
        &headers,
        EMPTY,
        "YourAccessKeySecret",
        "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259",
        "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    );
}

#[test]
fn calls_signed_by_the_official_sdk() {
    check(
        "Container.1.Command.1=sh&Container.1.Command.2=echo+%22hi%22+%26%26+sleep+1&Container.1.Image=nginx%3A1.25&Container.1.Name=nginx&ContainerGroupName=nginx-test&Cpu=2.0&Memory=4.0&RegionId=cn-hangzhou&Tag.1.Key=burst%2Fpod&Tag.1.Value=default%2Fnginx+a*b~c%2Bd",
        &eci("CreateContainerGroup", EMPTY),
        EMPTY,
        "testSK",
        "e82debd0f4016d7c1684fa98d81c22f175ee738faf3e53506870534cb2071549",
        "dedc703782c4bb2a65c316fe7f4f71e84662d2f0e2b7397c79f42a38191f88ad",
    );
    check(
        "ContainerGroupIds=%5B%22eci-1%22%2C%22eci-2%22%5D&Limit=20&RegionId=cn-hangzhou",
        &eci("DescribeContainerGroups", EMPTY),
        EMPTY,
        "testSK",
        "7c8851f447bc8b1c23932b2f84d145b1e88cf3da8106a54a06b791841d141fe8",
        "e75778d4a18278fabf629cd1d95bd4e5178229aaaed0cc0faf6fd7cc2acae68a",
    );
    let mut temporary = eci("DeleteContainerGroup", EMPTY);
    temporary.extend([("x-acs-accesskey-id", "testAK"), ("x-acs-security-token", "STS.tok/en+==")]);
    check(
        "ContainerGroupId=eci-1&RegionId=cn-hangzhou",
        &temporary,
        EMPTY,
        "testSK",
        "5d03d407e017060dd479f2935313eb7837d2a6ea71176b8b07cd97ed03b8e458",
        "859efa13aaf6826f7985e1ebd660572cf1a7cc2326cc0a6aeaf3c182ace510ab",
    );
}

#[test]
fn a_form_body_is_signed_by_its_hash() {
    let body = "Container.1.EnvironmentVar.1.Value=%E4%B8%AD%E6%96%87%20x&RegionId=cn-hangzhou";
    let hash = sha256_hex(body.as_bytes());
    assert_eq!(hash, "fe8b8adf182a70f513513daf963af5d10a8709797e1318bce49e34e77509050c");
    let mut headers = eci("CreateContainerGroup", &hash);
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    check(
        "",
        &headers,
        &hash,
        "testSK",
        "f6c6cb4b56fb6ca175115e0e9693dfbc4251b45eccda4b1b572d8d64a2641bea",
        "f7206d81d372b136e26c19bab87f429390122d4315326d688e072f3cb8277755",
    );
}

#[test]
fn rpc_vectors() {
    let official = pairs(
        "AccessKeyId=testid&Action=DescribeRegions&Format=XML&SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&SignatureVersion=1.0&Timestamp=2016-02-23T12:46:24Z&Version=2014-05-26",
    );
    let to_sign = rpc_to_sign("GET", &official);
    assert_eq!(
        to_sign,
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion%3D1.0%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26"
    );
    assert_eq!(rpc_signature("testsecret", &to_sign), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
    let common = "AccessKeyId=testAK&Format=JSON&RegionId=cn-hangzhou&SignatureMethod=HMAC-SHA1&SignatureNonce=nonce-1&SignatureVersion=1.0&Timestamp=2026-01-02T03:04:05Z&Version=2018-08-08";
    let list = pairs(&format!("{common}&Action=DescribeContainerGroups&ContainerGroupIds=%5B%22eci-1%22%5D"));
    let create = pairs(&format!(
        "{common}&Action=CreateContainerGroup&Container.1.Name=nginx&Container.1.Image=nginx:1.25&Container.1.EnvironmentVar.1.Key=A&Container.1.EnvironmentVar.1.Value=%E4%B8%AD%E6%96%87%20x*~%2B"
    ));
    for (method, parameters, expected) in [
        ("GET", &list, "Osrp4N+bR0fJraFTs4Bo+NxB0bc="),
        ("POST", &list, "GYlCq0eET8wakSVK1h9wS+GCJOE="),
        ("POST", &create, "IhJtLmVpRh4ur28FLc6J1FxtvN4="),
    ] {
        assert_eq!(rpc_signature("testSK", &rpc_to_sign(method, parameters)), expected, "{method}");
    }
}

fn call(headers: &[(&str, &str)], query: &str) -> Call {
    let mut request = Request::builder().method("POST").uri(format!("/?{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    Call { parts, body: Bytes::new(), query: pairs(query), upgrade: None }
}

fn signed(secret: &str, change: impl FnOnce(&mut Vec<(&str, &str)>)) -> Call {
    let mut headers = eci("ListUsage", EMPTY);
    headers.sort_unstable();
    let canonical = canonical_request("POST", "/", &pairs("RegionId=cn-hangzhou"), &headers, EMPTY);
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let authorization = format!(
        "{ACS3} Credential=testAK,SignedHeaders={names},Signature={}",
        acs3_signature(secret, &canonical)
    );
    change(&mut headers);
    let mut all = headers;
    let authorization = authorization.as_str();
    all.push(("authorization", authorization));
    call(&all, "RegionId=cn-hangzhou")
}

#[test]
fn the_gateway_refuses() {
    let keys = |token| Keys { access_key: "testAK", secret_key: "testSK", security_token: token };
    let now: Timestamp = "2026-01-02T03:10:00Z".parse().expect("a time");
    let late: Timestamp = "2026-01-02T03:20:06Z".parse().expect("a time");
    let said = |call: &Call, token, nonces: &Nonces, now| {
        let parameters = call.parameters();
        verify(call, &parameters, &keys(token), nonces, now)
            .err()
            .map_or_else(String::new, |e| format!("{} {}", e.status, e.code))
    };
    let good = signed("testSK", |_| ());
    let nonces = Nonces::default();
    assert_eq!(said(&good, None, &nonces, now), "");
    assert_eq!(said(&good, None, &nonces, now), "400 SignatureNonceUsed");
    let fresh = Nonces::default();
    assert_eq!(said(&good, Some("STS"), &fresh, now), "400 InvalidSecurityToken.Expired");
    assert_eq!(said(&good, None, &fresh, late), "400 InvalidTimeStamp.Expired");
    assert_eq!(said(&signed("other", |_| ()), None, &fresh, now), "400 SignatureDoesNotMatch");
    let other_host = signed("testSK", |headers| headers.retain(|(name, _)| *name != "host"));
    assert_eq!(said(&other_host, None, &fresh, now), "400 IncompleteSignature");
    assert_eq!(said(&call(&[], "RegionId=x"), None, &fresh, now), "400 MissingParameter");
    assert_eq!(said(&call(&[], "AccessKeyId=none"), None, &fresh, now), "404 InvalidAccessKeyId.NotFound");
}
