//! The ECI façade over real sockets, with the script runtime: what it accepts, refuses, forgets and bills.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

#[path = "support/acs3.rs"]
mod acs3;
mod support;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{Client, Cloud};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const IMAGE: [(&str, &str); 2] = [("Container.1.Name", "c"), ("Container.1.Image", "busybox")];

fn named<'a>(name: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("ContainerGroupName", name)];
    all.extend(IMAGE);
    all.extend(more);
    all
}

async fn create(client: &Client, name: &str, more: &[(&str, &str)]) -> String {
    let answer = client.eci("CreateContainerGroup", &named(name, more)).await;
    let id = answer["ContainerGroupId"].as_str();
    id.unwrap_or_else(|| panic!("not created: {answer}")).to_owned()
}

async fn group(client: &Client, id: &str) -> Value {
    let ids = json!([id]).to_string();
    client.eci("DescribeContainerGroups", &[("ContainerGroupIds", &ids)]).await["ContainerGroups"][0].clone()
}

async fn until(client: &Client, id: &str, status: &str) -> Value {
    let mut last = Value::Null;
    for _ in 0..400 {
        last = group(client, id).await;
        if last["Status"] == status || (status.is_empty() && last.is_null()) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{id} never became {status:?}: {last}");
}

async fn gone(client: &Client, id: &str) {
    assert_eq!(client.refusal("DeleteContainerGroup", &[("ContainerGroupId", id)]).await, "");
    until(client, id, "").await;
}

async fn open_bills(client: &Client) -> u64 {
    client.meter().await["open"].as_u64().expect("a number")
}

#[tokio::test]
async fn the_gateway_checks_every_call() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    let mut wrong = client.clone();
    wrong.secret_key = "otherSK".to_owned();
    assert_eq!(wrong.refusal("ListUsage", &[]).await, "400 SignatureDoesNotMatch");
    assert_eq!(client.refusal("ListUsage", &[]).await, "");
    assert_eq!(client.refusal("DescribeMoon", &[]).await, "404 InvalidAction.NotFound");
    assert_eq!(
        client.refusal("ListUsage", &[("RegionId", "cn-nowhere")]).await,
        "404 InvalidRegionId.NotFound"
    );
    let send = async |more: &[(&str, &str)]| {
        let headers = client.acs3("ListUsage", "RegionId=cn-hangzhou", "", more);
        let answer =
            client.raw(Method::POST, "/?RegionId=cn-hangzhou", headers, Vec::new()).await.expect("an answer");
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice::<Value>(&bytes).expect("JSON")["Code"].clone()
    };
    assert_eq!(send(&[("x-acs-signature-nonce", "once")]).await, Value::Null);
    assert_eq!(send(&[("x-acs-signature-nonce", "once")]).await, "SignatureNonceUsed");
    assert_eq!(send(&[("x-acs-date", "2020-01-01T00:00:00Z")]).await, "InvalidTimeStamp.Expired");
    client.post("/_sim/account", json!({"securityToken": "STS.1"})).await;
    assert_eq!(send(&[]).await, "InvalidSecurityToken.Expired");
    assert_eq!(send(&[("x-acs-security-token", "STS.1")]).await, Value::Null);
    client.post("/_sim/clock", json!({"advanceSeconds": 901})).await;
    assert_eq!(send(&[("x-acs-security-token", "STS.1")]).await, "InvalidTimeStamp.Expired");
    cloud.stop().await;
}

#[tokio::test]
async fn parameters_may_come_in_a_form() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    let long = "x".repeat(40_000);
    let body = acs3::query(&named(
        "big",
        &[
            ("Volume.1.Name", "v"),
            ("Volume.1.Type", "ConfigFileVolume"),
            ("Volume.1.ConfigFileVolume.ConfigFileToPath.1.Path", "a"),
            ("Volume.1.ConfigFileVolume.ConfigFileToPath.1.Content", &long),
        ],
    ));
    let headers = client.acs3("CreateContainerGroup", "RegionId=cn-hangzhou", &body, &[]);
    let answer = client.raw(Method::POST, "/?RegionId=cn-hangzhou", headers, body.into_bytes()).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    assert_eq!(client.get("/_sim/requests").await.1["counts"][0]["route"], "CreateContainerGroup");
    cloud.stop().await;
}

