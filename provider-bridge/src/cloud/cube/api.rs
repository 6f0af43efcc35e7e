//! The calls on Cube pods that the provider is made of, and what is remembered between them.
//!
//! What is remembered can be lost at any time: the last complete list, which creates had no answer, what we made or
//! deleted and have not seen yet. Which pods exist, only Cube says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use policies::resources::Resources;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cloud::polling::Changes;
use crate::cloud::translate::json::list;
use crate::cloud::{CloudError, Instance};

use super::action::{Action, Operation};
use super::client::Client;
use super::fault::Refusal;
use super::parameters::{Pairs, flatten};
use super::settings::CubeSettings;
use super::shown::{self, Shown};

/// Pods that one call answers.
const PAGE: usize = 100;
/// So many pods of a page are asked for again with the next one: as many may go away in between without a gap.
const OVERLAP: usize = 5;
/// How old a list may be that says which containers there are.
const CONTAINERS_AGE: Duration = Duration::from_secs(60);
/// How far back the latest value of a metric is looked for.
const METRIC_SECONDS: i64 = 300;
/// How often a list that changed under our hands is begun anew.
const LIST_ATTEMPTS: usize = 5;

/// A create whose answer has not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// Paid in advance: sent once and never again.
    pub(super) prepaid: bool,
}

/// A complete list and when it began.
#[derive(Clone, Debug)]
struct Listed {
    began: Instant,
    pods: Arc<Vec<Instance>>,
    containers: Arc<Containers>,
}

/// Containers and their limits by id.
pub(super) type Containers = HashMap<String, Vec<(String, Resources)>>;

/// The API of one account, zone and node set.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) settings: CubeSettings,
    memory: Mutex<Memory>,
    /// One list at a time: who waits for it may use the one that began meanwhile.
    flight: tokio::sync::Mutex<()>,
    /// What we made or deleted and have not seen yet.
    pub(super) changes: Changes,
}

#[derive(Debug, Default)]
struct Memory {
    listed: Option<Listed>,
    /// By pod UID.
    sent: HashMap<String, Sent>,
    /// By pod UID: what this process keeps on the pod of an order that is paid in advance, until it is sent.
    orders: HashMap<String, String>,
    /// By id: whether the elastic address goes with the pod, where it has one.
    releases: HashMap<String, bool>,
}

