//! What a pod's status says: container states in, `status` of a Pod out. Pure; the driver feeds it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::clock::k8s_time;
use super::plan::{PodPlan, RestartPolicy};

/// The state of one container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Waiting { reason: String, message: String },
    Running { since: Timestamp },
    Terminated(Exit),
}

/// How an incarnation of a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exit {
    /// Exit code; 128 + n after signal n, as every runtime reports it.
    pub(crate) code: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The termination message.
    pub(crate) message: String,
    pub(crate) started: Timestamp,
    pub(crate) finished: Timestamp,
}

impl Exit {
    fn render(&self, id: &str) -> Value {
        let mut out = json!({
            "exitCode": self.code, "reason": if self.code == 0 { "Completed" } else { "Error" },
            "startedAt": k8s_time(self.started), "finishedAt": k8s_time(self.finished), "containerID": id,
        });
        if let Some(map) = out.as_object_mut() {
            if let Some(signal) = self.signal {
                map.insert("signal".into(), json!(signal));
            }
            if !self.message.is_empty() {
                map.insert("message".into(), json!(self.message));
            }
        }
        out
    }
}

/// One container's line of the status.
#[derive(Clone, Debug)]
pub(crate) struct ContainerState {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) sidecar: bool,
    pub(crate) state: State,
    pub(crate) last: Option<Exit>,
    pub(crate) restarts: u32,
    pub(crate) ready: bool,
    /// It will not be started again.
    pub(crate) over: bool,
}

/// Everything the status is rendered from.
#[derive(Clone, Debug)]
pub(crate) struct PodState {
    pub(crate) uid: String,
    pub(crate) init: Vec<ContainerState>,
    pub(crate) app: Vec<ContainerState>,
    /// When it was placed.
    pub(crate) scheduled: Option<Timestamp>,
    /// Why it cannot be placed.
    pub(crate) unschedulable: Option<String>,
    pub(crate) pod_ip: Option<String>,
    /// `DeadlineExceeded` and its like: the phase is Failed whatever the containers say.
    pub(crate) failed: Option<(String, String)>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    kind: &'static str,
    value: bool,
    reason: &'static str,
    message: String,
    since: Timestamp,
}

/// Which list a container is in, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Init(usize),
    App(usize),
}

impl PodState {
    /// A pod that was just accepted.
    pub(crate) fn new(plan: &PodPlan) -> Self {
        let fresh = |container: &super::plan::Container| ContainerState {
            name: container.name.clone(),
            image: container.image.clone(),
            sidecar: container.is_sidecar(),
            state: State::Waiting { reason: "ContainerCreating".to_owned(), message: String::new() },
            last: None,
            restarts: 0,
            ready: false,
            over: false,
        };
        let mut state = Self {
            uid: plan.uid.clone(),
            init: plan.spec.init_containers.iter().map(fresh).collect(),
            app: plan.spec.containers.iter().map(fresh).collect(),
            scheduled: None,
            unschedulable: None,
            pod_ip: None,
            failed: None,
            conditions: Vec::new(),
        };
        if !state.init.is_empty() {
            for container in &mut state.app {
                container.state =
                    State::Waiting { reason: "PodInitializing".to_owned(), message: String::new() };
            }
        }
        state
    }

    /// The container in a slot.
    pub(crate) fn at(&mut self, slot: Slot) -> Option<&mut ContainerState> {
        match slot {
            Slot::Init(i) => self.init.get_mut(i),
            Slot::App(i) => self.app.get_mut(i),
        }
    }

    fn initialized(&self) -> bool {
        self.init.iter().all(|c| match (&c.state, c.sidecar) {
            (State::Terminated(exit), false) => exit.code == 0,
            (State::Running { .. }, true) => true,
            (_, true) => c.last.is_some() || c.over,
            _ => false,
        })
    }

