//! What happens to our instances. Cube pushes nothing and tells no changes: one complete list per look, compared with what
//! was told last.
//!
//! An absence is told only when it is certain: a pod that is in no list any more cannot be had by its id either. Where much
//! is missing at once, that is told as a list, which the bridge judges as a whole. Of several pods with one UID the oldest
//! stays, and the others are deleted: they are what a create without an answer leaves behind.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::cloud::{CloudError, Instance, InstanceEvent};

use super::api::{Api, Pending};
use super::fault::Refusal;
use super::shown::Shown;

/// Events that may wait for the reader.
const DEPTH: usize = 256;
/// Time between two looks while something is under way.
const BUSY: Duration = Duration::from_millis(1000);
/// The least time between two looks.
const SPACING: Duration = Duration::from_millis(300);
/// A pod that we made and that cannot be had for so long does not exist.
const MADE_PATIENCE: Duration = Duration::from_secs(30);
/// So many may be missing at once without asking the bridge for its judgement.
const FEW: usize = 5;
/// Looks by id at the same time.
const AT_ONCE: usize = 8;

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
    let watcher = Watcher { api, sender, seen: HashMap::new(), told: false };
    InstanceStream { events, _task: AbortOnDropHandle::new(tokio::spawn(watcher.run())) }
}

/// The one of a pod's instances that counts: the oldest that is not being deleted, else the oldest.
pub(super) fn oldest<'a>(instances: &[&'a Instance]) -> Option<&'a Instance> {
    instances.iter().min_by_key(|one| (one.deleting, one.created, one.id.clone())).copied()
}

/// The instances that count, one per pod, and those that must go.
pub(super) fn sorted(all: &[Instance]) -> (Vec<Instance>, Vec<Instance>) {
    let mut by_uid: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in all {
        by_uid.entry(&instance.pod.uid).or_default().push(instance);
    }
    let (mut kept, mut surplus) = (Vec::new(), Vec::new());
    for instances in by_uid.into_values() {
        let Some(first) = oldest(&instances) else { continue };
        kept.push(first.clone());
        let others = instances.into_iter().filter(|one| one.id != first.id && !one.deleting);
        surplus.extend(others.cloned());
    }
    (kept, surplus)
}

/// The reader of the stream is gone.
struct Closed;

struct Watcher {
    api: Arc<Api>,
    sender: mpsc::Sender<Item>,
    /// What was told last, by id.
    seen: HashMap<String, Instance>,
    /// A first complete list was told.
    told: bool,
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
        let all = self.api.list().await?;
        for one in self.api.pending().iter().filter(|one| !one.deleted) {
            if all.iter().any(|instance| instance.id == one.instance.id) {
                self.api.settled(&one.instance.id);
            }
        }
        let (kept, surplus) = sorted(&all);
        let done = if self.told { self.compare(kept).await? } else { self.tell_all(kept).await };
        if done.is_break() {
            return Ok(done);
        }
        for instance in surplus {
            tracing::warn!(
                id = instance.id,
                uid = instance.pod.uid,
                "a second Cube pod of one pod is deleted: the answer to a create was lost"
            );
            self.api.delete(&instance.id).await?;
        }
        Ok(done)
    }

    /// A complete list against what was told.
    async fn compare(&mut self, all: Vec<Instance>) -> Result<ControlFlow<Closed>, Refusal> {
        let known = self.seen.len();
        let there = |id: &str| all.iter().any(|instance| instance.id == id);
        let pending: HashMap<String, Pending> =
            self.api.pending().into_iter().map(|one| (one.instance.id.clone(), one)).collect();
        let mut missing: Vec<String> = self.seen.keys().filter(|id| !there(id)).cloned().collect();
        missing.extend(pending.keys().filter(|id| !there(id) && !self.seen.contains_key(*id)).cloned());
        let asked = |id: &String| {
            self.seen.get(id).is_some_and(|instance| instance.deleting)
                || pending.get(id).is_some_and(|one| one.deleted)
        };
        let surprising = missing.iter().filter(|id| !asked(id)).count();
        if surprising > FEW && surprising * 3 > known {
            return Ok(self.tell_all(all).await);
        }
        if self.tell(all).await.is_break() {
            return Ok(ControlFlow::Break(Closed));
        }
        self.confirm(missing, &pending).await
    }

    /// Looks at pods by their ids: those that are not there either are gone.
    async fn confirm(
        &mut self,
        ids: Vec<String>,
        pending: &HashMap<String, Pending>,
    ) -> Result<ControlFlow<Closed>, Refusal> {
        let looks = ids.into_iter().map(|id| {
            let api = Arc::clone(&self.api);
            async move {
                let answer = api.get(&id).await;
                (id, answer)
            }
        });
        let answers: Vec<(String, Result<Option<Shown>, Refusal>)> =
            futures::stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
        let mut there = Vec::new();
        for (id, answer) in answers {
            if let Some(shown) = answer? {
                there.push(shown.instance);
                continue;
            }
            let one = pending.get(&id);
            if one.is_some_and(|one| !one.deleted && one.since.elapsed() < MADE_PATIENCE) {
                continue;
            }
            let last = self.seen.remove(&id).or_else(|| one.map(|one| one.instance.clone()));
            let Some(last) = last else { continue };
            self.api.gone(&id);
            if self.sender.send(Ok(InstanceEvent::Gone(last))).await.is_err() {
                return Ok(ControlFlow::Break(Closed));
            }
        }
        Ok(self.tell(there).await)
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
        self.told = true;
        let changed = all.into_iter().map(InstanceEvent::Changed);
        for event in std::iter::once(InstanceEvent::Restarted).chain(changed).chain([InstanceEvent::Synced]) {
            if self.sender.send(Ok(event)).await.is_err() {
                return ControlFlow::Break(Closed);
            }
        }
        ControlFlow::Continue(())
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

#[cfg(test)]
mod tests {
    use policies::resources::Resources;
    use serde_json::Value;

    use super::*;
    use crate::cloud::PodIdentity;

    fn instance(id: &str, uid: &str, second: i64, deleting: bool) -> Instance {
        Instance {
            id: id.into(),
            pod: PodIdentity { uid: uid.into(), namespace: "shop".into(), name: "web".into() },
            node: "n".into(),
            created: jiff::Timestamp::from_second(second).ok(),
            deleting,
            billed: Resources::default(),
            status: Arc::new(Value::Null),
        }
    }

    /// Guards the bill: of several instances of one pod the oldest stays, whatever order they are listed in.
    #[test]
    fn the_oldest_of_a_pods_instances_stays() {
        let check = |all: &[Instance], kept: &[&str], surplus: &[&str]| {
            let ids = |list: &[Instance]| list.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
            let (found, others) = sorted(all);
            assert_eq!(
                (ids(&found), ids(&others)),
                (
                    kept.iter().map(|id| (*id).to_owned()).collect(),
                    surplus.iter().map(|id| (*id).to_owned()).collect()
                )
            );
        };
        let (young, old) = (instance("b", "u", 20, false), instance("a", "u", 10, false));
        check(&[young.clone(), old.clone()], &["a"], &["b"]);
        check(&[old, young.clone(), instance("c", "v", 5, false)], &["a", "c"], &["b"]);
        // One that is being deleted counts only where there is no other.
        let dying = instance("z", "u", 1, true);
        check(&[dying.clone(), young], &["b"], &[]);
        check(&[dying], &["z"], &[]);
        check(&[instance("b", "u", 10, false), instance("a", "u", 10, false)], &["a"], &["b"]);
    }
}