impl Api {
    pub(super) fn new(settings: CubeSettings) -> Result<Self, CloudError> {
        let client = Client::new(&settings)?;
        let (memory, flight, changes) = (Mutex::default(), tokio::sync::Mutex::default(), Changes::default());
        Ok(Self { client, settings, memory, flight, changes })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn call(&self, action: Action, object: &str, tree: Value) -> Result<Value, Refusal> {
        let parameters: Pairs = tree.as_object().map(flatten).unwrap_or_default();
        self.client.call(&Operation::new(action, object), parameters).await
    }

    /// Whether keys, project and zone work.
    pub(super) async fn probe(&self) -> Result<(), Refusal> {
        let tree = json!({"Zone": self.settings.zone, "Offset": 0, "Limit": 1});
        self.call(Action::ListPods, "", tree).await.map(drop)
    }

    /// Creates a pod; answers its id.
    pub(super) async fn create(&self, name: &str, tree: Value) -> Result<String, Refusal> {
        let answer = self.call(Action::CreatePod, name, tree).await?;
        let id = answer.get("CubeId").and_then(Value::as_str).filter(|id| !id.is_empty());
        let nothing = || Refusal::Unknown(format!("create Cube pod {name}: the answer names no pod"));
        id.map(str::to_owned).ok_or_else(nothing)
    }

    /// A pod by id; one that is gone is none.
    pub(super) async fn get(&self, id: &str) -> Result<Option<Shown>, Refusal> {
        let tree = json!({"Zone": self.settings.zone, "CubeId": id});
        let answer = match self.call(Action::GetPod, id, tree).await {
            Err(Refusal::Cloud(CloudError::Invalid(_) | CloudError::Gone(_))) => return Ok(None),
            other => other?,
        };
        match answer.get("Pod").and_then(Value::as_str) {
            Some("") => Ok(None),
            Some(encoded) => shown::read(encoded).map(Some).map_err(|why| unreadable(id, &why)),
            None => Err(unreadable(id, "no Pod in the answer")),
        }
    }

    /// Whether the elastic address of a pod goes with it; none where it has none.
    pub(super) fn releases(&self, id: &str) -> Option<bool> {
        self.memory().releases.get(id).copied()
    }

    /// Asks for deletion; a pod that is gone is as good.
    pub(super) async fn delete(&self, id: &str) -> Result<(), Refusal> {
        let mut tree = json!({"Zone": self.settings.zone, "CubeId": id});
        if let Some(releases) = self.releases(id) {
            tree["ReleaseEIP"] = releases.into();
        }
        match self.call(Action::DeletePod, id, tree).await {
            // There is no code of its own for "no such pod".
            Err(refusal @ Refusal::Cloud(CloudError::Invalid(_))) => match self.get(id).await? {
                None => Ok(()),
                Some(_) => Err(refusal),
            },
            other => other.map(drop),
        }
    }

    /// Where a container's terminal can be opened, once and within five minutes. The address is as good as a password.
    pub(super) async fn terminal(&self, id: &str, container: &str) -> Result<String, Refusal> {
        let tree = json!({"Zone": self.settings.zone, "CubeId": id, "ContainerName": container});
        let answer = self.call(Action::ExecToken, id, tree).await?;
        let url = answer.get("TerminalUrl").and_then(Value::as_str).filter(|url| !url.is_empty());
        url.map(str::to_owned).ok_or_else(|| unreadable(id, "no TerminalUrl in the answer"))
    }

    /// Every pod of this cluster and node set, from one complete list that begins now. Never a part: an error is an error.
    pub(super) async fn list(&self) -> Result<Arc<Vec<Instance>>, Refusal> {
        self.list_since(Instant::now()).await
    }

    /// The same, from a list that began at this moment or later.
    pub(super) async fn list_since(&self, since: Instant) -> Result<Arc<Vec<Instance>>, Refusal> {
        let enough = |listed: &Listed| (listed.began >= since).then(|| Arc::clone(&listed.pods));
        if let Some(pods) = self.memory().listed.as_ref().and_then(enough) {
            return Ok(pods);
        }
        let _flight = self.flight.lock().await;
        if let Some(pods) = self.memory().listed.as_ref().and_then(enough) {
            return Ok(pods);
        }
        let began = Instant::now();
        let all = self.pages().await?;
        let ours = |shown: &Shown| {
            shown.cluster == self.settings.cluster_id
                && (self.settings.node_names.is_empty()
                    || self.settings.node_names.contains(&shown.instance.node))
        };
        let mut memory = self.memory();
        let (mut pods, mut containers) = (Vec::new(), HashMap::new());
        for shown in all.into_iter().filter(ours) {
            if let Some(releases) = shown.releases {
                memory.releases.insert(shown.instance.id.clone(), releases);
            }
            containers.insert(shown.instance.id.clone(), shown.containers);
            pods.push(shown.instance);
        }
        let pods = Arc::new(pods);
        memory.listed = Some(Listed { began, pods: Arc::clone(&pods), containers: Arc::new(containers) });
        Ok(pods)
    }

    /// Containers of the pods that a recent list shows.
    pub(super) async fn containers(&self) -> Result<Arc<Containers>, Refusal> {
        let now = Instant::now();
        self.list_since(now.checked_sub(CONTAINERS_AGE).unwrap_or(now)).await?;
        let listed = self.memory().listed.as_ref().map(|listed| Arc::clone(&listed.containers));
        Ok(listed.unwrap_or_default())
    }

    /// The latest value of a metric of a container and when it was measured; none if there is none of the last minutes.
    pub(super) async fn metric(
        &self,
        (id, container): (&str, &str),
        metric: &str,
        until: Timestamp,
    ) -> Result<Option<(f64, Timestamp)>, Refusal> {
        let end = until.as_second();
        let tree = json!({"Zone": self.settings.zone, "ResourceId": id, "ContainerName": container, "MetricName": metric,
            "BeginTime": (end - METRIC_SECONDS).to_string(), "EndTime": end.to_string()});
        let answer = self.call(Action::Metrics, id, tree).await?;
        let sets = list(&answer, "DataSets").iter();
        let values = sets.flat_map(|set| list(set, "Values")).filter_map(|point| {
            let at = point.get("Timestamp").and_then(Value::as_i64)?;
            Some((point.get("Value").and_then(Value::as_f64)?, Timestamp::from_second(at).ok()?))
        });
        Ok(values.max_by_key(|(_, at)| *at))
    }

    async fn pages(&self) -> Result<Vec<Shown>, Refusal> {
        for _ in 0..LIST_ATTEMPTS {
            if let Some(all) = self.one_reading().await? {
                return Ok(all);
            }
        }
        Err(Refusal::Unknown("list Cube pods: the list changes faster than it can be read".to_owned()))
    }

    /// All pages; none if something fell through between two of them.
    async fn one_reading(&self) -> Result<Option<Vec<Shown>>, Refusal> {
        let (mut all, mut known): (Vec<Shown>, HashMap<String, ()>) = (Vec::new(), HashMap::new());
        let mut offset = 0;
        loop {
            let tree = json!({"Zone": self.settings.zone, "SubnetId": self.settings.subnet_id,
                "Offset": offset, "Limit": PAGE});
            let answer = self.call(Action::ListPods, "", tree).await?;
            let Some(total) = answer.get("TotalCount").and_then(Value::as_u64) else {
                return Err(unreadable("", "no TotalCount in the answer"));
            };
            // An empty list may be left out.
            let encoded = list(&answer, "Pods");
            if encoded.is_empty() && total > offset as u64 {
                return Err(unreadable("", "fewer Pods in the answer than it says"));
            }
            let page = encoded
                .iter()
                .map(|pod| shown::read(pod.as_str().unwrap_or_default()).map_err(|why| unreadable("", &why)));
            let page = page.collect::<Result<Vec<Shown>, _>>()?;
            let (count, first) = (page.len(), page.first().map(|shown| shown.instance.id.clone()));
            if offset > 0 && !first.is_some_and(|first| known.contains_key(&first)) {
                return Ok(None);
            }
            for shown in page {
                if known.insert(shown.instance.id.clone(), ()).is_none() {
                    all.push(shown);
                }
            }
            let end = offset + count;
            if count < PAGE || end as u64 >= total {
                return Ok((end as u64 >= total).then_some(all));
            }
            offset = end - OVERLAP;
        }
    }

    /// A create is about to be sent.
    pub(super) fn sending(&self, uid: &str, prepaid: bool) {
        self.memory().sent.insert(uid.to_owned(), Sent { at: Instant::now(), prepaid });
    }

    /// The text by which this process knows its own order of a pod that is paid in advance.
    pub(super) fn order(&self, uid: &str) -> String {
        let mut memory = self.memory();
        let mine = memory.orders.entry(uid.to_owned()).or_insert_with(|| {
            // Two processes do not begin an order of one pod in the same nanosecond.
            Timestamp::now().to_string()
        });
        mine.clone()
    }

    /// The order was filled, or may have been: the next one would be another.
    pub(super) fn ordered(&self, uid: &str) {
        self.memory().orders.remove(uid);
    }

    /// Its outcome is known.
    pub(super) fn answered(&self, uid: &str) {
        self.memory().sent.remove(uid);
    }

    /// A create of this pod whose answer has not come.
    pub(super) fn sent(&self, uid: &str) -> Option<Sent> {
        self.memory().sent.get(uid).copied()
    }

    /// A pod was made: it is there from now on, whether or not the lists show it yet.
    pub(super) fn made(&self, instance: &Instance, releases: Option<bool>) {
        if let Some(releases) = releases {
            self.memory().releases.insert(instance.id.clone(), releases);
        }
        self.changes.made(instance);
    }

    /// A pod is gone for certain.
    pub(super) fn gone(&self, id: &str) {
        self.changes.settled(id);
        let mut memory = self.memory();
        memory.releases.remove(id);
        // The last list shows it still: nobody may adopt it from there.
        memory.listed = None;
    }

    /// How old a list may be that shows that a pod, of which nothing was sent, is not there.
    pub(super) const fn look_age() -> Duration {
        Duration::from_secs(5)
    }
}

fn unreadable(id: &str, why: &str) -> Refusal {
    Refusal::Unknown(format!("Cube pod {id}: the answer cannot be read: {why}"))
}
