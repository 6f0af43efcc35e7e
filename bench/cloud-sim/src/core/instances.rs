//! The simulated cloud: store, clock, meter, runtime and every running instance. Façades call this and nothing below it.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::{Clock, k8s_time};
use super::driver;
use super::kind::Kind;
use super::logs::Log;
use super::meter::Meter;
use super::plan::PodPlan;
use super::store::{Key, Store, Stored, Verdict};
use crate::runtime::{Runtime, Sandbox};
use crate::size::Size;

/// The finalizer that keeps a pod until its bill is closed.
pub(crate) const BILLING_FINALIZER: &str = "billing.kubernetes.io/podbilling-finalizer";
/// The address of the machine below every instance; a tenant can do nothing with it.
pub(crate) const HOST_IP: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);
/// Events kept; the oldest are dropped first.
const EVENTS_KEPT: usize = 4096;

/// How long things take.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// Accepted → placed.
    pub(crate) schedule: Duration,
    /// Asked to delete and stopped → confirmed gone.
    pub(crate) delete: Duration,
    /// First wait between crashes; doubles up to five minutes.
    pub(crate) backoff: Duration,
    /// A namespace's name stays taken after its deletion.
    pub(crate) namespace_hold: Duration,
    /// A new Network becomes Active.
    pub(crate) network: Duration,
}

/// In what clouds differ below their faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Billed from the order to the confirmed deletion; otherwise from being placed until it ended.
    pub(crate) bills_whole_life: bool,
    /// Shows objects as they are stored, with the place in their labels and annotations.
    pub(crate) marks_objects: bool,
}

impl Habits {
    /// CCI's.
    pub(crate) const CCI: Self = Self { bills_whole_life: true, marks_objects: true };
    /// ECI's and Cube's.
    pub(crate) const PLAIN: Self = Self { bills_whole_life: false, marks_objects: false };
}

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// SIGKILL at this time.
    pub(crate) deadline: Timestamp,
    /// The object goes too; otherwise it stays, ended, until it is deleted.
    pub(crate) remove: bool,
}

/// Field of a stored pod: which incarnation of its instance the status is of.
pub(crate) const INCARNATION: &str = "incarnation";

/// How often the instance had been started anew when the status of this stored pod was written. Read from the pod and
/// not from the instance: a successor that has written nothing yet must not pass for what its predecessor wrote.
pub(crate) fn incarnation_of(pod: &Value) -> u64 {
    pod.get(INCARNATION).and_then(Value::as_u64).unwrap_or_default()
}

/// No capacity for an instance.
#[derive(Clone, Debug)]
pub(crate) struct StockOut {
    pub(crate) message: String,
    /// Capacity returns after this; never if absent.
    pub(crate) lasts: Option<Duration>,
}

/// One billed instance.
pub(crate) struct Instance {
    pub(crate) key: Key,
    pub(crate) plan: Arc<PodPlan>,
    pub(crate) size: Size,
    pub(crate) stock_out: Option<StockOut>,
    pub(crate) stop: watch::Sender<Option<Stop>>,
    /// Added to the deletion's duration by a fault.
    pub(crate) extra_delete_ms: AtomicU64,
    pub(crate) sandbox: OnceLock<Arc<Sandbox>>,
    /// How often it was started anew in its place.
    pub(crate) generation: u32,
    /// When the order for it was taken, by the machine's own clock: what is measured is not advanced.
    pub(crate) accepted: Timestamp,
    /// What runs in its place after the stop that is under way.
    successor: Mutex<Option<Arc<PodPlan>>>,
    billing: AtomicU8,
    running: Mutex<BTreeMap<String, Incarnations>>,
}

/// States of `Instance::billing`.
const UNBILLED: u8 = 0;
const BILLED: u8 = 1;
const SETTLED: u8 = 2;

/// What is kept of a container: its process, its log and the log before.
#[derive(Default)]
struct Incarnations {
    /// Since when it runs; none while it does not.
    since: Option<Timestamp>,
    pid: Option<u32>,
    current: Option<Arc<Log>>,
    previous: Option<Arc<Log>>,
}

impl Instance {
    fn new(key: Key, plan: Arc<PodPlan>, size: Size, stock_out: Option<StockOut>) -> Self {
        Self {
            key,
            plan,
            size,
            stock_out,
            stop: watch::Sender::new(None),
            extra_delete_ms: AtomicU64::new(0),
            sandbox: OnceLock::new(),
            generation: 0,
            accepted: Timestamp::now(),
            successor: Mutex::default(),
            billing: AtomicU8::new(UNBILLED),
            running: Mutex::default(),
        }
    }

