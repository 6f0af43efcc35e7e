//! Governed pods: nothing without a grant, everything at once with one, and answers to grants that are taken back.

use std::sync::Arc;

use policies::burst_policy::{BurstPolicySpec, PolicyObject};
use policies::keys;
use policies::ledger::{Grant, GrantState, Released};

use super::cloud::Fake;
use super::*;
use crate::cloud::{CreateRequest, PodIdentity};
use crate::pods::calls::Calls;
use crate::pods::permits::tests::{grant, permits, stored};
use crate::pods::table::{Answer, Work};

const POLICY: &str = "BurstPolicy/shop/web";

fn governed(name: &str, uid: &str) -> Value {
    let mut pod = pod(name, uid);
    pod["metadata"]["labels"] = json!({ keys::GOVERNED: "true" });
    pod["metadata"]["annotations"] = json!({ keys::BURST_POLICY: POLICY });
    pod
}

impl Rig {
    fn grants(&self, grants: Vec<(&str, Grant)>) {
        let permits = permits(&[stored(grants)]);
        self.ground.send_modify(|ground| {
            *ground = Arc::new(Ground { permits: permits.clone(), ..(**ground).clone() });
        });
    }

    fn released(&self) -> Vec<Released> {
        self.report.borrow().as_ref().map(|report| report.released.clone()).unwrap_or_default()
    }

    fn materialised(&self, name: &str) -> Option<String> {
        let pod = self.api.pod("shop", name)?;
        Some(condition(&pod, crate::pods::status::CONDITION_MATERIALISED)?["reason"].as_str()?.to_owned())
    }
}

