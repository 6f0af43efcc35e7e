//! Watching a cloud that pushes nothing: one look after the other, each told as what changed since the last.
//!
//! What a look consists of is the provider's; when to look, what was told last and what we changed ourselves is kept here.
//! Nothing here says that an instance is gone: that is told only on the provider's word.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::task_stream::TaskStream;
use super::{CloudError, Instance, InstanceEvent};

/// Events that may wait for the reader.
const DEPTH: usize = 256;
/// Time between two looks while something is under way.
const BUSY: Duration = Duration::from_millis(1000);
/// The least time between two looks.
const SPACING: Duration = Duration::from_millis(300);
/// So many may be missing at once without asking the bridge for its judgement.
const FEW: usize = 5;

/// An instance that we made and that cannot be had for so long does not exist.
pub(super) const MADE_PATIENCE: Duration = Duration::from_secs(30);

type Item = Result<InstanceEvent, CloudError>;

/// What is given to the bridge.
pub(super) type InstanceStream = TaskStream<Item>;

/// The reader of the stream is gone.
pub(super) struct Closed;

/// A provider's looks.
pub(super) trait Looks: Send + Sync + 'static {
    /// Why one failed.
    type Refusal: Into<CloudError> + Send;

    /// Looks, and tells what there is to tell.
    fn look(
        &mut self,
        told: &mut Told,
    ) -> impl Future<Output = Result<ControlFlow<Closed>, Self::Refusal>> + Send;

    /// What we changed and have not seen yet.
    fn changes(&self) -> &Changes;

    /// Time between two looks while nothing is under way.
    fn every(&self) -> Duration;
}

/// Starts looking. Must be called inside a Tokio runtime.
pub(super) fn start(looks: impl Looks) -> InstanceStream {
    TaskStream::start(DEPTH, |sender| run(looks, Told { sender, seen: HashMap::new() }))
}

