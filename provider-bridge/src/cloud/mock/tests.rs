//! The mock as the bridge sees it, with paused time: adoption, the order of what is watched, whole lists for laggards.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::{Value, json};

use super::*;
use crate::cloud::PodIdentity;

const SECOND: Duration = Duration::from_secs(1);

struct Nothing;

#[async_trait]
impl Resolve for Nothing {
    async fn config_map(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }
    async fn secret(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }
    async fn services(&self, _: &str) -> Result<Vec<Value>, CloudError> {
        Ok(Vec::new())
    }
}

fn mock() -> MockProvider {
    MockProvider::new(MockSettings { start_delay: 2 * SECOND, stop_delay: SECOND })
}

fn request(uid: &str, more: &Value) -> CreateRequest {
    let mut object = json!({"metadata": {"uid": uid}, "spec": {
        "initContainers": [{"name": "init", "image": "x"}],
        "containers": [{"name": "main", "image": "x", "resources": {"limits": {"cpu": "2", "nvidia.com/gpu": "1"}}}],
    }});
    let more = more.as_object().cloned().unwrap_or_default();
    object["spec"].as_object_mut().unwrap().extend(more);
    CreateRequest {
        pod: PodIdentity { uid: uid.into(), namespace: "shop".into(), name: format!("pod-{uid}") },
        node: "burst-mock-0".into(),
        object: Arc::new(object),
        labels: [].into(),
        annotations: [].into(),
        hidden: Vec::new(),
        needs_grant: false,
    }
}

async fn create(mock: &MockProvider, uid: &str) -> Instance {
    mock.create(&request(uid, &json!({})), &Nothing).await.unwrap()
}

