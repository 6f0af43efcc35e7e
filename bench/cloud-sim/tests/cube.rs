//! The Cube façade over real sockets, with the script runtime: what it accepts, refuses, shows and bills.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

#[path = "support/sha1.rs"]
mod sha1;
mod support;

use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{Client, Cloud};

async fn raw(client: &Client, method: Method, path: &str, kind: &str, body: &str) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert("host", client.address.to_string().parse().expect("a value"));
    headers.insert("content-type", kind.parse().expect("a value"));
    let answer = client.raw(method, path, headers, body.as_bytes().to_vec()).await.expect("an answer");
    serde_json::from_slice(&answer.into_body().collect().await.expect("a body").to_bytes()).expect("JSON")
}

#[tokio::test]
async fn calls_come_as_a_query_a_form_or_json() {
    let cloud = Cloud::of("cube", &[]).await;
    let client = &cloud.client;
    let pairs = [
        ("Action", "ListCubePod"),
        ("Region", "cn-bj2"),
        ("Zone", "cn-bj2-05"),
        ("PublicKey", "testAK"),
        ("Limit", "10"),
    ];
    let signature = sha1::signature(&pairs, "testSK");
    let query: String = pairs.iter().map(|(k, v)| format!("{k}={v}&")).collect();
    let got = raw(client, Method::GET, &format!("/?{query}Signature={signature}"), "text/plain", "").await;
    assert_eq!(
        (&got["RetCode"], &got["Action"], &got["TotalCount"]),
        (&json!(0), &json!("ListCubePodResponse"), &json!(0))
    );
    let body = json!({"Action": "ListCubePod", "Region": "cn-bj2", "Zone": "cn-bj2-05", "PublicKey": "testAK", "Limit": 10, "Signature": signature});
    let posted =
        raw(client, Method::POST, "/?Action=ListCubePod", "application/json", &body.to_string()).await;
    assert_eq!(posted["RetCode"], 0, "{posted}");
    let code = async |more: &str| {
        raw(client, Method::GET, &format!("/?{more}"), "text/plain", "").await["RetCode"].clone()
    };
    assert_eq!(code("").await, 160);
    assert_eq!(code("Action=ListCubePod").await, 170);
    assert_eq!(code("Action=ListCubePod&PublicKey=who&Signature=x").await, 172);
    assert_eq!(code("Action=ListCubePod&PublicKey=testAK&Signature=x").await, 171);
    assert_eq!(client.cube("FlyToTheMoon", &[]).await["RetCode"], 161);
    assert_eq!(client.cube("ListCubePod", &[("Zone", "cn-bj2-99")]).await["RetCode"], 240);
    client.post("/_sim/account", json!({"securityToken": "T"})).await;
    assert_eq!(client.cube("ListCubePod", &[]).await["RetCode"], 174);
    assert_eq!(client.cube("ListCubePod", &[("SecurityToken", "T")]).await["RetCode"], 0);
    cloud.stop().await;
}

#[tokio::test]
async fn nothing_tells_a_second_create_from_the_first() {
    let cloud = Cloud::of("cube", &[]).await;
    let client = &cloud.client;
    client.faults(json!([{"route": "CreateCubePod", "bodyContains": "uid-web", "times": 1, "action": {"kind": "lostAnswer"}}])).await;
    let pod = sha1::encoded("web", "true");
    let order = [("VPCId", "v"), ("SubnetId", "s"), ("Pod", &pod)];
    assert!(client.try_cube("CreateCubePod", &order).await.is_none());
    let listed = client.cube("ListCubePod", &[]).await;
    assert_eq!(sha1::decoded(&listed["Pods"][0])["metadata"]["uid"], "uid-web", "it is found by its uid");
    client.faults(json!([{"route": "CreateCubePod", "times": 1, "action": {"kind": "status", "code": 200, "error": "110", "afterwards": true}}])).await;
    assert_eq!(client.cube("CreateCubePod", &order).await["RetCode"], 110);
    client.faults(json!([{"route": "CreateCubePod", "times": 1, "action": {"kind": "duplicate"}}])).await;
    assert_eq!(client.cube("CreateCubePod", &order).await["RetCode"], 0);
    assert_eq!(client.cube("ListCubePod", &[]).await["TotalCount"], 4);
    cloud.stop().await;
}

#[tokio::test]
async fn states_bills_and_addresses() {
    let cloud = Cloud::of("cube", &[]).await;
    let client = &cloud.client;
    client.post("/_sim/scripts", json!([
        {"podPrefix": "done", "runMs": 20, "exitCode": 0}, {"podPrefix": "bad", "runMs": 20, "exitCode": 2},
        {"podPrefix": "image", "startError": "ErrImagePull"},
    ])).await;
    let done = client.cube_pod("done", "true").await;
    let bad = client.cube_pod("bad", "true").await;
    let image = client.cube_pod("image", "true").await;
    client.cube_until(&done, "Completed").await;
    let failed = client.cube_until(&bad, "Error").await;
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 2);
    client.cube_until(&image, "ImagePullBackOff").await;
    client.post("/_sim/stock", json!([{"zone": "cn-bj2-05", "face": "pending", "seconds": 300}])).await;
    let waits = client.cube_pod("waits", "true").await;
    client.cube_until(&waits, "Pending").await;
    assert_eq!(client.meter().await["open"], 1, "only what has a place and has not ended");
    client.post("/_sim/clock", json!({"advanceSeconds": 301})).await;
    client.cube_until(&waits, "Running").await;
    let address = client.cube("AllocateEIP", &[("OperatorName", "Bgp"), ("Bandwidth", "2")]).await["EIPSet"]
        [0]["EIPId"]
        .clone();
    let address = address.as_str().expect("an id");
    let bound = [("EIPId", address), ("ResourceType", "cube"), ("ResourceId", waits.as_str())];
    assert_eq!(client.cube("BindEIP", &bound).await["RetCode"], 0);
    assert_eq!(client.cube("ReleaseEIP", &[("EIPId", address)]).await["RetCode"], 230, "it is bound");
    assert_eq!(client.meter().await["open"], 3);
    client.post("/_sim/state", json!({"id": waits, "status": "Odd"})).await;
    client.cube_until(&waits, "Odd").await;
    client.post("/_sim/state", json!({"id": waits, "status": null})).await;
    client.post("/_sim/zone-lost", json!({"zone": "cn-bj2-05"})).await;
    client.cube_until(&waits, "Error").await;
    assert_eq!(client.cube("DeleteCubePod", &[("CubeId", &waits)]).await["RetCode"], 0);
    client.cube_until(&waits, "").await;
    assert_eq!(
        client.meter().await["openItems"][0]["what"],
        "address",
        "it outlives the pod unless told otherwise"
    );
    assert_eq!(client.cube("ReleaseEIP", &[("EIPId", address)]).await["RetCode"], 0);
    for id in [&done, &bad, &image] {
        client.cube("DeleteCubePod", &[("CubeId", id)]).await;
        client.cube_until(id, "").await;
    }
    assert_eq!(client.meter().await["open"], 0);
    client.post("/_sim/variants", json!({"deleteUnknownFails": false, "unknownIsEmpty": false})).await;
    assert_eq!(client.cube("DeleteCubePod", &[("CubeId", &done)]).await["RetCode"], 0);
    assert_eq!(client.cube("GetCubePod", &[("CubeId", &done)]).await["RetCode"], 230);
    cloud.stop().await;
}
