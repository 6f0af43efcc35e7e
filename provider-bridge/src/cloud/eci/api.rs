//! The calls on container groups that the provider is made of, and what is remembered between them.
//!
//! What is remembered can be lost at any time: facts of a group that never change (so that the cheap status call, which
//! has no tags, is enough), which groups to look at soon, and which places were sold out. Which groups exist, only ECI
//! says.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use policies::keys::tag;
use policies::resources::Resources;
use policies::shape::GI;
use serde_json::json;
use tokio::time::Instant;

use crate::cloud::polling::Changes;
use crate::cloud::{CloudError, Instance, PodIdentity};

use super::action::{Action, Operation};
use super::answers::{Accepted, Created, Group, GroupStatus, Groups, Statuses};
use super::client::Client;
use super::fault::Refusal;
use super::names;
use super::parameters::Pairs;
use super::settings::EciSettings;
use super::status::{self, Fixed, pod_status};

/// Groups that one call of DescribeContainerGroups answers, and ids that it takes.
pub(super) const GROUPS_PER_PAGE: usize = 20;
/// Groups that one call of DescribeContainerGroupStatus answers.
const STATUSES_PER_PAGE: usize = 200;
/// How long a place that was sold out is tried last.
const SOLD_OUT_FOR: Duration = Duration::from_secs(300);
/// How long it is remembered how many instances a pod has had.
const GENERATIONS_FOR: Duration = Duration::from_secs(48 * 3600);

/// What of a group never changes.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) pod: PodIdentity,
    pub(super) node: String,
    pub(super) vswitch: String,
    pub(super) billed: Resources,
    pub(super) created: Option<Timestamp>,
    pub(super) fixed: Fixed,
    /// Of this cluster and of one of our nodes.
    pub(super) ours: bool,
}

/// The API of one account, region and node set.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) settings: EciSettings,
    memory: Mutex<Memory>,
    /// What we made or deleted and have not seen yet.
    pub(super) changes: Changes,
}

#[derive(Debug, Default)]
struct Memory {
    facts: HashMap<String, Arc<Facts>>,
    /// By pod UID: how many instances of it are known to be gone.
    generations: HashMap<String, (u32, Instant)>,
    sold_out: HashMap<String, Instant>,
    /// By pod UID: the client token of a create whose answer has not come.
    unanswered: HashMap<String, (String, Instant)>,
}

impl Api {
    pub(super) fn new(settings: EciSettings) -> Result<Self, CloudError> {
        let client = Client::new(&settings)?;
        Ok(Self { client, settings, memory: Mutex::default(), changes: Changes::default() })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn create(&self, name: &str, parameters: Pairs) -> Result<String, Refusal> {
        let operation = Operation::new(Action::CreateGroup, name);
        let created: Created = self.client.call(&operation, parameters).await?;
        if created.container_group_id.is_empty() {
            return Err(Refusal::Unknown(format!("{operation}: the answer names no container group")));
        }
        Ok(created.container_group_id)
    }

    pub(super) async fn delete(&self, id: &str) -> Result<(), Refusal> {
        let operation = Operation::new(Action::DeleteGroup, id);
        let parameters = vec![("ContainerGroupId".to_owned(), id.to_owned())];
        let _: Accepted = self.client.call(&operation, parameters).await?;
        Ok(())
    }

    /// The groups with these ids that exist; ids that do not are left out.
    pub(super) async fn groups(&self, ids: &[String]) -> Result<Vec<Group>, Refusal> {
        let mut found = Vec::new();
        for ids in ids.chunks(GROUPS_PER_PAGE) {
            let parameters = vec![("ContainerGroupIds".to_owned(), json!(ids).to_string())];
            found.extend(self.pages_of_groups(parameters).await?);
        }
        found.iter().for_each(|group| drop(self.learn(group)));
        Ok(found)
    }

    /// The groups of one pod.
    pub(super) async fn groups_of(&self, uid: &str) -> Result<Vec<Group>, Refusal> {
        let parameters = tagged(&[(tag::CLUSTER, &self.settings.cluster_id), (tag::POD_UID, uid)]);
        let mut found = self.pages_of_groups(parameters).await?;
        // The filter is the cloud's; whose a group is, its tags say.
        found.retain(|group| {
            let facts = self.learn(group);
            facts.ours && facts.pod.uid == uid
        });
        Ok(found)
    }

    async fn pages_of_groups(&self, parameters: Pairs) -> Result<Vec<Group>, Refusal> {
        let operation = Operation::new(Action::DescribeGroups, "");
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page: Groups =
                self.client.call(&operation, page(&parameters, GROUPS_PER_PAGE, &token)).await?;
            all.extend(page.container_groups);
            match next(&operation, &token, page.next_token)? {
                Some(next) => token = next,
                None => return Ok(all),
            }
        }
    }

