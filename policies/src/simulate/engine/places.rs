//! Who gets which place, and what becomes of whoever gets none.

use std::cmp::Reverse;

use crate::{
    ledger::{Grant, Hold, Seconds},
    policy::Policy,
    simulate::{
        Happening,
        clouds::FREE,
        governor::{Ask, LocalRule, Permit, Seat},
        meter::Place,
        room::{Kind, NodeIndex},
        stock,
        trace::{Pod, Size},
        usable_model,
    },
};

use super::{ClassIndex, PodIndex, Run, State, Timer};

impl Run<'_> {
    /// Places a pod if it can be placed now.
    pub(super) fn attempt(&mut self, pod: PodIndex, class: ClassIndex) -> bool {
        let (Some(row), Some(info)) = (self.pod(pod), self.info(class)) else { return false };
        let word = info.word;
        if self.stock {
            return self.attempt_stock(pod, row, class);
        }
        if word != Policy::Enforce && self.attempt_local(pod, row, class) {
            return true;
        }
        word != Policy::Off && self.attempt_cloud(pod, row, class)
    }

    fn attempt_local(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex) -> bool {
        let Some((node, tier)) = self.local_place(row, class) else { return false };
        self.settle_local(pod, row, class, node, tier);
        true
    }

    /// The real node for a pod, and the tier it counts in.
    pub(super) fn local_place(&mut self, row: &Pod, class: ClassIndex) -> Option<(NodeIndex, Option<usize>)> {
        let rule = self.local_rule(class, row.size);
        let info = self.info(class)?;
        rule.ways().into_iter().find_map(|(bit, tier)| {
            let within = |kind: &Kind| bit.is_none_or(|bit| kind.selected & bit != 0);
            let usable = |kind: &Kind| within(kind) && usable_model(&info.models, kind);
            self.rooms.best(row.size, usable).map(|node| (node, tier))
        })
    }

    fn local_rule(&mut self, class: ClassIndex, size: Size) -> LocalRule {
        let clock = self.clock();
        self.governor(class).map_or(LocalRule::Any, |g| g.local(size, clock))
    }

    fn settle_local(
        &mut self,
        pod: PodIndex,
        row: &Pod,
        class: ClassIndex,
        node: NodeIndex,
        tier: Option<usize>,
    ) {
        self.occupy(pod, row, class, node, tier);
        self.placed(pod, row, Place::Local, node);
    }

    pub(super) fn occupy(
        &mut self,
        pod: PodIndex,
        row: &Pod,
        class: ClassIndex,
        node: NodeIndex,
        tier: Option<usize>,
    ) {
        let fits = self.rooms.take(node, row.size);
        debug_assert!(fits, "a real node was chosen that has no room");
        let clock = self.clock();
        let namespace = self.info(class).map_or(0, |i| i.namespace);
        let seat = tier.and_then(|tier| {
            let governor = self.governor(class)?;
            Some(Box::new(governor.take_local(tier, row.size, namespace, clock)))
        });
        self.set(pod, State::Local { node, seat });
    }

    fn attempt_stock(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex) -> bool {
        let Some(info) = self.info(class) else { return false };
        let real = self.rooms.best_of_each(row.size, |kind| usable_model(&info.models, kind));
        let owner = self.owner(pod);
        let able = self.clouds.able(row.size);
        let Some(node) =
            stock::choose(&self.trace.nodes, &self.rooms, real, able, row.size, &self.spread, owner)
        else {
            return false;
        };
        if let Some(owner) = owner {
            self.spread.add(owner, node);
        }
        match self.clouds.position(node) {
            None => self.settle_local(pod, row, class, node, None),
            Some(at) => self.settle_cloud(pod, row, class, at, None),
        }
        true
    }

    fn attempt_cloud(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex) -> bool {
        let Some(info) = self.info(class) else { return false };
        let (slot, namespace, word) = (info.slot, info.namespace, info.word);
        let ask = Ask {
            namespace,
            size: row.size,
            word,
            created: self.settings.start + row.created,
            now: self.clock(),
        };
        let governor = slot.and_then(|s| self.slots.governors.get(s)).and_then(Option::as_ref);
        let permit = match governor {
            None => {
                let Some(at) = self.clouds.choose(row.size, |_| true) else { return false };
                Permit { at, grant: None }
            }
            Some(governor) => match governor.cloud(&ask, &self.clouds) {
                Ok(permit) => permit,
                Err((hold, until)) => {
                    self.hold(pod, class, hold, until);
                    return false;
                }
            },
        };
        self.settle_cloud(pod, row, class, permit.at, permit.grant);
        true
    }

    fn hold(&mut self, pod: PodIndex, class: ClassIndex, hold: Hold, until: Option<Seconds>) {
        let told = self.classes.get_mut(class as usize).and_then(|class| class.hold.replace((pod, hold)));
        if told != Some((pod, hold)) {
            self.tell(pod, Happening::Held(hold));
        }
        // What the rest of a window must pay for shrinks as time passes, so a budget may cover a pod before it ends.
        let again = (hold == Hold::BudgetReached).then(|| self.now + self.settings.ask_again_seconds.max(1));
        let until = until.map(|u| u - self.settings.start).filter(|u| *u > self.now);
        let Some(until) = until.into_iter().chain(again).min() else { return };
        let Some(row) = self.classes.get_mut(class as usize) else { return };
        if row.timer.is_none_or(|timer| until < timer) {
            row.timer = Some(until);
            self.timers.push(Reverse((until, Timer::Class(class))));
        }
    }

    fn settle_cloud(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex, at: usize, grant: Option<Grant>) {
        let Some(info) = self.info(class) else { return };
        let (word, slot) = (info.word, info.slot);
        if word != Policy::Enforce && self.real_room(row, class) {
            self.tally.over_burst += 1;
        }
        self.clouds.take(at, row.size);
        let quote = self.clouds.quote(at, row.size);
        if quote.is_none() {
            self.tally.unpriced += 1;
        }
        let quote = quote.unwrap_or(FREE);
        let clock = self.clock();
        let governor = slot.and_then(|s| self.slots.governors.get_mut(s)).and_then(Option::as_mut);
        let seat = grant.and_then(|grant| {
            let node = self.clouds.rows.get(at)?;
            Some(Box::new(governor?.take_cloud(grant, node, clock)))
        });
        let price = seat.as_deref().map_or(FREE, Seat::price);
        self.pay(class, |purse| purse.set(clock, purse.rate().plus(price.rate)));
        self.set(
            pod,
            State::Cloud { at: u32::try_from(at).unwrap_or(u32::MAX), seat, quote, since: self.now },
        );
        self.placed(pod, row, Place::Cloud(quote.rate), self.clouds.node(at));
        if let Some(slot) = slot.filter(|_| word != Policy::Enforce) {
            self.goes_away(pod, row, class, slot);
        }
    }

    /// The check that is independent of the choice: every real node looked at in the plain table. Ceilings on real
    /// nodes close them as the policy says.
    fn real_room(&mut self, row: &Pod, class: ClassIndex) -> bool {
        let rule = self.local_rule(class, row.size);
        let Some(traits) = self.trace.traits.get(row.traits as usize) else { return false };
        (0..).zip(&self.trace.nodes).any(|(index, node)| {
            node.provider.is_none()
                && row.size.fits(self.rooms.free(index))
                && (traits.gpu_models.is_empty() || traits.gpu_models.contains(&node.gpu_model))
                && self.rooms.kind(index).is_some_and(|kind| rule.allows(kind))
        })
    }

    fn placed(&mut self, pod: PodIndex, row: &Pod, place: Place, node: NodeIndex) {
        self.meter.now.remove(Place::Waiting, row.size);
        self.meter.now.add(place, row.size);
        self.tally.placed(matches!(place, Place::Local), self.now - row.created);
        self.tell(pod, Happening::Placed { node });
    }
}
