//! The ledgers that the leader holds: a round plans against one, writes it, and only then gives out what was planned.
//!
//! Of several writers one wins, so a leader that lost its Lease without knowing does no harm. A ledger that was read
//! anew may know pods that our watch has not shown yet; taken for deleted they would lose their grants, so each is looked
//! up once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::lease;
use cluster::ledgers::{self, Held, Unusable};
use cluster::versioned::Put;
use cluster::{PodRef, WriteError};
use kube::Client;
use policies::burst_policy::BurstPolicySpec;
use policies::ledger::home::Move;
use policies::ledger::{Claim, Grant, GrantState, Ledger, Plan, Seconds, World};

use tokio::sync::watch;

use crate::metrics::{Metric, Metrics};

/// How a round is planned: [`policies::ledger::plan`], or a test's own.
pub type Planner = fn(&BurstPolicySpec, &Ledger, &[Claim], &World<'_>) -> Plan;

/// How often a lost race is run again at once.
const ATTEMPTS: usize = 3;

/// How long a total of money that nothing else changes may stay unwritten.
const SETTLE: Seconds = 60;

/// Why a round gave nothing out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Later {
    /// The ledger cannot be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The ledger cannot be written.
    #[error(transparent)]
    Refused(#[from] WriteError),
    /// The API server is busy, or others write all the time.
    #[error("the ledger of {policy} could not be written yet")]
    Busy {
        /// The policy.
        policy: String,
        /// When to try again.
        after: Duration,
    },
    /// Our watch is behind the ledger.
    #[error("pod {pod} has a grant of {policy} and is not in our picture yet")]
    Behind {
        /// The policy.
        policy: String,
        /// The pod.
        pod: String,
    },
    /// Another leads now.
    #[error("no longer the leader")]
    Lost,
}

impl Later {
    /// When to try again.
    pub(super) const fn after(&self) -> Duration {
        match self {
            Self::Busy { after, .. } => *after,
            Self::Behind { .. } => Duration::from_millis(200),
            Self::Unusable(_) | Self::Refused(_) | Self::Lost => Duration::from_secs(5),
        }
    }
}

/// The ledgers of one term.
pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) planner: Planner,
    pub(super) metrics: Arc<Metrics>,
    held: BTreeMap<String, Held>,
}

impl Desk {
    pub(super) const fn new(
        client: Client,
        namespace: String,
        planner: Planner,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { client, namespace, planner, metrics, held: BTreeMap::new() }
    }

    /// Plans one round of one policy and writes its ledger. What comes back may be acted on.
    pub(super) async fn round(
        &mut self,
        policy: &str,
        spec: &BurstPolicySpec,
        claims: &[Claim],
        world: &World<'_>,
        claim: &watch::Receiver<lease::Claim>,
    ) -> Result<Plan, Later> {
        for _ in 0..ATTEMPTS {
            let held = match self.held.remove(policy) {
                Some(held) => held,
                None => self.read(policy, claims).await?,
            };
            let plan = (self.planner)(spec, &held.ledger, claims, world);
            if !due(&held, &plan) {
                self.held.insert(policy.to_owned(), held);
                return Ok(plan);
            }
            if !claim.borrow().leading {
                return Err(Later::Lost);
            }
            let written = self.write(held.version.as_deref(), &plan.ledger).await?;
            match written {
                Put::Written(version) => {
                    let held = Held { ledger: plan.ledger.clone(), version: Some(version) };
                    self.held.insert(policy.to_owned(), held);
                    return Ok(plan);
                }
                Put::Conflict => {}
                Put::Retry(after) => return Err(Later::Busy { policy: policy.to_owned(), after }),
            }
        }
        Err(Later::Busy { policy: policy.to_owned(), after: Duration::from_millis(200) })
    }

    /// Writes moves into the ledger as it is held; only if it says that they are in it may they be done.
    pub(super) async fn note(
        &mut self,
        policy: &str,
        moves: Vec<Move>,
        claim: &watch::Receiver<lease::Claim>,
    ) -> Result<bool, Later> {
        let Some(held) = self.held.remove(policy) else { return Ok(false) };
        if !claim.borrow().leading {
            return Err(Later::Lost);
        }
        let ledger = Ledger { moves, ..held.ledger };
        let Put::Written(version) = self.write(held.version.as_deref(), &ledger).await? else {
            // It may have been written all the same: it is read anew.
            return Ok(false);
        };
        self.held.insert(policy.to_owned(), Held { ledger, version: Some(version) });
        Ok(true)
    }

    async fn write(&self, version: Option<&str>, ledger: &Ledger) -> Result<Put, WriteError> {
        let written = ledgers::put(&self.client, &self.namespace, version, ledger).await;
        let result = match &written {
            Ok(Put::Written(_)) => "written",
            Ok(Put::Conflict) => "conflict",
            Ok(Put::Retry(_)) => "retry",
            Err(_) => "refused",
        };
        self.metrics.count(Metric::LedgerWrites, [("result", result)]);
        written
    }

    async fn read(&self, policy: &str, claims: &[Claim]) -> Result<Held, Later> {
        let held = ledgers::read(&self.client, &self.namespace, policy).await?;
        for (uid, grant) in unseen(&held.ledger, claims) {
            let pod = PodRef { namespace: &grant.namespace, name: &grant.name, uid: &uid };
            match cluster::grant::exists(&self.client, pod).await {
                Ok(false) => {}
                Ok(true) => {
                    let pod = format!("{}/{}", grant.namespace, grant.name);
                    return Err(Later::Behind { policy: policy.to_owned(), pod });
                }
                Err(after) => return Err(Later::Busy { policy: policy.to_owned(), after }),
            }
        }
        Ok(held)
    }
}

/// Open grants of pods that are not among the claims.
fn unseen(ledger: &Ledger, claims: &[Claim]) -> Vec<(String, Grant)> {
    let seen: BTreeSet<&str> = claims.iter().map(|claim| claim.uid.as_str()).collect();
    let open = ledger
        .grants
        .iter()
        .filter(|(uid, grant)| grant.state == GrantState::Open && !seen.contains(uid.as_str()));
    open.map(|(uid, grant)| (uid.clone(), grant.clone())).collect()
}

/// Whether the plan's ledger has to be written.
fn due(held: &Held, plan: &Plan) -> bool {
    plan.changed
        || plan.ledger.settled.saturating_sub(held.ledger.settled) >= SETTLE && !plan.spend.is_empty()
}
