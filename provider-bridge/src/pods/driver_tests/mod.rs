//! Life of pods against the in-memory API server and an in-memory cloud, with paused time.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::daemons::KeptDaemon;
use cluster::kept::{Kept, Objects};
use cluster::testing::{FakeApi, Fault};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use policies::ledger::NodeReport;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::cloud::{CreateFault, FakeCloud};
use super::{Driver, Handle};
use crate::cloud::CloudError;
use crate::gc::Limits;
use crate::pods::table::Settings;
use crate::pods::{Ground, KubeResolve};

mod beside;
mod cloud;
mod grants;
mod life;
mod stock;
mod trouble;

const NODE: &str = "burst-a";

/// A bridge of one node under test.
struct Rig {
    api: FakeApi,
    cloud: FakeCloud,
    events: Arc<Mutex<Vec<(String, String)>>>,
    handle: Handle,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    ground: watch::Sender<Arc<Ground>>,
    report: watch::Receiver<Option<NodeReport>>,
}

fn settings() -> Settings {
    Settings {
        node: NODE.into(),
        host_ip: IpAddr::from([198, 18, 0, 1]),
        cordoned: false,
        cloud_calls: 8,
        api_calls: 8,
        finished_ttl: Duration::from_secs(30),
        max_backoff: Duration::from_secs(60),
        settle: Duration::from_secs(3),
        deletion_patience: Duration::from_secs(10),
        place_patience: Duration::from_secs(20),
        zone: "zone-a".into(),
        deletion_cost: crate::pods::Wish::CloudFirst,
        limits: Limits { min_age: Duration::from_secs(60), max_percent: 30, always_allowed: 5 },
        seed: 7,
    }
}

impl Rig {
    fn new() -> Self {
        Self::with(FakeApi::new(), FakeCloud::new())
    }

    fn with(api: FakeApi, cloud: FakeCloud) -> Self {
        Self::tuned(api, cloud, settings())
    }

    fn tuned(api: FakeApi, cloud: FakeCloud, settings: Settings) -> Self {
        Self::beside(api, cloud, settings, Kept::fixed(Objects::new()))
    }

    fn beside(api: FakeApi, cloud: FakeCloud, settings: Settings, daemons: Kept<KeptDaemon>) -> Self {
        let events: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let sink = events.clone();
        let (handle, queries) = Handle::channel();
        let ground = watch::Sender::new(Arc::new(Ground { listed: true, ..Ground::default() }));
        let report = watch::channel(None);
        let driver = Driver {
            settings,
            client: api.client(),
            provider: Arc::new(cloud.clone()),
            resolve: Arc::new(KubeResolve::new(api.client())),
            record: Arc::new(move |event| sink.lock().unwrap().push((event.regarding.name, event.reason))),
            sweep_every: Duration::from_secs(30),
            call_timeout: Duration::from_secs(60),
            synced: watch::Sender::new(false),
            own: api.client(),
            ground: ground.subscribe(),
            daemons,
            report: report.0,
            queries,
        };
        let cancel = CancellationToken::new();
        let token = cancel.clone();
        let task = tokio::spawn(async move { driver.run(token).await });
        Self { api, cloud, events, handle, cancel, task, ground, report: report.1 }
    }

    /// As `kill -9`: nothing is finished, nothing is said.
    fn kill(self) -> (FakeApi, FakeCloud) {
        self.task.abort();
        (self.api, self.cloud)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.api.client(), "shop")
    }

    async fn delete(&self, name: &str, grace: u32) {
        self.pods().delete(name, &DeleteParams::default().grace_period(grace)).await.unwrap();
    }

    fn phase(&self, name: &str) -> String {
        let pod = self.api.pod("shop", name).unwrap_or_default();
        pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn events_of(&self, name: &str) -> Vec<String> {
        self.events.lock().unwrap().iter().filter(|(n, _)| n == name).map(|(_, r)| r.clone()).collect()
    }

    async fn running(&self, name: &str) {
        eventually(name, || self.phase(name) == "Running").await;
    }

    async fn gone(&self, name: &str) {
        eventually(name, || self.api.pod("shop", name).is_none()).await;
    }

    fn instances(&self) -> usize {
        self.cloud.lock().instances.len()
    }
}

/// Waits on a condition; time is paused, so this costs none.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Lets time pass, to show that something does not happen.
async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn pod(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "shop", "uid": uid },
        "spec": {
            "nodeName": NODE, "restartPolicy": "Never",
            "containers": [{ "name": "main", "image": "busybox" }],
        },
        "status": {
            "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "True", "lastTransitionTime": "2030-01-01T00:00:00Z" }],
        },
    })
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    pod.pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|c| c.get("type").and_then(Value::as_str) == Some(kind))
}
