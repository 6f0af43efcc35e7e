//! Drives one virtual node's [`Table`]: listens to the API server and the cloud, makes the calls, feeds answers back.
//!
//! One task owns the table, so there are no locks; calls run as tasks of their own and end within the call timeout. On
//! cancellation no new call starts and the ones in flight are given time to finish; nothing has to be saved.

use std::sync::Arc;
use std::time::Duration;

use cluster::bound_pods::{self, BoundPod};
use cluster::daemons::KeptDaemon;
use cluster::events::Event;
use cluster::kept::Kept;
use futures::StreamExt;
use kube::Client;
use policies::ledger::NodeReport;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::KubeResolve;
use super::calls::Calls;
use super::ground::Ground;
use super::machine::Moment;
use super::table::{Answer, Note, Output, Settings, Table, Work};
use super::warned::{self, Early};
use crate::cloud::{Instance, PodIdentity, Provider, Resolve, Warning};
use crate::metrics;

/// How long calls in flight may run on after cancellation.
const LAST_CALLS: Duration = Duration::from_secs(10);
/// How often the report is compared with the last one.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How often the gauges are refreshed.
const GAUGES_EVERY: Duration = Duration::from_secs(2);

/// Everything one node's driver works with.
pub struct Driver {
    /// Settings of the table.
    pub settings: Settings,
    /// Client with the identity of the virtual node.
    pub client: Client,
    /// The cloud.
    pub provider: Arc<dyn Provider>,
    /// Looks up what pods refer to.
    pub resolve: Arc<dyn Resolve>,
    /// Takes events; must not block.
    pub record: Arc<dyn Fn(Event) + Send + Sync>,
    /// Time between two sweeps for orphans.
    pub sweep_every: Duration,
    /// A call without an answer for so long has an unknown outcome.
    pub call_timeout: Duration,
    /// Turns true when both sides were listed.
    pub synced: watch::Sender<bool>,
    /// Client with the bridge's own identity.
    pub own: Client,
    /// Grants, policies and other virtual nodes.
    pub ground: watch::Receiver<Arc<Ground>>,
    /// The DaemonSets of the cluster.
    pub daemons: Kept<KeptDaemon>,
    /// What the node reports.
    pub report: watch::Sender<Option<NodeReport>>,
    /// Questions of the kubelet port.
    pub queries: Mutex<mpsc::Receiver<Query>>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("node", &self.settings.node).finish_non_exhaustive()
    }
}

/// A question about the node's pods.
#[derive(Debug)]
pub enum Query {
    /// Pods of the node; `running`: only those with a live instance.
    Pods {
        /// See above.
        running: bool,
        /// The answer.
        reply: oneshot::Sender<Vec<BoundPod>>,
    },
    /// Pods with a live instance, and that instance.
    Live {
        /// The answer.
        reply: oneshot::Sender<Vec<(BoundPod, Instance)>>,
    },
    /// A pod by name.
    Find {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// The answer.
        reply: oneshot::Sender<Option<BoundPod>>,
    },
    /// The instance of a pod by UID.
    Instance {
        /// UID.
        uid: String,
        /// The answer.
        reply: oneshot::Sender<Option<Instance>>,
    },
}

/// The driver of the node is being restarted or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this virtual node is starting or stopping; try again")]
pub struct NodeDown;

/// Asks a driver.
#[derive(Clone, Debug)]
pub struct Handle {
    queries: mpsc::Sender<Query>,
}

impl Handle {
    /// A handle and the end that the driver reads.
    pub fn channel() -> (Self, Mutex<mpsc::Receiver<Query>>) {
        let (queries, receiver) = mpsc::channel(64);
        (Self { queries }, Mutex::new(receiver))
    }

    /// Pods of the node.
    pub async fn pods(&self, running: bool) -> Result<Vec<BoundPod>, NodeDown> {
        self.ask(|reply| Query::Pods { running, reply }).await
    }