    /// Kubernetes' own rule (`getPhase` of the kubelet).
    pub(crate) fn phase(&self) -> &'static str {
        if self.failed.is_some() {
            return "Failed";
        }
        if !self.initialized() {
            let failed = self.init.iter().any(|c| c.over && !c.sidecar && !exited_well(c));
            return if failed { "Failed" } else { "Pending" };
        }
        let unstarted = |c: &&ContainerState| matches!(c.state, State::Waiting { .. }) && c.last.is_none();
        if self.app.iter().any(|c| unstarted(&c)) {
            return "Pending";
        }
        let all_over = self.app.iter().all(|c| matches!(c.state, State::Terminated(_)) && c.over);
        if !all_over {
            return "Running";
        }
        if self.app.iter().all(exited_well) { "Succeeded" } else { "Failed" }
    }

    /// `status` of the Pod at `now`.
    pub(crate) fn render(&mut self, now: Timestamp, host_ip: &str) -> Value {
        let phase = self.phase();
        self.transition(now, phase);
        let conditions: Vec<Value> = self.conditions.iter().map(Condition::render).collect();
        let mut status = json!({"phase": phase, "conditions": conditions, "qosClass": "Guaranteed"});
        let Some(map) = status.as_object_mut() else { return status };
        if let Some(scheduled) = self.scheduled {
            map.insert("startTime".into(), json!(k8s_time(scheduled)));
            map.insert("hostIP".into(), json!(host_ip));
            let statuses =
                |all: &[ContainerState]| -> Vec<Value> { all.iter().map(|c| c.render(&self.uid)).collect() };
            map.insert("containerStatuses".into(), json!(statuses(&self.app)));
            if !self.init.is_empty() {
                map.insert("initContainerStatuses".into(), json!(statuses(&self.init)));
            }
        }
        if let Some(ip) = &self.pod_ip {
            map.insert("podIP".into(), json!(ip));
            map.insert("podIPs".into(), json!([{"ip": ip}]));
        }
        if let Some((reason, message)) = &self.failed {
            map.insert("reason".into(), json!(reason));
            map.insert("message".into(), json!(message));
        }
        status
    }

    /// Brings the conditions up to date; a transition time moves only when the value does.
    fn transition(&mut self, now: Timestamp, phase: &str) {
        let all_ready = phase == "Running" && self.app.iter().all(|c| c.ready);
        let not_ready = match phase {
            "Succeeded" => "PodCompleted",
            "Failed" => "PodFailed",
            _ => "ContainersNotReady",
        };
        let unready: Vec<&str> = self.app.iter().filter(|c| !c.ready).map(|c| c.name.as_str()).collect();
        let unready = format!("containers with unready status: [{}]", unready.join(" "));
        let mut wanted = Vec::new();
        if self.scheduled.is_some() {
            let unready = if all_ready { String::new() } else { unready };
            let reason = if all_ready { "" } else { not_ready };
            let initialized = self.initialized();
            let init_reason = if initialized { "" } else { "ContainersNotInitialized" };
            wanted.push(("Initialized", initialized, init_reason, String::new()));
            wanted.push(("Ready", all_ready, reason, unready.clone()));
            wanted.push(("ContainersReady", all_ready, reason, unready));
            wanted.push(("PodScheduled", true, "", String::new()));
        } else if let Some(why) = &self.unschedulable {
            wanted.push(("PodScheduled", false, "Unschedulable", why.clone()));
        }
        let old = std::mem::take(&mut self.conditions);
        self.conditions = (wanted.into_iter())
            .map(|(kind, value, reason, message)| {
                let known = old.iter().find(|c| c.kind == kind && c.value == value);
                let since = known.map_or(now, |c| c.since);
                Condition { kind, value, reason, message, since }
            })
            .collect();
    }
}

fn exited_well(container: &ContainerState) -> bool {
    matches!(&container.state, State::Terminated(exit) if exit.code == 0)
}

impl Condition {
    fn render(&self) -> Value {
        let mut out = json!({
            "type": self.kind, "status": if self.value { "True" } else { "False" },
            "lastProbeTime": null, "lastTransitionTime": k8s_time(self.since),
        });
        if let Some(map) = out.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".into(), json!(self.reason));
            }
            if !self.message.is_empty() {
                map.insert("message".into(), json!(self.message));
            }
        }
        out
    }
}

