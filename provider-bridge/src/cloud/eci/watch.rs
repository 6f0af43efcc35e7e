//! What happens to our instances. ECI pushes nothing: a complete list at first and then every minute, in between what
//! changed in the last seconds (`SinceSecond`), and a look by id at what we made or deleted ourselves.
//!
//! An absence is told only when it is certain: a group whose deletion was asked for is not in a complete list or cannot be
//! described any more; any other was in a list before, is not in a later one, and cannot be described by its id either.
//! Where much is missing at once, that is told as a list, which the bridge judges as a whole.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::Stream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::cloud::{CloudError, Instance, InstanceEvent};

use super::answers::GroupStatus;
use super::api::{Api, GROUPS_PER_PAGE};
use super::fault::Refusal;
use super::status::never_placed;

/// Events that may wait for the reader.
const DEPTH: usize = 256;
/// Time between two complete lists.
const COMPLETE_EVERY: Duration = Duration::from_secs(60);
/// Time between two looks while something is under way.
const BUSY: Duration = Duration::from_millis(1000);
/// The least time between two looks.
const SPACING: Duration = Duration::from_millis(300);
/// How much further back than the last look `SinceSecond` asks, seconds: for clocks and for writes that show late.
const MARGIN_SECONDS: u64 = 10;
/// After so long without a look only a complete list will do.
const LONG_AGO: Duration = Duration::from_secs(600);
/// A group that we made and that cannot be described for so long does not exist.
const MADE_PATIENCE: Duration = Duration::from_secs(30);
/// A group without a place is kept for so long, so that its pod can be handed back, then another place is tried.
const PLACE_PATIENCE: Duration = Duration::from_secs(30);
/// So many may be missing at once without asking the bridge for its judgement.
const FEW: usize = 5;

type Item = Result<InstanceEvent, CloudError>;

/// The stream given to the bridge; dropping it ends the task.
pub(super) struct InstanceStream {
    events: mpsc::Receiver<Item>,
    _task: AbortOnDropHandle<()>,
}

impl Stream for InstanceStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.events.poll_recv(cx)
    }
}

/// Starts watching. Must be called inside a Tokio runtime.
pub(super) fn start(api: Arc<Api>) -> InstanceStream {
    let (sender, events) = mpsc::channel(DEPTH);
    let watcher =
        Watcher { api, sender, seen: HashMap::new(), listed: None, looked: None, unplaced: HashMap::new() };
    InstanceStream { events, _task: AbortOnDropHandle::new(tokio::spawn(watcher.run())) }
}

/// The reader of the stream is gone.
struct Closed;

struct Watcher {
    api: Arc<Api>,
    sender: mpsc::Sender<Item>,
    /// What was told last, by group id.
    seen: HashMap<String, Instance>,
    /// When the last complete list began.
    listed: Option<Instant>,
    /// When the last look of any kind began.
    looked: Option<Instant>,
    /// Since when groups are known to have no place.
    unplaced: HashMap<String, Instant>,
}