    /// Pods with a live instance, and that instance.
    pub async fn live(&self) -> Result<Vec<(BoundPod, Instance)>, NodeDown> {
        self.ask(|reply| Query::Live { reply }).await
    }

    /// A pod by name.
    pub async fn find(&self, namespace: &str, name: &str) -> Result<Option<BoundPod>, NodeDown> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.ask(|reply| Query::Find { namespace, name, reply }).await
    }

    /// The instance of a pod by UID.
    pub async fn instance(&self, uid: &str) -> Result<Option<Instance>, NodeDown> {
        let uid = uid.to_owned();
        self.ask(|reply| Query::Instance { uid, reply }).await
    }

    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Result<T, NodeDown> {
        let (reply, answer) = oneshot::channel();
        self.queries.send(query(reply)).await.map_err(|_| NodeDown)?;
        answer.await.map_err(|_| NodeDown)
    }
}

impl Driver {
    /// Runs until cancelled. May be called again after it ended for whatever reason: everything is listed anew.
    pub async fn run(&self, cancel: CancellationToken) {
        let calls = Arc::new(Calls {
            client: self.client.clone(),
            own: self.own.clone(),
            ground: self.ground.clone(),
            daemons: self.daemons.clone(),
            provider: self.provider.clone(),
            resolve: self.resolve.clone(),
            agents: KubeResolve::with_own_rights(self.own.clone()),
            record: self.record.clone(),
            node: self.settings.node.clone(),
            timeout: self.call_timeout,
        });
        // Once before the first create; an account that cannot be made ready must not keep instances from being found.
        tokio::select! { () = cancel.cancelled() => return, _ = calls.make(Work::Prepare) => {} }
        let mut run = Run {
            driver: self,
            calls,
            table: Table::new(self.settings.clone()),
            tasks: JoinSet::new(),
            early: Early::default(),
            zero: Instant::now(),
        };
        run.events(&cancel).await;
        let _ =
            tokio::time::timeout(LAST_CALLS, async { while run.tasks.join_next().await.is_some() {} }).await;
        run.tasks.shutdown().await;
    }
}

/// One run of a driver.
struct Run<'a> {
    driver: &'a Driver,
    calls: Arc<Calls>,
    table: Table,
    tasks: JoinSet<Answer>,
    early: Early,
    zero: Instant,
}

