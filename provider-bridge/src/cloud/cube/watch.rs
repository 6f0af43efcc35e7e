//! What happens to our instances. Cube pushes nothing and tells no changes: one complete list per look, compared with what
//! was told last.
//!
//! An absence is told only when it is certain: a pod that is in no list any more cannot be had by its id either. Where much
//! is missing at once, that is told as a list, which the bridge judges as a whole. Of several pods with one UID the oldest
//! stays, and the others are deleted: they are what a create without an answer leaves behind.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;

use crate::cloud::Instance;
use crate::cloud::polling::{self, Changes, Closed, InstanceStream, Looks, MADE_PATIENCE, Pending, Told};

use super::api::Api;
use super::fault::Refusal;
use super::shown::Shown;

/// Looks by id at the same time.
const AT_ONCE: usize = 8;

/// Starts watching. Must be called inside a Tokio runtime.
pub(super) fn start(api: Arc<Api>) -> InstanceStream {
    polling::start(Watcher { api, told: false })
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

struct Watcher {
    api: Arc<Api>,
    /// A first complete list was told.
    told: bool,
}

impl Looks for Watcher {
    type Refusal = Refusal;

    async fn look(&mut self, told: &mut Told) -> Result<ControlFlow<Closed>, Refusal> {
        let all = self.api.list().await?;
        self.api.changes.listed(&all);
        let (kept, surplus) = sorted(&all);
        let done = if self.told { self.compare(told, kept).await? } else { told.tell_all(kept).await };
        self.told = true;
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

    fn changes(&self) -> &Changes {
        &self.api.changes
    }

    fn every(&self) -> Duration {
        self.api.settings.poll
    }
}

impl Watcher {
    /// A complete list against what was told.
    async fn compare(&self, told: &mut Told, all: Vec<Instance>) -> Result<ControlFlow<Closed>, Refusal> {
        let changed = self.api.changes.all();
        let pending: HashMap<&str, &Pending> =
            changed.iter().map(|one| (one.instance.id.as_str(), one)).collect();
        let asked = |id: &str| {
            told.of(id).is_some_and(|instance| instance.deleting)
                || pending.get(id).is_some_and(|one| one.deleted)
        };
        let Some(missing) = told.missing(&all, &changed, asked) else {
            return Ok(told.tell_all(all).await);
        };
        if told.tell(all).await.is_break() {
            return Ok(ControlFlow::Break(Closed));
        }
        self.confirm(told, missing, &pending).await
    }

    /// Looks at pods by their ids: those that are not there either are gone.
    async fn confirm(
        &self,
        told: &mut Told,
        ids: Vec<String>,
        pending: &HashMap<&str, &Pending>,
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
            let one = pending.get(id.as_str());
            if one.is_some_and(|one| !one.deleted && one.since.elapsed() < MADE_PATIENCE) {
                continue;
            }
            let last = told.forget(&id).or_else(|| one.map(|one| one.instance.clone()));
            let Some(last) = last else { continue };
            self.api.gone(&id);
            if told.tell_gone(last).await.is_break() {
                return Ok(ControlFlow::Break(Closed));
            }
        }
        Ok(told.tell(there).await)
    }
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
