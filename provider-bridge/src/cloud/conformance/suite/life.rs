//! Instances from their creation to their end: one for each pod, found again, and none taken for another.

use super::*;

/// Identity, node and age come back with the instance, and the list says the same.
pub(super) async fn an_instance_is_told_with_its_identity(subject: &dyn Subject) {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    let made = create(provider, "u-1", "web").await;
    assert_eq!(made.pod, request("u-1", "web").pod);
    assert_eq!((made.node.as_str(), made.deleting), (NODE, false));
    assert!(matches!(made.status["phase"].as_str(), Some("Pending" | "Running")), "{}", made.status);
    assert!(made.status.get("hostIP").is_none(), "the cloud's hosts are its own business: {}", made.status);
    let all = provider.list().await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0].id, &all[0].pod, &all[0].node), (&made.id, &made.pod, &made.node));
    assert!(all[0].created.is_some(), "an age is what orphans are judged by");
}

/// A second create of the same pod returns the instance that there is.
pub(super) async fn the_same_uid_is_adopted(subject: &dyn Subject) {
    let provider = subject.provider();
    let (first, second) = (create(provider, "u-1", "web").await, create(provider, "u-1", "web").await);
    assert_eq!(first.id, second.id);
    assert_eq!(listed(provider).await, ["u-1"]);
}

/// No cloud changes a running instance here: whoever edits a running pod gets neither a second instance nor a new one.
pub(super) async fn a_pod_that_was_changed_keeps_its_instance(subject: &dyn Subject) {
    let provider = subject.provider();
    let made = create(provider, "u-1", "web").await;
    let mut changed = request("u-1", "web");
    let mut object = (*changed.object).clone();
    object["spec"]["containers"][0]["image"] = json!("uhub.service.ucloud.cn/shop/nginx:2");
    object["metadata"]["labels"]["app"] = json!("other");
    changed.object = Arc::new(object);
    let again = provider.create(&changed, &HOME).await.unwrap();
    assert_eq!((&again.id, again.created, again.deleting), (&made.id, made.created, false));
    assert_eq!(listed(provider).await, ["u-1"]);
}

/// Everything is found again from the cloud alone.
pub(super) async fn adopted_after_a_restart(subject: &dyn Subject) {
    let first = create(subject.provider(), "u-1", "web").await;
    let Some(provider) = subject.restarted() else { return };
    assert_eq!(listed(provider.as_ref()).await, ["u-1"]);
    assert_eq!(create(provider.as_ref(), "u-1", "web").await.id, first.id);
    assert_eq!(listed(provider.as_ref()).await, ["u-1"]);
}

/// However the create ends, repeating it leads to exactly one instance.
pub(super) async fn a_lost_answer_makes_no_second_instance(subject: &dyn Subject) {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    if !subject.lose_the_next_answer() {
        return;
    }
    match provider.create(&request("u-1", "web"), &HOME).await {
        Ok(instance) => assert_eq!(instance.pod.uid, "u-1"),
        Err(error) => assert!(matches!(error, CloudError::Retryable(_)), "{error:?}"),
    }
    create(provider, "u-1", "web").await;
    assert_eq!(listed(provider).await, ["u-1"]);
    assert_eq!(subject.most_at_once("u-1"), 1);
}

/// A StatefulSet's next pod has the same name and is another pod, also while the first still ends.
pub(super) async fn a_successor_of_the_same_name_is_another(subject: &dyn Subject) {
    let provider = subject.provider();
    let first = create(provider, "u-1", "db-0").await;
    provider.delete(&first, 1).await.unwrap();
    let second = create(provider, "u-2", "db-0").await;
    assert_ne!(first.id, second.id);
    provider.delete(&first, 1).await.unwrap();
    subject.finish_deletions().await;
    assert_eq!(listed(provider).await, ["u-2"]);
    let all = provider.list().await.unwrap();
    assert!(!all[0].deleting, "the first one's end is not the second one's");
}

