use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::testing::FakeApi;
use serde_json::Value;

use super::*;
use crate::cloud::PodIdentity;

const NODE: &str = "burst-a";
const OLD: &str = "CCI 1.0 in cn-north-4, project old, namespace cce-burst-c-1";
const NEW: &str = "CCI 1.0 in cn-north-4, project new, namespace cce-burst-c-1";

fn left(pods: &[&str], instances: u64) -> Remains {
    let pods = pods.iter().map(|uid| ((*uid).to_owned(), format!("shop/{uid}"))).collect();
    Remains { pods, instances }
}

fn instance(uid: &str) -> Instance {
    Instance {
        id: format!("i-{uid}"),
        pod: PodIdentity { uid: uid.into(), namespace: "shop".into(), name: uid.into() },
        node: NODE.into(),
        created: None,
        deleting: false,
        billed: policies::resources::Resources::default(),
        status: Arc::new(Value::Null),
    }
}

#[test]
fn when_the_cloud_is_asked() {
    for (before, now, remains, asked) in [
        (None, Some(NEW), left(&["u1"], 1), false),
        (Some(OLD), Some(OLD), left(&["u1"], 1), false),
        (Some(OLD), Some(NEW), left(&[], 0), false),
        (Some(OLD), Some(NEW), left(&["u1"], 0), true),
        (Some(OLD), Some(NEW), left(&[], 1), true),
        // From a cloud to none, as to the mock.
        (Some(OLD), None, left(&["u1"], 1), true),
        (None, None, left(&["u1"], 1), false),
    ] {
        assert_eq!(suspicious(before, now, &remains), asked, "{before:?} {now:?} {remains:?}");
    }
}

#[test]
fn what_proves_that_it_is_the_same_account() {
    for (remains, listed, proved) in [
        (left(&["u1", "u2"], 2), &["u2"][..], true),
        (left(&["u1"], 1), &["u9"], false),
        (left(&["u1"], 1), &[], false),
        (left(&[], 1), &["u9"], true),
        (left(&[], 1), &[], false),
    ] {
        let listed: Vec<Instance> = listed.iter().map(|uid| instance(uid)).collect();
        assert_eq!(remains.are_among(&listed), proved, "{remains:?}");
    }
}

/// A cluster whose virtual node has this account, with pods `u1` (running) and `done` (ended) on it.
struct Home(FakeApi);

impl Home {
    fn new(account: Option<&str>) -> Self {
        let api = FakeApi::new();
        let mut node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        if let Some(account) = account {
            node["metadata"]["annotations"] = json!({keys::ACCOUNT: account});
        }
        api.put(node);
        let home = Self(api);
        home.pod("done", "Succeeded", NODE);
        home.pod("elsewhere", "Running", "node-0");
        home
    }

    fn pod(&self, uid: &str, phase: &str, node: &str) {
        self.0.put(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": uid, "namespace": "default", "uid": uid},
            "spec": {"nodeName": node, "containers": []}, "status": {"phase": phase}}));
    }

    async fn check(
        &self,
        now: Option<&str>,
        listed: Result<Vec<Instance>, CloudError>,
    ) -> (Result<(), String>, usize) {
        let (client, asked) = (self.0.client(), AtomicUsize::new(0));
        let list = async {
            asked.fetch_add(1, Ordering::SeqCst);
            listed
        };
        let result = check((&client, &client), NODE, now, list).await.map_err(|error| error.to_string());
        (result, asked.into_inner())
    }

    fn marked(&self) -> Option<String> {
        let node = self.0.get("v1", "nodes", "", NODE)?;
        node["metadata"]["annotations"][keys::ACCOUNT].as_str().map(str::to_owned)
    }

    fn changes(&self) -> usize {
        self.0.requests().iter().filter(|request| request.method != "GET").count()
    }
}

#[tokio::test]
async fn another_account_is_refused_while_pods_are_left_and_nothing_is_written() {
    let home = Home::new(Some(OLD));
    home.pod("u1", "Running", NODE);
    let (said, asked) = home.check(Some(NEW), Ok(vec![instance("u9")])).await;
    let said = said.unwrap_err();
    for words in
        ["1 pods (default/u1)", OLD, NEW, "kubectl drain burst-a", "burst.io/account-", "nothing was deleted"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!((asked, home.changes(), home.marked().as_deref()), (1, 0, Some(OLD)));
    let (said, _) = home.check(Some(NEW), Err(CloudError::Auth("bad signature".into()))).await;
    assert!(said.unwrap_err().contains("bad signature"));
    let (said, _) = home.check(None, Ok(Vec::new())).await;
    assert!(said.unwrap_err().contains("no account"));
    assert_eq!(home.changes(), 0);
}

#[tokio::test]
async fn an_empty_node_moves() {
    let home = Home::new(Some(OLD));
    let (said, asked) = home.check(Some(NEW), Ok(Vec::new())).await;
    assert_eq!((said, asked, home.marked().as_deref()), (Ok(()), 0, Some(NEW)));
}

#[tokio::test]
async fn rotated_keys_are_the_same_account_if_the_cloud_shows_a_pods_instance() {
    let home = Home::new(Some(OLD));
    home.pod("u1", "Running", NODE);
    let (said, asked) = home.check(Some(NEW), Ok(vec![instance("u1")])).await;
    assert_eq!((said, asked, home.marked().as_deref()), (Ok(()), 1, Some(NEW)));
}

#[tokio::test]
async fn the_same_account_costs_one_read_and_a_first_start_is_marked() {
    let home = Home::new(Some(OLD));
    home.pod("u1", "Running", NODE);
    let (said, asked) = home.check(Some(OLD), Ok(Vec::new())).await;
    assert_eq!((said, asked, home.0.requests().len()), (Ok(()), 0, 1));
    let home = Home::new(None);
    home.pod("u1", "Running", NODE);
    let (said, asked) = home.check(Some(NEW), Ok(Vec::new())).await;
    assert_eq!((said, asked, home.marked().as_deref()), (Ok(()), 0, Some(NEW)));
    home.0.remove("v1", "nodes", "", NODE);
    assert_eq!(home.check(Some(OLD), Ok(Vec::new())).await, (Ok(()), 0));
}

/// Guards instances whose pods are gone from the API server but that the node's last report still counts.
#[tokio::test]
async fn instances_without_pods_count() {
    let home = Home::new(Some(OLD));
    home.0.register("burst.io/v1alpha1", "VirtualNodeReport", "virtualnodereports", false);
    home.0.put(json!({"apiVersion": "burst.io/v1alpha1", "kind": "VirtualNodeReport",
        "metadata": {"name": NODE}, "spec": {"provider": "huawei", "instances": 2}}));
    let (said, _) = home.check(Some(NEW), Ok(Vec::new())).await;
    assert!(said.unwrap_err().starts_with("2 instances of this virtual node belong to"));
    assert_eq!(home.changes(), 0);
}
