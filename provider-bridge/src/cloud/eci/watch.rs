//! What happens to our instances. ECI pushes nothing: a complete list at first and then every minute, in between what
//! changed in the last seconds (`SinceSecond`), and a look by id at what we made or deleted ourselves.
//!
//! An absence is told only when it is certain: a group whose deletion was asked for is not in a complete list or cannot be
//! described any more; any other was in a list before, is not in a later one, and cannot be described by its id either.
//! Where much is missing at once, that is told as a list, which the bridge judges as a whole.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::CloudError;
use crate::cloud::polling::{self, Changes, Closed, InstanceStream, Looks, MADE_PATIENCE, Pending, Told};

use super::answers::GroupStatus;
use super::api::{Api, GROUPS_PER_PAGE};
use super::fault::Refusal;
use super::status::never_placed;

/// Time between two complete lists.
const COMPLETE_EVERY: Duration = Duration::from_secs(60);
/// How much further back than the last look `SinceSecond` asks, seconds: for clocks and for writes that show late.
const MARGIN_SECONDS: u64 = 10;
/// After so long without a look only a complete list will do.
const LONG_AGO: Duration = Duration::from_secs(600);
/// A group without a place is kept for so long, so that its pod can be handed back, then another place is tried.
const PLACE_PATIENCE: Duration = Duration::from_secs(30);

/// Starts watching. Must be called inside a Tokio runtime.
pub(super) fn start(api: Arc<Api>) -> InstanceStream {
    polling::start(Watcher { api, listed: None, looked: None, unplaced: HashMap::new() })
}

struct Watcher {
    api: Arc<Api>,
    /// When the last complete list began.
    listed: Option<Instant>,
    /// When the last look of any kind began.
    looked: Option<Instant>,
    /// Since when groups are known to have no place.
    unplaced: HashMap<String, Instant>,
}

impl Looks for Watcher {
    type Refusal = Refusal;

    async fn look(&mut self, told: &mut Told) -> Result<ControlFlow<Closed>, Refusal> {
        let began = Instant::now();
        let done = match (self.listed, self.looked) {
            (Some(listed), Some(looked))
                if listed.elapsed() < COMPLETE_EVERY && looked.elapsed() < LONG_AGO =>
            {
                self.changes_since(told, looked).await?
            }
            (Some(_), _) => {
                self.listed = Some(began);
                self.compare(told).await?
            }
            (None, _) => {
                let all = self.api.list().await?;
                self.listed = Some(began);
                told.tell_all(all).await
            }
        };
        self.looked = Some(began);
        if done.is_break() {
            return Ok(done);
        }
        self.replace_unplaced(told).await?;
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
    /// What changed since the last look, and what we changed ourselves.
    async fn changes_since(
        &mut self,
        told: &mut Told,
        looked: Instant,
    ) -> Result<ControlFlow<Closed>, Refusal> {
        let since = looked.elapsed().as_secs() + 1 + MARGIN_SECONDS;
        let statuses = self.api.statuses(Some(since)).await?;
        if self.changed(told, &statuses).await?.is_break() {
            return Ok(ControlFlow::Break(Closed));
        }
        let ending = told.ending().map(str::to_owned);
        let mut ids: Vec<String> =
            ending.chain(self.api.changes.all().into_iter().map(|one| one.instance.id)).collect();
        ids.sort();
        ids.dedup();
        match ids.len() {
            0 => Ok(ControlFlow::Continue(())),
            // One call says it of all of them.
            n if n > GROUPS_PER_PAGE => {
                self.listed = Some(Instant::now());
                self.compare(told).await
            }
            _ => self.confirm(told, &ids).await,
        }
    }

    /// A complete list against what was told.
    async fn compare(&mut self, told: &mut Told) -> Result<ControlFlow<Closed>, Refusal> {
        let all = self.api.list().await?;
        self.api.changes.listed(&all);
        let asked = |id: &str| told.of(id).is_some_and(|instance| instance.deleting);
        let Some(missing) = told.missing(&all, &self.api.changes.all(), asked) else {
            return Ok(told.tell_all(all).await);
        };
        if told.tell(all).await.is_break() {
            return Ok(ControlFlow::Break(Closed));
        }
        self.confirm(told, &missing).await
    }

    /// Looks at groups by their ids: those that cannot be described any more are gone.
    async fn confirm(&mut self, told: &mut Told, ids: &[String]) -> Result<ControlFlow<Closed>, Refusal> {
        let found = self.api.groups(ids).await?;
        let pending: HashMap<String, Pending> =
            self.api.changes.all().into_iter().map(|one| (one.instance.id.clone(), one)).collect();
        let mut statuses = Vec::new();
        for id in ids {
            if let Some(group) = found.iter().find(|group| group.container_group_id == *id) {
                // Made groups are there; those being deleted are looked at again.
                if pending.get(id).is_some_and(|one| !one.deleted) {
                    self.api.changes.settled(id);
                }
                if told.of(id).is_none() {
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
            let last = told.forget(id).or_else(|| one.map(|one| one.instance.clone()));
            let Some(last) = last else { continue };
            self.unplaced.remove(id);
            self.api.gone(id, &last.pod.uid);
            if told.tell_gone(last).await.is_break() {
                return Ok(ControlFlow::Break(Closed));
            }
        }
        self.changed(told, &statuses).await
    }

    async fn changed(
        &mut self,
        told: &mut Told,
        statuses: &[GroupStatus],
    ) -> Result<ControlFlow<Closed>, Refusal> {
        for status in statuses {
            let id = &status.container_group_id;
            if never_placed(&status.status) {
                self.unplaced.entry(id.clone()).or_insert_with(Instant::now);
            } else {
                self.unplaced.remove(id);
            }
        }
        let instances = self.api.instances(statuses).await?;
        Ok(told.tell(instances).await)
    }

    /// Removes groups that ECI gave up placing. Their pods are still wanted: when the group is gone, the bridge creates
    /// again, in another place.
    async fn replace_unplaced(&mut self, told: &Told) -> Result<(), Refusal> {
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
            if let Some(instance) = told.of(&id) {
                self.api.changes.ending(instance);
            }
        }
        Ok(())
    }
}