#[tokio::test]
async fn a_token_survives_lost_answers_and_duplicated_calls() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    let order = named("web", &[("ClientToken", "t1"), ("Cpu", "2.0"), ("Memory", "4")]);
    client.faults(json!([{"route": "CreateContainerGroup", "bodyContains": "ClientToken=t1", "nth": [1], "action": {"kind": "lostAnswer"}}])).await;
    assert!(client.try_eci("CreateContainerGroup", &order).await.is_none());
    let first = client.eci("CreateContainerGroup", &order).await["ContainerGroupId"].clone();
    let same = named("web", &[("ClientToken", "t1"), ("Cpu", "2"), ("Memory", "4.0")]);
    assert_eq!(client.eci("CreateContainerGroup", &same).await["ContainerGroupId"], first);
    assert_eq!(client.eci("DescribeContainerGroups", &[]).await["TotalCount"], 1);
    let other = named("web", &[("ClientToken", "t1"), ("Cpu", "4"), ("Memory", "8")]);
    assert_eq!(client.refusal("CreateContainerGroup", &other).await, "400 IdempotentParameterMismatch");
    client.faults(json!([{"route": "CreateContainerGroup", "action": {"kind": "duplicate"}}])).await;
    create(client, "with-token", &[("ClientToken", "t2")]).await;
    assert_eq!(client.eci("DescribeContainerGroups", &[]).await["TotalCount"], 2);
    create(client, "without-token", &[]).await;
    assert_eq!(
        client.eci("DescribeContainerGroups", &[]).await["TotalCount"],
        4,
        "nobody can tell these apart"
    );
    cloud.stop().await;
}

#[tokio::test]
async fn the_bill_runs_from_the_place_to_the_end() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    client.post("/_sim/scripts", json!([{"podPrefix": "job", "runMs": 50, "exitCode": 0}, {"podPrefix": "bad", "runMs": 50, "exitCode": 3}])).await;
    let never = [("RestartPolicy", "Never")];
    let job = create(client, "job", &never).await;
    let bad = create(client, "bad", &never).await;
    assert!(until(client, &job, "Succeeded").await["SucceededTime"].is_string());
    let failed = until(client, &bad, "Failed").await;
    assert_eq!(failed["Containers"][0]["CurrentState"]["ExitCode"], 3);
    assert!(failed["FailedTime"].is_string());
    assert_eq!(client.meter().await["closed"], 2, "finished groups cost nothing more");
    client.post("/_sim/stock", json!([{"face": "failed"}])).await;
    let none = create(client, "none", &[]).await;
    until(client, &none, "ScheduleFailed").await;
    assert_eq!(open_bills(client).await, 0, "no capacity, no bill");
    client.post("/_sim/stock", json!([])).await;
    let web = create(client, "web", &[("Cpu", "3"), ("Memory", "5")]).await;
    let shown = until(client, &web, "Running").await;
    assert_eq!((&shown["Cpu"], &shown["Memory"]), (&json!(4.0), &json!(6.0)), "the rounded size is billed");
    assert_eq!(client.meter().await["openItems"][0]["cpuMilli"], 4000);
    for id in [&job, &bad, &none, &web] {
        gone(client, id).await;
    }
    assert_eq!(open_bills(client).await, 0);
    assert_eq!(
        client.refusal("DeleteContainerGroup", &[("ContainerGroupId", &web)]).await,
        "404 InvalidParameter.NotFound"
    );
    client.post("/_sim/variants", json!({"deleteUnknownFails": false})).await;
    assert_eq!(client.refusal("DeleteContainerGroup", &[("ContainerGroupId", &web)]).await, "");
    cloud.stop().await;
}

