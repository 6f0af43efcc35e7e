//! Which pods have a grant: the ledgers of burst's leader, read for one question at a time.
//!
//! Pure. A ledger that cannot be read grants nothing and releases nothing. Nothing here ends anything: a pod without a
//! grant is not materialised, and that is all.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::kept::Objects;
use cluster::ledgers::StoredLedger;
use policies::burst_policy::Side;
use policies::ledger::{Grant, GrantState};
use smol_str::SmolStr;

/// Whether a pod may be materialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// The ledgers were not listed yet.
    Unknown,
    /// No ledger names the pod.
    None,
    /// It may, here.
    Open,
    /// It has a grant, but not for an instance of this node.
    Elsewhere,
    /// Its grant is being given back.
    Closing,
}

/// A grant that the leader wants back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingGrant {
    /// The pod.
    pub uid: SmolStr,
    /// Which of its grants.
    pub serial: u64,
    /// The virtual node on which the leader saw the pod, if it did.
    pub node: Option<SmolStr>,
}

/// Every ledger as last seen.
#[derive(Clone, Debug, Default)]
pub struct Permits {
    listed: bool,
    ledgers: BTreeMap<SmolStr, Read>,
}

#[derive(Clone, Debug)]
struct Read {
    stored: Arc<StoredLedger>,
    closing: Arc<Vec<ClosingGrant>>,
}

impl Permits {
    /// The next picture; unchanged ledgers are taken over as they were read.
    #[must_use]
    pub fn next(&self, objects: &Objects<StoredLedger>, listed: bool) -> Self {
        let read = |(name, stored): (&SmolStr, &Arc<StoredLedger>)| {
            let known = self.ledgers.get(name).filter(|read| Arc::ptr_eq(&read.stored, stored));
            (name.clone(), known.cloned().unwrap_or_else(|| Read::of(stored)))
        };
        Self { listed, ledgers: objects.iter().map(read).collect() }
    }

    /// Whether a pod may be materialised by this virtual node.
    pub fn of(&self, uid: &str, node: &str) -> Permit {
        let grants = self.ledgers.values().filter_map(|read| read.grant(uid));
        let permits = grants.map(|grant| match grant.state {
            GrantState::Closing => Permit::Closing,
            GrantState::Open if grant.permits(node) => Permit::Open,
            GrantState::Open => Permit::Elsewhere,
        });
        let rank = |permit: &Permit| match permit {
            Permit::Unknown | Permit::None => 0,
            Permit::Elsewhere => 1,
            Permit::Open => 2,
            // One ledger that wants it back outweighs all others.
            Permit::Closing => 3,
        };
        permits.max_by_key(rank).unwrap_or(if self.listed { Permit::None } else { Permit::Unknown })
    }

    /// The grants that the leader wants back.
    pub fn closing(&self) -> impl Iterator<Item = &ClosingGrant> {
        self.ledgers.values().flat_map(|read| read.closing.iter())
    }
}

impl Read {
    fn of(stored: &Arc<StoredLedger>) -> Self {
        let grants = stored.spec.iter().flat_map(|ledger| &ledger.grants);
        let closing = grants
            .filter(|(_, grant)| grant.state == GrantState::Closing && grant.side == Side::Cloud)
            .map(|(uid, grant)| ClosingGrant {
                uid: uid.into(),
                serial: grant.serial,
                node: grant.node.as_deref().map(SmolStr::from),
            })
            .collect();
        Self { stored: Arc::clone(stored), closing: Arc::new(closing) }
    }

    fn grant(&self, uid: &str) -> Option<&Grant> {
        self.stored.spec.as_ref().ok()?.grants.get(uid)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use policies::ledger::Ledger;

    use super::*;

    /// A grant in the cloud, changed.
    pub(in crate::pods) fn grant(change: impl FnOnce(&mut Grant)) -> Grant {
        let mut grant = Grant { side: Side::Cloud, serial: 1, ..Grant::default() };
        change(&mut grant);
        grant
    }

    /// A ledger with these grants.
    pub(in crate::pods) fn stored(grants: Vec<(&str, Grant)>) -> Arc<StoredLedger> {
        let grants = grants.into_iter().map(|(uid, grant)| (uid.to_owned(), grant)).collect();
        let ledger = Ledger { grants, ..Ledger::default() };
        Arc::new(StoredLedger { metadata: Default::default(), spec: Ok(ledger) })
    }

    /// The permits of these ledgers.
    pub(in crate::pods) fn permits(ledgers: &[Arc<StoredLedger>]) -> Permits {
        let objects = ledgers.iter().enumerate().map(|(n, l)| (SmolStr::from(n.to_string()), l.clone()));
        Permits::default().next(&objects.collect(), true)
    }

    #[test]
    fn a_pod_needs_an_open_grant_for_this_node() {
        let open = || grant(|_| {});
        let closing = || grant(|g| g.state = GrantState::Closing);
        let on = |nodes: &[&str]| grant(|g| g.nodes = nodes.iter().map(|n| (*n).to_owned()).collect());
        let broken = Arc::new(StoredLedger { metadata: Default::default(), spec: Err("no".to_owned()) });
        let all = permits(&[
            broken,
            stored(vec![("a", open()), ("b", on(&["n2"])), ("c", closing())]),
            stored(vec![("d", on(&["n2", "n1"])), ("a", on(&["n2"]))]),
            stored(vec![("e", grant(|g| (g.state, g.node) = (GrantState::Closing, Some("n1".into()))))]),
            stored(vec![("f", open()), ("g", grant(|g| g.side = Side::Local))]),
            stored(vec![("f", closing())]),
        ]);
        let check = |uid: &str, wanted: Permit| assert_eq!(all.of(uid, "n1"), wanted, "{uid}");
        check("a", Permit::Open);
        check("b", Permit::Elsewhere);
        check("c", Permit::Closing);
        check("d", Permit::Open);
        check("f", Permit::Closing);
        check("g", Permit::Elsewhere);
        check("x", Permit::None);
        assert_eq!(Permits::default().of("a", "n1"), Permit::Unknown);
        let mut closing: Vec<_> = all.closing().map(|c| (c.uid.as_str(), c.node.as_deref())).collect();
        closing.sort_unstable();
        assert_eq!(closing, [("c", None), ("e", Some("n1")), ("f", None)]);
    }
}
