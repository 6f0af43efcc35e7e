//! Lives one instance from acceptance to confirmed deletion: place, prepare, init containers, containers with restarts,
//! stop, tear down. The runtime says what happened; `life` says what that looks like.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::instances::{Cloud, HOST_IP, Instance, Stop, metadata_map};
use super::kind::Kind;
use super::life::{Exit, PodState, Slot, State, restarts};
use super::logs::Log;
use super::plan::Container;
use super::resolve::{Place, Resolver, VolumeContent};
use super::store::Verdict;
use crate::runtime::probes::{self, Verdict as Probed};
use crate::runtime::{Launch, Sandbox, StartError, Task};

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
        self.change(|state| state.pod_ip = Some(sandbox.ip().to_string()));
        tokio::select! {
            () = self.containers(&sandbox) => {}
            () = self.deadline() => std::future::pending().await,
        }
    }

    /// Waits for a Network, for stock and for the scheduler, then is placed.
    async fn place(&self) {
        let namespace = &self.instance.key.namespace;
        let mut networks = self.cloud.store.subscribe(Kind::Network);
        while !self.cloud.network_active(namespace) {
            self.unplaced(&format!("namespace {namespace:?} has no Network that is Active"));
            if networks.changed().await.is_err() {
                return;
            }
        }
        if let Some(out) = &self.instance.stock_out {
            self.unplaced(&out.message);
            match out.lasts {
                Some(lasts) => self.cloud.clock.sleep(lasts).await,
                None => std::future::pending().await,
            }
        }
        if let Some(why) = unplaceable(&self.instance.plan.spec) {
            self.unplaced(&why);
            std::future::pending::<()>().await;
        }
        self.cloud.clock.sleep(self.cloud.timing.schedule).await;
        let now = self.cloud.clock.now();
        self.with(|state| {
            state.scheduled = Some(now);
            state.unschedulable = None;
        });
        self.publish();
        let message =
            format!("Successfully assigned {namespace}/{} to {}", self.instance.key.name, self.node);
        self.cloud.event(self.instance, false, "Scheduled", &message);
    }

    fn unplaced(&self, why: &str) {
        self.change(|state| state.unschedulable = Some(why.to_owned()));
        self.cloud.event(self.instance, true, "FailedScheduling", why);
    }

    /// The sandbox could not be made: every container says so and stays waiting.
    fn never(&self, error: &StartError) {
        self.cloud.event(self.instance, true, "FailedCreatePodSandBox", &error.message);
        self.change(|state| {
            for container in &mut state.app {
                container.state =
                    State::Waiting { reason: error.reason.to_owned(), message: error.message.clone() };
            }
        });
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

    /// One container through all its incarnations; `true` when it ended well.
    async fn container(&self, sandbox: &Sandbox, slot: Slot, container: &Container, mut halt: Halt) -> bool {
        let mut crashes = 0_u32;
        loop {
            let started = tokio::select! {
                biased;
                _ = halted(&mut halt) => return false,
                task = self.start(sandbox, slot, container) => task,
            };
            let Some(exit) = self.incarnation(sandbox, slot, container, started, &mut halt).await else {
                return false;
            };
            let code = exit.code;
            let init = matches!(slot, Slot::Init(_));
            let stopped = halt.borrow().is_some();
            let again = !stopped
                && restarts(self.instance.plan.spec.restart_policy, init, container.is_sidecar(), code);
            self.ended(slot, exit, !again);
            if !again {
                return code == 0;
            }
            tokio::select! {
                biased;
                _ = halted(&mut halt) => {
                    self.change(|state| if let Some(c) = state.at(slot) { c.over = true });
                    return false;
                }
                () = self.back_off(slot, container, crashes) => {}
            }
            crashes += 1;
            self.with(|state| {
                if let Some(c) = state.at(slot) {
                    c.restarts += 1;
                }
            });
        }
    }

    /// Starts a container, retrying for ever what may become possible.
    async fn start(&self, sandbox: &Sandbox, slot: Slot, container: &Container) -> Task {
        let mut attempt = 0;
        loop {
            let error = match self.try_start(sandbox, slot, container).await {
                Ok(task) => return task,
                Err(error) => error,
            };
            self.cloud.event(self.instance, true, "Failed", &error.message);
            self.waiting(slot, error.reason, &error.message);
            let pull = error.reason == "ErrImagePull";
            let wait = if pull { self.backoff(attempt) } else { RETRY };
            if pull {
                let message = format!("Back-off pulling image {:?}", container.image);
                self.waiting(slot, "ImagePullBackOff", &message);
            }
            self.cloud.clock.sleep(wait).await;
            attempt += 1;
        }
    }

    async fn try_start(
        &self,
        sandbox: &Sandbox,
        slot: Slot,
        container: &Container,
    ) -> Result<Task, StartError> {
        let program = self.resolver(sandbox.ip().to_string()).program(container);
        let program =
            program.map_err(|message| StartError { reason: "CreateContainerConfigError", message })?;
        let restart = self.with(|state| state.at(slot).map_or(0, |c| c.restarts));
        let log =
            Arc::new(Log::new(self.cloud.runtime.log_file(&self.instance.plan, &container.name, restart)));
        let launch = Launch { container, program, restart, log: log.clone() };
        let task = sandbox.start(self.cloud, launch).await?;
        self.instance.began(&container.name, log);
        self.instance.set_pid(&container.name, task.pid());
        Ok(task)
    }

    /// From running to ended, by itself or by a halt. `None`: halted before anything could be said.
    async fn incarnation(
        &self,
        sandbox: &Sandbox,
        slot: Slot,
        container: &Container,
        mut task: Task,
        halt: &mut Halt,
    ) -> Option<Exit> {
        let ready = container.readiness_probe.is_none() || !sandbox.probes();
        let since = self.cloud.clock.now();
        self.change(|state| {
            if let Some(c) = state.at(slot) {
                c.state = State::Running { since };
                c.ready = ready;
            }
        });
        self.cloud.event(self.instance, false, "Started", &format!("Started container {}", container.name));
        let on_probe = |probed: Probed| {
            self.change(|state| {
                if let Some(c) = state.at(slot) {
                    c.ready = matches!(probed, Probed::Ready);
                }
            });
        };
        let unhealthy = tokio::select! {
            exit = task.wait(self.cloud) => return self.gone(container, exit),
            _ = halted(halt) => None,
            why = probes::watch(&self.cloud.clock, sandbox, container, on_probe) => Some(why),
        };
        let exit = match unhealthy {
            Some(why) => self.restart_unhealthy(sandbox, container, &mut task, &why, halt).await,
            None => self.stop(sandbox, container, &mut task, halt).await,
        };
        self.gone(container, exit)
    }

    fn gone(&self, container: &Container, exit: Exit) -> Option<Exit> {
        self.instance.set_pid(&container.name, None);
        if let Some(log) = self.instance.log(&container.name, false) {
            log.close();
        }
        Some(exit)
    }

    /// preStop, SIGTERM, then SIGKILL at the deadline.
    async fn stop(&self, sandbox: &Sandbox, container: &Container, task: &mut Task, halt: &mut Halt) -> Exit {
        let message = format!("Stopping container {}", container.name);
        self.cloud.event(self.instance, false, "Killing", &message);
        let hook = sandbox.hook(container, container.lifecycle.pre_stop.as_ref());
        tokio::select! {
            exit = task.wait(self.cloud) => return exit,
            () = hook => {}
            () = self.grace_over(halt) => {}
        }
        task.terminate();
        tokio::select! {
            exit = task.wait(self.cloud) => return exit,
            () = self.grace_over(halt) => {}
        }
        task.kill();
        task.wait(self.cloud).await
    }

    async fn restart_unhealthy(
        &self,
        sandbox: &Sandbox,
        container: &Container,
        task: &mut Task,
        why: &str,
        halt: &mut Halt,
    ) -> Exit {
        self.cloud.event(self.instance, true, "Unhealthy", why);
        task.terminate();
        let grace = Duration::from_secs(self.instance.plan.grace_seconds().into());
        tokio::select! {
            exit = task.wait(self.cloud) => return exit,
            () = self.cloud.clock.sleep(grace) => {}
            _ = halted(halt) => return self.stop(sandbox, container, task, halt).await,
        }
        task.kill();
        task.wait(self.cloud).await
    }

    /// Resolves at the deadline of the stop, even when a later request shortens it.
    async fn grace_over(&self, halt: &mut Halt) {
        loop {
            let Some(Stop { deadline }) = *halt.borrow_and_update() else { return };
            tokio::select! {
                () = self.cloud.clock.sleep_until(deadline) => return,
                changed = halt.changed() => if changed.is_err() { return },
            }
        }
    }

    fn ended(&self, slot: Slot, exit: Exit, over: bool) {
        self.change(|state| {
            if let Some(c) = state.at(slot) {
                c.state = State::Terminated(exit);
                c.ready = false;
                c.over = over;
            }
        });
    }

    /// The first restart is immediate, later ones wait longer and longer.
    async fn back_off(&self, slot: Slot, container: &Container, crashes: u32) {
        let wait = if crashes == 0 { Duration::ZERO } else { self.backoff(crashes - 1) };
        self.with(|state| {
            if let Some(c) = state.at(slot)
                && let State::Terminated(exit) = &c.state
            {
                c.last = Some(exit.clone());
            }
        });
        if wait.is_zero() {
            return;
        }
        let message = format!(
            "back-off {wait:?} restarting failed container={} pod={}",
            container.name, self.instance.key.name
        );
        self.cloud.event(self.instance, true, "BackOff", &message);
        self.waiting(slot, "CrashLoopBackOff", &message);
        self.cloud.clock.sleep(wait).await;
    }

    fn backoff(&self, attempt: u32) -> Duration {
        self.cloud.timing.backoff.saturating_mul(1 << attempt.min(10)).min(BACKOFF_MAX)
    }

    fn waiting(&self, slot: Slot, reason: &str, message: &str) {
        self.change(|state| {
            if let Some(c) = state.at(slot) {
                c.state = State::Waiting { reason: reason.to_owned(), message: message.to_owned() };
            }
        });
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
        std::future::pending().await
    }

    /// A stop now, with the grace that the pod itself names.
    fn own_grace(&self) -> Stop {
        let grace = Duration::from_secs(self.instance.plan.grace_seconds().into());
        Stop { deadline: self.cloud.clock.now().checked_add(grace).unwrap_or(Timestamp::MAX) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut PodState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut PodState)) {
        self.with(change);
        self.publish();
    }

    /// Writes the status into the stored object, if it is still this one.
    fn publish(&self) {
        let now = self.cloud.clock.now();
        let (status, scheduled, ip) = self.with(|state| {
            (state.render(now, &HOST_IP.to_string()), state.scheduled.is_some(), state.pod_ip.clone())
        });
        let uid = &self.instance.plan.uid;
        let done = self.cloud.store.update::<Infallible>(Kind::Pod, &self.instance.key, |pod, stored| {
            if stored.uid != *uid || pod.get("status") == Some(&status) {
                return Ok(Verdict::Keep);
            }
            if scheduled {
                self.mark_placed(pod, ip.as_deref());
            }
            if let Some(pod) = pod.as_object_mut() {
                pod.insert("status".into(), status);
            }
            Ok(Verdict::Write)
        });
        debug_assert!(done.is_ok());
    }

    /// What the cloud adds to a pod once it has a place.
    fn mark_placed(&self, pod: &mut Value, ip: Option<&str>) {
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("nodeName".into(), json!(self.node));
        }
        let region = &self.cloud.region;
        let zone = format!("{region}a");
        if let Some(annotations) = metadata_map(pod, "annotations") {
            annotations.insert("topology.kubernetes.io/region".into(), json!(region));
            annotations.insert("topology.kubernetes.io/zone".into(), json!(zone));
            if let Some(ip) = ip {
                let network =
                    json!([{"name": "default-network", "interface": "eth0", "ips": [ip], "default": true}]);
                annotations.insert("cni.yangtse.io/network-status".into(), json!(network.to_string()));
            }
        }
        if let Some(labels) = metadata_map(pod, "labels") {
            labels.insert("scheduling.cci.io/vmid".into(), json!(self.instance.plan.uid));
        }
    }
}

/// What no compute cell offers, in the scheduler's words.
fn unplaceable(spec: &super::plan::PodSpec) -> Option<String> {
    if let Some(node) = &spec.node_name {
        return Some(format!("node {node:?} not found"));
    }
    if !spec.node_selector.is_empty() {
        return Some(
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.".to_owned(),
        );
    }
    let all = spec.containers.iter().chain(&spec.init_containers);
    let named = all.flat_map(|c| c.resources.limits.keys().chain(c.resources.requests.keys()));
    let known = |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage" | "nvidia.com/gpu");
    let unknown = named.map(String::as_str).find(|name| !known(name));
    unknown.map(|name| format!("0/1 nodes are available: 1 Insufficient {name}."))
}
