//! How the provider behaves towards a cloud that loses answers, sells out, throttles and lags: one in this process.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::forge::tests::request;
pub(in crate::cloud) use super::forge::tests::settings;
use super::*;
use crate::cloud::{InstanceEvent, PodIdentity, Resolve};
use crate::streams::{ExecOutcome, LogOptions, exec_pair};

use cloud::{Cloud, Fault};

pub(in crate::cloud) mod cloud;

struct Nothing;

#[async_trait]
impl Resolve for Nothing {
    async fn config_map(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }

    async fn secret(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(Some(json!({"data": {"password": "dG9wc2VjcmV0"}})))
    }

    async fn services(&self, _: &str) -> Result<Vec<Value>, CloudError> {
        Ok(Vec::new())
    }
}

fn pod(uid: &str, spot: bool) -> CreateRequest {
    let annotations = if spot {
        json!({"k8s.aliyun.com/eci-spot-strategy": "SpotAsPriceGo", "k8s.aliyun.com/eci-spot-fallback": "true"})
    } else {
        json!({})
    };
    request(&json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": uid, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "nginx", "env": [
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]}]},
    }))
}

async fn provider(region: &str) -> (Cloud, EciProvider) {
    let cloud = Cloud::start().await;
    let settings = EciSettings {
        endpoint: cloud.endpoint.clone(),
        region: region.to_owned(),
        poll: Duration::from_millis(100),
        ..settings()
    };
    (cloud, EciProvider::new(settings).unwrap())
}