    fn succeed(&self, plan: Option<Arc<PodPlan>>) {
        *self.successor.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Incarnations>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new incarnation of a container: its log becomes the current one. `pid` is its process, as the simulator sees it.
    pub(crate) fn began(&self, container: &str, log: Arc<Log>, pid: Option<u32>, at: Timestamp) {
        let mut all = self.lock();
        let entry = all.entry(container.to_owned()).or_default();
        entry.previous = entry.current.replace(log);
        (entry.pid, entry.since) = (pid, Some(at));
    }

    /// A container runs no more.
    pub(crate) fn ended(&self, container: &str) {
        let mut all = self.lock();
        let entry = all.entry(container.to_owned()).or_default();
        (entry.pid, entry.since) = (None, None);
    }

    /// Current or previous log.
    pub(crate) fn log(&self, container: &str, previous: bool) -> Option<Arc<Log>> {
        let all = self.lock();
        let entry = all.get(container)?;
        if previous { entry.previous.clone() } else { entry.current.clone() }
    }

    /// What runs, by container: since when, and its process if it has one.
    pub(crate) fn running(&self) -> BTreeMap<String, (Timestamp, Option<u32>)> {
        self.lock()
            .iter()
            .filter_map(|(name, entry)| Some((name.clone(), (entry.since?, entry.pid))))
            .collect()
    }

    /// Processes by container.
    pub(crate) fn pids(&self) -> BTreeMap<String, u32> {
        self.lock().iter().filter_map(|(name, entry)| Some((name.clone(), entry.pid?))).collect()
    }
}

/// Everything.
pub(crate) struct Cloud {
    pub(crate) clock: Arc<Clock>,
    pub(crate) store: Store,
    pub(crate) meter: Meter,
    pub(crate) runtime: Runtime,
    pub(crate) timing: Timing,
    pub(crate) habits: Habits,
    pub(crate) region: String,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
    instances: Mutex<HashMap<String, Arc<Instance>>>,
    /// Names of deleted namespaces and when they are free again.
    held: Mutex<HashMap<String, Timestamp>>,
    event_number: AtomicU64,
}

impl Cloud {
    /// An empty account.
    pub(crate) fn new(
        store: Store,
        meter: Meter,
        runtime: Runtime,
        timing: Timing,
        habits: Habits,
        region: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock: store.clock.clone(),
            store,
            meter,
            runtime,
            timing,
            habits,
            region,
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            instances: Mutex::default(),
            held: Mutex::default(),
            event_number: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task until it ends or the simulator stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Starts billing and running a pod that was just stored.
    pub(crate) fn launch(
        self: &Arc<Self>,
        stored: &Stored,
        plan: Arc<PodPlan>,
        size: Size,
        stock_out: Option<StockOut>,
    ) {
        let instance = Arc::new(Instance::new(stored.key.clone(), plan, size, stock_out));
        if self.habits.bills_whole_life {
            self.bill(&instance, stored.created);
        }
        self.start(&mut self.lock(), instance);
    }

    fn start(self: &Arc<Self>, all: &mut HashMap<String, Arc<Instance>>, instance: Arc<Instance>) {
        all.insert(instance.plan.uid.clone(), instance.clone());
        let cloud = self.clone();
        self.spawn(async move { driver::run(&cloud, &instance).await });
    }

    /// Billing of an instance starts, if it has not.
    pub(crate) fn bill(&self, instance: &Instance, from: Timestamp) {
        let turn = instance.billing.compare_exchange(UNBILLED, BILLED, Ordering::Relaxed, Ordering::Relaxed);
        if turn.is_ok() {
            let name = format!("{}/{}", instance.key.namespace, instance.plan.name);
            self.meter.open(&instance.plan.uid, &name, instance.size, from);
        }
    }

    /// Billing of an instance ends, if it has not.
    pub(crate) fn settle(&self, instance: &Instance) {
        if instance.billing.swap(SETTLED, Ordering::Relaxed) == BILLED {
            self.meter.close(&instance.plan.uid, self.clock.now());
        }
    }

    /// Asks an instance to stop and go; a later request may only shorten the grace.
    pub(crate) fn stop(&self, uid: &str, grace: Duration, extra_delete: Duration) {
        self.halt(uid, grace, |instance| {
            let extra = u64::try_from(extra_delete.as_millis()).unwrap_or(u64::MAX);
            instance.extra_delete_ms.fetch_max(extra, Ordering::Relaxed);
            instance.succeed(None);
            true
        });
    }

    /// Ends an instance whose object stays until it is deleted.
    pub(crate) fn expire(&self, uid: &str) {
        self.halt(uid, Duration::ZERO, |instance| {
            instance.succeed(None);
            false
        });
    }

    /// Stops what runs and starts this in its place: the same identity, address and bill.
    pub(crate) fn replace(&self, uid: &str, plan: Arc<PodPlan>, grace: Duration) {
        self.halt(uid, grace, |instance| {
            instance.succeed(Some(plan));
            false
        });
    }

    /// Under the lock, so that no stop is lost between an instance and its successor.
    fn halt(&self, uid: &str, grace: Duration, prepare: impl FnOnce(&Instance) -> bool) {
        let all = self.lock();
        let Some(instance) = all.get(uid) else { return };
        let remove = prepare(instance);
        let deadline = self.clock.now().checked_add(grace).unwrap_or(Timestamp::MAX);
        instance.stop.send_if_modified(|stop| {
            let before = *stop;
            let sooner = before.map_or(deadline, |old| deadline.min(old.deadline));
            let remove = remove || before.is_some_and(|old| old.remove);
            *stop = Some(Stop { deadline: sooner, remove });
            *stop != before
        });
    }

    /// Starts what was to run in the place of an instance that has stopped, if anything was.
    pub(crate) fn start_successor(self: &Arc<Self>, old: &Instance) -> bool {
        let mut all = self.lock();
        let Some(plan) = old.successor.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return false;
        };
        let mut next = Instance::new(old.key.clone(), plan, old.size, None);
        next.generation = old.generation + 1;
        next.billing = AtomicU8::new(old.billing.load(Ordering::Relaxed));
        self.start(&mut all, Arc::new(next));
        true
    }

