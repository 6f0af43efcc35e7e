//! The promises, one function each, and the table of who makes them.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::cloud::InstanceEvent;
use crate::streams::LogOptions;

/// Longer than any step here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every promise over a provider; `$open` makes its [`Subject`].
macro_rules! suite {
    ($($provider:ident: $open:path;)*) => {$(
        mod $provider {
            suite!(@promises $open:
                an_instance_is_told_with_its_identity,
                the_same_uid_is_adopted,
                a_pod_that_was_changed_keeps_its_instance,
                adopted_after_a_restart,
                a_lost_answer_makes_no_second_instance,
                a_successor_of_the_same_name_is_another,
                deletion_is_of_one_incarnation_and_can_be_repeated,
                what_is_gone_can_be_deleted_again,
                the_list_is_whole_or_an_error,
                strangers_are_not_listed,
                watching_begins_with_everything,
                what_cannot_run_is_refused_and_nothing_is_made,
                hidden_containers_are_in_no_status,
                throttling_is_told_with_a_time_to_wait,
                what_is_sold_out_is_told_and_may_be_back,
                an_account_that_cannot_buy_is_no_fault_of_the_pod,
                what_is_taken_away_is_told,
                an_odd_state_ends_nothing,
                logs_are_what_was_said_or_said_not_to_be_had,
                a_list_under_churn_shows_once_what_stays,
                secrets_are_in_no_text,
                the_account_is_named,
            );
        }
    )*};
    (@promises $open:path: $($promise:ident,)*) => {$(
        #[tokio::test]
        async fn $promise() {
            super::$promise(&$open().await).await;
        }
    )*};
}

suite! {
    mock: crate::cloud::conformance::subjects::mock;
    cci: crate::cloud::conformance::subjects::cci;
    cci2: crate::cloud::conformance::subjects::cci2;
    eci: crate::cloud::conformance::subjects::eci;
    cube: crate::cloud::conformance::subjects::cube;
    kubernetes: crate::cloud::conformance::subjects::kubernetes;
    kubernetes_in_one_namespace: crate::cloud::conformance::subjects::kubernetes_in_one_namespace;
}

