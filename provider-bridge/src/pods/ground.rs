//! What the cluster says about pods beyond the pods themselves: grants, policy objects, and the other virtual nodes.
//!
//! One picture per process, replaced as a whole when anything of it changes; reading it is pure.

use std::sync::Arc;

use cluster::PolicyObjects;
use cluster::kept::{Kept, Objects};
use cluster::ledgers::StoredLedger;
use cluster::reports::StoredReport;
use policies::burst_policy::{BurstPolicySpec, PolicyObject};
use policies::ledger::Seconds;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::permits::Permits;

/// The picture.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// Everything below was listed completely once.
    pub listed: bool,
    /// Who may be materialised.
    pub permits: Permits,
    /// The policy objects.
    pub policies: Arc<Vec<PolicyObject>>,
    /// What every virtual node reports.
    pub reports: Arc<Objects<StoredReport>>,
}

impl Ground {
    /// A policy object's spec, by the key that pods carry.
    pub fn policy(&self, key: &str) -> Option<&BurstPolicySpec> {
        self.policies.iter().find(|object| object.key == key).map(|object| &object.spec)
    }

    /// Whether a virtual node other than this one is known that has not sold out this class of size.
    pub fn another_place(&self, node: &str, class: &str, now: Seconds) -> bool {
        let Some(own) = self.reports.get(node).and_then(|stored| stored.spec.as_ref().ok()) else {
            return self.reports.keys().any(|name| name != node);
        };
        self.reports.iter().filter(|(name, _)| name.as_str() != node).any(|(_, stored)| {
            stored.spec.as_ref().is_ok_and(|other| {
                let same_place = (&other.provider, &other.zone) == (&own.provider, &own.zone);
                let out = other.stock_outs.iter().any(|out| out.class == class && now < out.until);
                !same_place && !out
            })
        })
    }
}

/// The watches that the picture is made of.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Ledgers of grants.
    pub ledgers: Kept<StoredLedger>,
    /// Policy objects.
    pub policies: PolicyObjects,
    /// Reports of all virtual nodes.
    pub reports: Kept<StoredReport>,
}

impl Sources {
    fn picture(&self, before: &Ground) -> Ground {
        let policies = self.policies.snapshot();
        Ground {
            listed: self.ledgers.synced() && self.policies.synced() && self.reports.synced(),
            permits: before.permits.next(&self.ledgers.objects(), self.ledgers.synced()),
            policies: if before.policies == policies { Arc::clone(&before.policies) } else { policies },
            reports: self.reports.objects(),
        }
    }

    /// Keeps the picture up to date until cancelled.
    pub async fn follow(self, picture: Arc<watch::Sender<Arc<Ground>>>, cancel: CancellationToken) {
        let (mut ledgers, mut reports) = (self.ledgers.changes(), self.reports.changes());
        let mut policies = self.policies.changes();
        loop {
            let next = self.picture(&picture.borrow());
            picture.send_replace(Arc::new(next));
            let changed = tokio::select! {
                () = cancel.cancelled() => return,
                changed = ledgers.changed() => changed,
                changed = reports.changed() => changed,
                changed = policies.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }
}
