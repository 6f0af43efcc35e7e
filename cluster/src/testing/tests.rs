use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams,
};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::*;

fn pods(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), "shop")
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not an answer: {other}"),
    }
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}})
}

fn typed(value: Value) -> Pod {
    serde_json::from_value(value).expect("a pod")
}

#[tokio::test]
async fn create_read_replace_and_generated_names() {
    let api = FakeApi::new();
    let pods = pods(&api.client());
    let made = pods.create(&PostParams::default(), &typed(pod("a"))).await.expect("creates");
    assert!(made.uid().is_some() && made.resource_version().is_some() && made.creation_timestamp().is_some());
    assert_eq!(code(&pods.create(&PostParams::default(), &typed(pod("a"))).await.expect_err("exists")), 409);
    let generated = typed(json!({"metadata": {"generateName": "web-"}, "spec": {"containers": []}}));
    let generated = pods.create(&PostParams::default(), &generated).await.expect("creates");
    assert!(generated.name_any().starts_with("web-"));
    let mut stale = made.clone();
    stale.labels_mut().insert("x".to_owned(), "1".to_owned());
    pods.replace("a", &PostParams::default(), &stale).await.expect("replaces");
    assert_eq!(
        code(&pods.replace("a", &PostParams::default(), &stale).await.expect_err("stale version")),
        409
    );
    assert_eq!(code(&pods.get("none").await.expect_err("missing")), 404);
}

#[tokio::test]
async fn status_is_a_subresource() {
    let api = FakeApi::new();
    let client = api.client();
    api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"podCIDR": "x"}}));
    let nodes: Api<Node> = Api::all(client);
    let both = json!({"spec": {"podCIDR": "y"}, "status": {"phase": "Z"}});
    nodes.patch_status("n", &PatchParams::default(), &Patch::Strategic(&both)).await.expect("patches");
    let node = api.get("v1", "nodes", "", "n").expect("exists");
    assert_eq!((&node["spec"]["podCIDR"], &node["status"]["phase"]), (&json!("x"), &json!("Z")));
    let both = json!({"spec": {"podCIDR": "y"}, "status": {"phase": "A"}});
    nodes.patch("n", &PatchParams::default(), &Patch::Merge(&both)).await.expect("patches");
    let node = api.get("v1", "nodes", "", "n").expect("exists");
    assert_eq!((&node["spec"]["podCIDR"], &node["status"]["phase"]), (&json!("y"), &json!("Z")));
    let version = node["metadata"]["resourceVersion"].clone();
    nodes.patch("n", &PatchParams::default(), &Patch::Merge(&both)).await.expect("patches");
    let again = api.get("v1", "nodes", "", "n").expect("exists");
    assert_eq!(
        again["metadata"]["resourceVersion"], version,
        "a patch that changes nothing makes no version"
    );
}

#[tokio::test]
async fn graceful_deletion_of_pods() {
    let api = FakeApi::new();
    let pods = pods(&api.client());
    let bound = |name: &str, phase: &str| {
        let mut pod = pod(name);
        pod["spec"] = json!({"nodeName": "n", "terminationGracePeriodSeconds": 9});
        pod["status"] = json!({"phase": phase});
        api.put(pod);
    };
    api.put(pod("pending"));
    bound("running", "Running");
    bound("finished", "Succeeded");
    for (name, stays) in [("pending", false), ("running", true), ("finished", false)] {
        pods.delete(name, &DeleteParams::default()).await.expect("deletes");
        assert_eq!(api.pod("shop", name).is_some(), stays, "{name}");
    }
    let running = api.pod("shop", "running").expect("stays");
    assert_eq!(running["metadata"]["deletionGracePeriodSeconds"], json!(9));
    let wrong = Preconditions { uid: Some("other".to_owned()), ..Preconditions::default() };
    let wrong =
        DeleteParams { grace_period_seconds: Some(0), preconditions: Some(wrong), ..DeleteParams::default() };
    assert_eq!(code(&pods.delete("running", &wrong).await.expect_err("other UID")), 409);
    pods.delete("running", &DeleteParams::default().grace_period(0)).await.expect("deletes");
    assert!(api.pod("shop", "running").is_none());
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let api = FakeApi::new();
    let client = api.client();
    api.put(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["x/y"]}}),
    );
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    maps.delete("c", &DeleteParams::default()).await.expect("accepts");
    assert!(api.get("v1", "configmaps", "default", "c").is_some());
    let none = json!({"metadata": {"finalizers": null}});
    maps.patch("c", &PatchParams::default(), &Patch::Merge(&none)).await.expect("patches");
    assert!(api.get("v1", "configmaps", "default", "c").is_none());
}