#[tokio::test]
async fn stock_runs_out_in_three_ways_and_another_switch_has_some() {
    let cloud = Cloud::of("eci", &["--zones", "z1,z2", "--subnet-zone", "vsw-1=z1,vsw-2=z2"]).await;
    let client = &cloud.client;
    let both = [("VSwitchId", "vsw-1, vsw-2")];
    client.post("/_sim/stock", json!([{"zone": "z1", "cpu": 2.0}])).await;
    let moved = create(client, "moved", &both).await;
    assert_eq!(until(client, &moved, "Running").await["ZoneId"], "z2");
    let refused =
        async |more: &[(&str, &str)]| client.refusal("CreateContainerGroup", &named("xx", more)).await;
    assert_eq!(refused(&[("VSwitchId", "vsw-1")]).await, "403 OperationDenied.NoStock");
    assert_eq!(
        refused(&[("VSwitchId", "vsw-1"), ("Cpu", "4"), ("Memory", "8")]).await,
        "",
        "another size is there"
    );
    assert_eq!(refused(&[("VSwitchId", "vsw-9")]).await, "404 InvalidVSwitchId.NotFound");
    assert_eq!(
        refused(&[("VSwitchId", "vsw-1"), ("ZoneId", "z2")]).await,
        "403 OperationDenied.VswZoneMisMatch"
    );
    assert_eq!(refused(&[("ZoneId", "z9")]).await, "403 Zone.NotOnSale");
    client.post("/_sim/stock", json!([{"subnet": "vsw-1"}, {"spot": true}])).await;
    assert_eq!(refused(&[("VSwitchId", "vsw-1")]).await, "403 InvalidVSwitchId.IpNotEnough");
    assert_eq!(
        refused(&[("VSwitchId", "vsw-2"), ("SpotStrategy", "SpotAsPriceGo")]).await,
        "403 Spot.NotMatched"
    );
    client.post("/_sim/stock", json!([{"face": "pending", "seconds": 60}])).await;
    let waits = create(client, "waits", &both).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(group(client, &waits).await["Status"], "Scheduling");
    client.post("/_sim/clock", json!({"advanceSeconds": 61})).await;
    until(client, &waits, "Running").await;
    let machines = [("InstanceType", "ecs.c6.xlarge,ecs.g6.xlarge")];
    client.post("/_sim/stock", json!([{"instanceType": "ecs.c6.xlarge"}])).await;
    let other = create(client, "machine", &machines).await;
    assert_eq!(group(client, &other).await["InstanceType"], "ecs.g6.xlarge");
    cloud.stop().await;
}

#[tokio::test]
async fn the_account_can_be_in_arrears_out_of_quota_or_too_fast() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    let refused = async || client.refusal("CreateContainerGroup", &named("xx", &[])).await;
    for (state, code) in [
        ("arrears", "400 Account.Arrearage"),
        ("lowBalance", "400 InvalidPaymentMethod.InsufficientBalance"),
        ("notEnabled", "400 ServiceNotEnabled"),
        ("noPermission", "403 NoPermission"),
        ("frozen", "403 Forbidden.UserBussinessStatus"),
    ] {
        client.post("/_sim/account", json!({"state": state})).await;
        assert_eq!(refused().await, code);
    }
    client.post("/_sim/account", json!({"maxCpu": 3.0})).await;
    assert_eq!(refused().await, "");
    assert_eq!(refused().await, "403 QuotaExceeded");
    client.post("/_sim/account", json!({})).await;
    client.post("/_sim/limits", json!({"CreateContainerGroup": 1})).await;
    assert_eq!((refused().await, refused().await), (String::new(), "400 Throttling".to_owned()));
    client.faults(json!([{"route": "CreateContainerGroup", "action": {"kind": "status", "code": 403, "error": "Throttling.Vcpu.PerDay"}}])).await;
    assert_eq!(refused().await, "403 Throttling.Vcpu.PerDay");
    cloud.stop().await;
}

