use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cluster::testing::{FakeApi, Fault};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::json;

use super::*;
use crate::cloud::*;
use crate::streams::{ExecProviderEnd, ExecRequest, LogOptions};

/// A cloud that answers lists with an error or not at all.
struct Silent(std::sync::atomic::AtomicBool);

#[async_trait]
impl Provider for Silent {
    fn name(&self) -> &'static str {
        "huawei"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            watch: false,
            logs: false,
            exec: false,
            attach: false,
            port_forward: false,
            usage: false,
        }
    }
    async fn prepare(&self) -> Result<(), CloudError> {
        Ok(())
    }
    async fn create(&self, _: &CreateRequest, _: &dyn Resolve) -> Result<Instance, CloudError> {
        Err(CloudError::Invalid("not here".into()))
    }
    async fn delete(&self, _: &Instance, _: u32) -> Result<(), CloudError> {
        Ok(())
    }
    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        if self.0.load(std::sync::atomic::Ordering::SeqCst) {
            Err(CloudError::Retryable("connection refused".into()))
        } else {
            Ok(Vec::new())
        }
    }
    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
        futures::stream::pending().boxed()
    }
    async fn logs(&self, _: &Instance, _: &str, _: &LogOptions) -> Result<ByteStream, CloudError> {
        Err(CloudError::Invalid("not here".into()))
    }
    async fn exec(
        &self,
        _: &Instance,
        _: &str,
        _: &ExecRequest,
        _: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        Err(CloudError::Invalid("not here".into()))
    }
}

struct Rig {
    api: FakeApi,
    cloud: Arc<Silent>,
    provider: Arc<Measured>,
    uid: watch::Receiver<Option<String>>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn new() -> Self {
        let config = serde_json::from_value(json!({
            "name": "burst-a", "provider": "cci", "port": 10250,
            "capacity": { "cpu": "200", "memory": "512Gi", "pods": 1000 },
        }));
        let cloud = Arc::new(Silent(false.into()));
        let provider = Arc::new(Measured::new(cloud.clone()));
        let settings = KeeperSettings {
            config: config.unwrap(),
            address: [198, 18, 0, 1].into(),
            provider: provider.clone(),
        };
        let (api, cancel) = (FakeApi::new(), CancellationToken::new());
        let (sender, uid) = watch::channel(None);
        let (client, token) = (api.client(), cancel.clone());
        let task = tokio::spawn(async move { keep(client, &settings, &sender, token).await });
        Self { api, cloud, provider, uid, cancel, task }
    }

    fn node(&self) -> Value {
        self.api.get("v1", "nodes", "", "burst-a").unwrap_or_default()
    }

    fn condition(&self, kind: &str) -> Option<String> {
        let node = self.node();
        let rows = node.pointer("/status/conditions")?.as_array()?;
        let row = rows.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind))?;
        row.get("status")?.as_str().map(str::to_owned)
    }

    fn has_taint(&self, key: &str) -> bool {
        let node = self.node();
        node.pointer("/spec/taints")
            .and_then(Value::as_array)
            .is_some_and(|t| t.iter().any(|t| t["key"] == key))
    }
}

async fn within(seconds: u64, what: &str, condition: impl Fn() -> bool) {
    for _ in 0..seconds * 20 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within {seconds} s: {what}");
}

#[tokio::test(start_paused = true)]
async fn a_declared_node_appears_and_its_uid_is_told() {
    let mut rig = Rig::new();
    within(10, "created", || rig.condition("Ready").as_deref() == Some("True")).await;
    let uid = rig.node()["metadata"]["uid"].as_str().unwrap().to_owned();
    rig.uid.wait_for(Option::is_some).await.unwrap();
    assert_eq!(rig.uid.borrow().as_deref(), Some(uid.as_str()));
    rig.cancel.cancel();
    (&mut rig.task).await.unwrap();
    assert!(!rig.node().is_null(), "stopping the bridge does not delete the node");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_node_is_back_within_ten_seconds() {
    let rig = Rig::new();
    within(10, "created", || !rig.node().is_null()).await;
    let first = rig.node()["metadata"]["uid"].clone();
    for _ in 0..3 {
        rig.api.remove("v1", "nodes", "", "burst-a");
        within(10, "back", || !rig.node().is_null()).await;
    }
    assert_ne!(rig.node()["metadata"]["uid"], first);
}

#[tokio::test(start_paused = true)]
async fn a_node_deleted_while_the_watch_is_down_is_back_too() {
    let rig = Rig::new();
    within(10, "created", || !rig.node().is_null()).await;
    rig.api.fault(Fault::refused().on("WATCH", "/nodes").times(2));
    rig.api.close_watches();
    rig.api.remove("v1", "nodes", "", "burst-a");
    within(40, "back", || !rig.node().is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn edits_of_what_is_ours_are_undone_and_those_of_others_stay() {
    let rig = Rig::new();
    within(10, "created", || !rig.node().is_null()).await;
    let mut node = rig.node();
    node["metadata"]["labels"]["type"] = json!("metal");
    node["metadata"]["labels"]["team"] = json!("shop");
    node["spec"]["taints"] = json!([{ "key": "team", "value": "shop", "effect": "NoSchedule" }]);
    node["spec"]["unschedulable"] = json!(true);
    rig.api.put(node);
    within(10, "restored", || rig.has_taint("virtual-kubelet.io/provider")).await;
    within(10, "restored", || rig.node()["metadata"]["labels"]["type"] == "virtual-kubelet").await;
    let node = rig.node();
    assert!(rig.has_taint("team") && rig.has_taint("burst.io/virtual-node"));
    assert_eq!(node["metadata"]["labels"]["team"], "shop");
    assert_eq!(node["spec"]["unschedulable"], true, "kubectl cordon is the operator's");
}

/// virtual-kubelet stops its heartbeats when the provider's ping fails: the node turns Unknown and healthy pods are
/// evicted (`node/node.go`, reference chain "brown-out").
#[tokio::test(start_paused = true)]
async fn an_outage_never_makes_the_node_not_ready() {
    let rig = Rig::new();
    within(10, "created", || !rig.node().is_null()).await;
    rig.cloud.0.store(true, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..60 {
        let _ = rig.provider.list().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(rig.condition("CloudReachable").as_deref(), Some("False"));
    assert!(rig.has_taint("burst.io/cloud-unreachable"));
    assert_eq!(rig.condition("Ready").as_deref(), Some("True"));
    rig.cloud.0.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..60 {
        let _ = rig.provider.list().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(rig.condition("CloudReachable").as_deref(), Some("True"));
    assert!(!rig.has_taint("burst.io/cloud-unreachable"));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_node_costs_no_writes() {
    let rig = Rig::new();
    within(10, "created", || rig.condition("Ready").is_some()).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    rig.api.clear_requests();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(
        rig.api.requests_of("PATCH", "/nodes").is_empty(),
        "{:?}",
        rig.api.requests_of("PATCH", "/nodes")
    );
}
