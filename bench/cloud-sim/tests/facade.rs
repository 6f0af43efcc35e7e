//! The CCI 1.0 façade over real sockets, with the script runtime: what it accepts, refuses, adds and bills.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

#[path = "facade/claims.rs"]
mod claims;
mod support;

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{Cloud, NETWORKS, NS, PODS, network, pod};

#[tokio::test]
async fn unsigned_and_wrongly_signed_calls_are_refused_by_the_gateway() {
    let cloud = Cloud::with_namespace(&[]).await;
    let good = cloud.client.clone();
    let mut wrong = good.clone();
    wrong.secret_key = "otherSK".to_owned();
    let (status, body) = wrong.post(PODS, pod("p")).await;
    assert_eq!((status, &body["error_code"]), (StatusCode::UNAUTHORIZED, &json!("APIGW.0301")));
    let bare = good.raw(Method::GET, PODS, http::HeaderMap::new(), Vec::new()).await.expect("an answer");
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(good.meter().await["open"], 0, "a refused create bills nothing");
    for (token, status) in [("MIItoken", StatusCode::OK), ("MIIother", StatusCode::UNAUTHORIZED)] {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-auth-token", token.parse().expect("a header"));
        let answer = good.raw(Method::GET, PODS, headers, Vec::new()).await.expect("an answer");
        assert_eq!(answer.status(), status, "{token}");
    }
    good.post("/_sim/clock", json!({"advanceSeconds": 901})).await;
    let (status, body) = good.get(PODS).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(body["error_msg"].as_str().is_some_and(|text| text.contains("15 minutes")), "{body}");
}