fn closing(node: Option<&str>) -> Grant {
    grant(|g| (g.state, g.node) = (GrantState::Closing, node.map(str::to_owned)))
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_a_grant_is_held_visibly_and_created_when_the_grant_comes() {
    let rig = Rig::new();
    rig.grants(vec![("other", grant(|_| {}))]);
    rig.api.put(governed("web", "u1"));
    rig.api.put(pod("free", "u2"));
    rig.running("free").await;
    eventually("told", || rig.materialised("web").as_deref() == Some("AwaitingGrant")).await;
    after(600).await;
    assert_eq!(rig.cloud.lock().creates, ["u2"]);
    assert_eq!(rig.events_of("web"), ["AwaitingGrant"], "once");
    rig.grants(vec![("u1", grant(|g| g.nodes = vec!["another-node".to_owned()]))]);
    after(60).await;
    assert_eq!(rig.cloud.lock().creates, ["u2"], "a grant for another node");
    let before = tokio::time::Instant::now();
    rig.grants(vec![("u1", grant(|_| {}))]);
    eventually("sent", || rig.cloud.lock().creates.len() == 2).await;
    assert!(before.elapsed() < Duration::from_millis(100));
    rig.running("web").await;
    assert_eq!(rig.materialised("web").as_deref(), Some("Created"));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_comes_a_moment_later_is_not_told_as_missing() {
    let rig = Rig::new();
    rig.grants(vec![]);
    rig.api.put(governed("web", "u1"));
    after(1).await;
    rig.grants(vec![("u1", grant(|_| {}))]);
    rig.running("web").await;
    assert_eq!(rig.events_of("web"), ["ProviderCreateSuccess"]);
    assert_eq!(rig.api.requests_of("PATCH", "/pods/web/status").len(), 1, "no write about the wait");
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_never_stopped_by_a_ledger() {
    let rig = Rig::new();
    rig.grants(vec![("u1", grant(|_| {}))]);
    rig.api.put(governed("web", "u1"));
    rig.running("web").await;
    rig.grants(vec![]);
    after(600).await;
    rig.grants(vec![("u1", closing(Some(NODE)))]);
    after(600).await;
    assert_eq!((rig.phase("web").as_str(), rig.instances()), ("Running", 1));
    assert_eq!(rig.released(), [], "it has an instance");
}

#[tokio::test(start_paused = true)]
async fn a_closing_grant_is_answered_after_a_list_that_began_later() {
    let rig = Rig::new();
    rig.api.put(pod("seen", "u0"));
    rig.running("seen").await;
    // An instance that the watch never told of: only a list shows it.
    let pod = PodIdentity { uid: "hidden".into(), namespace: "shop".into(), name: "hidden".into() };
    let hidden =
        Fake { pod, node: NODE.into(), phase: "Running", deleting: false, restarts: 0, unplaced: false };
    rig.cloud.lock().instances.insert("hidden".into(), hidden);
    rig.grants(vec![
        ("gone", closing(Some(NODE))),
        ("nowhere", closing(None)),
        ("elsewhere", closing(Some("burst-b"))),
        ("hidden", closing(None)),
        ("open", grant(|_| {})),
    ]);
    after(2).await;
    assert_eq!(rig.released(), [], "the cloud's list may lag three seconds");
    let answer = |uid: &str| Released { uid: uid.to_owned(), serial: 1 };
    eventually("answered", || rig.released() == [answer("gone"), answer("nowhere")]).await;
    // The grant is closed and opened anew: the old answer is withdrawn.
    rig.grants(vec![("gone", grant(|g| g.serial = 2))]);
    eventually("withdrawn", || rig.released().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_force_deleted_pods_grant_is_answered_when_its_instance_is_gone() {
    let cloud = FakeCloud::slow(Duration::from_millis(200), Duration::from_secs(25));
    let rig = Rig::with(FakeApi::new(), cloud);
    rig.grants(vec![("u1", grant(|_| {}))]);
    rig.api.put(governed("web", "u1"));
    rig.running("web").await;
    rig.api.remove("v1", "pods", "shop", "web");
    rig.grants(vec![("u1", closing(Some(NODE)))]);
    after(20).await;
    assert_eq!((rig.instances(), rig.released()), (1, vec![]), "still stopping");
    eventually("answered", || rig.released().len() == 1).await;
    assert_eq!(rig.instances(), 0);
}

/// The table said create, the ledger said no before the call: nothing is sent.
#[tokio::test(start_paused = true)]
async fn the_grant_is_looked_at_again_right_before_the_call() {
    let (api, cloud) = (FakeApi::new(), FakeCloud::new());
    let ground = watch::Sender::new(Arc::new(Ground { permits: permits(&[]), ..Ground::default() }));
    let calls = Calls {
        client: api.client(),
        own: api.client(),
        ground: ground.subscribe(),
        daemons: Kept::fixed(Objects::new()),
        provider: Arc::new(cloud.clone()),
        resolve: Arc::new(KubeResolve::new(api.client())),
        agents: KubeResolve::with_own_rights(api.client()),
        record: Arc::new(|_| {}),
        node: NODE.to_owned(),
        timeout: Duration::from_secs(60),
    };
    let request = || CreateRequest {
        pod: PodIdentity { uid: "u1".into(), namespace: "shop".into(), name: "web".into() },
        node: NODE.into(),
        object: Arc::new(governed("web", "u1")),
        labels: Default::default(),
        annotations: Default::default(),
        hidden: Vec::new(),
        needs_grant: true,
    };
    let answer = calls.make(Work::Create(request())).await;
    assert!(matches!(answer, Answer::Withheld(_)), "{answer:?}");
    assert!(cloud.lock().creates.is_empty());
    let granted = permits(&[stored(vec![("u1", grant(|_| {}))])]);
    ground.send_replace(Arc::new(Ground { permits: granted, ..Ground::default() }));
    let answer = calls.make(Work::Create(request())).await;
    assert!(matches!(answer, Answer::Created(_, Ok(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn the_report_counts_instances_and_the_policys_labels_go_along() {
    let rig = Rig::new();
    let spec = BurstPolicySpec {
        cloud_labels: [("team".to_owned(), "shop".to_owned())].into(),
        ..BurstPolicySpec::default()
    };
    let policies = Arc::new(vec![PolicyObject::new(Some("shop"), "web", spec)]);
    rig.ground.send_modify(|ground| {
        *ground = Arc::new(Ground { policies: policies.clone(), ..(**ground).clone() });
    });
    rig.grants(vec![("u1", grant(|_| {}))]);
    rig.api.put(governed("web", "u1"));
    rig.api.put(pod("free", "u2"));
    rig.running("web").await;
    rig.running("free").await;
    eventually("counted", || rig.report.borrow().as_ref().is_some_and(|r| r.instances == 2)).await;
    let report = rig.report.borrow().clone().expect("a report");
    assert_eq!(
        (report.billed.cpu_milli, report.provider.as_str(), report.zone.as_str()),
        (500, "fake", "zone-a")
    );
    let labels = rig.cloud.lock().labels.clone();
    assert_eq!(labels.get("u1").and_then(|l| l.get("team")).map(String::as_str), Some("shop"));
    assert!(labels["u2"].is_empty());
}
