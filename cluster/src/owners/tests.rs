use serde_json::{Value, json};

use super::*;
use crate::testing::{FakeApi, Fault};

const SECOND: Duration = Duration::from_secs(1);

fn object(version: &str, kind: &str, name: &str, owner: Option<(&str, &str, &str)>) -> Value {
    let owner = owner.map(|(version, kind, name)| {
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": format!("uid-{name}"), "controller": true})
    });
    json!({
        "apiVersion": version, "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "labels": {"of": name},
            "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
    })
}

fn reference(version: &str, kind: &str, name: &str) -> OwnerRef {
    OwnerRef {
        api_version: version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: format!("uid-{name}").into(),
    }
}

fn start(api: &FakeApi) -> OwnerResolver {
    OwnerResolver::start(api.client(), CancellationToken::new(), &TaskTracker::new())
}

fn words(chain: &[Owner]) -> Vec<String> {
    chain
        .iter()
        .map(|o| format!("{}/{} {}", o.kind, o.name, o.labels.get("of").map_or("", String::as_str)))
        .collect()
}

#[tokio::test]
async fn chains_of_built_in_and_other_kinds() {
    let api = FakeApi::new();
    api.register("apps.example/v1", "Rollout", "rollouts", true);
    api.register("apps.example/v1", "Fleet", "fleets", false);
    api.put(object("apps/v1", "Deployment", "web", None));
    api.put(object("apps/v1", "ReplicaSet", "web-1", Some(("apps/v1", "Deployment", "web"))));
    api.put(object("batch/v1", "CronJob", "night", None));
    api.put(object("batch/v1", "Job", "night-1", Some(("batch/v1", "CronJob", "night"))));
    api.put(object("apps.example/v1", "Fleet", "all", None));
    api.put(object("apps.example/v1", "Rollout", "canary", Some(("apps.example/v1", "Fleet", "all"))));
    api.put(object("apps/v1", "ReplicaSet", "orphan", Some(("apps/v1", "Deployment", "none"))));
    let resolver = start(&api);
    let check = async |owner: OwnerRef, want: &[&str]| {
        let chain = resolver.resolve("shop", &owner, SECOND).await.expect("resolves");
        assert_eq!(words(&chain), want);
    };
    check(reference("apps/v1", "ReplicaSet", "web-1"), &["ReplicaSet/web-1 web-1", "Deployment/web web"])
        .await;
    check(reference("batch/v1", "Job", "night-1"), &["Job/night-1 night-1", "CronJob/night night"]).await;
    check(reference("apps.example/v1", "Rollout", "canary"), &["Rollout/canary canary", "Fleet/all all"])
        .await;
    check(reference("apps/v1", "ReplicaSet", "orphan"), &["ReplicaSet/orphan orphan"]).await;
    check(reference("apps/v1", "ReplicaSet", "missing"), &[]).await;
    check(reference("nowhere.example/v1", "Thing", "x"), &[]).await;
    check(reference("v1", "Node", "n"), &[]).await;
    let renamed = OwnerRef { uid: "uid-older".into(), ..reference("apps/v1", "Deployment", "web") };
    check(renamed, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn one_read_serves_many_and_labels_are_read_again_in_time() {
    let api = FakeApi::new();
    api.put(object("apps/v1", "StatefulSet", "db", None));
    let resolver = start(&api);
    let owner = reference("apps/v1", "StatefulSet", "db");
    let many = (0..100).map(|_| resolver.resolve("shop", &owner, SECOND));
    for chain in futures::future::join_all(many).await {
        assert_eq!(words(&chain.expect("resolves")), ["StatefulSet/db db"]);
    }
    assert_eq!(api.requests_of("GET", "/statefulsets/db").len(), 1);
    let mut relabelled = object("apps/v1", "StatefulSet", "db", None);
    relabelled["metadata"]["labels"] = json!({"of": "new"});
    api.put(relabelled);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let chain = resolver.resolve("shop", &owner, SECOND).await.expect("resolves");
    assert_eq!(words(&chain), ["StatefulSet/db new"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_sees_what_its_deployment_says_now() {
    let api = FakeApi::new();
    let set = |name| object("apps/v1", "ReplicaSet", name, Some(("apps/v1", "Deployment", "web")));
    api.put(object("apps/v1", "Deployment", "web", None));
    api.put(set("web-1"));
    let resolver = start(&api);
    let resolve = async |name| {
        let owner = reference("apps/v1", "ReplicaSet", name);
        words(&resolver.resolve("shop", &owner, SECOND).await.expect("resolves"))
    };
    assert_eq!(resolve("web-1").await, ["ReplicaSet/web-1 web-1", "Deployment/web web"]);
    let mut relabelled = object("apps/v1", "Deployment", "web", None);
    relabelled["metadata"]["labels"] = json!({"of": "new"});
    api.put(relabelled);
    api.put(set("web-2"));
    assert_eq!(resolve("web-2").await, ["ReplicaSet/web-2 web-2", "Deployment/web new"]);
    assert_eq!(resolve("web-1").await, ["ReplicaSet/web-1 web-1", "Deployment/web new"]);
    assert_eq!(api.requests_of("GET", "/deployments/web").len(), 2, "and it is kept from then on");
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_not_remembered() {
    let api = FakeApi::new();
    api.put(object("apps/v1", "StatefulSet", "db", None));
    let resolver = start(&api);
    let owner = reference("apps/v1", "StatefulSet", "db");
    api.fault(Fault::status(403).on("GET", "/statefulsets/").times(1));
    let error = resolver.resolve("shop", &owner, SECOND).await.expect_err("forbidden");
    assert!(matches!(&error, OwnerError::Read { message, .. } if message.starts_with("403")), "{error}");
    api.fault(Fault::delay(Duration::from_secs(5)).on("GET", "/statefulsets/").times(1));
    let error = resolver.resolve("shop", &owner, SECOND).await.expect_err("slow");
    assert_eq!(error, OwnerError::Deadline { owner: "StatefulSet shop/db".to_owned(), deadline: SECOND });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(resolver.resolve("shop", &owner, SECOND).await.map(|chain| chain.len()), Ok(1));
}

#[tokio::test]
async fn an_owner_of_another_kind_that_may_not_be_read_ends_the_chain() {
    let api = FakeApi::new();
    api.register("apps.example/v1", "Rollout", "rollouts", true);
    api.put(object("apps.example/v1", "Rollout", "canary", None));
    api.put(object("apps/v1", "ReplicaSet", "canary-1", Some(("apps.example/v1", "Rollout", "canary"))));
    api.fault(Fault::status(403).on("GET", "/rollouts/"));
    let resolver = start(&api);
    let chain = resolver.resolve("shop", &reference("apps/v1", "ReplicaSet", "canary-1"), SECOND).await;
    assert_eq!(chain.map(|chain| words(&chain)), Ok(vec!["ReplicaSet/canary-1 canary-1".to_owned()]));
}

#[tokio::test]
async fn a_stopped_task_is_told() {
    let api = FakeApi::new();
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    let resolver = OwnerResolver::start(api.client(), cancel.clone(), &tracker);
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
    let error =
        resolver.resolve("shop", &reference("apps/v1", "Job", "x"), SECOND).await.expect_err("stopped");
    assert!(matches!(error, OwnerError::Unavailable { .. }), "{error}");
}