#[tokio::test]
async fn created_listed_and_deleted() {
    let (cloud, eci) = provider("us-west-1").await;
    eci.prepare().await.unwrap();
    let made = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    let listed = eci.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, &listed[0].pod, &listed[0].node), (&made.id, &made.pod, &made.node));
    assert_eq!((made.billed.cpu_milli, listed[0].billed.cpu_milli), (2000, 2000));
    // Another bridge finds it by its tags alone.
    let settings = EciSettings { endpoint: cloud.endpoint.clone(), ..settings() };
    let other = EciProvider::new(settings).unwrap();
    let found = other.create(&pod("u-1", false), &Nothing).await.unwrap();
    assert_eq!((found.id.as_str(), found.pod.name.as_str()), (made.id.as_str(), "web"));
    assert_eq!(cloud.count("CreateContainerGroup"), 1);
    eci.delete(&made, 30).await.unwrap();
    eci.delete(&made, 30).await.unwrap();
    assert!(eci.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_region_is_told_with_the_known_ones() {
    let (_cloud, eci) = provider("cn-atlantis").await;
    let text = eci.prepare().await.unwrap_err().to_string();
    assert!(text.contains("cn-atlantis") && text.contains("us-west-1, cn-hangzhou"), "{text}");
}

/// Guards money: an answer that never came is resolved by looking, and no second group is made.
#[tokio::test]
async fn a_lost_answer_makes_one_group() {
    let (cloud, eci) = provider("us-west-1").await;
    cloud.fault("CreateContainerGroup", Fault::Lost);
    let made = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    assert_eq!(cloud.groups().len(), 1);
    assert_eq!(cloud.groups()[0].id, made.id);
    // The list lags behind as well: the same token is answered with the same group.
    cloud.fault("CreateContainerGroup", Fault::Lost);
    cloud.hide(true);
    let error = eci.create(&pod("u-2", false), &Nothing).await.unwrap_err();
    assert!(matches!(error, CloudError::Retryable(_)), "{error}");
    let again = eci.create(&pod("u-2", false), &Nothing).await.unwrap();
    cloud.hide(false);
    assert_eq!(cloud.groups().len(), 2);
    assert!(cloud.groups().iter().any(|group| group.id == again.id));
}

#[tokio::test]
async fn a_sold_out_place_is_followed_by_the_next_and_tried_last_after_that() {
    let (cloud, eci) = provider("us-west-1").await;
    cloud.fault("CreateContainerGroup", Fault::Code(403, "OperationDenied.NoStock"));
    eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    assert_eq!(cloud.switches(), ["vsw-1", "vsw-2"]);
    eci.create(&pod("u-2", false), &Nothing).await.unwrap();
    assert_eq!(cloud.switches(), ["vsw-1", "vsw-2", "vsw-2"]);
    for _ in 0..2 {
        cloud.fault("CreateContainerGroup", Fault::Code(403, "InvalidVSwitchId.IpNotEnough"));
    }
    let error = eci.create(&pod("u-3", false), &Nothing).await.unwrap_err();
    assert!(matches!(error, CloudError::Capacity(_)), "{error}");
    // A quota is the region's: no other place helps.
    cloud.fault("CreateContainerGroup", Fault::Code(403, "QuotaExceeded"));
    let before = cloud.count("CreateContainerGroup");
    let error = eci.create(&pod("u-4", false), &Nothing).await.unwrap_err();
    assert!(matches!(error, CloudError::Capacity(_)), "{error}");
    assert_eq!(cloud.count("CreateContainerGroup"), before + 1);
}

#[tokio::test]
async fn where_the_spot_market_has_none_it_is_bought_on_demand() {
    let (cloud, eci) = provider("us-west-1").await;
    cloud.fault("CreateContainerGroup", Fault::Code(403, "Spot.NotMatched"));
    eci.create(&pod("u-1", true), &Nothing).await.unwrap();
    let asked = cloud.values("CreateContainerGroup", "SpotStrategy");
    assert_eq!(asked, ["SpotAsPriceGo", "NoSpot"]);
}

/// A group that ECI gave up is removed, and the next attempt is another one in another place.
#[tokio::test]
async fn a_group_without_a_place_is_replaced_when_it_is_gone() {
    let (cloud, eci) = provider("us-west-1").await;
    let first = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    cloud.set(&first.id, "ScheduleFailed");
    let error = eci.create(&pod("u-1", false), &Nothing).await.unwrap_err();
    assert!(matches!(&error, CloudError::Retryable(text) if text.contains("still being deleted")), "{error}");
    assert!(cloud.groups().is_empty());
    eci.api.gone(&first.id, "u-1");
    let second = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(cloud.switches(), ["vsw-1", "vsw-2"]);
    let tokens = cloud.values("CreateContainerGroup", "ClientToken");
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn throttling_and_account_states_are_what_they_are() {
    let (cloud, eci) = provider("us-west-1").await;
    cloud.fault("CreateContainerGroup", Fault::Code(400, "Throttling.User"));
    let error = eci.create(&pod("u-1", false), &Nothing).await.unwrap_err();
    assert!(matches!(error, CloudError::Throttled { .. }), "{error}");
    cloud.fault("CreateContainerGroup", Fault::Code(400, "Account.Arrearage"));
    let error = eci.create(&pod("u-1", false), &Nothing).await.unwrap_err();
    assert!(matches!(&error, CloudError::Account(text) if text.contains("arrears")), "{error}");
    cloud.fault("DescribeContainerGroupStatus", Fault::Half);
    assert!(matches!(eci.list().await, Err(CloudError::Retryable(_))));
    // A nonce that was seen before is worth another one, at once.
    cloud.fault("DescribeContainerGroupStatus", Fault::Code(400, "SignatureNonceUsed"));
    assert!(eci.list().await.unwrap().is_empty());
}

/// Guards against orphans: half a list must never read as a whole one.
#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    let (cloud, eci) = provider("us-west-1").await;
    for i in 0..7 {
        eci.create(&pod(&format!("u-{i}"), false), &Nothing).await.unwrap();
    }
    cloud.page(2);
    assert_eq!(eci.list().await.unwrap().len(), 7);
    // Another bridge has to read the tags first; groups of others are left out.
    cloud.stranger();
    let settings = EciSettings { endpoint: cloud.endpoint.clone(), ..settings() };
    assert_eq!(EciProvider::new(settings).unwrap().list().await.unwrap().len(), 7);
    cloud.fault_after("DescribeContainerGroupStatus", 2, Fault::Code(503, "ServiceUnavailable"));
    assert!(eci.list().await.is_err());
}

async fn next(
    events: &mut BoxStream<'static, Result<InstanceEvent, CloudError>>,
) -> Result<InstanceEvent, CloudError> {
    tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn changes_and_ends_are_told() {
    let (cloud, eci) = provider("us-west-1").await;
    let first = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    let mut events = eci.watch();
    assert!(matches!(next(&mut events).await, Ok(InstanceEvent::Restarted)));
    assert!(matches!(next(&mut events).await, Ok(InstanceEvent::Changed(_))));
    assert!(matches!(next(&mut events).await, Ok(InstanceEvent::Synced)));
    cloud.set(&first.id, "Running");
    match next(&mut events).await {
        Ok(InstanceEvent::Changed(instance)) => assert_eq!(instance.status["phase"], "Running"),
        other => panic!("{other:?}"),
    }
    let second = eci.create(&pod("u-2", false), &Nothing).await.unwrap();
    match next(&mut events).await {
        Ok(InstanceEvent::Changed(instance)) => assert_eq!(instance.id, second.id),
        other => panic!("{other:?}"),
    }
    eci.delete(&first, 0).await.unwrap();
    match next(&mut events).await {
        Ok(InstanceEvent::Gone(instance)) => assert_eq!(instance.id, first.id),
        other => panic!("{other:?}"),
    }
    let asked = cloud.values("DescribeContainerGroupStatus", "SinceSecond");
    assert!(!asked.is_empty(), "increments are asked for");
}

/// Guards secrets: they travel in bodies, not in addresses that proxies write down, and no error repeats them.
#[tokio::test]
async fn no_secret_is_in_an_address_or_in_words() {
    let (cloud, eci) = provider("us-west-1").await;
    cloud.fault("CreateContainerGroup", Fault::Code(400, "InvalidParameter"));
    let error = eci.create(&pod("u-1", false), &Nothing).await.unwrap_err();
    let shown = format!("{error} {error:?} {eci:?}");
    assert!(!shown.contains("topsecret") && !shown.contains("testSK"), "{shown}");
    eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    assert_eq!(cloud.values("CreateContainerGroup", "Container.1.EnvironmentVar.1.Value")[1], "topsecret");
    for address in cloud.addresses() {
        assert!(!address.contains("topsecret") && !address.contains("testSK"), "{address}");
    }
}

/// The vendor's page: another security group or vSwitch holds for new instances at once, and running ones are not touched.
#[tokio::test]
async fn changed_settings_hold_for_new_instances_only() {
    let (cloud, eci) = provider("us-west-1").await;
    let first = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    let changed = EciProvider::new(EciSettings {
        endpoint: cloud.endpoint.clone(),
        security_group: "sg-2".into(),
        vswitches: vec!["vsw-9".into()],
        ..settings()
    })
    .unwrap();
    assert_eq!(changed.create(&pod("u-1", false), &Nothing).await.unwrap().id, first.id);
    changed.create(&pod("u-2", false), &Nothing).await.unwrap();
    assert_eq!(cloud.values("CreateContainerGroup", "SecurityGroupId"), ["sg-1", "sg-2"]);
    assert_eq!(cloud.switches(), ["vsw-1", "vsw-9"]);
    assert_eq!((cloud.groups().len(), cloud.count("DeleteContainerGroup")), (2, 0));
}

#[tokio::test]
async fn both_signatures_are_accepted() {
    let (cloud, _) = provider("us-west-1").await;
    let settings = EciSettings { endpoint: cloud.endpoint.clone(), signature: Signature::Rpc, ..settings() };
    let rpc = EciProvider::new(settings).unwrap();
    rpc.create(&pod("u-1", false), &Nothing).await.unwrap();
    let names: BTreeMap<String, usize> = cloud.kinds();
    assert!(names.contains_key("rpc"), "{names:?}");
}

#[tokio::test]
async fn a_command_ends_with_its_code_and_a_followed_log_with_its_container() {
    let (cloud, eci) = provider("us-west-1").await;
    let made = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    let (client, streams) = exec_pair(8);
    let asked =
        ExecRequest { command: vec!["x".into()], stdin: false, stdout: true, stderr: true, tty: false };
    eci.exec(&made, "main", &asked, streams).await.unwrap();
    let (mut out, mut err) = (client.stdout, client.stderr);
    assert_eq!(out.recv().await.as_deref(), Some(&b"x\n"[..]));
    assert_eq!(err.recv().await.as_deref(), Some(&b"err\n"[..]));
    assert_eq!(client.outcome.await.unwrap(), ExecOutcome::Exited(42));
    cloud.log(&["2026-01-02T03:04:05Z a", "2026-01-02T03:04:06Z b"]);
    cloud.set(&made.id, "Succeeded");
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let log = eci.logs(&made, "main", &options).await.unwrap();
    let parts = tokio::time::timeout(Duration::from_secs(20), log.collect::<Vec<_>>()).await.unwrap();
    let text: Vec<u8> = parts.into_iter().flat_map(|part| part.unwrap().to_vec()).collect();
    assert_eq!(text, b"a\nb\n");
}

/// Guards the vendor's limits: many creates at once are settled by a complete list, and then changes are enough again.
#[tokio::test]
async fn many_creates_do_not_make_every_look_a_complete_list() {
    let (cloud, eci) = provider("us-west-1").await;
    let mut events = eci.watch();
    let synced = async { while !matches!(events.next().await.unwrap(), Ok(InstanceEvent::Synced)) {} };
    tokio::time::timeout(Duration::from_secs(10), synced).await.unwrap();
    for index in 0..25 {
        eci.create(&pod(&format!("u-{index}"), false), &Nothing).await.unwrap();
    }
    let _told = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        while events.next().await.is_some() {}
    }));
    let action = "DescribeContainerGroupStatus";
    let looks = || (cloud.count(action), cloud.values(action, "SinceSecond").len());
    let settled = async {
        loop {
            let before = looks();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = looks();
            if now.0 >= before.0 + 2 && now.0 - before.0 == now.1 - before.1 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled).await.expect("looks for changes alone");
}

