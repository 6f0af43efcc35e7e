//! Decides which instances may be deleted as orphans, and when an absence may be believed.
//!
//! Pure. The danger is one-sided: deleting or burying healthy pods because a listing lied (restored etcd, copied
//! cluster id, changed account or region). So an orphan must be old and seen twice, and whatever would hit a large
//! share at once stops and complains. An empty list never reads as "all dead".

use std::collections::BTreeMap;
use std::time::Duration;

/// Limits of one sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An instance younger than this is never an orphan.
    pub min_age: Duration,
    /// Largest share of the instances that one sweep may touch, percent.
    pub max_percent: u8,
    /// So many are allowed whatever the share.
    pub always_allowed: usize,
}

/// Whether `affected` out of `total` is a believable number.
pub const fn plausible(affected: usize, total: usize, limits: &Limits) -> bool {
    if affected <= limits.always_allowed {
        return true;
    }
    affected.saturating_mul(100) <= total.saturating_mul(limits.max_percent as usize)
}

/// An instance whose pod the API server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Pod UID from the instance's tags.
    pub uid: String,
    /// Age by the cloud's clock or since first seen, whichever is known and larger.
    pub age: Duration,
}

/// What a sweep decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These were suspects before, are old enough and few enough: confirm with the API server and delete.
    Delete(Vec<String>),
    /// Too many at once: delete nothing and complain.
    Stopped {
        /// How many would have been deleted.
        orphans: usize,
        /// Out of how many.
        total: usize,
    },
}

/// Memory between sweeps: which UIDs were suspects at the previous one.
#[derive(Clone, Debug, Default)]
pub struct Sweeper {
    seen: BTreeMap<String, u32>,
}

impl Sweeper {
    /// One sweep over all suspects of a node that has `total` instances.
    pub fn sweep(&mut self, suspects: Vec<Suspect>, total: usize, limits: &Limits) -> Verdict {
        let previous = std::mem::take(&mut self.seen);
        let mut ripe = Vec::new();
        for suspect in suspects {
            let times = previous.get(&suspect.uid).map_or(1, |n| n.saturating_add(1));
            self.seen.insert(suspect.uid.clone(), times);
            if times >= 2 && suspect.age >= limits.min_age {
                ripe.push(suspect.uid);
            }
        }
        if plausible(ripe.len(), total, limits) {
            Verdict::Delete(ripe)
        } else {
            Verdict::Stopped { orphans: ripe.len(), total }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { min_age: Duration::from_secs(60), max_percent: 20, always_allowed: 3 };

    fn suspects(n: usize, age: u64) -> Vec<Suspect> {
        (0..n).map(|i| Suspect { uid: format!("u{i}"), age: Duration::from_secs(age) }).collect()
    }

    fn second_sweep(n: usize, age: u64, total: usize) -> Verdict {
        let mut sweeper = Sweeper::default();
        assert_eq!(
            sweeper.sweep(suspects(n, age), total, &LIMITS),
            Verdict::Delete(vec![]),
            "the first never deletes"
        );
        sweeper.sweep(suspects(n, age), total, &LIMITS)
    }

    #[test]
    fn an_orphan_is_old_and_seen_twice() {
        assert_eq!(second_sweep(1, 61, 1), Verdict::Delete(vec!["u0".into()]));
        assert_eq!(second_sweep(1, 59, 1), Verdict::Delete(vec![]));
    }

    #[test]
    fn too_many_at_once_stop_the_sweep() {
        assert_eq!(second_sweep(100, 600, 100), Verdict::Stopped { orphans: 100, total: 100 });
        assert_eq!(
            second_sweep(20, 600, 100),
            Verdict::Delete(suspects(20, 0).into_iter().map(|s| s.uid).collect())
        );
        assert_eq!(second_sweep(21, 600, 100), Verdict::Stopped { orphans: 21, total: 100 });
    }

    #[test]
    fn a_pod_that_shows_up_between_sweeps_is_forgiven() {
        let mut sweeper = Sweeper::default();
        sweeper.sweep(suspects(1, 100), 10, &LIMITS);
        sweeper.sweep(vec![], 10, &LIMITS);
        assert_eq!(sweeper.sweep(suspects(1, 200), 10, &LIMITS), Verdict::Delete(vec![]));
    }

    #[test]
    fn an_empty_list_never_reads_as_all_dead() {
        assert!(!plausible(50, 50, &LIMITS));
        assert!(plausible(1, 1, &LIMITS), "a single instance can vanish");
    }
}
