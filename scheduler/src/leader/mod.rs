//! The one leader that grants: from the governed pods and the ledger of each policy it plans who may burst, writes the
//! ledger, and then the pods.
//!
//! Several replicas run this; the Lease chooses one. Nothing rests on there being only one: a ledger is written with
//! compare-and-swap, a pod's grant takes effect once, and the bridge asks the ledger. It must never write a pod before the
//! ledger that covers it, and never take what it cannot read for nothing.

mod desk;
mod home;
mod late;
mod status;
mod view;

pub use desk::Planner;
pub use view::{PolicyRow, View};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cluster::claims;
use cluster::events::Regarding;
use cluster::grant::{Granted, Permission, Providers, grant};
use cluster::kept::Kept;
use cluster::lease::{self, Election};
use cluster::ledgers::StoredLedger;
use cluster::policy_objects::put_status;
use cluster::reports::StoredReport;
use cluster::{ClusterHandle, Event, EventKind, GovernedPod, Outcome, PolicyObjects, Recorder, Snapshot};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use kube::Client;
use policies::burst_policy::{
    BurstPolicySpec, BurstPolicyStatus, Limit, PolicyObject, Problem, SideLimits, Surroundings, check_object,
};
use policies::keys;
use policies::ledger::{Claim, Plan, Seconds, Wake, World};
use policies::price::PriceBook;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::decisions::{Governed, Ring};
use crate::metrics::{Metric, Metrics};

use desk::{Desk, Later};
use home::Visit;

/// Time in which changes gather to one pass, at least.
const BATCH: Duration = Duration::from_millis(30);
/// And at most: a pass over many pods is work, of which a stream of changes must not make a full core.
const LONGEST_BATCH: Duration = Duration::from_millis(250);
/// How much longer than a pass the time until the next one is.
const REST: u32 = 8;
/// How often nodes are looked at for a change; they have no notification.
const LOOK: Duration = Duration::from_millis(250);
/// Longest time between passes.
const IDLE: Duration = Duration::from_secs(30);
/// Shortest time between writes of one status.
const STATUS: Duration = Duration::from_secs(1);
/// The same where only money differs, which flows all the time.
const MONEY: Duration = Duration::from_secs(15);
/// Pods written at the same time.
const WRITES: usize = 16;
/// How long a pod that was written may go without its grant in our picture before it is written again.
const ECHO: Duration = Duration::from_secs(2);
/// Event reasons.
const HELD: &str = "BurstHeld";
const GRANTED: &str = "BurstGranted";

