//! Placing an instance and showing its state on the stored object.

use std::convert::Infallible;

use serde_json::{Value, json};

use super::Life;
use crate::core::instances::{HOST_IP, INCARNATION, incarnation_of, metadata_map};
use crate::core::kind::Kind;
use crate::core::life::State;
use crate::core::plan::PodSpec;
use crate::core::store::Verdict;
use crate::runtime::StartError;

impl Life<'_> {
    /// Waits for a Network, for stock and for the scheduler, then is placed.
    pub(super) async fn place(&self) {
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
    pub(super) fn never(&self, error: &StartError) {
        self.cloud.event(self.instance, true, "FailedCreatePodSandBox", &error.message);
        self.change(|state| {
            for container in &mut state.app {
                container.state =
                    State::Waiting { reason: error.reason.to_owned(), message: error.message.clone() };
            }
        });
    }

    /// Writes the status into the stored object, if it is still this one.
    pub(super) fn publish(&self) {
        let now = self.cloud.clock.now();
        let (status, scheduled, ip) = self.with(|state| {
            (state.render(now, &HOST_IP.to_string()), state.scheduled.is_some(), state.pod_ip.clone())
        });
        self.bill(scheduled, &status);
        let uid = &self.instance.plan.uid;
        let done = self.cloud.store.update::<Infallible>(Kind::Pod, &self.instance.key, |pod, stored| {
            let incarnation = (!self.cloud.habits.marks_objects).then_some(self.instance.generation);
            let same = pod.get("status") == Some(&status)
                && incarnation.is_none_or(|number| incarnation_of(pod) == u64::from(number));
            if stored.uid != *uid || same {
                return Ok(Verdict::Keep);
            }
            if scheduled && self.cloud.habits.marks_objects {
                self.mark_placed(pod, ip.as_deref());
            }
            if let Some(pod) = pod.as_object_mut() {
                pod.insert("status".into(), status);
                if let Some(number) = incarnation {
                    pod.insert(INCARNATION.into(), json!(number));
                }
            }
            Ok(Verdict::Write)
        });
        debug_assert!(done.is_ok());
    }

    /// Where not the whole life is billed: from being placed until all of it ended by itself.
    fn bill(&self, scheduled: bool, status: &Value) {
        if self.cloud.habits.bills_whole_life || !scheduled {
            return;
        }
        let ended = matches!(status.get("phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
        if !ended {
            self.cloud.bill(self.instance, self.cloud.clock.now());
        } else if self.instance.stop.borrow().is_none() {
            self.cloud.settle(self.instance);
        }
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
fn unplaceable(spec: &PodSpec) -> Option<String> {
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