    /// What our groups are doing; `since` asks only for those that changed in the last so many seconds.
    pub(super) async fn statuses(&self, since: Option<u64>) -> Result<Vec<GroupStatus>, Refusal> {
        let mut parameters = match self.settings.node_names.as_slice() {
            [node] => tagged(&[(tag::CLUSTER, &self.settings.cluster_id), (tag::NODE, node)]),
            _ => tagged(&[(tag::CLUSTER, &self.settings.cluster_id)]),
        };
        parameters.extend(since.map(|seconds| ("SinceSecond".to_owned(), seconds.to_string())));
        self.pages_of_statuses(parameters).await
    }

    /// What the groups with these ids are doing.
    pub(super) async fn statuses_of(&self, ids: &[String]) -> Result<Vec<GroupStatus>, Refusal> {
        let mut found = Vec::new();
        for ids in ids.chunks(GROUPS_PER_PAGE) {
            let parameters = vec![("ContainerGroupIds".to_owned(), json!(ids).to_string())];
            found.extend(self.pages_of_statuses(parameters).await?);
        }
        Ok(found)
    }

    async fn pages_of_statuses(&self, parameters: Pairs) -> Result<Vec<GroupStatus>, Refusal> {
        let operation = Operation::new(Action::DescribeStatus, "");
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page: Statuses =
                self.client.call(&operation, page(&parameters, STATUSES_PER_PAGE, &token)).await?;
            all.extend(page.data);
            match next(&operation, &token, page.next_token)? {
                Some(next) => token = next,
                None => return Ok(all),
            }
        }
    }

    /// The instances that these statuses are of; groups that are not ours are left out. Never a part: a group whose tags
    /// cannot be had is an error.
    pub(super) async fn instances(&self, statuses: &[GroupStatus]) -> Result<Vec<Instance>, Refusal> {
        let unknown: Vec<String> = {
            let memory = self.memory();
            let ids = statuses.iter().map(|status| &status.container_group_id);
            ids.filter(|id| !memory.facts.contains_key(*id)).cloned().collect()
        };
        self.groups(&unknown).await?;
        let mut instances = Vec::new();
        for status in statuses {
            let id = &status.container_group_id;
            let Some(facts) = self.facts(id) else {
                return Err(Refusal::Unknown(format!(
                    "container group {id} is listed and cannot be described; the list is asked for again"
                )));
            };
            if facts.ours {
                instances.push(instance(id, status, &facts));
            }
        }
        Ok(instances)
    }

    /// A complete list, or an error: never a part.
    pub(super) async fn list(&self) -> Result<Vec<Instance>, Refusal> {
        let statuses = self.statuses(None).await?;
        let listed: HashSet<&str> = statuses.iter().map(|s| s.container_group_id.as_str()).collect();
        let instances = self.instances(&statuses).await?;
        let mut memory = self.memory();
        let Memory { facts, generations, unanswered, .. } = &mut *memory;
        facts.retain(|id, _| listed.contains(id.as_str()) || self.changes.contains(id));
        generations.retain(|_, (_, at)| at.elapsed() < GENERATIONS_FOR);
        unanswered.retain(|_, (_, at)| at.elapsed() < GENERATIONS_FOR);
        Ok(instances)
    }

    pub(super) fn facts(&self, id: &str) -> Option<Arc<Facts>> {
        self.memory().facts.get(id).cloned()
    }

    /// Remembers what a group's description says. The date of a group that we made stays what it was: another one would
    /// be a change of the pod.
    fn learn(&self, group: &Group) -> Arc<Facts> {
        let mut facts = self.read(group);
        let mut memory = self.memory();
        if let Some(known) =
            memory.facts.get(&group.container_group_id).filter(|known| known.created.is_some())
        {
            facts.created = known.created;
            facts.fixed.created.clone_from(&known.fixed.created);
        }
        let facts = Arc::new(facts);
        memory.facts.insert(group.container_group_id.clone(), Arc::clone(&facts));
        facts
    }

    fn read(&self, group: &Group) -> Facts {
        let get = |key: &str| names::get(&group.tags, key);
        let node = get(tag::NODE);
        let nodes = &self.settings.node_names;
        Facts {
            ours: get(tag::CLUSTER) == self.settings.cluster_id
                && (nodes.is_empty() || nodes.contains(&node)),
            pod: PodIdentity {
                uid: get(tag::POD_UID),
                namespace: get(tag::POD_NAMESPACE),
                name: get(tag::POD_NAME),
            },
            node,
            vswitch: group.v_switch_id.clone(),
            billed: Resources {
                cpu_milli: (group.cpu * 1000.0).round() as u64,
                memory_bytes: (group.memory * GI as f64).round() as u64,
                pods: 1,
                ..Resources::default()
            },
            created: group.creation_time.parse().ok(),
            fixed: Fixed {
                created: group.creation_time.clone(),
                expired: group.expired_time.clone(),
                restart_policy: group.restart_policy.clone(),
                init: group.init_containers.iter().map(|container| container.name.clone()).collect(),
                hidden: get(tag::HIDDEN),
            },
        }
    }

    /// A group was made: it is ours from now on, whether or not the lists show it yet.
    pub(super) fn made(&self, instance: &Instance, facts: Facts) {
        self.memory().facts.insert(instance.id.clone(), Arc::new(facts));
        self.changes.made(instance);
    }

    /// A group is gone for certain: the next one of its pod is another attempt.
    pub(super) fn gone(&self, id: &str, uid: &str) {
        self.changes.settled(id);
        let mut memory = self.memory();
        memory.facts.remove(id);
        let now = Instant::now();
        let (count, at) = memory.generations.entry(uid.to_owned()).or_insert((0, now));
        (*count, *at) = (count.saturating_add(1), now);
    }

    /// How many instances of a pod are known to be gone.
    pub(super) fn generation(&self, uid: &str) -> u32 {
        self.memory().generations.get(uid).map_or(0, |(count, _)| *count)
    }

    /// The answer to this create has not come: whatever it made, only the same token finds while the lists lag.
    pub(super) fn unanswered(&self, uid: &str, token: &str) {
        self.memory().unanswered.insert(uid.to_owned(), (token.to_owned(), Instant::now()));
    }

    /// The token of the pod's create that has no answer yet.
    pub(super) fn unanswered_token(&self, uid: &str) -> Option<String> {
        self.memory().unanswered.get(uid).map(|(token, _)| token.clone())
    }

    /// What the pod's create did is known.
    pub(super) fn answered(&self, uid: &str) {
        self.memory().unanswered.remove(uid);
    }

    /// A place has no room.
    pub(super) fn sold_out(&self, vswitch: &str) {
        self.memory().sold_out.insert(vswitch.to_owned(), Instant::now());
    }

    /// Whether a place had no room a short time ago.
    pub(super) fn is_sold_out(&self, vswitch: &str) -> bool {
        self.memory().sold_out.get(vswitch).is_some_and(|at| at.elapsed() < SOLD_OUT_FOR)
    }
}