/// What the leader reads and writes.
#[derive(Clone)]
pub struct Leader {
    /// For its writes.
    pub client: Client,
    /// Where ledgers and Lease are.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// Our name in the Lease.
    pub identity: String,
    /// Nodes.
    pub cluster: ClusterHandle,
    /// Policy objects.
    pub objects: PolicyObjects,
    /// Pods.
    pub pods: Kept<GovernedPod>,
    /// What bridges say.
    pub reports: Kept<StoredReport>,
    /// Which ledgers exist, also those of policies that are gone.
    pub ledgers: Kept<StoredLedger>,
    /// Prices.
    pub prices: Arc<PriceBook>,
    /// How a round is planned.
    pub planner: Planner,
    /// Age of the nodes' picture up to which it is believed.
    pub stale_after: Duration,
    /// Seconds for which real nodes must have had room for a pod before it is moved home.
    pub room_seconds: u64,
    /// Where events go.
    pub events: Recorder,
    /// Where decisions are kept.
    pub decisions: Arc<Ring>,
    /// Where things are counted.
    pub metrics: Arc<Metrics>,
    /// What is shown of it.
    pub view: Arc<ArcSwap<View>>,
}

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leader").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl Leader {
    /// Takes part in the election, and leads when elected; ends with `stop`.
    pub fn start(self, stop: &CancellationToken, tracker: &TaskTracker) {
        let (sender, claim) = watch::channel(lease::Claim::default());
        let election = Election {
            namespace: self.namespace.clone(),
            name: self.lease.clone(),
            identity: self.identity.clone(),
        };
        tracker.spawn(election.run(self.client.clone(), sender, stop.clone()));
        let stop = stop.clone();
        tracker.spawn(async move { stop.run_until_cancelled(self.run(claim)).await });
    }

    async fn run(self, mut claim: watch::Receiver<lease::Claim>) {
        loop {
            if claim.wait_for(|claim| claim.leading).await.is_err() {
                return;
            }
            let mut lost = claim.clone();
            tokio::select! {
                () = self.lead(&claim) => {}
                _ = lost.wait_for(|claim| !claim.leading) => tracing::info!("no longer the leader"),
            }
            self.view.store(Arc::default());
        }
    }

    /// One term.
    async fn lead(&self, claim: &watch::Receiver<lease::Claim>) {
        self.cluster.wait_synced().await;
        self.objects.wait_synced().await;
        self.pods.wait_synced().await;
        self.reports.wait_synced().await;
        self.ledgers.wait_synced().await;
        tracing::info!("leading: granting begins");
        let (mut pods, mut objects, mut reports) =
            (self.pods.changes(), self.objects.changes(), self.reports.changes());
        let desk =
            Desk::new(self.client.clone(), self.namespace.clone(), self.planner, Arc::clone(&self.metrics));
        let mut term = Term { leader: self, claim, desk, memory: Memory::default() };
        loop {
            let generation = self.cluster.snapshot().generation();
            let begun = Instant::now();
            let after = term.pass().await;
            let batch = (begun.elapsed() * REST).clamp(BATCH, LONGEST_BATCH);
            tokio::select! {
                _ = pods.changed() => {}
                _ = objects.changed() => {}
                _ = reports.changed() => {}
                () = self.nodes_changed(generation) => {}
                () = tokio::time::sleep(after) => {}
            }
            tokio::time::sleep(batch).await;
        }
    }

    async fn nodes_changed(&self, generation: u64) {
        while self.cluster.snapshot().generation() == generation {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What one term remembers. Nothing of it is needed to be right.
#[derive(Default)]
struct Memory {
    /// Pods for which a node was nominated once.
    preempted: BTreeSet<String>,
    /// When pods were written.
    woken: BTreeMap<String, Instant>,
    /// What statuses say, and since when.
    statuses: BTreeMap<String, (BurstPolicyStatus, Instant)>,
    /// What was said in the log of a policy.
    complaints: BTreeMap<String, String>,
    /// Moves home.
    home: home::Memory,
    /// Pods for which a virtual node came late.
    late: late::Memory,
}

struct Term<'l> {
    leader: &'l Leader,
    claim: &'l watch::Receiver<lease::Claim>,
    desk: Desk,
    memory: Memory,
}

/// Everything watched, as of one moment.
struct Picture {
    now: Timestamp,
    snapshot: Arc<Snapshot>,
    objects: Arc<Vec<PolicyObject>>,
    pods: BTreeMap<String, Vec<Arc<GovernedPod>>>,
}

impl Term<'_> {
    /// Looks at every policy once; returns when to look again if nothing happens.
    async fn pass(&mut self) -> Duration {
        if let Err(reason) = self.leader.cluster.ready(self.leader.stale_after) {
            tracing::warn!(%reason, "nothing is granted");
            return Duration::from_secs(1);
        }
        let picture = self.picture();
        let mut after = IDLE;
        let mut rows = Vec::new();
        for policy in self.policies(&picture) {
            let spec = spec_of(&policy, &picture.objects);
            match self.policy(&policy, spec.as_ref(), &picture).await {
                Ok((plan, wait)) => {
                    self.memory.complaints.remove(&policy);
                    after = after.min(wait);
                    rows.push(view::row(&policy, &plan));
                }
                Err(later) => {
                    after = after.min(later.after());
                    self.complain(&policy, &later);
                }
            }
        }
        self.leader.view.store(Arc::new(View { leading: true, policies: rows }));
        after.min(self.late(&picture).await)
    }

    fn picture(&mut self) -> Picture {
        let pods = self.leader.pods.objects();
        let mut by_policy: BTreeMap<String, Vec<Arc<GovernedPod>>> = BTreeMap::new();
        for pod in pods.values() {
            if pod.nominated_node.is_some() {
                self.memory.preempted.insert(pod.uid().to_owned());
            }
            if let Some(policy) = pod.burst_policy() {
                by_policy.entry(policy.to_owned()).or_default().push(Arc::clone(pod));
            }
        }
        self.memory.preempted.retain(|uid| pods.contains_key(uid.as_str()));
        self.memory.woken.retain(|uid, at| pods.contains_key(uid.as_str()) && at.elapsed() < ECHO);
        Picture {
            now: Timestamp::now(),
            snapshot: self.leader.cluster.snapshot(),
            objects: self.leader.objects.snapshot(),
            pods: by_policy,
        }
    }

    /// Every policy that has an object, a pod or a ledger.
    fn policies(&self, picture: &Picture) -> BTreeSet<String> {
        let objects = picture.objects.iter().map(|object| object.key.clone());
        let ledgers = self.leader.ledgers.objects();
        let ledgers = ledgers.values().filter_map(|stored| Some(stored.spec.as_ref().ok()?.policy.clone()));
        objects.chain(picture.pods.keys().cloned()).chain(ledgers).collect()
    }

    async fn policy(
        &mut self,
        policy: &str,
        spec: Option<&BurstPolicySpec>,
        picture: &Picture,
    ) -> Result<(Plan, Duration), Later> {
        let nothing = nothing();
        let spec = spec.unwrap_or(&nothing);
        let pods = picture.pods.get(policy).map(Vec::as_slice).unwrap_or_default();
        let claims: Vec<Claim> = pods
            .iter()
            .map(|pod| claims::claim(pod, spec, &picture.snapshot, self.memory.preempted.contains(pod.uid())))
            .collect();
        let reports = claims::reports(&self.leader.reports.objects());
        let virtual_nodes = claims::virtual_nodes(&picture.snapshot);
        let gated = claims.iter().any(|claim| claim.gated);
        let real_nodes = if gated { claims::real_nodes(&picture.snapshot) } else { Vec::new() };
        let world = World {
            now: picture.now.as_second(),
            virtual_nodes: &virtual_nodes,
            real_nodes: &real_nodes,
            reports: &reports,
            prices: &self.leader.prices,
        };
        let plan = self.desk.round(policy, spec, &claims, &world, self.claim).await?;
        let again = self.wake(policy, &plan.wake, pods, picture.now).await;
        self.tell(policy, &plan, &claims, picture);
        let status = self.status(policy, &plan, &claims, picture).await;
        let (ledger, claims, world) = (&plan.ledger, claims.as_slice(), &world);
        let home = self.home(&Visit { policy, spec, ledger, claims, pods, world, picture }).await;
        let timer = plan.next_time.map_or(IDLE, |at| until(at, Timestamp::now()));
        Ok((plan, timer.min(again).min(status).min(home)))
    }

    /// Writes the grants into the pods; returns when to try again.
    async fn wake(
        &mut self,
        policy: &str,
        wakes: &[Wake],
        pods: &[Arc<GovernedPod>],
        now: Timestamp,
    ) -> Duration {
        let writes = self.due(wakes, pods).into_iter().map(|(wake, pod)| {
            let (client, claim) = (self.leader.client.clone(), self.claim.clone());
            async move {
                // What another leader would write is the same, but it is no longer ours to write.
                let leading = claim.borrow().leading;
                let result = match leading {
                    true => grant(&client, &pod, &permission(&wake)).await,
                    false => Ok(Granted::Retry(IDLE)),
                };
                (wake, pod, result)
            }
            .boxed()
        });
        let mut writes = futures::stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(WRITES);
        let mut again = IDLE;
        while let Some((wake, pod, result)) = writes.next().await {
            match result {
                Ok(Granted::Done) => {
                    self.memory.woken.insert(wake.uid.clone(), Instant::now());
                    self.granted(policy, &wake, &pod, now);
                }
                // The picture will show it; an echo that never comes is found by the next pass.
                Ok(Granted::Gone | Granted::Changed) => again = again.min(Duration::from_millis(200)),
                Ok(Granted::Retry(after)) => again = again.min(after),
                Err(error) => {
                    tracing::error!(%error, policy, "a grant could not be written into its pod");
                    again = again.min(Duration::from_secs(5));
                }
            }
        }
        again
    }

    /// The grants that our picture of the pods does not show and that were not written just now.
    fn due(&self, wakes: &[Wake], pods: &[Arc<GovernedPod>]) -> Vec<(Wake, Arc<GovernedPod>)> {
        let by_uid: BTreeMap<&str, &Arc<GovernedPod>> = pods.iter().map(|pod| (pod.uid(), pod)).collect();
        let due = wakes.iter().filter(|wake| !self.memory.woken.contains_key(&wake.uid));
        due.filter_map(|wake| Some((wake.clone(), Arc::clone(by_uid.get(wake.uid.as_str())?)))).collect()
    }

    fn granted(&self, policy: &str, wake: &Wake, pod: &GovernedPod, now: Timestamp) {
        let sentence = format!("burst: may go to tier {} of {policy}", wake.tier);
        let governed = governed(policy, pod.uid(), pod.namespace(), pod.name(), pod.policy());
        if self.leader.decisions.record_grant(governed, wake.tier.clone(), sentence.clone(), now) {
            self.event(pod.namespace(), pod.name(), pod.uid(), GRANTED, sentence);
        }
        if let Some(created) = pod.created {
            let waited = now.duration_since(created).as_secs_f64().max(0.0);
            self.leader.metrics.observe(Metric::DecisionWait, [], waited);
        }
    }

    /// One record per change of mind on the pods that wait, and an event where it is news.
    fn tell(&self, policy: &str, plan: &Plan, claims: &[Claim], picture: &Picture) {
        let by_uid: BTreeMap<&str, &Claim> = claims.iter().map(|claim| (claim.uid.as_str(), claim)).collect();
        let missing = policy != keys::DRIVER && spec_of(policy, &picture.objects).is_none();
        for held in &plan.holds {
            let Some(claim) = by_uid.get(held.uid.as_str()) else { continue };
            let sentence = if missing {
                format!(
                    "burst: {policy} does not exist or cannot be read: nothing is granted until it is mended"
                )
            } else {
                format!("{} [{policy}]", held.hold.text())
            };
            let governed = governed(policy, &claim.uid, &claim.namespace, &claim.name, Some(claim.policy));
            let news = self.leader.decisions.record_hold(
                governed,
                held.hold.code(),
                sentence.clone(),
                held.until,
                picture.now,
            );
            if news && held.hold.is_news() {
                self.event(&claim.namespace, &claim.name, &claim.uid, HELD, sentence);
            }
        }
    }

    fn event(&self, namespace: &str, name: &str, uid: &str, reason: &str, note: String) {
        self.leader.events.record(Event {
            regarding: Regarding::pod(namespace, name, uid),
            kind: EventKind::Normal,
            reason: reason.to_owned(),
            action: "Deciding".to_owned(),
            note,
            from: None,
        });
    }

    /// Writes the object's status if it says something new; returns when to look again.
    async fn status(&mut self, policy: &str, plan: &Plan, claims: &[Claim], picture: &Picture) -> Duration {
        let Some(object) = picture.objects.iter().find(|object| object.key == policy) else { return IDLE };
        let problems = self.problems(object, plan, &picture.objects);
        let known = self.memory.statuses.get(policy);
        let empty = BurstPolicyStatus::default();
        let before = known.map_or(&empty, |(before, _)| before);
        let wanted = status::status(object, plan, claims, &problems, before, &picture.now.to_string());
        if known.is_some() && wanted == *before {
            return IDLE;
        }
        let pause = if status::differs(&wanted, before) { STATUS } else { MONEY };
        let waited = known.map_or(IDLE, |(_, at)| at.elapsed());
        if waited < pause {
            return pause - waited;
        }
        if !self.claim.borrow().leading {
            return IDLE;
        }
        match put_status(&self.leader.client, object, &wanted).await {
            Ok(Outcome::Retry(after)) => after,
            Ok(Outcome::Done | Outcome::Gone | Outcome::Conflict) => {
                self.memory.statuses.insert(policy.to_owned(), (wanted, Instant::now()));
                IDLE
            }
            Err(error) => {
                tracing::warn!(%error, policy, "the status of a policy could not be written");
                self.memory.statuses.insert(policy.to_owned(), (wanted, Instant::now()));
                IDLE
            }
        }
    }

    fn problems(&self, object: &PolicyObject, plan: &Plan, objects: &[PolicyObject]) -> Vec<Problem> {
        let priced = |currency: &str| self.leader.prices.has(currency);
        check_object(object, &Surroundings { objects, usage: &plan.usage, priced: &priced })
    }

    /// Says it once per change.
    fn complain(&mut self, policy: &str, later: &Later) {
        let text = later.to_string();
        if self.memory.complaints.get(policy) != Some(&text) {
            tracing::warn!(policy, reason = text, "nothing is granted");
            self.memory.complaints.insert(policy.to_owned(), text);
        }
    }
}