/// Deletion shows until it is finished, and asking again is no error.
pub(super) async fn deletion_is_of_one_incarnation_and_can_be_repeated(subject: &dyn Subject) {
    let provider = subject.provider();
    let (first, other) = (create(provider, "u-1", "web").await, create(provider, "u-2", "web-2").await);
    for _ in 0..2 {
        provider.delete(&first, 1).await.unwrap();
    }
    for instance in provider.list().await.unwrap() {
        assert_eq!(instance.deleting, instance.pod.uid == "u-1");
    }
    subject.finish_deletions().await;
    assert_eq!(listed(provider).await, [other.pod.uid]);
}

/// An instance that does not exist any more is deleted already.
pub(super) async fn what_is_gone_can_be_deleted_again(subject: &dyn Subject) {
    let provider = subject.provider();
    let instance = create(provider, "u-1", "web").await;
    provider.delete(&instance, 0).await.unwrap();
    subject.finish_deletions().await;
    provider.delete(&instance, 0).await.unwrap();
    assert_eq!(listed(provider).await, [""; 0]);
}

/// An instance that the cloud takes back is gone or has failed; the others are what they were.
pub(super) async fn what_is_taken_away_is_told(subject: &dyn Subject) {
    let provider = subject.provider();
    create(provider, "u-1", "web-1").await;
    create(provider, "u-2", "web-2").await;
    if !subject.take_away("u-1") {
        return;
    }
    let all = provider.list().await.unwrap();
    let of = |uid: &str| all.iter().find(|instance| instance.pod.uid == uid);
    let failed = |instance: &Instance| instance.status["phase"] == "Failed";
    assert!(of("u-1").is_none_or(failed), "{all:?}");
    assert!(of("u-2").is_some_and(|instance| !failed(instance) && !instance.deleting), "{all:?}");
}

/// A word that no document knows means neither that the instance is gone nor how its pod ended.
pub(super) async fn an_odd_state_ends_nothing(subject: &dyn Subject) {
    let provider = subject.provider();
    create(provider, "u-1", "web-1").await;
    create(provider, "u-2", "web-2").await;
    if !subject.show_oddly("u-1") {
        return;
    }
    let all = provider.list().await.unwrap();
    let odd = all.iter().find(|instance| instance.pod.uid == "u-1").expect("listed as before");
    assert!(!odd.deleting, "{odd:?}");
    let phase = odd.status["phase"].as_str();
    assert!(!matches!(phase, Some("Succeeded" | "Failed")), "{odd:?}");
    assert!(all.iter().any(|instance| instance.pod.uid == "u-2"), "{all:?}");
}

/// Settings that lead to another listing must be noticed at the next start, by words that hold no secret.
pub(super) async fn the_account_is_named(subject: &dyn Subject) {
    let named = subject.provider().account();
    let Some(again) = subject.restarted() else { return assert_eq!(named, None) };
    let named = named.unwrap();
    assert_eq!(again.account().as_ref(), Some(&named));
    assert!(named.len() > 10 && named.contains("c-1"), "{named}");
    for secret in subject.secrets() {
        assert!(!named.contains(secret), "{named}");
    }
}

/// How often a container was started and why it ended are the owner's to see; the instance is the same one.
pub(super) async fn a_container_that_restarts_is_told(subject: &dyn Subject) {
    let provider = subject.provider();
    let made = create(provider, "u-1", "web").await;
    if !subject.restart_the_container("u-1") {
        return;
    }
    let all = provider.list().await.unwrap();
    let [instance] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&instance.id, instance.deleting), (&made.id, false));
    let status = &instance.status;
    assert_eq!(status["phase"], "Running", "{status}");
    let app = &status["containerStatuses"][0];
    assert_eq!((&app["name"], &app["restartCount"]), (&json!("app"), &json!(1)), "{status}");
    let ends = ["state", "lastState"].map(|field| &app[field]["terminated"]["reason"]);
    assert!(ends.contains(&&json!("OOMKilled")), "{status}");
}
