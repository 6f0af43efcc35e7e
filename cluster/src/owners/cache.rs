//! Owners that were read lately, by UID.

use std::collections::HashMap;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::Owner;
use crate::slim::OwnerRef;

/// How long an owner is believed: relabelling it is seen this much later, unless an owner below it has to be read.
const FRESH: Duration = Duration::from_secs(10);

/// Most owners kept.
const MOST: usize = 10_000;

/// Longest chain that is followed; also ends chains that go round.
pub(super) const DEPTH: usize = 8;

/// An owner and its own controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) owner: Owner,
    pub(super) next: Option<OwnerRef>,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    links: HashMap<SmolStr, (Instant, Link)>,
}

impl Cache {
    /// One owner, if it was read lately.
    pub(super) fn link(&self, uid: &str, now: Instant) -> Option<&Link> {
        let (read, link) = self.links.get(uid)?;
        (now.saturating_duration_since(*read) < FRESH).then_some(link)
    }

    /// The whole chain, if every part of it was read lately.
    pub(super) fn chain(&self, first: &OwnerRef, now: Instant) -> Option<Vec<Owner>> {
        let mut chain = Vec::new();
        let mut next = Some(first.uid.clone());
        while let Some(uid) = next.filter(|_| chain.len() < DEPTH) {
            let link = self.link(&uid, now)?;
            chain.push(link.owner.clone());
            next = link.next.as_ref().map(|owner| owner.uid.clone());
        }
        Some(chain)
    }

    /// Keeps an owner; makes room by dropping what is old, then the oldest half.
    pub(super) fn insert(&mut self, uid: SmolStr, link: Link, now: Instant) {
        if self.links.len() >= MOST {
            self.links.retain(|_, (read, _)| now.saturating_duration_since(*read) < FRESH);
        }
        if self.links.len() >= MOST {
            let mut ages: Vec<Instant> = self.links.values().map(|(read, _)| *read).collect();
            ages.sort_unstable();
            let middle = ages.get(ages.len() / 2).copied().unwrap_or(now);
            self.links.retain(|_, (read, _)| *read > middle);
        }
        self.links.insert(uid, (now, link));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, next: Option<&str>) -> Link {
        let next = next.map(|uid| OwnerRef {
            api_version: "v1".into(),
            kind: "K".into(),
            name: uid.into(),
            uid: uid.into(),
        });
        Link {
            owner: Owner { kind: "K".to_owned(), name: name.to_owned(), labels: Default::default() },
            next,
        }
    }

    #[test]
    fn a_chain_needs_every_link_fresh_and_a_ring_ends() {
        let now = Instant::now();
        let mut cache = Cache::default();
        let first = link("x", Some("a")).next.expect("a reference");
        assert_eq!(cache.chain(&first, now), None);
        cache.insert("a".into(), link("a", Some("b")), now);
        assert_eq!(cache.chain(&first, now), None);
        cache.insert("b".into(), link("b", None), now);
        let names = |chain: Vec<Owner>| chain.into_iter().map(|o| o.name).collect::<Vec<_>>();
        assert_eq!(cache.chain(&first, now).map(names), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(cache.chain(&first, now + FRESH), None);
        cache.insert("b".into(), link("b", Some("a")), now);
        assert_eq!(cache.chain(&first, now).map(|chain| chain.len()), Some(DEPTH));
    }

    #[test]
    fn it_is_bounded() {
        let mut cache = Cache::default();
        let start = Instant::now();
        for i in 0..MOST as u64 * 2 {
            let uid = SmolStr::new(i.to_string());
            cache.insert(uid, link("o", None), start + Duration::from_micros(i));
        }
        assert!(cache.len() <= MOST);
        assert!(cache.link(&(MOST * 2 - 1).to_string(), start + Duration::from_secs(1)).is_some());
    }
}
