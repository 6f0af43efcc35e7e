//! Lives one instance from acceptance to confirmed deletion: place, prepare, init containers, containers with restarts,
//! stop, tear down. The runtime says what happened; `life` says what that looks like.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::sync::watch;

use super::instances::{Cloud, HOST_IP, Instance, Stop};
use super::kind::Kind;
use super::life::{PodState, Slot, State};
use super::resolve::{Place, Resolver, VolumeContent};
use crate::runtime::Sandbox;

mod container;
mod place;

/// Between attempts to find a missing ConfigMap or Secret.
const RETRY: Duration = Duration::from_secs(2);
/// The longest wait between crashes.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

type Halt = watch::Receiver<Option<Stop>>;

/// One instance being lived.
struct Life<'a> {
    cloud: &'a Arc<Cloud>,
    instance: &'a Arc<Instance>,
    state: Mutex<PodState>,
    node: String,
    halt: watch::Sender<Option<Stop>>,
    /// Sidecars outlive the containers and are halted after them.
    halt_sidecars: watch::Sender<Option<Stop>>,
}

/// Lives an instance to its confirmed end.
pub(crate) async fn run(cloud: &Arc<Cloud>, instance: &Arc<Instance>) {
    let short: String = instance.plan.uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let life = Life {
        cloud,
        instance,
        state: Mutex::new(PodState::new(&instance.plan)),
        node: format!("compute-cell-{short}"),
        halt: watch::Sender::new(None),
        halt_sidecars: watch::Sender::new(None),
    };
    let mut asked = instance.stop.subscribe();
    tokio::select! {
        () = life.live() => {}
        () = life.forward(instance.stop.subscribe()) => {}
    }
    // A finished instance stays, and bills, until its deletion is asked for.
    halted(&mut asked).await;
    if let Some(sandbox) = instance.sandbox.get() {
        sandbox.teardown().await;
    }
    if cloud.start_successor(instance) {
        return;
    }
    if !asked.borrow().is_some_and(|stop| stop.remove) {
        cloud.settle(instance);
        let _ = asked.wait_for(|stop| stop.is_some_and(|stop| stop.remove)).await;
    }
    let extra = Duration::from_millis(instance.extra_delete_ms.load(Ordering::Relaxed));
    cloud.clock.sleep(cloud.timing.delete.saturating_add(extra)).await;
    cloud.finish(instance);
}

/// Resolves once a stop was asked for.
async fn halted(halt: &mut Halt) -> Option<Stop> {
    halt.wait_for(Option::is_some).await.ok().and_then(|stop| *stop)
}

