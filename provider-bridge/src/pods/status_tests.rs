#![expect(clippy::needless_pass_by_value, reason = "cases read better with plain json!")]

use super::*;

fn place() -> Place {
    Place {
        host_ip: IpAddr::from([198, 18, 0, 1]),
        now: jiff::Timestamp::from_second(1_900_000_000).unwrap(),
    }
}

fn stored(status: Value) -> Value {
    json!({ "metadata": { "uid": "u" }, "spec": { "containers": [{ "name": "main", "image": "busybox" }] }, "status": status })
}

fn container(restarts: u64, state: Value) -> Value {
    json!({ "name": "main", "ready": true, "restartCount": restarts, "state": state })
}

fn running(restarts: u64) -> Value {
    json!({
        "phase": "Running", "podIP": "198.18.64.7", "hostIP": "10.0.0.9",
        "containerStatuses": [container(restarts, json!({ "running": {} }))],
        "conditions": [{ "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True", "reason": "Cloud" }],
    })
}

#[test]
fn the_host_is_the_virtual_node_and_the_clouds_scheduling_is_left_out() {
    let patch = patch(&stored(json!({ "phase": "Pending" })), &running(0), place()).unwrap();
    assert_eq!(patch["hostIP"], "198.18.0.1");
    assert_eq!(patch["podIPs"], json!([{ "ip": "198.18.64.7" }]));
    let kinds: Vec<_> = patch["conditions"].as_array().unwrap().iter().map(kind_of).collect();
    assert_eq!(kinds, ["Ready", "ContainersReady"]);
}

#[test]
fn what_is_stored_already_is_not_written_again() {
    let pod = stored(json!({ "phase": "Pending" }));
    let first = patch(&pod, &running(0), place()).unwrap();
    assert_eq!(patch(&stored(first), &running(0), place()), None);
}

#[test]
fn only_what_changed_is_written() {
    let pod = stored(json!({ "phase": "Pending" }));
    let first = patch(&pod, &running(0), place()).unwrap();
    let second = patch(&stored(first), &running(1), place()).unwrap();
    assert_eq!(second.as_object().unwrap().keys().collect::<Vec<_>>(), ["containerStatuses"]);
}

/// Two addresses of one family in `hostIPs` or `podIPs` are refused, and the lists merge by `ip`.
#[test]
fn a_new_address_replaces_the_old_one() {
    let first = patch(&stored(json!({ "phase": "Pending" })), &running(0), place()).unwrap();
    let moved = Place { host_ip: IpAddr::from([198, 18, 0, 2]), ..place() };
    let second = patch(&stored(first), &running(0), moved).unwrap();
    assert_eq!(second["hostIP"], "198.18.0.2");
    assert_eq!(second["hostIPs"], json!([{ "ip": "198.18.0.2" }, { "$patch": "replace" }]));
    assert!(second.get("podIPs").is_none(), "unchanged: {second}");
}

/// The stored status, the cloud's, and the part of the patch that matters.
#[test]
fn never_backwards() {
    let cases = [
        ("a result is final", json!({ "phase": "Succeeded" }), running(0), None),
        ("a failure is final", json!({ "phase": "Failed" }), running(3), None),
        ("a late Pending", json!({ "phase": "Running" }), json!({ "phase": "Pending" }), None),
    ];
    for (name, before, cloud, expected) in cases {
        assert_eq!(patch(&stored(before), &cloud, place()), expected, "{name}");
    }
    let before = json!({ "phase": "Running", "containerStatuses": [container(5, json!({ "running": {} }))] });
    let written = patch(&stored(before), &running(2), place()).unwrap();
    assert_eq!(written.get("containerStatuses"), None, "restart counts do not shrink");
    let before = json!({ "phase": "Pending", "startTime": "2030-01-01T00:00:00Z" });
    let mut cloud = running(0);
    cloud["startTime"] = json!("2031-01-01T00:00:00Z");
    assert_eq!(patch(&stored(before), &cloud, place()).unwrap().get("startTime"), None);
}

#[test]
fn trouble_is_not_told_about_a_pod_that_ran() {
    let trouble = Trouble { reason: "Capacity", message: "none left".to_owned() };
    assert!(trouble_patch(&stored(json!({ "phase": "Pending" })), &trouble, place()).is_some());
    for before in [json!({ "phase": "Running" }), json!({ "phase": "Failed" })] {
        assert_eq!(trouble_patch(&stored(before), &trouble, place()), None);
    }
    let restarted =
        json!({ "phase": "Pending", "containerStatuses": [container(1, json!({ "running": {} }))] });
    assert_eq!(trouble_patch(&stored(restarted), &trouble, place()), None);
}

#[test]
fn trouble_that_stands_there_already_is_not_written_again() {
    let trouble = Trouble { reason: "Capacity", message: "none left".to_owned() };
    let mut first = trouble_patch(&stored(json!({ "phase": "Pending" })), &trouble, place()).unwrap();
    first["phase"] = json!("Pending");
    assert_eq!(trouble_patch(&stored(first), &trouble, place()), None);
}

#[test]
fn a_lost_instance_ends_every_container_that_had_not_ended() {
    let before = json!({
        "phase": "Running",
        "containerStatuses": [
            container(0, json!({ "running": {} })),
            { "name": "side", "restartCount": 2, "ready": false, "state": { "terminated": { "exitCode": 0 } } },
        ],
    });
    let written = lost_patch(&stored(before), place()).unwrap();
    assert_eq!(written["phase"], "Failed");
    assert_eq!(written["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
    assert_eq!(
        written["containerStatuses"][1]["state"]["terminated"]["exitCode"], 0,
        "what ended well stays so"
    );
    assert_eq!(written["conditions"][0]["type"], "DisruptionTarget");
}

#[test]
fn equal_statuses_have_equal_fingerprints() {
    assert_eq!(fingerprint(&running(0)), fingerprint(&running(0)));
    assert_ne!(fingerprint(&running(0)), fingerprint(&running(1)));
}

#[test]
fn only_being_created_can_wait() {
    let pending = |state: Value| json!({ "phase": "Pending", "containerStatuses": [container(0, state)] });
    let waiting = |reason: &str| pending(json!({ "waiting": { "reason": reason } }));
    let no_room = json!({ "phase": "Pending", "conditions": [{ "type": CONDITION_CLOUD_SCHEDULED, "status": "False" }] });
    let cases = [
        (json!({ "phase": "Pending" }), true),
        (waiting("ContainerCreating"), true),
        (waiting("ImagePullBackOff"), false),
        (pending(json!({ "running": {} })), false),
        (no_room, false),
        (running(0), false),
    ];
    for (status, quiet) in cases {
        assert_eq!(is_quiet(&status), quiet, "{status}");
    }
}