impl Run<'_> {
    async fn events(&mut self, cancel: &CancellationToken) {
        let mut pods = bound_pods::watch(&self.driver.client, &self.driver.settings.node);
        let mut instances = self.driver.provider.watch();
        let mut warnings = self.driver.provider.warnings();
        let mut queries = self.driver.queries.lock().await;
        let mut sweep =
            tokio::time::interval_at(Instant::now() + self.driver.sweep_every, self.driver.sweep_every);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ground = self.driver.ground.clone();
        ground.mark_changed();
        let mut reports = tokio::time::interval(REPORT_EVERY);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gauges = tokio::time::interval(GAUGES_EVERY);
        gauges.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let timer = self.table.next_timer().map(|at| self.zero + at);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                Some(answer) = self.tasks.join_next(), if !self.tasks.is_empty() => match answer {
                    Ok(answer) => { self.tick(); self.table.on_answer(answer); }
                    Err(error) => {
                        // Which pod it was is lost with the task; start over from what both sides list.
                        tracing::error!(node = self.driver.settings.node, %error, "a call ended abnormally; the node's state is listed anew");
                        return;
                    }
                },
                Some(query) = queries.recv() => self.answer(query),
                event = pods.next() => match event {
                    Some(event) => { self.tick(); self.pod_event(event); }
                    None => return,
                },
                event = instances.next() => match event {
                    Some(Ok(event)) => { self.tick(); self.table.on_instance(event); }
                    Some(Err(error)) => {
                        tracing::warn!(node = self.driver.settings.node, %error, "watching the cloud's instances");
                        self.tick();
                        self.table.on_instances_unlistable(&error);
                    }
                    None => return,
                },
                Ok(()) = ground.changed() => {
                    self.tick();
                    let now = ground.borrow_and_update().clone();
                    self.table.on_ground(now);
                }
                Some(warning) = warnings.next() => self.warned(warning),
                _ = reports.tick() => { self.tick(); self.report(); self.warned_early(); }
                () = at(timer), if timer.is_some() => { self.tick(); self.table.on_time(); }
                _ = sweep.tick() => { self.tick(); self.table.sweep(); }
                _ = gauges.tick() => metrics::pods(&self.driver.settings.node, &self.table.counts()),
            }
            self.flush();
        }
    }

    fn tick(&mut self) {
        self.table.tick(moment(self.zero), jiff::Timestamp::now());
    }

    fn pod_event(&mut self, event: cluster::PodEvent) {
        if let cluster::PodEvent::Interrupted(why) = &event {
            tracing::warn!(
                node = self.driver.settings.node,
                why,
                "watching the node's pods; what is known stays"
            );
        }
        self.table.on_pod(event);
    }

    /// Tells the pod's owner, if it is known whose instance it is.
    fn warned(&mut self, warning: Warning) {
        match self.table.pod_of(&warning.id) {
            Some(pod) => (self.driver.record)(warned::event(pod, &warning)),
            None => self.early.keep(warning, Instant::now()),
        }
    }

    fn warned_early(&mut self) {
        for (pod, warning) in self.early.known(Instant::now(), |id| self.table.pod_of(id).cloned()) {
            (self.driver.record)(warned::event(&pod, &warning));
        }
    }

    fn report(&mut self) {
        let Some(report) = self.table.report() else { return };
        let node = &self.driver.settings.node;
        metrics::stock_outs(node, &report.stock_outs, jiff::Timestamp::now().as_second());
        let report = NodeReport {
            provider: self.driver.provider.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..report
        };
        self.driver.report.send_if_modified(|old| {
            let changed = old.as_ref() != Some(&report);
            if changed {
                *old = Some(report);
            }
            changed
        });
    }

    fn answer(&self, query: Query) {
        // The asker may have gone away.
        match query {
            Query::Pods { running, reply } => drop(reply.send(self.table.pods(running))),
            Query::Live { reply } => drop(reply.send(self.table.live())),
            Query::Find { namespace, name, reply } => {
                drop(reply.send(self.table.find(&namespace, &name).map(|(pod, _)| pod.clone())));
            }
            Query::Instance { uid, reply } => drop(reply.send(self.table.instance(&uid).cloned())),
        }
    }

    fn flush(&mut self) {
        let Output { work, events, notes } = self.table.take_output();
        for item in work {
            let calls = self.calls.clone();
            self.tasks.spawn(async move { calls.make(item).await });
        }
        for event in events {
            (self.driver.record)(event);
        }
        for note in notes {
            self.note(note);
        }
        if self.table.synced() && !*self.driver.synced.borrow() {
            tracing::info!(node = self.driver.settings.node, "pods and instances are listed; work begins");
            self.driver.synced.send_replace(true);
        }
    }

    fn note(&self, note: Note) {
        let node = &self.driver.settings.node;
        match note {
            Note::CreateSent(after) => metrics::bind_to_create(node, after),
            Note::StatusWritten(after) => metrics::running_to_status(node, after),
            Note::Implausible { what, affected, total } => {
                metrics::implausible(node);
                tracing::error!(
                    node,
                    what,
                    affected,
                    total,
                    "a listing would end too many at once and is not believed; if it is true, raise gc.maxPercent"
                );
            }
            Note::OrphanDeleted(PodIdentity { uid, namespace, name }) => {
                metrics::orphan_deleted(node);
                tracing::warn!(node, uid, namespace, name, "deleting an instance whose pod does not exist");
            }
        }
    }
}

fn moment(zero: Instant) -> Moment {
    Instant::now().saturating_duration_since(zero)
}

async fn at(timer: Option<Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "driver_tests/mod.rs"]
mod tests;
