//! The few words that the index keeps of each pod.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use policies::policy::Policy;
use policies::resources::Resources;

use crate::snapshot::NodeId;

/// A pod UID as a number: the UUID itself, else two hashes of the text (only tests write such UIDs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PodKey(u128);

impl PodKey {
    pub(super) fn of(uid: &str) -> Self {
        Self(uuid(uid).unwrap_or_else(|| {
            let high = fnv(uid, 0xcbf2_9ce4_8422_2325);
            u128::from(high) << 64 | u128::from(fnv(uid, high))
        }))
    }
}

fn uuid(text: &str) -> Option<u128> {
    let dashes = |b: &(usize, u8)| b.1 == b'-' && matches!(b.0, 8 | 13 | 18 | 23);
    if text.len() != 36 {
        return None;
    }
    text.bytes().enumerate().filter(|b| !dashes(b)).try_fold(0u128, |sum, (_, b)| {
        let digit = (b as char).to_digit(16).filter(|_| !b.is_ascii_uppercase())?;
        Some(sum << 4 | u128::from(digit))
    })
}

fn fnv(text: &str, seed: u64) -> u64 {
    text.bytes().fold(seed, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// An unfinished pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct PodRecord {
    pub(super) node: Option<NodeId>,
    pub(super) shape: u32,
    pub(super) generation: u32,
    pub(super) policy: Option<Policy>,
    pub(super) undecodable: bool,
}

/// Every distinct amount of requests once: pods of one workload ask for the same.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    ids: HashMap<Resources, u32, RandomState>,
    shapes: Vec<(Resources, u32)>,
    free: Vec<u32>,
}

impl Shapes {
    /// Takes one use of a shape.
    pub(super) fn take(&mut self, requests: Resources) -> u32 {
        let id = self.ids.get(&requests).copied().unwrap_or_else(|| self.insert(requests));
        if let Some((_, uses)) = self.shapes.get_mut(id as usize) {
            *uses += 1;
        }
        id
    }

    /// Gives one use back.
    pub(super) fn give_back(&mut self, id: u32) {
        let Some((requests, uses)) = self.shapes.get_mut(id as usize) else { return };
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            self.ids.remove(requests);
            self.free.push(id);
        }
    }

    pub(super) fn get(&self, id: u32) -> Resources {
        self.shapes.get(id as usize).map_or_else(Resources::default, |(requests, _)| *requests)
    }

    fn insert(&mut self, requests: Resources) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| u32::try_from(self.shapes.len()).unwrap_or(u32::MAX));
        match self.shapes.get_mut(id as usize) {
            Some(free) => *free = (requests, 0),
            None => self.shapes.push((requests, 0)),
        }
        self.ids.insert(requests, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_their_uuid_and_other_texts_differ() {
        assert_eq!(uuid("00000000-0000-0000-0000-0000000000ff"), Some(255));
        for odd in
            ["", "x", "00000000-0000-0000-0000-0000000000FF", "0000000000000000-0000-0000-0000000000ff"]
        {
            assert_eq!(uuid(odd), None, "{odd}");
        }
        assert_ne!(PodKey::of("a"), PodKey::of("b"));
        assert_eq!(size_of::<(PodKey, PodRecord)>(), 48);
    }

    #[test]
    fn a_shape_is_stored_once_and_its_place_is_used_again() {
        let mut shapes = Shapes::default();
        let a = Resources { cpu_milli: 1, ..Resources::default() };
        let b = Resources { cpu_milli: 2, ..Resources::default() };
        let (first, second) = (shapes.take(a), shapes.take(a));
        assert_eq!(first, second);
        shapes.give_back(first);
        assert_eq!(shapes.get(first), a);
        shapes.give_back(first);
        assert_eq!(shapes.take(b), first);
        assert_eq!(shapes.get(first), b);
    }
}