impl Watcher {
    async fn run(mut self) {
        let mut waits = backoff();
        loop {
            match self.look().await {
                Ok(ControlFlow::Continue(())) => {
                    waits = backoff();
                    self.rest().await;
                }
                Ok(ControlFlow::Break(Closed)) => return,
                Err(refusal) => {
                    let error = CloudError::from(refusal);
                    let wait = match &error {
                        CloudError::Throttled { after, .. } => *after,
                        _ => waits.next().unwrap_or(Duration::from_secs(30)),
                    };
                    if self.sender.send(Err(error)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Waits for the next look: shorter while something is under way, and ended by a create or delete.
    async fn rest(&self) {
        let under_way = |instance: &Instance| {
            instance.deleting || instance.status.get("phase").is_some_and(|phase| phase == "Pending")
        };
        let busy = !self.api.pending().is_empty() || self.seen.values().any(under_way);
        let wait = if busy { BUSY.min(self.api.settings.poll) } else { self.api.settings.poll };
        tokio::time::sleep(SPACING.min(wait)).await;
        tokio::select! {
            () = tokio::time::sleep(wait.saturating_sub(SPACING)) => {}
            () = self.api.nudge.notified() => {}
        }
    }

    async fn look(&mut self) -> Result<ControlFlow<Closed>, Refusal> {
        let began = Instant::now();
        let done = match (self.listed, self.looked) {
            (Some(listed), Some(looked))
                if listed.elapsed() < COMPLETE_EVERY && looked.elapsed() < LONG_AGO =>
            {
                self.changes(looked).await?
            }
            (Some(_), _) => {
                self.listed = Some(began);
                self.compare().await?
            }
            (None, _) => {
                let all = self.api.list().await?;
                self.listed = Some(began);
                self.tell_all(all).await
            }
        };
        self.looked = Some(began);
        if done.is_break() {
            return Ok(done);
        }
        self.replace_unplaced().await?;
        Ok(done)
    }

    /// What changed since the last look, and what we changed ourselves.
    async fn changes(&mut self, looked: Instant) -> Result<ControlFlow<Closed>, Refusal> {
        let since = looked.elapsed().as_secs() + 1 + MARGIN_SECONDS;
        let statuses = self.api.statuses(Some(since)).await?;
        if self.changed(&statuses).await?.is_break() {
            return Ok(ControlFlow::Break(Closed));
        }
        let ending =
            self.seen.values().filter(|instance| instance.deleting).map(|instance| instance.id.clone());
        let mut ids: Vec<String> =
            ending.chain(self.api.pending().into_iter().map(|one| one.instance.id)).collect();
        ids.sort();
        ids.dedup();
        match ids.len() {
            0 => Ok(ControlFlow::Continue(())),
            // One call says it of all of them.
            n if n > GROUPS_PER_PAGE => {
                self.listed = Some(Instant::now());
                self.compare().await
            }
            _ => self.confirm(&ids).await,
        }
    }

    /// A complete list against what was told.
    async fn compare(&mut self) -> Result<ControlFlow<Closed>, Refusal> {
        let known = self.seen.len();
        let all = self.api.list().await?;
        let there = |id: &str| all.iter().any(|instance| instance.id == id);
        // What we made and is listed is there; otherwise many creates would make every look a complete list for ever.
        for one in self.api.pending().iter().filter(|one| !one.deleted && there(&one.instance.id)) {
            self.api.settled(&one.instance.id);
        }
        let mut missing: Vec<String> = self.seen.keys().filter(|id| !there(id)).cloned().collect();
        let pending = self.api.pending().into_iter().map(|one| one.instance.id);
        missing.extend(pending.filter(|id| !there(id) && !self.seen.contains_key(id)));
        let asked = |id: &String| self.seen.get(id).is_some_and(|instance| instance.deleting);
        let surprising = missing.iter().filter(|id| !asked(id)).count();
        if surprising > FEW && surprising * 3 > known {
            return Ok(self.tell_all(all).await);
        }
        if self.tell(all).await.is_break() {
            return Ok(ControlFlow::Break(Closed));
        }
        self.confirm(&missing).await
    }

    /// Looks at groups by their ids: those that cannot be described any more are gone.
    async fn confirm(&mut self, ids: &[String]) -> Result<ControlFlow<Closed>, Refusal> {
        let found = self.api.groups(ids).await?;
        let pending: HashMap<String, _> =
            self.api.pending().into_iter().map(|one| (one.instance.id.clone(), one)).collect();
        let mut statuses = Vec::new();
        for id in ids {
            if let Some(group) = found.iter().find(|group| group.container_group_id == *id) {
                // Made groups are there; those being deleted are looked at again.
                if pending.get(id).is_some_and(|one| !one.deleted) {
                    self.api.settled(id);
                }
                if !self.seen.contains_key(id) {
                    statuses.push(GroupStatus {
                        container_group_id: id.clone(),
                        status: group.status.clone(),
                        ..GroupStatus::default()
                    });
                }
                continue;
            }
            let one = pending.get(id);
            if one.is_some_and(|one| !one.deleted && one.since.elapsed() < MADE_PATIENCE) {
                continue;
            }
            let last = self.seen.remove(id).or_else(|| one.map(|one| one.instance.clone()));
            let Some(last) = last else { continue };
            self.unplaced.remove(id);
            self.api.gone(id, &last.pod.uid);
            if self.sender.send(Ok(InstanceEvent::Gone(last))).await.is_err() {
                return Ok(ControlFlow::Break(Closed));
            }
        }
        self.changed(&statuses).await
    }

    async fn changed(&mut self, statuses: &[GroupStatus]) -> Result<ControlFlow<Closed>, Refusal> {
        for status in statuses {
            let id = &status.container_group_id;
            if never_placed(&status.status) {
                self.unplaced.entry(id.clone()).or_insert_with(Instant::now);
            } else {
                self.unplaced.remove(id);
            }
        }
        let instances = self.api.instances(statuses).await?;
        Ok(self.tell(instances).await)
    }

    /// Tells of those that changed.
    async fn tell(&mut self, instances: Vec<Instance>) -> ControlFlow<Closed> {
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
            if self.sender.send(Ok(InstanceEvent::Changed(instance))).await.is_err() {
                return ControlFlow::Break(Closed);
            }
        }
        ControlFlow::Continue(())
    }

    /// Tells a complete list as one.
    async fn tell_all(&mut self, all: Vec<Instance>) -> ControlFlow<Closed> {
        self.seen = all.iter().map(|instance| (instance.id.clone(), instance.clone())).collect();
        let changed = all.into_iter().map(InstanceEvent::Changed);
        for event in std::iter::once(InstanceEvent::Restarted).chain(changed).chain([InstanceEvent::Synced]) {
            if self.sender.send(Ok(event)).await.is_err() {
                return ControlFlow::Break(Closed);
            }
        }
        ControlFlow::Continue(())
    }

    /// Removes groups that ECI gave up placing. Their pods are still wanted: when the group is gone, the bridge creates
    /// again, in another place.
    async fn replace_unplaced(&mut self) -> Result<(), Refusal> {
        let due: Vec<String> = self
            .unplaced
            .iter()
            .filter(|(_, since)| since.elapsed() >= PLACE_PATIENCE)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            if let Some(facts) = self.api.facts(&id) {
                self.api.sold_out(&facts.vswitch);
            }
            match self.api.delete(&id).await {
                Ok(()) | Err(Refusal::Cloud(CloudError::Gone(_))) => {}
                Err(refusal) => return Err(refusal),
            }
            self.unplaced.remove(&id);
            if let Some(instance) = self.seen.get(&id) {
                self.api.ending(instance);
            }
        }
        Ok(())
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
