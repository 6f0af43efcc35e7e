//! A place that is sold out: remembered for everyone who decides, and its pods handed back where that helps.

use policies::burst_policy::Fallback;
use policies::ledger::NodeReport;
use policies::pod::PodFacts;
use policies::resources::Resources;
use policies::stock;
use serde_json::Value;
use smol_str::{SmolStr, ToSmolStr};

use super::{Table, Work};
use crate::cloud::PodIdentity;
use crate::pods::entry;
use crate::pods::hand_back::{Replaced, Way, replaced};
use crate::pods::machine::{Input, Outcome};
use crate::pods::status::Trouble;
use crate::pods::words::{self, Reason};

impl Table {
    /// The cloud refused a create because it has no room for the size.
    pub(super) fn sold_out(&mut self, uid: &SmolStr, message: &str) {
        let Some(class) = self.class_of(uid) else { return };
        self.stock.refused(&class, message, self.wall.as_second());
        self.learn(uid, Input::SoldOut(true));
        self.consider_hand_back(uid);
    }

    /// What the cloud says of an instance's place: `unplaced` is why it has none; `started`: it runs
    /// since just now.
    pub(super) fn placed(&mut self, uid: &SmolStr, unplaced: Option<&str>, started: bool) {
        let Some(entry) = self.entries.get(uid) else { return };
        let was_unplaced = entry.record.unplaced.is_some();
        if let Some(message) = unplaced {
            self.learn(uid, Input::Unplaced(true));
            self.sold_out(uid, message);
            return;
        }
        if was_unplaced {
            self.learn(uid, Input::Unplaced(false));
            self.learn(uid, Input::SoldOut(false));
        }
        // Only the moment of success is news about the stock.
        if started && let Some(class) = self.class_of_known(uid) {
            self.stock.succeeded(&class);
        }
    }

    /// Decides whether a sold-out pod goes back to its controller, and tells its owner.
    fn consider_hand_back(&mut self, uid: &SmolStr) {
        match self.way_back(uid) {
            Answer::Give(way) => self.give_back_later(uid, way),
            Answer::Ask(job) => {
                if let Some(entry) = self.entries.get(uid) {
                    self.output.work.push(Work::AskJob { pod: entry.identity.clone(), job });
                }
            }
            Answer::Keep(why) => {
                let Some(entry) = self.entries.get_mut(uid) else { return };
                entry.hand_back = None;
                let text = format!(
                    "the cloud has no room for this pod's size in {}; it keeps trying here, because {why}",
                    place(&self.settings.zone, &self.settings.node)
                );
                self.tell_stock(uid, Reason::StockOut, text);
            }
        }
    }

    fn give_back_later(&mut self, uid: &SmolStr, way: Way) {
        let (now, wall) = (self.now, self.wall);
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if entry.hand_back.is_none() {
            let marks = entry.pod.as_ref().map(|pod| &pod.marks);
            let owner = marks.and_then(|m| m.controller.as_ref()).map(|o| o.uid.clone()).unwrap_or_default();
            let created = marks.and_then(|m| m.created).unwrap_or(wall);
            entry.hand_back = Some((now + self.rounds.delay(&owner, created, wall), way));
        }
    }

