//! What metrics show of the leader: written after each pass, read at scrape time.

use policies::burst_policy::{Side, SpendRow, Usage};
use policies::ledger::{GrantState, Plan};

/// The leader as of its last pass; empty on a replica that does not lead.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// This replica leads.
    pub leading: bool,
    /// Every policy.
    pub policies: Vec<PolicyRow>,
}

/// One policy.
#[derive(Clone, Debug, Default)]
pub struct PolicyRow {
    /// Its key.
    pub policy: String,
    /// Use against ceilings.
    pub usage: Vec<Usage>,
    /// Money by window and scope.
    pub spend: Vec<SpendRow>,
    /// Grants in the cloud that are open, and that are closing.
    pub grants: [u64; 2],
    /// What grants that cost money cost together, in billionths of a unit per second.
    pub rate: u64,
}

/// A row from a plan.
pub(super) fn row(policy: &str, plan: &Plan) -> PolicyRow {
    let mut row = PolicyRow {
        policy: policy.to_owned(),
        usage: plan.usage.clone(),
        spend: plan.spend.clone(),
        ..PolicyRow::default()
    };
    for grant in plan.ledger.grants.values().filter(|grant| grant.side == Side::Cloud) {
        let [open, closing] = &mut row.grants;
        match grant.state {
            GrantState::Open => *open += 1,
            GrantState::Closing => *closing += 1,
        }
        if grant.started.is_some() {
            row.rate = row.rate.saturating_add(grant.rate.0);
        }
    }
    row
}