#[tokio::test]
async fn namespaces_have_a_flavor_a_limit_and_a_name_that_stays_taken() {
    let cloud = Cloud::start(&[]).await;
    let client = &cloud.client;
    let namespace = |name: &str, flavor: &str| json!({"metadata": {"name": name, "annotations": {"namespace.kubernetes.io/flavor": flavor}}});
    let all = "/api/v1/namespaces";
    for (body, status, code) in [
        (namespace("a", "fancy"), 400, "CCI.02.400109"),
        (json!({"metadata": {"name": "a"}}), 400, "CCI.02.400109"),
        (namespace("a", "general-computing"), 201, ""),
        (namespace("a", "general-computing"), 409, "CCI.02.409101"),
        (namespace("b", "gpu-accelerated"), 201, ""),
        (namespace("c", "general-computing"), 201, ""),
        (namespace("d", "general-computing"), 201, ""),
        (namespace("e", "general-computing"), 201, ""),
        (namespace("f", "general-computing"), 400, "CCI.02.400106"),
        (namespace("B.", "general-computing"), 422, ""),
    ] {
        let (got, answer) = client.post(all, body.clone()).await;
        assert_eq!(
            (got.as_u16(), answer["errorCode"].as_str().unwrap_or_default()),
            (status, code),
            "{body} {answer}"
        );
    }
    assert_eq!(client.get(all).await.1["items"].as_array().map(Vec::len), Some(5));
    let (status, gone) = client.delete("/api/v1/namespaces/a").await;
    assert_eq!((status, &gone["status"]["phase"]), (StatusCode::OK, &json!("Terminating")));
    client.until("/api/v1/namespaces/a", |answer| answer["reason"] == "NotFound").await;
    let again = client.post(all, namespace("a", "general-computing")).await;
    assert_eq!((again.0, &again.1["errorCode"]), (StatusCode::CONFLICT, &json!("CCI.02.409101")));
    client.post("/_sim/clock", json!({"advanceSeconds": 31})).await;
    assert_eq!(client.post(all, namespace("a", "general-computing")).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_pod_without_a_network_waits_and_a_network_without_its_fields_is_refused() {
    let cloud = Cloud::start(&[]).await;
    let client = &cloud.client;
    let flavor = json!({"namespace.kubernetes.io/flavor": "general-computing"});
    client.post("/api/v1/namespaces", json!({"metadata": {"name": NS, "annotations": flavor}})).await;
    assert_eq!(client.post(PODS, pod("p")).await.0, StatusCode::CREATED);
    let waiting = client.until(&format!("{PODS}/p"), |pod| pod["status"]["conditions"].is_array()).await;
    assert_eq!(waiting["status"]["conditions"][0]["reason"], "Unschedulable");
    let mut wrong = network();
    wrong["spec"]["subnetID"] = Value::Null;
    assert_eq!(client.post(NETWORKS, wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(client.post(NETWORKS, network()).await.0, StatusCode::CREATED);
    client.until_phase("p", "Running").await;
    assert_eq!(client.post("/api/v1/namespaces/none/pods", pod("p")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_pods_life_with_everything_the_server_adds() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let (status, created) = client.post(PODS, pod("web-1")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!((&created["kind"], &created["apiVersion"]), (&json!("Pod"), &json!("v1")));
    assert_eq!(created["metadata"]["annotations"]["resource.cci.io/size"], "0.50_1.0");
    assert_eq!(created["metadata"]["labels"]["tenant.kubernetes.io/project-id"], "proj123");
    assert_eq!(created["metadata"]["finalizers"], json!(["billing.kubernetes.io/podbilling-finalizer"]));
    assert_eq!(created["spec"]["schedulerName"], "volcano");
    assert_eq!(created["status"], json!({"phase": "Pending", "qosClass": "Guaranteed"}));
    let running = client.until_phase("web-1", "Running").await;
    assert!(
        running["spec"]["nodeName"].as_str().is_some_and(|name| name.starts_with("compute-cell-")),
        "{running}"
    );
    assert_eq!(running["status"]["podIP"], "198.18.64.2");
    assert_eq!(running["status"]["containerStatuses"][0]["ready"], true);
    assert_eq!(
        client.get(&format!("{PODS}/web-1/status")).await.1["metadata"]["uid"],
        created["metadata"]["uid"]
    );
    assert_eq!(client.post(PODS, pod("web-1")).await.1["reason"], "AlreadyExists");
    let (status, deleted) = client.delete(&format!("{PODS}/web-1?gracePeriodSeconds=5")).await;
    assert_eq!((status, &deleted["metadata"]["deletionGracePeriodSeconds"]), (StatusCode::OK, &json!(5)));
    client.until_gone("web-1").await;
    assert_eq!(client.delete(&format!("{PODS}/web-1")).await.0, StatusCode::NOT_FOUND);
    let lines = cloud.meter_lines();
    assert_eq!(lines.iter().map(|l| l["event"].as_str()).collect::<Vec<_>>(), [Some("open"), Some("close")]);
    assert_eq!((&lines[1]["cpuMilli"], &lines[1]["id"]), (&json!(500), &created["metadata"]["uid"]));
    let events = client
        .get(&format!("/api/v1/namespaces/{NS}/events?fieldSelector=involvedObject.name=web-1"))
        .await
        .1;
    let reasons: Vec<&str> =
        events["items"].as_array().into_iter().flatten().filter_map(|e| e["reason"].as_str()).collect();
    assert_eq!(reasons, ["Scheduled", "Started", "Killing"]);
}

#[tokio::test]
async fn pods_that_cci_does_not_sell_are_refused_with_the_field() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let spec = |pointer: &str, value: Value| {
        let mut pod = pod("p");
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        pod.pointer_mut(parent).expect("a parent")[field] = value;
        pod
    };
    let limits = "/spec/containers/0/resources/limits";
    for (body, status, text) in [
        (spec(limits, json!({"cpu": "300m", "memory": "1Gi"})), 422, "0.25 to 32 vCPU"),
        (spec(limits, json!({"cpu": "1", "memory": "1Gi"})), 422, "1:2 to 1:8"),
        (spec(limits, json!({"cpu": "1", "memory": "2500Mi"})), 422, "whole number of Gi"),
        (
            spec("/spec/containers/0/resources/requests", json!({"cpu": "250m", "memory": "1Gi"})),
            422,
            "must be equal",
        ),
        (spec("/spec/hostNetwork", json!(true)), 422, "spec.hostNetwork"),
        (spec("/spec/volumes", json!([{"name": "v", "hostPath": {"path": "/"}}])), 422, "hostPath"),
        (spec("/spec/containers", json!([])), 422, "spec.containers: Required"),
        (spec("/metadata/name", json!("Web")), 422, "RFC 1123"),
        (spec("/metadata/namespace", json!("other")), 400, "does not match the namespace"),
        (spec("/metadata/resourceVersion", json!("7")), 400, "resourceVersion"),
        (spec("/spec/containers/0/command", json!("sh")), 400, "spec"),
        (json!([1]), 400, "not an object"),
        (json!({"kind": "Secret", "metadata": {"name": "x"}}), 400, "unrecognized"),
    ] {
        let (got, answer) = client.post(PODS, body).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(got.as_u16() == status && message.contains(text), "{got} {answer} should say {text}");
    }
    let headers = client.headers(&Method::POST, PODS, None, b"{trunc");
    let answer = client.raw(Method::POST, PODS, headers, b"{trunc".to_vec()).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(client.meter().await["open"], 0);
    assert_eq!(client.get("/api/v1/pods").await.0, StatusCode::NOT_FOUND);
    assert_eq!(client.call(Method::PUT, PODS, pod("p")).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_no_cell_offers_stays_pending() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let mut selecting = pod("selecting");
    selecting["spec"]["nodeSelector"] = json!({"type": "virtual-kubelet"});
    let mut marked = pod("marked");
    marked["spec"]["containers"][0]["resources"]["limits"]["burst.io/managed"] = json!("1");
    for (body, text) in [(selecting, "node affinity/selector"), (marked, "Insufficient burst.io/managed")] {
        let name = body["metadata"]["name"].as_str().expect("a name").to_owned();
        assert_eq!(client.post(PODS, body).await.0, StatusCode::CREATED);
        let pod = client.until(&format!("{PODS}/{name}"), |pod| pod["status"]["conditions"].is_array()).await;
        let message = pod["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn lists_page_and_select() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    for i in 0..5 {
        let mut body = pod(&format!("web-{i}"));
        body["metadata"]["labels"] = json!({"app": "web", "even": (i % 2 == 0).to_string()});
        client.post(PODS, body).await;
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let first = client.get(&format!("{PODS}?limit=2")).await.1;
    assert_eq!((first["kind"].as_str(), names(&first).len()), (Some("PodList"), 2));
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    assert!(first["items"][0].get("kind").is_none(), "list items carry no kind");
    let mut all = names(&first);
    let mut token = first["metadata"]["continue"].as_str().expect("more").to_owned();
    loop {
        let page = client.get(&format!("{PODS}?limit=2&continue={token}")).await.1;
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        all.extend(names(&page));
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(all, ["web-0", "web-1", "web-2", "web-3", "web-4"]);
    assert_eq!(names(&client.get(&format!("{PODS}?labelSelector=app%3Dweb%2Ceven%3Dtrue")).await.1).len(), 3);
    assert_eq!(names(&client.get(&format!("{PODS}?fieldSelector=metadata.name%3Dweb-3")).await.1), ["web-3"]);
    assert_eq!(client.get(&format!("{PODS}?fieldSelector=spec.what%3D1")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(client.get(&format!("{PODS}?continue=zzz")).await.0, StatusCode::BAD_REQUEST);
    client.post("/_sim/compact", json!({"resource": "pods"})).await;
    let expired = client.get(&format!("{PODS}?limit=2&continue={token}")).await;
    assert_eq!((expired.0, &expired.1["reason"]), (StatusCode::GONE, &json!("Expired")));
}

#[tokio::test]
async fn only_labels_annotations_and_images_change() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    client.post(PODS, pod("p")).await;
    let path = format!("{PODS}/p");
    for (kind, patch, status) in [
        ("merge-patch", json!({"metadata": {"labels": {"a": "b"}}}), 200),
        (
            "strategic-merge-patch",
            json!({"spec": {"containers": [{"name": "c", "image": "busybox:2"}]}}),
            200,
        ),
        ("strategic-merge-patch", json!({"spec": {"containers": [{"name": "d", "image": "x"}]}}), 422),
        ("merge-patch", json!({"spec": {"restartPolicy": "Never"}}), 422),
        ("merge-patch", json!({"metadata": {"finalizers": []}}), 403),
        ("merge-patch", json!({"metadata": {"resourceVersion": "1", "labels": {"x": "y"}}}), 409),
        ("json-patch", json!([{"op": "add", "path": "/metadata/labels/a", "value": "b"}]), 415),
    ] {
        let (got, answer) = client.patch(&path, kind, patch.clone()).await;
        assert_eq!(got.as_u16(), status, "{kind} {patch}: {answer}");
    }
    let after = client.get(&path).await.1;
    assert_eq!(
        (&after["metadata"]["labels"]["a"], &after["metadata"]["labels"]["app"]),
        (&json!("b"), &json!("web"))
    );
    assert_eq!(after["spec"]["containers"][0]["image"], "busybox:2");
    let (status, _) = client.patch(&path, "merge-patch", json!({"status": {"phase": "Failed"}})).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(client.get(&path).await.1["status"]["phase"], "Failed", "status is the cloud's");
    assert_eq!(
        client.patch(&format!("{path}/status"), "merge-patch", json!({})).await.0,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn deletes_keep_to_their_preconditions_and_to_finalizers() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let mut body = pod("p");
    body["metadata"]["finalizers"] = json!(["mine"]);
    let uid = client.post(PODS, body).await.1["metadata"]["uid"].clone();
    let path = format!("{PODS}/p");
    let with =
        |uid: Value| json!({"kind": "DeleteOptions", "preconditions": {"uid": uid}, "gracePeriodSeconds": 0});
    let refused = client.call(Method::DELETE, &path, with(json!("other"))).await;
    assert_eq!((refused.0, &refused.1["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    assert!(client.get(&path).await.1["metadata"].get("deletionTimestamp").is_none());
    assert_eq!(client.call(Method::DELETE, &path, with(uid)).await.0, StatusCode::OK);
    let held = client.until(&path, |pod| pod["metadata"]["finalizers"] == json!(["mine"])).await;
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(client.meter().await["open"], 0, "the bill ends when the cloud lets go");
    client.patch(&path, "merge-patch", json!({"metadata": {"finalizers": null}})).await;
    client.until_gone("p").await;
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector_and_a_namespace_takes_everything() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let mut body = pod(name);
        body["metadata"]["labels"] = json!({"app": app});
        client.post(PODS, body).await;
    }
    assert_eq!(client.delete(&format!("{PODS}?labelSelector=app%3Dx")).await.0, StatusCode::OK);
    client.until_gone("a").await;
    client.until_gone("b").await;
    assert_eq!(client.get(&format!("{PODS}/c")).await.0, StatusCode::OK);
    client
        .faults(json!([{"method": "DELETE", "action": {"kind": "slowDelete", "milliseconds": 60000}}]))
        .await;
    client.delete(&format!("{PODS}/c?gracePeriodSeconds=0")).await;
    client.delete(&format!("/api/v1/namespaces/{NS}")).await;
    assert_eq!(client.post(PODS, pod("late")).await.0, StatusCode::FORBIDDEN);
    client.post("/_sim/clock", json!({"advanceSeconds": 61})).await;
    client.until(&format!("/api/v1/namespaces/{NS}"), |answer| answer["reason"] == "NotFound").await;
    let meter = client.meter().await;
    assert_eq!((&meter["open"], &meter["closed"]), (&json!(0), &json!(3)));
}

#[tokio::test]
async fn scripted_exits_restart_and_finish() {
    let cloud = Cloud::with_namespace(&["--restart-backoff-ms", "20"]).await;
    let client = &cloud.client;
    let rules = json!([
        {"podPrefix": "crash", "runMs": 0, "exitCode": 3, "times": 3},
        {"podPrefix": "job", "runMs": 0, "log": ["done"]},
        {"podPrefix": "image", "startError": "ErrImagePull"},
    ]);
    assert_eq!(client.post("/_sim/scripts", rules).await.0, StatusCode::OK);
    client.post(PODS, pod("crash")).await;
    let path = format!("{PODS}/crash");
    let crashed = client
        .until(&path, |p| {
            p["status"]["containerStatuses"][0]["restartCount"] == 3
                && p["status"]["containerStatuses"][0]["ready"] == true
        })
        .await;
    assert_eq!(crashed["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 3);
    let mut job = pod("job");
    job["spec"]["restartPolicy"] = json!("Never");
    client.post(PODS, job).await;
    let done = client.until_phase("job", "Succeeded").await;
    assert_eq!(done["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    assert_eq!(client.meter().await["open"], 2, "a finished pod bills until it is deleted");
    assert_eq!(client.get(&format!("{PODS}/job/log?container=c")).await.1, json!("done\n"));
    client.post(PODS, pod("image")).await;
    let waiting = |reason: &'static str| {
        move |p: &Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    };
    client.until(&format!("{PODS}/image"), waiting("ImagePullBackOff")).await;
}

#[tokio::test]
async fn faults_answer_as_the_vendor_does_and_calls_are_counted() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let route = "/api/v1/namespaces/{namespace}/pods";
    let rule = |action: Value| json!([{"method": "POST", "route": route, "times": 1, "action": action}]);
    for (action, status, text) in [
        (json!({"kind": "status", "code": 401}), 401, "APIGW.0301"),
        (json!({"kind": "status", "code": 403}), 403, "CCI.01.403009"),
        (json!({"kind": "status", "code": 409}), 409, "Conflict"),
        (json!({"kind": "status", "code": 429, "retryAfterSeconds": 2}), 429, "TooManyRequests"),
        (json!({"kind": "status", "code": 500}), 500, "CCI.01.500101"),
        (json!({"kind": "status", "code": 503}), 503, "ServiceUnavailable"),
        (json!({"kind": "noAllocatedCluster"}), 400, "CCI.02.400116"),
        (json!({"kind": "garbage"}), 200, "<html>"),
        (json!({"kind": "empty"}), 200, ""),
    ] {
        client.faults(rule(action.clone())).await;
        let (got, answer) = client.post(PODS, pod("p")).await;
        assert!(got.as_u16() == status && answer.to_string().contains(text), "{action}: {got} {answer}");
    }
    client.faults(rule(json!({"kind": "status", "code": 429, "retryAfterSeconds": 2}))).await;
    let answer = client.send(Method::POST, PODS, "application/json", &pod("p")).await.expect("an answer");
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(client.meter().await["open"], 0, "none of these made anything");
    assert_eq!(
        client.post("/_sim/faults", json!([{"action": {"kind": "boom"}}])).await.0,
        StatusCode::BAD_REQUEST
    );
    let counts = client.get("/_sim/requests").await.1;
    let row = counts["counts"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|row| row["route"] == route && row["status"] == 429)
        .cloned();
    assert_eq!(row.map(|row| (row["method"].clone(), row["count"].clone())), Some((json!("POST"), json!(2))));
}

#[tokio::test]
async fn a_lost_answer_did_the_work_once_and_the_meter_is_exact() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let route = "/api/v1/namespaces/{namespace}/pods";
    let lost = json!({"kind": "lostAnswer"});
    client.faults(json!([
        {"method": "POST", "route": route, "probability": 0.4, "seed": 11, "action": lost},
        {"method": "DELETE", "probability": 0.4, "seed": 12, "action": lost},
        {"method": "POST", "route": route, "probability": 0.2, "seed": 13, "action": {"kind": "status", "code": 500}},
    ])).await;
    for i in 0..40 {
        let body = pod(&format!("p-{i}"));
        // Until the cloud says that it is there.
        while !client
            .send(Method::POST, PODS, "application/json", &body)
            .await
            .is_some_and(|a| a.status() == 409 || a.status() == 201)
        {}
    }
    for i in 0..40 {
        let path = format!("{PODS}/p-{i}?gracePeriodSeconds=0");
        while client
            .send(Method::DELETE, &path, "application/json", &Value::Null)
            .await
            .is_none_or(|a| a.status() != 404)
        {}
    }
    let lines = cloud.meter_lines();
    let of = |event: &str| {
        let mut ids: Vec<String> =
            lines.iter().filter(|l| l["event"] == event).map(|l| l["id"].to_string()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(of("open").len(), 40);
    assert_eq!(of("open"), of("close"));
    let mut unique = of("open");
    unique.dedup();
    assert_eq!(unique.len(), 40, "no identity is billed twice");
    let meter = client.meter().await;
    assert_eq!((&meter["open"], &meter["closed"]), (&json!(0), &json!(40)));
}

#[tokio::test]
async fn stock_outs_slow_deletes_and_list_lag() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    client.faults(json!([
        {"bodyContains": "\"short\"", "action": {"kind": "stockOut", "seconds": 60}},
        {"method": "DELETE", "action": {"kind": "slowDelete", "milliseconds": 60000}},
        {"method": "GET", "route": "/api/v1/namespaces/{namespace}/pods", "watch": false, "action": {"kind": "listLag", "milliseconds": 60000}},
    ])).await;
    client.post(PODS, pod("short")).await;
    client.post(PODS, pod("other")).await;
    client.until_phase("other", "Running").await;
    let short = client.until(&format!("{PODS}/short"), |pod| pod["status"]["conditions"].is_array()).await;
    assert_eq!(
        (&short["status"]["phase"], &short["status"]["conditions"][0]["reason"]),
        (&json!("Pending"), &json!("Unschedulable"))
    );
    assert_eq!(client.get(PODS).await.1["items"], json!([]), "the list lags");
    client.delete(&format!("{PODS}/other?gracePeriodSeconds=0")).await;
    client.until(&format!("{PODS}/other"), |pod| pod["metadata"]["deletionTimestamp"].is_string()).await;
    assert_eq!(client.meter().await["open"], 2, "a slow delete bills on");
    client.post("/_sim/clock", json!({"advanceSeconds": 61})).await;
    client.until_gone("other").await;
    client.until_phase("short", "Running").await;
    assert_eq!(client.get(PODS).await.1["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn logs_take_all_options() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    client.post("/_sim/scripts", json!([{"log": ["one", "two", "three"]}])).await;
    let mut body = pod("p");
    body["spec"]["containers"].as_array_mut().expect("containers").push(json!({"name": "d", "image": "i"}));
    client.post(PODS, body).await;
    client.until_phase("p", "Running").await;
    let log = format!("{PODS}/p/log");
    for (query, status, text) in [
        ("container=c", 200, "one\ntwo\nthree\n"),
        ("container=c&tailLines=1", 200, "three\n"),
        ("container=c&tailLines=0", 200, ""),
        ("container=c&limitBytes=5", 200, "one\nt"),
        ("container=c&sinceSeconds=3600", 200, "one\ntwo\nthree\n"),
        ("container=c&sinceTime=2099-01-01T00:00:00Z", 200, ""),
        ("container=c&tailLines=x", 400, "tailLines"),
        ("container=c&previous=true", 400, "previous terminated container"),
        ("container=z", 400, "not valid for pod p"),
        ("", 400, "choose one of: [c d]"),
    ] {
        let (got, answer) = client.get(&format!("{log}?{query}")).await;
        let text_of = if got.is_success() {
            answer.as_str().unwrap_or_default().to_owned()
        } else {
            answer["message"].to_string()
        };
        let good = if got.is_success() { text_of == text } else { text_of.contains(text) };
        assert!(got.as_u16() == status && good, "{query}: {got} {answer}");
    }
    let stamped = client.get(&format!("{log}?container=c&timestamps=true&tailLines=1")).await.1;
    let stamped = stamped.as_str().expect("text").to_owned();
    assert!(
        stamped.ends_with("Z three\n") && stamped.len() == "2026-01-02T03:04:05.000000006Z three\n".len(),
        "{stamped}"
    );
    // Following ends with the container.
    let path = format!("{log}?container=c&follow=true");
    let headers = client.headers(&Method::GET, &path, None, b"");
    let following = client.raw(Method::GET, &path, headers, Vec::new()).await.expect("an answer");
    let read = tokio::spawn(following.into_body().collect());
    client.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await;
    let all = tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .expect("ends")
        .expect("joined")
        .expect("read");
    assert_eq!(all.to_bytes().as_ref(), b"one\ntwo\nthree\n");
    assert_eq!(client.get(&format!("{log}?container=c")).await.0, StatusCode::NOT_FOUND);
    cloud.stop().await;
}

/// A tenth of what the container asks for, while it runs.
#[tokio::test]
async fn metrics_of_pods() {
    let cloud = Cloud::with_namespace(&[]).await;
    let client = &cloud.client;
    let metrics = PODS.replace("/api/v1/", "/apis/metrics.k8s.io/v1beta1/");
    assert_eq!(client.get(&metrics).await.1["items"], json!([]));
    client.post(PODS, pod("p")).await;
    client.until_phase("p", "Running").await;
    let (status, list) = client.get(&metrics).await;
    assert_eq!((status, &list["kind"]), (StatusCode::OK, &json!("PodMetricsList")));
    let item = &list["items"][0];
    assert_eq!(item["metadata"]["name"], "p", "{list}");
    assert!(item["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{item}");
    assert_eq!(item["containers"][0]["usage"]["cpu"], "50000000n", "{item}");
    assert!(
        item["containers"][0]["usage"]["memory"].as_str().is_some_and(|text| text.ends_with("Ki")),
        "{item}"
    );
    let (_, none) = client.get(&format!("{metrics}?labelSelector=app%3Dother")).await;
    assert_eq!(none["items"], json!([]));
    client.post("/_sim/variants", json!({"metrics": false})).await;
    assert_eq!(client.get(&metrics).await.0, StatusCode::NOT_FOUND);
    cloud.stop().await;
}