/// Twenty groups per call, the latest point of each, and one without points is left out.
#[tokio::test]
async fn usage_is_read_twenty_at_a_time() {
    let (cloud, eci) = provider("us-west-1").await;
    let made = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    let numbered = |n: usize| {
        let pod = PodIdentity { uid: format!("u-{n}"), ..made.pod.clone() };
        Instance { id: format!("eci-{n}"), pod, ..made.clone() }
    };
    let instances: Vec<Instance> = (1..=45).map(numbered).collect();
    let mut used = eci.usage(&instances).await.unwrap();
    assert_eq!((cloud.count("DescribeMultiContainerGroupMetric"), used.len()), (3, 44));
    used.sort_by(|a, b| a.pod_uid.cmp(&b.pod_uid));
    assert!(used.iter().all(|pod| pod.pod_uid != "u-2"));
    let [app] = &used[0].containers[..] else { panic!("{used:?}") };
    assert_eq!((app.at.to_string().as_str(), app.nano_cores), ("2026-01-02T03:04:15Z", Some(20)));
    assert_eq!((app.core_nano_seconds, app.memory.working_set), (Some(2000), Some(3)));
    assert_eq!((used[0].interfaces[0].rx_bytes, used[0].interfaces[0].tx_bytes), (7, 8));
}

#[tokio::test]
async fn refused_usage_is_told_and_asks_no_further() {
    let (cloud, eci) = provider("us-west-1").await;
    let made = eci.create(&pod("u-1", false), &Nothing).await.unwrap();
    for _ in 0..8 {
        cloud.fault("DescribeMultiContainerGroupMetric", Fault::Code(400, "Throttling"));
    }
    let instances = vec![made; 400];
    let error = eci.usage(&instances).await.unwrap_err();
    assert!(matches!(error, CloudError::Throttled { .. }), "{error}");
    assert!(cloud.count("DescribeMultiContainerGroupMetric") <= 8);
}