    fn tell_stock(&mut self, uid: &SmolStr, reason: Reason, message: String) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let fingerprint = entry::fingerprint(&Trouble { reason: "StockOut", message: message.clone() });
        if entry.stock_told.replace(fingerprint) != Some(fingerprint) {
            self.output.events.push(words::pod_event(&entry.identity, reason, message));
        }
    }

    fn way_back(&self, uid: &SmolStr) -> Answer {
        let Some((entry, pod)) = self.entries.get(uid).and_then(|e| Some((e, e.pod.as_ref()?))) else {
            return Answer::Keep("it is not known well enough");
        };
        let policy = pod.marks.policy.as_deref().and_then(|key| self.ground.policy(key));
        match policy.map(|spec| spec.fallback) {
            Some(Fallback::Wait) => return Answer::Keep("its policy says so (fallback: Wait)"),
            Some(Fallback::NextTier) => {}
            None => {
                let class = entry.class.clone().unwrap_or_default();
                if !self.ground.another_place(&self.settings.node, &class, self.wall.as_second()) {
                    return Answer::Keep("there is no other virtual node with room");
                }
            }
        }
        match replaced(&pod.marks, was_scheduled(&pod.object())) {
            Replaced::By(way) => Answer::Give(way),
            Replaced::Never(why) => Answer::Keep(why),
            Replaced::AskJob => match entry.job_ignores {
                Some(true) => Answer::Give(Way::Fail),
                Some(false) => Answer::Keep("its Job's podFailurePolicy does not ignore DisruptionTarget"),
                None => {
                    let job = pod.marks.controller.as_ref().map(|o| o.name.to_string());
                    Answer::Ask(job.unwrap_or_default())
                }
            },
        }
    }

    /// The Job answered; no answer is asked for again at the next refusal.
    pub(super) fn job_asked(&mut self, pod: &PodIdentity, ignores: Option<bool>) {
        let uid = pod.uid.to_smolstr();
        let Some(entry) = self.entries.get_mut(&uid) else { return };
        entry.job_ignores = ignores;
        if ignores.is_some() && entry.record.sold_out {
            self.consider_hand_back(&uid);
            self.settle(&uid);
        }
    }

    /// The pod went back to its controller, or the API server did not let it go yet.
    pub(super) fn handed_back(&mut self, pod: &PodIdentity, outcome: Outcome) {
        self.api_busy = self.api_busy.saturating_sub(1);
        let uid = pod.uid.to_smolstr();
        if outcome == Outcome::Ok {
            let text = format!(
                "the cloud has no room for this pod's size in {} and it has no instance; it goes back to its \
                 controller, which makes a new one",
                place(&self.settings.zone, &self.settings.node)
            );
            self.tell_stock(&uid, Reason::HandedBack, text);
        }
        self.done(pod, outcome);
    }

    /// What this node reports, but for what the driver knows; nothing before everything was seen once.
    pub fn report(&mut self) -> Option<NodeReport> {
        if !self.synced() || !self.ground.listed {
            return None;
        }
        let instances = || self.entries.values().filter_map(|e| e.instance.as_ref());
        Some(NodeReport {
            zone: self.settings.zone.clone(),
            instances: instances().count() as u64,
            billed: instances().map(|i| i.billed).fold(Resources::default(), Resources::plus),
            stock_outs: self.stock.rows(self.wall.as_second()),
            released: self.released(),
            ..NodeReport::default()
        })
    }

    fn class_of(&mut self, uid: &SmolStr) -> Option<SmolStr> {
        let entry = self.entries.get_mut(uid)?;
        if entry.class.is_none() {
            let facts = PodFacts::from_value(&entry.pod.as_ref()?.object()).ok()?;
            entry.class = Some(stock::class(facts.cloud_requests()).into());
        }
        entry.class.clone()
    }

    /// The class, for a memory that is not empty: nothing is computed for the rest.
    fn class_of_known(&mut self, uid: &SmolStr) -> Option<SmolStr> {
        if self.stock.is_empty() { None } else { self.class_of(uid) }
    }
}

/// What to do with a sold-out pod.
enum Answer {
    Give(Way),
    /// Ask the Job of this name.
    Ask(String),
    Keep(&'static str),
}

/// The scheduler writes this condition when it binds; whoever sets nodeName does not.
fn was_scheduled(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| {
        let text = |key: &str| c.get(key).and_then(Value::as_str).unwrap_or_default();
        text("type") == "PodScheduled" && text("status") == "True"
    })
}

fn place(zone: &str, node: &str) -> String {
    if zone.is_empty() {
        format!("virtual node {node}")
    } else {
        format!("zone {zone} (virtual node {node})")
    }
}