impl Life<'_> {
    /// Passes requests to stop on to the containers; never ends by itself.
    async fn forward(&self, mut stop: watch::Receiver<Option<Stop>>) {
        loop {
            let asked = *stop.borrow_and_update();
            if asked.is_some() {
                self.halt.send_replace(asked);
                // Sidecars that are already being stopped must not take longer than the pod may.
                self.halt_sidecars.send_if_modified(|stop| {
                    let stopping = stop.is_some();
                    if stopping {
                        *stop = asked;
                    }
                    stopping
                });
            }
            if stop.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn live(&self) {
        let mut halt = self.halt.subscribe();
        tokio::select! {
            biased;
            _ = halted(&mut halt) => return,
            () = self.place() => {}
        }
        let prepared = tokio::select! {
            biased;
            _ = halted(&mut halt) => return,
            volumes = self.volumes() => self.cloud.runtime.sandbox(&self.instance.plan, volumes).await,
        };
        let sandbox = match prepared {
            Ok(sandbox) => Arc::new(sandbox),
            Err(error) => return self.never(&error),
        };
        let _ = self.instance.sandbox.set(sandbox.clone());
        // Shown with the next change: one write per pod less for every watcher.
        self.with(|state| state.pod_ip = Some(sandbox.ip().to_string()));
        tokio::select! {
            () = self.containers(&sandbox) => {}
            () = self.deadline() => std::future::pending().await,
        }
    }

    /// Volumes with their contents, once everything they name exists.
    async fn volumes(&self) -> Vec<(String, VolumeContent)> {
        let mut said = String::new();
        loop {
            let resolver = self.resolver(String::new());
            let volumes = self.instance.plan.spec.volumes.iter();
            let read =
                volumes.map(|volume| resolver.volume(volume).map(|content| (volume.name.clone(), content)));
            match read.collect::<Result<Vec<_>, _>>() {
                Ok(volumes) => return volumes,
                Err(missing) if missing != said => {
                    self.cloud.event(
                        self.instance,
                        true,
                        "FailedMount",
                        &format!("MountVolume.SetUp failed: {missing}"),
                    );
                    said = missing;
                }
                Err(_) => {}
            }
            self.cloud.clock.sleep(RETRY).await;
        }
    }

    fn resolver(&self, pod_ip: String) -> Resolver<'_> {
        let place = Place { pod_ip, host_ip: HOST_IP.to_string(), node_name: self.node.clone() };
        Resolver { store: &self.cloud.store, pod: &self.instance.plan, place }
    }

    /// Init containers one after the other, then the containers together, then the sidecars are halted.
    async fn containers(&self, sandbox: &Sandbox) {
        let mut sidecars: FuturesUnordered<BoxFuture<'_, bool>> = FuturesUnordered::new();
        let main = self.init_then_app(sandbox, &mut sidecars).await;
        if main {
            let app = (self.instance.plan.spec.containers.iter().enumerate()).map(|(i, container)| {
                self.container(sandbox, Slot::App(i), container, self.halt.subscribe()).boxed()
            });
            let mut app: FuturesUnordered<_> = app.collect();
            loop {
                tokio::select! {
                    ended = app.next() => if ended.is_none() { break },
                    Some(_) = sidecars.next() => {}
                }
            }
        }
        let asked = *self.halt.borrow();
        self.halt_sidecars.send_replace(Some(asked.unwrap_or_else(|| self.own_grace())));
        while sidecars.next().await.is_some() {}
    }

    /// Whether the containers may start.
    async fn init_then_app<'b>(
        &'b self,
        sandbox: &'b Sandbox,
        sidecars: &mut FuturesUnordered<BoxFuture<'b, bool>>,
    ) -> bool {
        for (i, container) in self.instance.plan.spec.init_containers.iter().enumerate() {
            if container.is_sidecar() {
                sidecars.push(
                    self.container(sandbox, Slot::Init(i), container, self.halt_sidecars.subscribe()).boxed(),
                );
                self.sidecar_started(i, sidecars).await;
                continue;
            }
            let one = self.container(sandbox, Slot::Init(i), container, self.halt.subscribe());
            tokio::pin!(one);
            let good = loop {
                tokio::select! {
                    good = &mut one => break good,
                    Some(_) = sidecars.next() => {}
                }
            };
            if !good || self.halt.borrow().is_some() {
                return false;
            }
        }
        if !self.instance.plan.spec.init_containers.is_empty() {
            self.with(|state| {
                for container in &mut state.app {
                    let creating = "ContainerCreating".to_owned();
                    container.state = State::Waiting { reason: creating, message: String::new() };
                }
            });
        }
        true
    }

    /// Drives the sidecars until this one runs or the pod is halted.
    async fn sidecar_started<'b>(&'b self, i: usize, sidecars: &mut FuturesUnordered<BoxFuture<'b, bool>>) {
        let mut halt = self.halt.subscribe();
        let mut pods = self.cloud.store.subscribe(Kind::Pod);
        loop {
            let runs =
                self.with(|s| s.at(Slot::Init(i)).is_some_and(|c| matches!(c.state, State::Running { .. })));
            if runs {
                return;
            }
            tokio::select! {
                _ = halted(&mut halt) => return,
                _ = pods.changed() => {}
                Some(_) = sidecars.next() => {}
            }
        }
    }

    /// Fails the pod when `activeDeadlineSeconds` is over, then halts it.
    async fn deadline(&self) {
        let Some(seconds) = self.instance.plan.spec.active_deadline_seconds else {
            return std::future::pending().await;
        };
        self.cloud.clock.sleep(Duration::from_secs(seconds.into())).await;
        let message = "Pod was active on the node longer than the specified deadline".to_owned();
        self.with(|state| state.failed = Some(("DeadlineExceeded".to_owned(), message)));
        self.publish();
        self.halt.send_replace(Some(self.own_grace()));
        std::future::pending::<()>().await;
    }

    /// A stop now, with the grace that the pod itself names.
    fn own_grace(&self) -> Stop {
        let grace = Duration::from_secs(self.instance.plan.grace_seconds().into());
        Stop { deadline: self.cloud.clock.now().checked_add(grace).unwrap_or(Timestamp::MAX), remove: false }
    }

    fn with<T>(&self, change: impl FnOnce(&mut PodState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut PodState)) {
        self.with(change);
        self.publish();
    }
}