/// An instance from a group's status and its facts.
pub(super) fn instance(id: &str, status: &GroupStatus, facts: &Facts) -> Instance {
    Instance {
        id: id.to_owned(),
        pod: facts.pod.clone(),
        node: facts.node.clone(),
        created: facts.created,
        deleting: status::deleting(&status.status),
        billed: facts.billed,
        status: Arc::new(pod_status(status, &facts.fixed)),
    }
}

/// `Tag.N` filters.
fn tagged(tags: &[(&str, &str)]) -> Pairs {
    let mut parameters = Vec::new();
    for (at, (key, value)) in (1..).zip(tags) {
        parameters.push((format!("Tag.{at}.Key"), (*key).to_owned()));
        parameters.push((format!("Tag.{at}.Value"), (*value).to_owned()));
    }
    parameters
}

fn page(parameters: &Pairs, limit: usize, token: &str) -> Pairs {
    let mut all = parameters.clone();
    all.push(("Limit".to_owned(), limit.to_string()));
    if !token.is_empty() {
        all.push(("NextToken".to_owned(), token.to_owned()));
    }
    all
}

/// The next page's token; a list that would go on from where it was is none.
fn next(operation: &Operation, token: &str, next: String) -> Result<Option<String>, Refusal> {
    if next.is_empty() {
        return Ok(None);
    }
    if next == token {
        return Err(Refusal::Unknown(format!("{operation}: a page names itself as the next one")));
    }
    Ok(Some(next))
}