/// The next event as a word.
async fn next(watch: &mut BoxStream<'static, Result<InstanceEvent, CloudError>>) -> String {
    let word = |word: &str, i: &Instance| {
        let phase = i.status["phase"].as_str().unwrap_or_default();
        format!("{word} {} {phase}{}", i.pod.uid, if i.deleting { " deleting" } else { "" })
    };
    match watch.next().await.unwrap().unwrap() {
        InstanceEvent::Restarted => "restarted".to_owned(),
        InstanceEvent::Changed(instance) => word("changed", &instance),
        InstanceEvent::Gone(instance) => word("gone", &instance),
        InstanceEvent::Synced => "synced".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_from_a_whole_list_to_its_end() {
    let mock = mock();
    let mut watch = mock.watch();
    assert_eq!([next(&mut watch).await, next(&mut watch).await], ["restarted", "synced"]);
    let begun = tokio::time::Instant::now();
    let instance = create(&mock, "a").await;
    assert_eq!(next(&mut watch).await, "changed a Pending");
    assert_eq!(next(&mut watch).await, "changed a Running");
    assert_eq!(begun.elapsed().as_secs(), 2);
    mock.delete(&instance, 30).await.unwrap();
    mock.delete(&instance, 30).await.unwrap();
    assert_eq!(next(&mut watch).await, "changed a Running deleting");
    assert_eq!(next(&mut watch).await, "gone a Succeeded deleting");
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert!(mock.list().await.unwrap().is_empty());
    mock.delete(&instance, 30).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_same_uid_is_adopted_and_another_is_another() {
    let mock = mock();
    let first = create(&mock, "a").await;
    tokio::time::sleep(3 * SECOND).await;
    let again = create(&mock, "a").await;
    assert_eq!((again.id, again.created), (first.id, first.created));
    assert_eq!(again.status["phase"], "Running");
    let other = create(&mock, "b").await;
    assert_ne!(other.pod, first.pod);
    assert_eq!(mock.list().await.unwrap().len(), 2);
    assert_eq!((first.billed.cpu_milli, first.billed.gpu), (2000, 1));
    let mut watch = mock.watch();
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(next(&mut watch).await);
    }
    assert_eq!(said, ["restarted", "changed a Running", "changed b Pending", "synced"]);
}

#[tokio::test(start_paused = true)]
async fn running_is_a_whole_status_with_an_address_of_its_own() {
    let mock = mock();
    for uid in ["a", "b"] {
        create(&mock, uid).await;
    }
    tokio::time::sleep(3 * SECOND).await;
    let all = mock.list().await.unwrap();
    let status = &all[0].status;
    assert_eq!(status["containerStatuses"][0]["ready"], true);
    assert!(status["containerStatuses"][0]["state"]["running"]["startedAt"].is_string(), "{status}");
    assert_eq!(status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert!(status["conditions"].as_array().unwrap().iter().all(|c| c["status"] == "True"), "{status}");
    assert_ne!(all[0].status["podIP"], all[1].status["podIP"]);
}

#[tokio::test(start_paused = true)]
async fn deleted_before_it_ran_it_never_runs() {
    let mock = mock();
    let instance = create(&mock, "a").await;
    let mut watch = mock.watch();
    mock.delete(&instance, 0).await.unwrap();
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(next(&mut watch).await);
    }
    assert_eq!(
        said,
        ["restarted", "changed a Pending", "synced", "changed a Pending deleting", "gone a Pending deleting"]
    );
}

/// Guards the trait's promise: a gap in the changes is closed by a new list.
#[tokio::test(start_paused = true)]
async fn who_falls_behind_gets_a_whole_list() {
    let mock = MockProvider::new(MockSettings::default());
    let mut watch = mock.watch();
    assert_eq!([next(&mut watch).await, next(&mut watch).await], ["restarted", "synced"]);
    for i in 0..3000 {
        create(&mock, &format!("u{i:04}")).await;
    }
    assert_eq!(next(&mut watch).await, "restarted");
    let mut listed = 0;
    while next(&mut watch).await != "synced" {
        listed += 1;
    }
    assert_eq!(listed, 3000);
}

#[tokio::test]
async fn what_belongs_to_a_host_is_refused() {
    let refused = mock().create(&request("a", &json!({"hostNetwork": true})), &Nothing).await;
    assert!(
        matches!(&refused, Err(CloudError::Invalid(text)) if text.contains("spec.hostNetwork")),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_has_one_line_and_follow_ends_with_the_instance() {
    let mock = mock();
    let instance = create(&mock, "a").await;
    let early = mock.logs(&instance, "main", &LogOptions::default()).await.err();
    assert!(
        matches!(&early, Some(CloudError::Invalid(text)) if text.contains("waiting to start")),
        "{early:?}"
    );
    tokio::time::sleep(3 * SECOND).await;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut log = mock.logs(&instance, "main", &options).await.unwrap();
    let line = log.next().await.unwrap().unwrap();
    assert_eq!(line, "mock: nothing runs here; container main of pod shop/pod-a\n");
    assert!(tokio::time::timeout(SECOND, log.next()).await.is_err(), "nothing more, and not the end");
    mock.delete(&instance, 0).await.unwrap();
    assert!(log.next().await.is_none());
    assert!(mock.logs(&instance, "main", &options).await.is_err());
    let previous = LogOptions { previous: true, ..LogOptions::default() };
    assert!(mock.logs(&create(&mock, "b").await, "main", &previous).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn hidden_containers_count_and_are_not_seen() {
    let mock = mock();
    let agent = json!({"name": "agent-ship", "image": "x", "resources": {"limits": {"cpu": "1"}}});
    let main = json!({"name": "main", "image": "x", "resources": {"limits": {"cpu": "2"}}});
    let mut request = request("a", &json!({"containers": [main, agent]}));
    request.hidden = vec!["agent-ship".into()];
    let instance = mock.create(&request, &Nothing).await.unwrap();
    assert_eq!(instance.billed.cpu_milli, 3000);
    let names = |i: &Instance| i.status["containerStatuses"].as_array().map(Vec::len);
    assert_eq!(names(&instance), Some(1), "{}", instance.status);
    tokio::time::sleep(3 * SECOND).await;
    let running = &mock.list().await.unwrap()[0];
    assert_eq!((running.status["phase"].as_str(), names(running)), (Some("Running"), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn what_runs_uses_a_little() {
    let mock = mock();
    let instance = create(&mock, "a").await;
    let usage = async || mock.usage(std::slice::from_ref(&instance)).await.unwrap();
    assert!(usage().await.is_empty(), "it has not started");
    tokio::time::sleep(3 * SECOND).await;
    let [used] = &usage().await[..] else { panic!("one pod") };
    let names: Vec<&str> = used.containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!((used.pod_uid.as_str(), names), ("a", vec!["main"]));
    assert_eq!(used.containers[0].nano_cores, Some(10_000_000));
    mock.delete(&instance, 0).await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert!(usage().await.is_empty());
}