#[tokio::test]
async fn lists_are_paged_filtered_late_and_partial() {
    let cloud = Cloud::of("eci", &["--update-ms", "500"]).await;
    let client = &cloud.client;
    for n in 0..5 {
        let (name, owner) = (format!("g-{n}"), if n < 3 { "me" } else { "you" });
        create(client, &name, &[("Tag.1.Key", "owner"), ("Tag.1.Value", owner)]).await;
    }
    let count = async |pairs: &[(&str, &str)]| {
        let answer = client.eci("DescribeContainerGroupStatus", pairs).await;
        (
            answer["TotalCount"].as_u64(),
            answer["Data"].as_array().map(Vec::len),
            answer["NextToken"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(
        count(&[("Tag.1.Key", "owner"), ("Tag.1.Value", "me")]).await,
        (Some(3), Some(3), String::new())
    );
    let (total, shown, next) = count(&[("Limit", "2")]).await;
    assert_eq!((total, shown), (Some(5), Some(2)));
    assert_eq!(count(&[("Limit", "4"), ("NextToken", &next)]).await, (Some(5), Some(3), String::new()));
    assert_eq!(client.refusal("DescribeContainerGroups", &[("Limit", "21")]).await, "400 InvalidParameter");
    assert_eq!(client.refusal("DescribeContainerGroupStatus", &[("Limit", "200")]).await, "");
    let ids = json!(vec!["eci-x"; 21]).to_string();
    assert_eq!(
        client.refusal("DescribeContainerGroups", &[("ContainerGroupIds", &ids)]).await,
        "400 InvalidParameter"
    );
    assert_eq!(
        client.eci("DescribeContainerGroups", &[("ContainerGroupName", "g-1")]).await["TotalCount"],
        1
    );
    assert_eq!(
        client.eci("DescribeContainerGroups", &[("ContainerGroupIds", "[\"eci-none\"]")]).await["TotalCount"],
        0
    );
    // Until what is under way has been written, and that was long ago.
    let quiet = async || {
        for _ in 0..200 {
            client.post("/_sim/clock", json!({"advanceSeconds": 100})).await;
            if count(&[("SinceSecond", "50")]).await.0 == Some(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("something changes all the time");
    };
    quiet().await;
    let id = create(client, "young", &[]).await;
    assert_eq!(count(&[("SinceSecond", "50")]).await.0, Some(1));
    let tag = [("ContainerGroupId", id.as_str()), ("Tag.1.Key", "a")];
    assert_eq!(client.refusal("UpdateContainerGroup", &tag).await, "");
    assert_eq!(group(client, &id).await["Status"], "Updating");
    until(client, &id, "Running").await;
    quiet().await;
    client.post("/_sim/stock", json!([{"face": "pending"}])).await;
    let waits = create(client, "waits", &[("MaxPendingMinute", "10")]).await;
    client.post("/_sim/clock", json!({"advanceSeconds": 602})).await;
    until(client, &waits, "ScheduleFailed").await;
    let mut changed = Some(0);
    for _ in 0..200 {
        changed = count(&[("SinceSecond", "50")]).await.0;
        if changed == Some(1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(changed, Some(1), "a state that time alone changed has changed");
    gone(client, &waits).await;
    client.post("/_sim/stock", json!([])).await;
    let young = create(client, "younger", &[]).await;
    client.faults(json!([{"route": "DescribeContainerGroupStatus", "action": {"kind": "listLag", "milliseconds": 60_000}}])).await;
    assert_eq!(count(&[]).await.0, Some(6), "{young} is too young to be listed");
    client.faults(json!([{"route": "DescribeContainerGroupStatus", "action": {"kind": "partialList", "missing": 2}}])).await;
    assert_eq!(count(&[]).await.0, Some(4));
    cloud.stop().await;
}

#[tokio::test]
async fn finished_groups_are_forgotten() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    client.post("/_sim/scripts", json!([{"runMs": 0, "exitCode": 0}])).await;
    let mut last = String::new();
    for n in 0..103 {
        last = create(client, &format!("job-{n}"), &[("RestartPolicy", "Never")]).await;
    }
    until(client, &last, "Succeeded").await;
    let total = async || client.eci("DescribeContainerGroups", &[]).await["TotalCount"].clone();
    client.post("/_sim/clock", json!({"advanceSeconds": 600})).await;
    assert_eq!(total().await, 103);
    client.post("/_sim/clock", json!({"advanceSeconds": 200})).await;
    assert_eq!(total().await, 103, "within the hour");
    for _ in 0..4 {
        client.post("/_sim/clock", json!({"advanceSeconds": 800})).await;
    }
    assert_eq!(client.eci("DescribeContainerGroups", &[]).await["TotalCount"], 100);
    cloud.stop().await;
}

#[tokio::test]
async fn spot_is_reclaimed_a_zone_is_lost_and_odd_states_are_shown() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    let spot = create(client, "spot", &[("SpotStrategy", "SpotAsPriceGo")]).await;
    until(client, &spot, "Running").await;
    client.post("/_sim/reclaim", json!({"id": spot})).await;
    let asked = [("ContainerGroupIds", &*json!([spot]).to_string())];
    let status = client.eci("DescribeContainerGroupStatus", &asked).await;
    let expires = |c: &Value| c["type"] == "ContainerInstanceExpired" && c["status"] == "True";
    assert!(
        status["Data"][0]["PodStatus"]["Conditions"].as_array().is_some_and(|all| all.iter().any(expires)),
        "{status}"
    );
    let events = client.eci("DescribeContainerGroupEvents", &asked).await;
    assert!(events.to_string().contains("SpotToBeReleased"), "{events}");
    assert_eq!(open_bills(client).await, 1, "it runs on for three minutes");
    client.post("/_sim/clock", json!({"advanceSeconds": 181})).await;
    assert!(until(client, &spot, "Expired").await["ExpiredTime"].is_string());
    while open_bills(client).await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let web = create(client, "web", &[]).await;
    until(client, &web, "Running").await;
    client.post("/_sim/state", json!({"id": web, "status": "Unknown"})).await;
    assert_eq!(group(client, &web).await["Status"], "Unknown");
    client.post("/_sim/state", json!({"id": web, "status": null})).await;
    assert_eq!(group(client, &web).await["Status"], "Running");
    client.post("/_sim/zone-lost", json!({"zone": "cn-hangzhou-h"})).await;
    until(client, &web, "Failed").await;
    for id in [&spot, &web] {
        gone(client, id).await;
    }
    cloud.stop().await;
}

#[tokio::test]
async fn a_deletion_wins_over_a_restart_and_volumes_only_grow() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    client.post("/_sim/scripts", json!([{"stopMs": 200}])).await;
    let disk =
        [("Volume.1.Name", "d"), ("Volume.1.Type", "DiskVolume"), ("Volume.1.DiskVolume.DiskId", "d-1")];
    let id = create(client, "web", &disk).await;
    until(client, &id, "Running").await;
    let resize = async |size: &str| {
        client
            .refusal(
                "ResizeContainerGroupVolume",
                &[("ContainerGroupId", &id), ("VolumeName", "d"), ("NewSize", size)],
            )
            .await
    };
    assert_eq!((resize("40").await, resize("30").await), (String::new(), "400 InvalidParameter".to_owned()));
    assert_eq!(client.refusal("RestartContainerGroup", &[("ContainerGroupId", &id)]).await, "");
    assert_eq!(
        client.refusal("RestartContainerGroup", &[("ContainerGroupId", &id)]).await,
        "400 IncorrectStatus"
    );
    gone(client, &id).await;
    assert_eq!((open_bills(client).await, client.meter().await["closed"].clone()), (0, json!(1)));
    cloud.stop().await;
}

#[tokio::test]
async fn a_terminal_speaks_bytes_or_channels_and_its_address_is_good_once() {
    let cloud = Cloud::of("eci", &[]).await;
    let client = &cloud.client;
    let id = create(client, "web", &[]).await;
    until(client, &id, "Running").await;
    let ask = [
        ("ContainerGroupId", id.as_str()),
        ("ContainerName", "c"),
        ("Command", "[\"cat\"]"),
        ("Stdin", "true"),
        ("TTY", "True"),
    ];
    let address = async || {
        client.eci("ExecContainerCommand", &ask).await["WebSocketUri"]
            .as_str()
            .expect("an address")
            .to_owned()
    };
    let first = address().await;
    let (mut socket, _) = tokio_tungstenite::connect_async(&first).await.expect("a terminal");
    socket.send(Message::text("typed")).await.expect("sent");
    let said = socket.next().await.expect("something").expect("a message");
    assert_eq!(said.into_data(), "typed");
    assert!(tokio_tungstenite::connect_async(&first).await.is_err(), "one login");
    let late = address().await;
    client.post("/_sim/clock", json!({"advanceSeconds": 31})).await;
    assert!(tokio_tungstenite::connect_async(&late).await.is_err(), "30 seconds");
    client.post("/_sim/variants", json!({"terminalFrames": "channels"})).await;
    let mut request = address().await.into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "v5.channel.k8s.io".parse().expect("a value"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a terminal");
    socket.send(Message::binary(&b"\0typed"[..])).await.expect("sent");
    let said = socket.next().await.expect("something").expect("a message");
    assert_eq!(said.into_data(), &b"\x01typed"[..]);
    cloud.stop().await;
}