#[tokio::test]
async fn lists_are_paged_and_selected() {
    let api = FakeApi::new();
    for i in 0..5 {
        let mut pod = pod(&format!("p{i}"));
        pod["metadata"]["labels"] = json!({"odd": (i % 2 == 1).to_string()});
        pod["spec"] = json!({"nodeName": format!("n{i}")});
        api.put(pod);
    }
    let pods = pods(&api.client());
    let first = pods.list(&ListParams::default().limit(3)).await.expect("lists");
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (3, Some(2)));
    let token = first.metadata.continue_.expect("more");
    let rest = pods.list(&ListParams::default().limit(3).continue_token(&token)).await.expect("lists");
    assert_eq!((rest.items.len(), rest.metadata.continue_), (2, None));
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    let odd = pods.list(&ListParams::default().labels("odd=true")).await.expect("lists");
    assert_eq!(odd.items.len(), 2);
    let one = pods.list(&ListParams::default().fields("spec.nodeName=n2")).await.expect("lists");
    assert_eq!(one.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["p2"]);
    let metadata = pods.list_metadata(&ListParams::default()).await.expect("lists");
    assert_eq!(metadata.items.len(), 5);
}

fn seen(event: &WatchEvent<Pod>) -> String {
    match event {
        WatchEvent::Added(pod) => format!("added {}", pod.name_any()),
        WatchEvent::Modified(pod) => format!("modified {}", pod.name_any()),
        WatchEvent::Deleted(pod) => format!("deleted {}", pod.name_any()),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => format!("error {}", status.code),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_replays_follows_the_selection_and_ends_in_time() {
    let api = FakeApi::new();
    let before = api.put(pod("a"))["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let on = |name: &str, node: &str| {
        let mut pod = pod(name);
        pod["spec"] = json!({"nodeName": node});
        api.put(pod);
    };
    on("b", "n");
    let params = WatchParams::default().fields("spec.nodeName=n").timeout(100);
    let pods = pods(&api.client());
    let stream = pods.watch(&params, &before).await.expect("watches");
    on("a", "n");
    on("a", "n");
    on("a", "other");
    api.remove("v1", "pods", "shop", "b");
    let started = tokio::time::Instant::now();
    let events: Vec<String> = stream.map_ok(|event| seen(&event)).try_collect().await.expect("events");
    assert_eq!(events, ["added b", "added a", "modified a", "deleted a", "deleted b", "bookmark"]);
    assert_eq!(started.elapsed().as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_gets_410() {
    let api = FakeApi::new();
    let version = api.put(pod("a"))["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let pods = pods(&api.client());
    let params = WatchParams::default();
    let open = pods.watch(&params, &version).await.expect("watches");
    api.expire();
    let events: Vec<String> = open.map_ok(|event| seen(&event)).try_collect().await.expect("events");
    assert_eq!(events, ["error 410"]);
    let again = pods.watch(&params, &version).await.expect("watches");
    let events: Vec<String> = again.map_ok(|event| seen(&event)).try_collect().await.expect("events");
    assert_eq!(events, ["error 410"]);
    let listed = pods.list(&ListParams::default()).await.expect("lists");
    let version = listed.metadata.resource_version.expect("a version");
    let mut fresh = pods.watch(&params, &version).await.expect("watches").boxed();
    api.put(pod("b"));
    assert_eq!(fresh.next().await.and_then(Result::ok).map(|e| seen(&e)), Some("added b".to_owned()));
    assert_eq!(api.open_watches(), 1);
}

#[tokio::test(start_paused = true)]
async fn faults_and_the_record() {
    let api = FakeApi::new();
    api.put(pod("a"));
    let pods = pods(&api.client());
    api.fault(Fault::status(503).on("GET", "/pods/a").times(1));
    api.fault(Fault::delay(Duration::from_secs(5)).on("GET", "/pods/a").times(1));
    assert_eq!(code(&pods.get("a").await.expect_err("fault")), 503);
    let started = tokio::time::Instant::now();
    pods.get("a").await.expect("slow");
    assert_eq!(started.elapsed().as_secs(), 5);
    pods.get("a").await.expect("used up");
    api.fault(Fault::lost_answer().on("DELETE", ""));
    pods.delete("a", &DeleteParams::default()).await.expect_err("lost");
    assert!(api.pod("shop", "a").is_none(), "it was done all the same");
    let record: Vec<(String, u16)> = api.requests().into_iter().map(|r| (r.method, r.status)).collect();
    let want = [("GET", 503), ("GET", 200), ("GET", 200), ("DELETE", 0)];
    assert_eq!(record, want.map(|(method, status)| (method.to_owned(), status)));
    assert_eq!(api.requests_of("GET", "/pods/a").len(), 3);
}

#[tokio::test]
async fn reviews_bindings_tokens_and_discovery() {
    let api = FakeApi::new();
    api.put(pod("a"));
    api.set_token("secret", TokenUser { name: "eve".to_owned(), groups: vec!["g".to_owned()] });
    api.set_access(|query| query.user == "eve" && query.verb == "get" && query.subresource == "log");
    let client = api.client();
    let post = |path: &str, body: Value| {
        let request = http::Request::post(path).body(body.to_string().into_bytes()).expect("a request");
        client.request::<Value>(request)
    };
    let review = json!({"spec": {"token": "secret"}});
    let answer = post("/apis/authentication.k8s.io/v1/tokenreviews", review).await.expect("answers");
    assert_eq!(answer["status"]["user"]["username"], json!("eve"));
    for (verb, allowed) in [("get", true), ("create", false)] {
        let attributes = json!({"verb": verb, "resource": "nodes", "subresource": "log"});
        let review = json!({"spec": {"user": "eve", "resourceAttributes": attributes}});
        let answer =
            post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review).await.expect("answers");
        assert_eq!(answer["status"]["allowed"], json!(allowed), "{verb}");
    }
    let binding = json!({"target": {"kind": "Node", "name": "n"}});
    post("/api/v1/namespaces/shop/pods/a/binding", binding).await.expect("binds");
    assert_eq!(api.pod("shop", "a").map(|p| p["spec"]["nodeName"].clone()), Some(json!("n")));
    let token =
        post("/api/v1/namespaces/shop/serviceaccounts/sa/token", json!({"spec": {}})).await.expect("answers");
    assert_eq!(token["status"]["token"], json!("token-of-shop-sa"));
    let kinds = client.list_api_group_resources("apps/v1").await.expect("answers");
    assert!(
        kinds.resources.iter().any(|r| r.kind == "ReplicaSet" && r.name == "replicasets" && r.namespaced)
    );
}

#[tokio::test]
async fn an_apply_creates_and_a_collection_is_deleted() {
    let api = FakeApi::new();
    let maps: Api<ConfigMap> = Api::namespaced(api.client(), "shop");
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}});
    for _ in 0..2 {
        maps.patch("c", &PatchParams::apply("test"), &Patch::Apply(&body)).await.expect("applies");
    }
    assert_eq!(api.list("v1", "configmaps").len(), 1);
    maps.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("deletes");
    assert!(api.list("v1", "configmaps").is_empty());
}