    /// Deletion is confirmed: the bill is closed and the object goes, unless another finalizer holds it.
    pub(crate) fn finish(&self, instance: &Instance) {
        let uid = &instance.plan.uid;
        let done = self.store.update::<Infallible>(Kind::Pod, &instance.key, |pod, stored| {
            if stored.uid != *uid {
                return Ok(Verdict::Keep);
            }
            let held = drop_finalizer(pod, BILLING_FINALIZER);
            Ok(if held { Verdict::Write } else { Verdict::Remove })
        });
        debug_assert!(done.is_ok());
        self.settle(instance);
        self.lock().remove(uid);
    }

    /// One instance by UID.
    pub(crate) fn instance(&self, uid: &str) -> Option<Arc<Instance>> {
        self.lock().get(uid).cloned()
    }

    /// All instances, by namespace and name.
    pub(crate) fn all(&self) -> Vec<Arc<Instance>> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Remembers that a namespace's name is not free yet.
    pub(crate) fn hold_namespace(&self, name: &str) {
        let until = self.clock.now().checked_add(self.timing.namespace_hold).unwrap_or(Timestamp::MAX);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), until);
    }

    /// Whether a namespace was deleted too recently to be created again.
    pub(crate) fn namespace_held(&self, name: &str) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(name).is_some_and(|until| self.clock.now() < *until)
    }

    /// Whether a namespace has a Network that is Active.
    pub(crate) fn network_active(&self, namespace: &str) -> bool {
        let networks = self.store.list(Kind::Network, Some(namespace)).items;
        networks.iter().any(|network| {
            let value = network.value();
            let is = |field: &str, word: &str| value.pointer(field).and_then(Value::as_str) == Some(word);
            is("/status/state", "Active") || is("/status/status", "Ready")
        })
    }

    /// Records an Event about a pod.
    pub(crate) fn event(&self, instance: &Instance, warning: bool, reason: &str, message: &str) {
        let now = self.clock.now();
        let number = self.event_number.fetch_add(1, Ordering::Relaxed);
        let Key { namespace, name } = &instance.key;
        let event_name = format!("{name}.{number:016x}");
        let at = k8s_time(now);
        let object = json!({
            "metadata": {"name": event_name, "namespace": namespace, "uid": new_uid(), "creationTimestamp": at},
            "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": name, "uid": instance.plan.uid},
            "reason": reason, "message": message, "type": if warning { "Warning" } else { "Normal" },
            "source": {"component": "cci"}, "firstTimestamp": at, "lastTimestamp": at, "count": 1,
        });
        self.store.create(Kind::Event, &Key::new(namespace, &event_name), object, now);
        self.store.trim(Kind::Event, EVENTS_KEPT);
    }
}

/// Removes one finalizer; answers whether others remain.
fn drop_finalizer(object: &mut Value, name: &str) -> bool {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return false };
    let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) else { return false };
    list.retain(|entry| entry.as_str() != Some(name));
    let held = !list.is_empty();
    if !held {
        metadata.remove("finalizers");
    }
    held
}

/// The map at `metadata.<field>`, made if absent.
pub(crate) fn metadata_map<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    let metadata = object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
    let entry = metadata.as_object_mut()?.entry(field).or_insert_with(|| json!({}));
    if !entry.is_object() {
        *entry = json!({});
    }
    entry.as_object_mut()
}

/// A random version 4 UUID.
pub(crate) fn new_uid() -> String {
    let mut bytes = [0_u8; 16];
    // Without randomness there is no identity; the fallback keeps the simulator alive and is visible as all zeros.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xf << 76) | (4 << 76);
    let number = number & !(0b11 << 62) | (0b10 << 62);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_version_4() {
        let uid = new_uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(uid.chars().nth(14), Some('4'), "{uid}");
        assert!(uid.chars().nth(19).is_some_and(|c| "89ab".contains(c)), "{uid}");
        assert_ne!(uid, new_uid());
    }

    #[test]
    fn the_last_finalizer_frees_the_object() {
        let mut pod = json!({"metadata": {"finalizers": ["a", BILLING_FINALIZER]}});
        assert!(drop_finalizer(&mut pod, BILLING_FINALIZER));
        assert!(!drop_finalizer(&mut pod, "a"));
        assert_eq!(pod, json!({"metadata": {}}));
    }
}