impl ContainerState {
    fn render(&self, uid: &str) -> Value {
        let id = |incarnation: u32| format!("containerd://{}-{}-{incarnation}", uid, self.name);
        let state = match &self.state {
            State::Waiting { reason, message } if message.is_empty() => {
                json!({"waiting": {"reason": reason}})
            }
            State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
            State::Running { since } => json!({"running": {"startedAt": k8s_time(*since)}}),
            State::Terminated(exit) => json!({"terminated": exit.render(&id(self.restarts))}),
        };
        let running = matches!(self.state, State::Running { .. });
        let begun = running || matches!(self.state, State::Terminated(_));
        let last = self.last.as_ref().map_or_else(
            || json!({}),
            |exit| json!({"terminated": exit.render(&id(self.restarts.saturating_sub(1)))}),
        );
        json!({
            "name": self.name, "image": self.image, "imageID": if begun { self.image.as_str() } else { "" },
            "containerID": if begun { id(self.restarts) } else { String::new() },
            "restartCount": self.restarts, "ready": self.ready, "started": running,
            "state": state, "lastState": last,
        })
    }
}

/// Whether a container that exited starts again.
pub(crate) fn restarts(policy: RestartPolicy, init: bool, sidecar: bool, code: i32) -> bool {
    match policy {
        _ if sidecar => true,
        RestartPolicy::Always => !init || code != 0,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn exit(code: i32) -> State {
        State::Terminated(Exit {
            code,
            signal: None,
            message: String::new(),
            started: at(0),
            finished: at(1),
        })
    }

    fn pod(policy: &str, containers: usize) -> PodState {
        let all: Vec<Value> =
            (0..containers).map(|i| json!({"name": format!("c{i}"), "image": "i"})).collect();
        let plan = json!({"metadata": {"uid": "u"}, "spec": {"restartPolicy": policy, "containers": all}});
        PodState::new(&PodPlan::read(&plan).expect("a plan"))
    }

    fn check(policy: &str, states: &[(State, bool)], expected: &str) {
        let mut pod = pod(policy, states.len());
        pod.scheduled = Some(at(0));
        for (container, (state, over)) in pod.app.iter_mut().zip(states) {
            container.state = state.clone();
            container.over = *over;
        }
        assert_eq!(pod.phase(), expected, "{policy} {states:?}");
    }

    #[test]
    fn phases_follow_the_kubelet() {
        let running = State::Running { since: at(0) };
        let waiting = State::Waiting { reason: "ContainerCreating".into(), message: String::new() };
        check("Always", &[(waiting.clone(), false)], "Pending");
        check("Always", &[(running.clone(), false), (waiting, false)], "Pending");
        check("Always", &[(running.clone(), false)], "Running");
        check("Always", &[(exit(0), false)], "Running");
        check("Never", &[(exit(0), true)], "Succeeded");
        check("Never", &[(exit(0), true), (exit(1), true)], "Failed");
        check("OnFailure", &[(exit(1), false)], "Running");
        check("OnFailure", &[(exit(0), true)], "Succeeded");
        check("Never", &[(exit(0), true), (running, false)], "Running");
    }

    #[test]
    fn restart_rules() {
        use RestartPolicy::{Always, Never, OnFailure};
        for (policy, init, sidecar, code, expected) in [
            (Always, false, false, 0, true),
            (Always, true, false, 0, false),
            (Always, true, false, 1, true),
            (OnFailure, false, false, 0, false),
            (OnFailure, false, false, 3, true),
            (Never, false, false, 3, false),
            (Never, true, true, 0, true),
        ] {
            assert_eq!(restarts(policy, init, sidecar, code), expected, "{policy:?} {init} {sidecar} {code}");
        }
    }

    #[test]
    fn a_transition_time_moves_only_with_its_value() {
        let mut pod = pod("Always", 1);
        pod.scheduled = Some(at(1));
        let first = pod.render(at(1), "10.0.0.1");
        let later = pod.render(at(9), "10.0.0.1");
        assert_eq!(first["conditions"], later["conditions"]);
        pod.app[0].state = State::Running { since: at(10) };
        pod.app[0].ready = true;
        let ready = pod.render(at(10), "10.0.0.1");
        let find = |kind: &str| {
            ready["conditions"].as_array().and_then(|all| all.iter().find(|c| c["type"] == kind)).cloned()
        };
        assert_eq!(
            find("Ready").map(|c| c["lastTransitionTime"].clone()),
            Some(json!("1970-01-01T00:00:10Z"))
        );
        assert_eq!(
            find("PodScheduled").map(|c| c["lastTransitionTime"].clone()),
            Some(json!("1970-01-01T00:00:01Z"))
        );
    }
}