async fn run(mut looks: impl Looks, mut told: Told) {
    let mut waits = backoff();
    loop {
        match looks.look(&mut told).await {
            Ok(ControlFlow::Continue(())) => {
                waits = backoff();
                rest(&looks, &told).await;
            }
            Ok(ControlFlow::Break(Closed)) => return,
            Err(refusal) => {
                let error: CloudError = refusal.into();
                let wait = match &error {
                    CloudError::Throttled { after, .. } => *after,
                    _ => waits.next().unwrap_or(Duration::from_secs(30)),
                };
                if told.sender.send(Err(error)).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Waits for the next look: shorter while something is under way, and ended by a create or delete.
async fn rest(looks: &impl Looks, told: &Told) {
    let under_way = |instance: &Instance| {
        instance.deleting || instance.status.get("phase").is_some_and(|phase| phase == "Pending")
    };
    let (changes, every) = (looks.changes(), looks.every());
    let busy = !changes.is_empty() || told.seen.values().any(under_way);
    let wait = if busy { BUSY.min(every) } else { every };
    tokio::time::sleep(SPACING.min(wait)).await;
    tokio::select! {
        () = tokio::time::sleep(wait.saturating_sub(SPACING)) => {}
        () = changes.nudge.notified() => {}
    }
}

fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(30))
        .with_jitter()
        .without_max_times()
        .build()
}

/// What was told last, and to whom.
pub(super) struct Told {
    sender: mpsc::Sender<Item>,
    /// By id.
    seen: HashMap<String, Instance>,
}

impl Told {
    /// What was told last of an instance.
    pub(super) fn of(&self, id: &str) -> Option<&Instance> {
        self.seen.get(id)
    }

    /// Ids of the instances whose deletion is known and whose end is not.
    pub(super) fn ending(&self) -> impl Iterator<Item = &str> {
        self.seen.values().filter(|instance| instance.deleting).map(|instance| instance.id.as_str())
    }

    /// Ids that a complete list lacks, of what was told and of what we changed. `None`: so many are missing that the list
    /// as a whole should be told. `asked` says whether an end is no surprise.
    pub(super) fn missing(
        &self,
        all: &[Instance],
        changed: &[Pending],
        asked: impl Fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let there = |id: &str| all.iter().any(|instance| instance.id == id);
        let mut missing: Vec<String> = self.seen.keys().filter(|id| !there(id)).cloned().collect();
        let changed = changed.iter().map(|one| &one.instance.id);
        missing.extend(changed.filter(|id| !there(id) && !self.seen.contains_key(*id)).cloned());
        let surprising = missing.iter().filter(|id| !asked(id)).count();
        (surprising <= FEW || surprising * 3 <= self.seen.len()).then_some(missing)
    }

    /// Tells of those that changed.
    pub(super) async fn tell(&mut self, instances: Vec<Instance>) -> ControlFlow<Closed> {
        for instance in instances {
            let same = |known: &Instance| {
                known.status == instance.status
                    && known.deleting == instance.deleting
                    && known.billed == instance.billed
            };
            if self.seen.get(&instance.id).is_some_and(same) {
                continue;
            }
            self.seen.insert(instance.id.clone(), instance.clone());
            self.send(InstanceEvent::Changed(instance)).await?;
        }
        ControlFlow::Continue(())
    }

    /// Tells a complete list as one.
    pub(super) async fn tell_all(&mut self, all: Vec<Instance>) -> ControlFlow<Closed> {
        self.seen = all.iter().map(|instance| (instance.id.clone(), instance.clone())).collect();
        let changed = all.into_iter().map(InstanceEvent::Changed);
        for event in std::iter::once(InstanceEvent::Restarted).chain(changed).chain([InstanceEvent::Synced]) {
            self.send(event).await?;
        }
        ControlFlow::Continue(())
    }

    /// Forgets an instance; answers what was told of it last.
    pub(super) fn forget(&mut self, id: &str) -> Option<Instance> {
        self.seen.remove(id)
    }

    /// Tells the end of an instance.
    pub(super) async fn tell_gone(&mut self, last: Instance) -> ControlFlow<Closed> {
        self.send(InstanceEvent::Gone(last)).await
    }

    async fn send(&self, event: InstanceEvent) -> ControlFlow<Closed> {
        match self.sender.send(Ok(event)).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(Closed),
        }
    }
}

/// A change that we made and have not seen yet.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) instance: Instance,
    pub(super) since: Instant,
    pub(super) deleted: bool,
}

/// What we made or deleted ourselves, until a look shows it. Can be lost at any time.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// By id.
    pending: Mutex<HashMap<String, Pending>>,
    /// Something was created or deleted: worth a look.
    nudge: Notify,
}

impl Changes {
    fn pending(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance was made: it is there from now on, whether or not the lists show it yet.
    pub(super) fn made(&self, instance: &Instance) {
        self.insert(Pending { instance: instance.clone(), since: Instant::now(), deleted: false });
    }

    /// The deletion of an instance was accepted.
    pub(super) fn ending(&self, instance: &Instance) {
        let instance = Instance { deleting: true, ..instance.clone() };
        self.insert(Pending { instance, since: Instant::now(), deleted: true });
    }

    fn insert(&self, pending: Pending) {
        self.pending().insert(pending.instance.id.clone(), pending);
        self.nudge.notify_one();
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Pending> {
        self.pending().values().cloned().collect()
    }

    /// Whether one is of this instance.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.pending().contains_key(id)
    }

    fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    /// A complete list: what we made and is in it is there. Otherwise many creates would be looked at one by one for ever.
    pub(super) fn listed(&self, all: &[Instance]) {
        let mut pending = self.pending();
        for instance in all {
            if pending.get(&instance.id).is_some_and(|one| !one.deleted) {
                pending.remove(&instance.id);
            }
        }
    }

    /// The change was seen, or the instance is gone.
    pub(super) fn settled(&self, id: &str) {
        self.pending().remove(id);
    }
}
