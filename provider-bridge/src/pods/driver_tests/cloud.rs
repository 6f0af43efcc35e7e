//! An in-memory cloud with faults: lost and late answers, lagging lists, refusals, vanishing instances.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use policies::resources::Resources;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::cloud::*;
use crate::streams::{ExecProviderEnd, ExecRequest, LogOptions};

/// What happens to one create.
#[derive(Clone, Debug)]
pub(super) enum CreateFault {
    /// Refused, nothing made.
    Refused(CloudError),
    /// Made, the answer is lost.
    LostAnswer,
    /// The answer is lost and the instance appears only after this time.
    Late(Duration),
    /// Never answered, never made.
    Hang,
}

pub(super) struct Fake {
    pub(super) pod: PodIdentity,
    pub(super) node: String,
    pub(super) phase: &'static str,
    pub(super) deleting: bool,
    pub(super) restarts: u64,
    pub(super) unplaced: bool,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) instances: BTreeMap<String, Fake>,
    watchers: Vec<UnboundedSender<Result<InstanceEvent, CloudError>>>,
    pub(super) create_faults: VecDeque<CreateFault>,
    pub(super) delete_faults: VecDeque<CloudError>,
    pub(super) list_faults: VecDeque<CloudError>,
    /// Listings show nothing.
    pub(super) blind: bool,
    /// New instances are hidden from listings for so long.
    pub(super) list_lag: Duration,
    hidden: BTreeMap<String, tokio::time::Instant>,
    /// Every create call: UID.
    pub(super) creates: Vec<String>,
    /// Create calls for a UID whose instance existed.
    pub(super) doubled: usize,
    /// Delete calls: UID and grace.
    pub(super) deletes: Vec<(String, u32)>,
    /// Order of ends: `+uid`, `-uid`.
    pub(super) history: Vec<String>,
    pub(super) prepared: usize,
    /// New instances find no place.
    pub(super) unplaced: bool,
    /// Labels that came with each create.
    pub(super) labels: BTreeMap<String, BTreeMap<String, String>>,
    /// Names of the containers of each create, and of those that the pod does not have.
    pub(super) containers: BTreeMap<String, (Vec<String>, Vec<String>)>,
}

#[derive(Clone)]
pub(super) struct FakeCloud {
    state: Arc<Mutex<State>>,
    start_after: Duration,
    stop_after: Duration,
}

impl FakeCloud {
    pub(super) fn new() -> Self {
        Self::slow(Duration::from_millis(200), Duration::from_millis(200))
    }

    pub(super) fn slow(start_after: Duration, stop_after: Duration) -> Self {
        Self { state: Arc::default(), start_after, stop_after }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn phase(&self, uid: &str) -> Option<&'static str> {
        self.lock().instances.get(uid).map(|i| i.phase)
    }

    pub(super) fn put(&self, uid: &str, namespace: &str, name: &str, node: &str, phase: &'static str) {
        let pod = PodIdentity { uid: uid.into(), namespace: namespace.into(), name: name.into() };
        self.appear(Fake { pod, node: node.into(), phase, deleting: false, restarts: 0, unplaced: false });
    }

    fn appear(&self, instance: Fake) {
        let mut state = self.lock();
        let uid = instance.pod.uid.clone();
        state.history.push(format!("+{uid}"));
        state.instances.insert(uid.clone(), instance);
        if !state.list_lag.is_zero() {
            let until = tokio::time::Instant::now() + state.list_lag;
            state.hidden.insert(uid.clone(), until);
        }
        state.tell(&uid);
    }

    pub(super) fn set_phase(&self, uid: &str, phase: &'static str) {
        let mut state = self.lock();
        if let Some(i) = state.instances.get_mut(uid) {
            i.phase = phase;
        }
        state.tell(uid);
    }

    /// Gone without anyone asking; `told`: the watch says so.
    pub(super) fn lose(&self, uid: &str, told: bool) {
        self.lock().end(uid, told);
    }

    /// The watch starts over with a complete list, as after a reconnect.
    pub(super) fn relist(&self) {
        let mut state = self.lock();
        let events = state.complete_list();
        for event in events {
            state.watchers.retain(|w| w.send(Ok(event.clone())).is_ok());
        }
    }
}

impl State {
    fn tell(&mut self, uid: &str) {
        if let Some(i) = self.instances.get(uid) {
            let event = InstanceEvent::Changed(view(i));
            self.watchers.retain(|w| w.send(Ok(event.clone())).is_ok());
        }
    }

    fn end(&mut self, uid: &str, told: bool) {
        if let Some(i) = self.instances.remove(uid) {
            self.history.push(format!("-{uid}"));
            if told {
                let event = InstanceEvent::Gone(view(&i));
                self.watchers.retain(|w| w.send(Ok(event.clone())).is_ok());
            }
        }
    }

    fn visible(&self) -> Vec<Instance> {
        let now = tokio::time::Instant::now();
        let shown = |uid: &String| !self.blind && self.hidden.get(uid).is_none_or(|until| *until <= now);
        self.instances.iter().filter(|(uid, _)| shown(uid)).map(|(_, i)| view(i)).collect()
    }

    fn complete_list(&self) -> Vec<InstanceEvent> {
        let changed = self.visible().into_iter().map(InstanceEvent::Changed);
        std::iter::once(InstanceEvent::Restarted).chain(changed).chain([InstanceEvent::Synced]).collect()
    }
}

