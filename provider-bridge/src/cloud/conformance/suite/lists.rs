//! Lists and watches: whole, ours, and nothing in them that is not the pod's.

use super::*;

/// A list that cannot be completed is an error, never a part: what is missing in it would be taken for gone.
pub(super) async fn the_list_is_whole_or_an_error(subject: &dyn Subject) {
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
pub(super) async fn strangers_are_not_listed(subject: &dyn Subject) {
    let provider = subject.provider();
    create(provider, "u-1", "web").await;
    if subject.add_a_strangers_instance() {
        assert_eq!(listed(provider).await, ["u-1"]);
    }
}

/// A watch is a whole list first, between `Restarted` and `Synced`.
pub(super) async fn watching_begins_with_everything(subject: &dyn Subject) {
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

/// A container that the pod itself does not have is a tag, and in no status.
pub(super) async fn hidden_containers_are_in_no_status(subject: &dyn Subject) {
    let provider = subject.provider();
    let mut with_agent = request("u-1", "web");
    let mut object = (*with_agent.object).clone();
    let agent = json!({"name": "agent", "image": "uhub.service.ucloud.cn/shop/agent", "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}}});
    object["spec"]["containers"].as_array_mut().unwrap().push(agent);
    with_agent.object = Arc::new(object);
    with_agent.hidden = vec!["agent".into()];
    let made = provider.create(&with_agent, &HOME).await.unwrap();
    assert!(!made.status.to_string().contains("agent"), "{}", made.status);
    for instance in provider.list().await.unwrap() {
        assert!(!instance.status.to_string().contains("agent"), "{}", instance.status);
    }
}

/// While others come and go, every list has each that stays, and no pod twice.
pub(super) async fn a_list_under_churn_shows_once_what_stays(subject: &dyn Subject) {
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
