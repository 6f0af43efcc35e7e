//! One container through all its incarnations: start with retries, probes, stop with grace, restart with back-off.

use std::sync::Arc;
use std::time::Duration;

use super::{BACKOFF_MAX, Halt, Life, RETRY, halted};
use crate::core::instances::Stop;
use crate::core::life::{Exit, Slot, State, restarts};
use crate::core::logs::Log;
use crate::core::plan::Container;
use crate::runtime::probes::{self, Verdict as Probed};
use crate::runtime::{Launch, Sandbox, StartError, Task};

impl Life<'_> {
    /// One container through all its incarnations; `true` when it ended well.
    pub(super) async fn container(
        &self,
        sandbox: &Sandbox,
        slot: Slot,
        container: &Container,
        mut halt: Halt,
    ) -> bool {
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
        self.instance.began(&container.name, log, task.pid(), self.cloud.clock.now());
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
        self.instance.ended(&container.name);
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
            let Some(Stop { deadline, .. }) = *halt.borrow_and_update() else { return };
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
}