/// The spec of a policy; none if its object does not exist or cannot be read.
fn spec_of(policy: &str, objects: &[PolicyObject]) -> Option<BurstPolicySpec> {
    if policy == keys::DRIVER {
        return Some(BurstPolicySpec::default());
    }
    objects.iter().find(|object| object.key == policy).map(|object| object.spec.clone())
}

/// A policy that grants nothing, for pods whose object is not there: what it limited is not known.
fn nothing() -> BurstPolicySpec {
    let none = || Limit { pods: Some(0), ..Limit::default() };
    BurstPolicySpec { max: SideLimits { local: none(), cloud: none() }, ..BurstPolicySpec::default() }
}

fn permission(wake: &Wake) -> Permission {
    let opened = match wake.providers.as_slice() {
        _ if !wake.cloud => None,
        [] => Some(Providers::Any),
        some => Some(Providers::Only(some.to_vec())),
    };
    Permission { tier: wake.tier.clone(), opened, terms: wake.affinity.clone().unwrap_or_default() }
}

fn governed(
    policy: &str,
    uid: &str,
    namespace: &str,
    name: &str,
    word: Option<policies::policy::Policy>,
) -> Governed {
    Governed {
        uid: uid.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        policy: word.unwrap_or_default(),
        policy_object: policy.to_owned(),
        ..Governed::default()
    }
}

/// The time from `now` to the beginning of a second.
fn until(at: Seconds, now: Timestamp) -> Duration {
    let at = Timestamp::from_second(at).unwrap_or(now);
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