/// Identity, node and age come back with the instance, and the list says the same.
async fn an_instance_is_told_with_its_identity(subject: &dyn Subject) {
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
async fn the_same_uid_is_adopted(subject: &dyn Subject) {
    let provider = subject.provider();
    let (first, second) = (create(provider, "u-1", "web").await, create(provider, "u-1", "web").await);
    assert_eq!(first.id, second.id);
    assert_eq!(listed(provider).await, ["u-1"]);
}

/// Everything is found again from the cloud alone.
async fn adopted_after_a_restart(subject: &dyn Subject) {
    let first = create(subject.provider(), "u-1", "web").await;
    let Some(provider) = subject.restarted() else { return };
    assert_eq!(listed(provider.as_ref()).await, ["u-1"]);
    assert_eq!(create(provider.as_ref(), "u-1", "web").await.id, first.id);
    assert_eq!(listed(provider.as_ref()).await, ["u-1"]);
}

/// However the create ends, repeating it leads to exactly one instance.
async fn a_lost_answer_makes_no_second_instance(subject: &dyn Subject) {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    if !subject.lose_the_next_answer() {
        return;
    }
    match provider.create(&request("u-1", "web"), &Home).await {
        Ok(instance) => assert_eq!(instance.pod.uid, "u-1"),
        Err(error) => assert!(matches!(error, CloudError::Retryable(_)), "{error:?}"),
    }
    create(provider, "u-1", "web").await;
    assert_eq!(listed(provider).await, ["u-1"]);
}

/// A StatefulSet's next pod has the same name and is another pod, also while the first still ends.
async fn a_successor_of_the_same_name_is_another(subject: &dyn Subject) {
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
async fn deletion_is_of_one_incarnation_and_can_be_repeated(subject: &dyn Subject) {
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
async fn what_is_gone_can_be_deleted_again(subject: &dyn Subject) {
    let provider = subject.provider();
    let instance = create(provider, "u-1", "web").await;
    provider.delete(&instance, 0).await.unwrap();
    subject.finish_deletions().await;
    provider.delete(&instance, 0).await.unwrap();
    assert_eq!(listed(provider).await, [""; 0]);
}

/// A list that cannot be completed is an error, never a part: what is missing in it would be taken for gone.
async fn the_list_is_whole_or_an_error(subject: &dyn Subject) {
    let provider = subject.provider();
    for i in 0..5 {
        create(provider, &format!("u-{i}"), &format!("web-{i}")).await;
    }
    if subject.fail_the_next_list() {
        let error = provider.list().await.unwrap_err();
        assert!(!matches!(error, CloudError::Gone(_) | CloudError::Invalid(_)), "{error:?}");
    }
    assert_eq!(listed(provider).await.len(), 5);
}

/// What another cluster or another virtual node made is none of ours.
async fn strangers_are_not_listed(subject: &dyn Subject) {
    let provider = subject.provider();
    create(provider, "u-1", "web").await;
    if subject.add_a_strangers_instance() {
        assert_eq!(listed(provider).await, ["u-1"]);
    }
}

/// A watch is a whole list first, between `Restarted` and `Synced`.
async fn watching_begins_with_everything(subject: &dyn Subject) {
    let provider = subject.provider();
    for uid in ["u-1", "u-2"] {
        create(provider, uid, uid).await;
    }
    let mut events = provider.watch();
    let mut next = async || timeout(PATIENCE, events.next()).await.expect("an event in time");
    assert!(matches!(next().await, Some(Ok(InstanceEvent::Restarted))));
    let mut seen = Vec::new();
    loop {
        match next().await {
            Some(Ok(InstanceEvent::Changed(instance))) => seen.push(instance.pod.uid),
            Some(Ok(InstanceEvent::Synced)) => break,
            other => panic!("{other:?}"),
        }
    }
    seen.sort();
    assert_eq!(seen, ["u-1", "u-2"]);
}

/// What the support table refuses is refused in words, before anything is made.
async fn what_cannot_run_is_refused_and_nothing_is_made(subject: &dyn Subject) {
    let provider = subject.provider();
    let mut refused = request("u-1", "web");
    let mut object = (*refused.object).clone();
    object["spec"]["hostNetwork"] = json!(true);
    refused.object = Arc::new(object);
    let error = provider.create(&refused, &Home).await.unwrap_err();
    assert!(matches!(&error, CloudError::Invalid(text) if text.contains("spec.hostNetwork")), "{error:?}");
    assert_eq!(listed(provider).await, [""; 0]);
}

/// A container that the pod itself does not have is a tag, and in no status.
async fn hidden_containers_are_in_no_status(subject: &dyn Subject) {
    let provider = subject.provider();
    let mut with_agent = request("u-1", "web");
    let mut object = (*with_agent.object).clone();
    let agent = json!({"name": "agent", "image": "uhub.service.ucloud.cn/shop/agent", "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}}});
    object["spec"]["containers"].as_array_mut().unwrap().push(agent);
    with_agent.object = Arc::new(object);
    with_agent.hidden = vec!["agent".into()];
    let made = provider.create(&with_agent, &Home).await.unwrap();
    assert!(!made.status.to_string().contains("agent"), "{}", made.status);
    for instance in provider.list().await.unwrap() {
        assert!(!instance.status.to_string().contains("agent"), "{}", instance.status);
    }
}

/// The next create is refused as `why`; what the error was, with nothing made, and the try after it succeeds.
async fn refused_once(subject: &dyn Subject, why: Refused) -> Option<CloudError> {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    if !subject.refuse_the_next_create(why) {
        return None;
    }
    let error = provider.create(&request("u-1", "web"), &Home).await.unwrap_err();
    assert_eq!(listed(provider).await, [""; 0], "{error:?}");
    create(provider, "u-1", "web").await;
    assert_eq!(listed(provider).await, ["u-1"]);
    Some(error)
}

/// Too many calls are the caller's business: how long to wait is told, and waiting helps.
async fn throttling_is_told_with_a_time_to_wait(subject: &dyn Subject) {
    let Some(error) = refused_once(subject, Refused::Throttled).await else { return };
    assert!(matches!(&error, CloudError::Throttled { after, .. } if !after.is_zero()), "{error:?}");
}

/// No room moves a pod elsewhere, so it must not look like anything else; later there may be room again.
async fn what_is_sold_out_is_told_and_may_be_back(subject: &dyn Subject) {
    let Some(error) = refused_once(subject, Refused::SoldOut).await else { return };
    assert!(matches!(error, CloudError::Capacity(_)), "{error:?}");
}

/// Arrears are the operator's business: no pod is refused for good, and the account may be in order again.
async fn an_account_that_cannot_buy_is_no_fault_of_the_pod(subject: &dyn Subject) {
    let Some(error) = refused_once(subject, Refused::Account).await else { return };
    assert!(matches!(error, CloudError::Account(_)), "{error:?}");
}

/// An instance that the cloud takes back is gone or has failed; the others are what they were.
async fn what_is_taken_away_is_told(subject: &dyn Subject) {
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

/// No cloud changes a running instance here: whoever edits a running pod gets neither a second instance nor a new one.
async fn a_pod_that_was_changed_keeps_its_instance(subject: &dyn Subject) {
    let provider = subject.provider();
    let made = create(provider, "u-1", "web").await;
    let mut changed = request("u-1", "web");
    let mut object = (*changed.object).clone();
    object["spec"]["containers"][0]["image"] = json!("uhub.service.ucloud.cn/shop/nginx:2");
    object["metadata"]["labels"]["app"] = json!("other");
    changed.object = Arc::new(object);
    let again = provider.create(&changed, &Home).await.unwrap();
    assert_eq!((&again.id, again.created, again.deleting), (&made.id, made.created, false));
    assert_eq!(listed(provider).await, ["u-1"]);
}

/// A word that no document knows means neither that the instance is gone nor how its pod ended.
async fn an_odd_state_ends_nothing(subject: &dyn Subject) {
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

/// A log comes line by line as it was said; where a cloud has none, the answer says so.
async fn logs_are_what_was_said_or_said_not_to_be_had(subject: &dyn Subject) {
    let provider = subject.provider();
    let instance = create(provider, "u-1", "web").await;
    if !provider.capabilities().logs {
        let error = provider.logs(&instance, "app", &LogOptions::default()).await.err().expect("no log");
        assert!(matches!(error, CloudError::Invalid(_)), "{error:?}");
        return;
    }
    if !subject.say(&["one", "two"]) {
        return;
    }
    let mut stream = provider.logs(&instance, "app", &LogOptions::default()).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = timeout(PATIENCE, stream.next()).await.expect("the log ends") {
        text.extend(chunk.unwrap());
    }
    assert_eq!(String::from_utf8(text).unwrap(), "one\ntwo\n");
}

/// While others come and go, every list has each that stays, and no pod twice.
async fn a_list_under_churn_shows_once_what_stays(subject: &dyn Subject) {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    let staying: Vec<String> = (0..3).map(|i| format!("stays-{i}")).collect();
    for uid in &staying {
        create(provider, uid, uid).await;
    }
    let churn = async {
        for i in 0..8 {
            let uid = format!("comes-{i}");
            let instance = create(provider, &uid, &uid).await;
            provider.delete(&instance, 0).await.unwrap();
            subject.finish_deletions().await;
        }
    };
    let look = async {
        for _ in 0..8 {
            let uids = listed(provider).await;
            let mut once = uids.clone();
            once.dedup();
            assert_eq!(uids, once, "a pod is listed twice");
            assert!(staying.iter().all(|uid| uids.contains(uid)), "{uids:?}");
        }
    };
    tokio::join!(churn, look);
    assert_eq!(listed(provider).await, staying);
}

/// Neither the pod's Secrets nor the account's credentials are shown.
async fn secrets_are_in_no_text(subject: &dyn Subject) {
    let provider = subject.provider();
    let made = create(provider, "u-1", "web").await;
    let mut texts = vec![format!("{made:?}")];
    if subject.lose_the_next_answer() {
        let outcome = provider.create(&request("u-2", "web-2"), &Home).await;
        texts.push(outcome.map_or_else(|error| format!("{error:?} {error}"), |made| format!("{made:?}")));
    }
    if subject.fail_the_next_list() {
        texts
            .push(provider.list().await.map_or_else(|error| format!("{error:?} {error}"), |_| String::new()));
    }
    for secret in subject.secrets().into_iter().chain(PASSWORD) {
        assert!(texts.iter().all(|text| !text.contains(secret)), "{secret} in {texts:?}");
    }
}

/// Settings that lead to another listing must be noticed at the next start, by words that hold no secret.
async fn the_account_is_named(subject: &dyn Subject) {
    let named = subject.provider().account();
    let Some(again) = subject.restarted() else { return assert_eq!(named, None) };
    let named = named.unwrap();
    assert_eq!(again.account().as_ref(), Some(&named));
    assert!(named.len() > 10 && named.contains("c-1"), "{named}");
    for secret in subject.secrets() {
        assert!(!named.contains(secret), "{named}");
    }
}
