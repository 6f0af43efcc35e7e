//! Pods in the cloud that move home.

use std::{cmp::Reverse, collections::BTreeSet};

use crate::{
    ledger::home::leaves,
    simulate::{Happening, meter::Place, trace::Pod},
};

use super::{ClassIndex, PodIndex, Run, State, Timer};

impl Run<'_> {
    /// Where the policy brings pods home, one that goes to the cloud is remembered.
    pub(super) fn goes_away(&mut self, pod: PodIndex, row: &Pod, class: ClassIndex, slot: usize) {
        let Some(stay) = self.slots.repatriation(slot).map(|r| r.min_stay_seconds) else { return };
        let home = leaves(self.now, stay);
        if home >= row.deleted {
            return;
        }
        if let Some(class) = self.classes.get_mut(class as usize) {
            class.away.push_back(pod);
        }
        self.slots.goes_away(slot, class);
        self.timers.push(Reverse((home, Timer::Home(slot))));
    }

    /// Pods of policies that want them back go home, longest away first, as far as room and the policy's pace allow.
    pub(super) fn move_home(&mut self) {
        let stirred = std::mem::take(&mut self.slots.stirred);
        let concerned = if self.freed.is_empty() { stirred.clone() } else { self.slots.with_pods_away() };
        for slot in concerned {
            let mut tired = BTreeSet::new();
            if !stirred.contains(&slot) {
                tired = self.too_large_for_freed(slot);
            }
            while let Some((pod, class)) = self.longest_away(slot, &tired) {
                match self.slots.may_move(slot, self.now) {
                    Ok(()) if self.go_home(pod, class) => self.slots.moved(slot, self.now),
                    Ok(()) => {
                        tired.insert(class);
                    }
                    Err(again) => {
                        self.timers.push(Reverse((again, Timer::Home(slot))));
                        break;
                    }
                }
            }
        }
    }

    /// Classes of pods away that fit none of the nodes that got room: nothing changed for them.
    fn too_large_for_freed(&self, slot: usize) -> BTreeSet<ClassIndex> {
        let fits = |class: &ClassIndex| {
            let size = self.classes.get(*class as usize).map(|c| c.size).unwrap_or_default();
            self.freed.iter().any(|node| size.fits(self.rooms.free(*node)))
        };
        let away = self.slots.away.get(slot).into_iter().flatten();
        away.filter(|class| !fits(class)).copied().collect()
    }

    /// Of the pods that stayed long enough, the one longest away; a class that finds no room is not asked again.
    fn longest_away(&mut self, slot: usize, tired: &BTreeSet<ClassIndex>) -> Option<(PodIndex, ClassIndex)> {
        let stay = self.slots.repatriation(slot)?.min_stay_seconds;
        let mut longest: Option<((i64, PodIndex), ClassIndex)> = None;
        for class in self.slots.away.get(slot)?.difference(tired).copied().collect::<Vec<_>>() {
            let Some((pod, since)) = self.first_away(class) else {
                self.slots.nobody_away(slot, class);
                continue;
            };
            let earlier = longest.is_none_or(|(first, _)| (since, pod) < first);
            if leaves(since, stay) <= self.now && earlier {
                longest = Some(((since, pod), class));
            }
        }
        longest.map(|((_, pod), class)| (pod, class))
    }

    fn first_away(&mut self, class: ClassIndex) -> Option<(PodIndex, i64)> {
        loop {
            let pod = self.classes.get(class as usize)?.away.front().copied()?;
            match self.states.get(pod as usize) {
                Some(State::Cloud { since, .. }) => return Some((pod, *since)),
                _ => self.classes.get_mut(class as usize)?.away.pop_front(),
            };
        }
    }

    fn go_home(&mut self, pod: PodIndex, class: ClassIndex) -> bool {
        let Some(row) = self.pod(pod) else { return false };
        let Some((node, tier)) = self.local_place(row, class) else { return false };
        let from = self.set(pod, State::Gone);
        self.leave(pod, row, from);
        self.occupy(pod, row, class, node, tier);
        self.meter.now.add(Place::Local, row.size);
        self.tally.moves += 1;
        self.tell(pod, Happening::Moved { node });
        true
    }
}
