//! What exists, and telling whoever watches: every change is made and sent under one lock, so that a list and the changes
//! after it have no gap.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use policies::pod::PodFacts;
use policies::resources::Resources;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::cloud::{CloudError, CreateRequest, Instance, InstanceEvent, PodIdentity, hidden};

use super::status::{self, Stage};

/// Changes that a slow watcher may be behind before it gets a new list.
const BACKLOG: usize = 1024;
/// Addresses are counted up from here: a range for benchmarks (RFC 2544) that is nobody's.
const FIRST_ADDRESS: u32 = Ipv4Addr::new(198, 19, 0, 1).to_bits();
/// So many, then from the start again.
const ADDRESSES: u32 = 65_534;

/// All instances, by the UID of their pod.
#[derive(Debug)]
pub(super) struct Instances {
    state: Mutex<State>,
    changes: broadcast::Sender<InstanceEvent>,
}

#[derive(Debug, Default)]
struct State {
    by_uid: BTreeMap<String, Kept>,
    made: u32,
}

#[derive(Clone, Debug)]
struct Kept {
    pod: PodIdentity,
    node: String,
    object: Arc<Value>,
    created: Timestamp,
    stage: Stage,
    deleting: bool,
    address: Ipv4Addr,
    billed: Resources,
    hidden: String,
}

impl Kept {
    fn status(&self) -> Value {
        let all = status::of(&self.object, self.created, self.stage, self.address);
        let policy = self.object.pointer("/spec/restartPolicy").and_then(Value::as_str);
        hidden::hide(all, &self.hidden, policy.unwrap_or_default())
    }

    fn instance(&self) -> Instance {
        Instance {
            id: format!("mock-{}", self.pod.uid),
            pod: self.pod.clone(),
            node: self.node.clone(),
            created: Some(self.created),
            deleting: self.deleting,
            billed: self.billed,
            status: Arc::new(self.status()),
        }
    }
}

impl Default for Instances {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: broadcast::channel(BACKLOG).0 }
    }
}

impl Instances {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instance of a pod, and whether it was made now.
    pub(super) fn create(&self, request: &CreateRequest, now: Timestamp) -> (Instance, bool) {
        let mut state = self.lock();
        if let Some(kept) = state.by_uid.get(&request.pod.uid) {
            return (kept.instance(), false);
        }
        let address = Ipv4Addr::from_bits(FIRST_ADDRESS + state.made % ADDRESSES);
        state.made = state.made.wrapping_add(1);
        let kept = Kept {
            pod: request.pod.clone(),
            node: request.node.clone(),
            object: Arc::clone(&request.object),
            created: now,
            stage: Stage::Starting,
            deleting: false,
            address,
            billed: PodFacts::from_value(&request.object).map(|facts| facts.requests).unwrap_or_default(),
            hidden: hidden::tag(&request.hidden),
        };
        let instance = kept.instance();
        state.by_uid.insert(request.pod.uid.clone(), kept);
        self.tell(InstanceEvent::Changed(instance.clone()));
        (instance, true)
    }

    /// Its containers run, unless it is to end.
    pub(super) fn start(&self, uid: &str, now: Timestamp) {
        let mut state = self.lock();
        let starting = |kept: &&mut Kept| !kept.deleting && kept.stage == Stage::Starting;
        if let Some(kept) = state.by_uid.get_mut(uid).filter(starting) {
            kept.stage = Stage::Running { since: now };
            self.tell(InstanceEvent::Changed(kept.instance()));
        }
    }

    /// Deletion was asked for; `false` if it was before, or there is no such instance.
    pub(super) fn stop(&self, uid: &str) -> bool {
        let mut state = self.lock();
        let Some(kept) = state.by_uid.get_mut(uid).filter(|kept| !kept.deleting) else { return false };
        kept.deleting = true;
        self.tell(InstanceEvent::Changed(kept.instance()));
        true
    }

    /// It is gone.
    pub(super) fn end(&self, uid: &str, now: Timestamp) {
        let mut state = self.lock();
        if let Some(mut kept) = state.by_uid.remove(uid) {
            kept.stage = kept.stage.ended(now);
            self.tell(InstanceEvent::Gone(kept.instance()));
        }
    }

    pub(super) fn list(&self) -> Vec<Instance> {
        self.lock().by_uid.values().map(Kept::instance).collect()
    }

    /// All instances, and every change after this list.
    pub(super) fn list_and_follow(&self) -> (Vec<Instance>, broadcast::Receiver<InstanceEvent>) {
        let state = self.lock();
        (state.by_uid.values().map(Kept::instance).collect(), self.changes.subscribe())
    }

    /// The pods whose containers run and since when they do, by UID.
    pub(super) fn running(&self) -> BTreeMap<String, (Arc<Value>, Timestamp)> {
        let state = self.lock();
        let running = state.by_uid.iter().filter_map(|(uid, kept)| match kept.stage {
            Stage::Running { since } => Some((uid.clone(), (Arc::clone(&kept.object), since))),
            Stage::Starting | Stage::Ended { .. } => None,
        });
        running.collect()
    }

    /// Since when a container runs.
    pub(super) fn started(&self, pod: &PodIdentity, container: &str) -> Result<Timestamp, CloudError> {
        let PodIdentity { uid, namespace, name } = pod;
        match self.lock().by_uid.get(uid).map(|kept| kept.stage) {
            Some(Stage::Running { since } | Stage::Ended { since: Some(since), .. }) => Ok(since),
            Some(_) => Err(CloudError::Invalid(format!(
                "container {container} of pod {namespace}/{name} is waiting to start: ContainerCreating"
            ))),
            None => Err(CloudError::Gone(format!("pod {namespace}/{name} has no instance"))),
        }
    }

    /// Nobody watching is no error.
    fn tell(&self, event: InstanceEvent) {
        let _ = self.changes.send(event);
    }
}