fn view(i: &Fake) -> Instance {
    let running = i.phase == "Running";
    let mut status = json!({
        "phase": i.phase,
        "containerStatuses": [{
            "name": "main", "image": "busybox", "imageID": "x", "ready": running, "started": running,
            "restartCount": i.restarts,
            "state": match i.phase {
                "Running" => json!({ "running": { "startedAt": "2030-01-01T00:00:00Z" } }),
                "Pending" => json!({ "waiting": { "reason": "ContainerCreating" } }),
                phase => json!({ "terminated": { "exitCode": i32::from(phase == "Failed") } }),
            },
        }],
        "conditions": [
            { "type": "PodScheduled", "status": "True", "reason": "OfTheCloud" },
            { "type": "Ready", "status": if running { "True" } else { "False" } },
        ],
    });
    if i.unplaced
        && let Some(conditions) = status["conditions"].as_array_mut()
    {
        conditions.push(json!({
            "type": CONDITION_CLOUD_SCHEDULED, "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
        }));
    }
    if running {
        status["podIP"] = json!("198.18.64.7");
    }
    Instance {
        id: format!("i-{}", i.pod.uid),
        pod: i.pod.clone(),
        node: i.node.clone(),
        created: None,
        deleting: i.deleting,
        billed: Resources { cpu_milli: 250, memory_bytes: 1 << 29, pods: 1, ..Resources::default() },
        status: Arc::new(status),
    }
}

#[async_trait]
impl Provider for FakeCloud {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            watch: true,
            logs: false,
            exec: false,
            attach: false,
            port_forward: false,
            usage: false,
        }
    }

    async fn prepare(&self) -> Result<(), CloudError> {
        self.lock().prepared += 1;
        Ok(())
    }

    async fn create(&self, request: &CreateRequest, _: &dyn Resolve) -> Result<Instance, CloudError> {
        let uid = request.pod.uid.clone();
        assert_eq!(request.object.pointer("/metadata/uid").and_then(Value::as_str), Some(uid.as_str()));
        let fault = {
            let mut state = self.lock();
            state.creates.push(uid.clone());
            state.labels.insert(uid.clone(), request.labels.clone());
            let rows =
                request.object.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
            let names = rows.filter_map(|row| Some(row.get("name")?.as_str()?.to_owned())).collect();
            state.containers.insert(uid.clone(), (names, request.hidden.clone()));
            if state.instances.contains_key(&uid) {
                state.doubled += 1;
            }
            state.create_faults.pop_front()
        };
        match &fault {
            Some(CreateFault::Refused(error)) => return Err(error.clone()),
            Some(CreateFault::Hang) => std::future::pending().await,
            _ => {}
        }
        let (cloud, pod, node) = (self.clone(), request.pod.clone(), request.node.clone());
        let late = if let Some(CreateFault::Late(after)) = fault { after } else { Duration::ZERO };
        let appear = async move {
            tokio::time::sleep(late).await;
            let uid = pod.uid.clone();
            let known = cloud.lock().instances.contains_key(&uid);
            if !known {
                let unplaced = cloud.lock().unplaced;
                cloud.appear(Fake { pod, node, phase: "Pending", deleting: false, restarts: 0, unplaced });
                tokio::time::sleep(cloud.start_after).await;
                if !unplaced && cloud.phase(&uid) == Some("Pending") {
                    cloud.set_phase(&uid, "Running");
                }
            }
        };
        tokio::spawn(appear);
        tokio::time::sleep(Duration::from_millis(5)).await;
        if fault.is_some() {
            return Err(CloudError::Retryable("connection reset".into()));
        }
        self.lock().instances.get(&uid).map(view).ok_or_else(|| CloudError::Retryable("vanished".into()))
    }

    async fn delete(&self, instance: &Instance, grace_seconds: u32) -> Result<(), CloudError> {
        let uid = instance.pod.uid.clone();
        {
            let mut state = self.lock();
            state.deletes.push((uid.clone(), grace_seconds));
            if let Some(error) = state.delete_faults.pop_front() {
                return Err(error);
            }
            match state.instances.get_mut(&uid) {
                None => return Err(CloudError::Gone(uid)),
                Some(i) => i.deleting = true,
            }
            state.tell(&uid);
        }
        let cloud = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(cloud.stop_after).await;
            cloud.lock().end(&uid, true);
        });
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        let mut state = self.lock();
        match state.list_faults.pop_front() {
            Some(error) => Err(error),
            None => Ok(state.visible()),
        }
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
        let (tx, rx) = unbounded_channel();
        let mut state = self.lock();
        for event in state.complete_list() {
            tx.send(Ok(event)).unwrap();
        }
        state.watchers.push(tx);
        tokio_stream::wrappers::UnboundedReceiverStream::new(rx).boxed()
    }

    async fn logs(&self, _: &Instance, _: &str, _: &LogOptions) -> Result<ByteStream, CloudError> {
        Err(CloudError::Invalid("no logs here".into()))
    }

    async fn exec(
        &self,
        _: &Instance,
        _: &str,
        _: &ExecRequest,
        _: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        Err(CloudError::Invalid("no exec here".into()))
    }
}
