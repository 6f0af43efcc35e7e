//! A whole decision about one pod: nodes, provider, and the policy object that governs it with its ledger (DESIGN 4.5).
//!
//! [`Case::explain`] decides and [`Case::alternatives`] searches; both run the same engine, which is
//! [`decide_with`](super::decide_with) over the nodes and [`plan`] over the ledger. Pure: the ledger is planned, never
//! written.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Alternative, Change, Class, Decision, Outcome,
    counterfactual::{
        Counted, Window,
        knobs::{Knob, smallest},
        ranked,
    },
    decide_with,
    filter::Judge,
};
use crate::{
    burst_policy::{BurstPolicySpec, Limit, PolicyObject, Side, SpendRow, Usage, best},
    keys,
    ledger::{Claim, GrantState, Held, Ledger, NodeReport, Plan, Seconds, World, plan},
    money::{Money, Rate},
    node::{NodeClass, NodeRow},
    pod::PodFacts,
    policy::Policy,
    quantity::Quantity,
    reasons::Reason,
    resolve::Owner,
    resources::Resources,
    stock,
};

/// Longest time ahead that is searched: the next calendar month has begun by then.
const AHEAD: u64 = 32 * 86_400;
/// Budgets are searched in hundredths of a unit, which is how people write them.
const CENT: i128 = 10_000_000;
/// Most hundredths by which a budget is raised.
const CENTS: u64 = 100_000_000_000;

/// Everything that one decision rests on.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The pod, as if it had no node.
    pub pod: &'a PodFacts,
    /// The policy in force.
    pub policy: Policy,
    /// Every node.
    pub nodes: &'a [&'a NodeRow],
    /// What only a virtual node's provider knows.
    pub judge: Judge<'a>,
    /// The object that governs the pod, if one limits, delays or orders its way into the cloud.
    pub governed: Option<Governed<'a>>,
}

/// A policy object with its ledger and everything that claims something of it.
#[derive(Clone, Copy, Debug)]
pub struct Governed<'a> {
    /// What the object asks for.
    pub spec: &'a BurstPolicySpec,
    /// Its ledger.
    pub ledger: &'a Ledger,
    /// Every pod that it governs, the pod of the case among them.
    pub claims: &'a [Claim],
    /// The world around.
    pub world: World<'a>,
}

/// Another object that would govern the pod if its priority were higher, see [`priority_to_govern`].
#[derive(Clone, Copy, Debug)]
pub struct Rival<'a> {
    /// Its key.
    pub object: &'a str,
    /// The lowest priority with which it governs the pod.
    pub to: i32,
    /// The policy in force then.
    pub policy: Policy,
    /// The object with its ledger, and the pod of the case among its claims.
    pub governed: Governed<'a>,
}

/// The lowest priority, higher than it has, with which an object governs the pod; none where priority cannot do that,
/// because it does not match or another object has more selector terms.
pub fn priority_to_govern(
    objects: &[PolicyObject],
    rival: &PolicyObject,
    pod: &PodFacts,
    owners: &[Owner<'_>],
    namespace: &BTreeMap<String, String>,
) -> Option<i32> {
    let now = best(objects, pod, owners, namespace)?;
    let governs = |to: i32| {
        let mut objects = objects.to_vec();
        objects.iter_mut().filter(|o| o.key == rival.key).for_each(|o| o.spec.priority = to);
        best(&objects, pod, owners, namespace).is_some_and(|o| o.key == rival.key)
    };
    if now.key == rival.key {
        return None;
    }
    let equal = now.spec.priority;
    [Some(equal), equal.checked_add(1)]
        .into_iter()
        .flatten()
        .find(|to| *to > rival.spec.priority && governs(*to))
}

/// Whether the pod may go to the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Permission {
    /// No object limits it.
    Free,
    /// The ledger has a grant for it.
    #[serde(rename_all = "camelCase")]
    Granted {
        /// Real or virtual nodes.
        side: Side,
        /// The tier.
        tier: String,
        /// Providers it may go to; empty means any.
        providers: Vec<String>,
        /// Virtual nodes it may go to; empty means any.
        nodes: Vec<String>,
        /// What it costs.
        rate: Rate,
    },
    /// It is held back.
    Held(Held),
}

/// A decision with what the ledger says to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained<'n> {
    /// The decision over the nodes.
    #[serde(flatten)]
    pub decision: Decision<'n>,
    /// Whether the pod may go to the cloud.
    pub permission: Permission,
    /// The ceilings of the policy object that have a maximum, with their use.
    pub limits: Vec<Usage>,
    /// Its budgets.
    pub spend: Vec<SpendRow>,
}

impl<'a> Case<'a> {
    /// Decides.
    pub fn explain(&self) -> Explained<'a> {
        let plan = self.governed.map(|g| plan(g.spec, g.ledger, g.claims, &g.world));
        let permission = permission(self.pod, plan.as_ref());
        let decision = self.over_nodes(&permission);
        let (usage, spend) = plan.map(|plan| (plan.usage, plan.spend)).unwrap_or_default();
        let limits = usage.into_iter().filter(|row| row.max != Limit::default()).collect();
        Explained { decision, permission, limits, spend }
    }

    fn over_nodes(&self, permission: &Permission) -> Decision<'a> {
        let gated = self.pod.scheduling_gates.iter().any(|gate| gate == keys::GATE);
        let held_everywhere = gated && matches!(permission, Permission::Held(_));
        let judge = |node: &NodeRow| {
            let denied = node.class == NodeClass::Virtual && !admits(permission, node);
            let objection = (self.judge)(node);
            objection
                .filter(|r| r.is_permanent())
                .or_else(|| denied.then_some(Reason::NotGranted))
                .or(objection)
        };
        let local_only = matches!(permission, Permission::Granted { side: Side::Local, .. });
        let policy = if local_only { Policy::Off } else { self.policy };
        let mut decision = decide_with(self.pod, policy, self.nodes.iter().copied(), &judge);
        if held_everywhere && decision.outcome.class() < Class::Wait {
            decision.outcome = Outcome::Wait;
            decision.reasons = vec![Reason::NotGranted];
            decision.alternatives.clear();
            decision.sentence = format!(
                "waits, policy {}; its scheduling gate is held by the policy object",
                policy.as_str()
            );
        }
        decision
    }

    fn class(&self) -> Class {
        let plan = self.governed.map(|g| plan(g.spec, g.ledger, g.claims, &g.world));
        self.over_nodes(&permission(self.pod, plan.as_ref())).outcome.class()
    }

    /// The smallest changes that would decide otherwise, nearest first.
    pub fn alternatives(&self, rivals: &[Rival<'_>]) -> Vec<Alternative> {
        let explained = self.explain();
        let from = explained.decision.outcome.class();
        let mut all = explained.decision.alternatives;
        all.extend(self.other_policies(from));
        all.extend(rivals.iter().filter_map(|rival| {
            let becomes = Case { policy: rival.policy, governed: Some(rival.governed), ..*self }.class();
            let change = Change::Priority { object: rival.object.to_owned(), to: rival.to };
            (becomes != from && becomes < Class::Wait).then(|| Alternative::new(from, becomes, vec![change]))
        }));
        if let (Permission::Held(_), Some(governed)) = (&explained.permission, self.governed) {
            all.extend(self.turned(governed, from));
        }
        ranked(all)
    }

    /// Of the policies that decide otherwise, the first for each class.
    fn other_policies(&self, from: Class) -> Vec<Alternative> {
        let mut found: Vec<Alternative> = Vec::new();
        for to in Policy::ALL.into_iter().filter(|to| *to != self.policy) {
            let becomes = self.under(to);
            if becomes != from && becomes < Class::Wait && !found.iter().any(|a| a.becomes == becomes) {
                found.push(Alternative::new(from, becomes, vec![Change::Policy { to }]));
            }
        }
        found
    }

    fn under(&self, policy: Policy) -> Class {
        let Some(governed) = self.governed else { return Self { policy, ..*self }.class() };
        let mut claims = governed.claims.to_vec();
        claims.iter_mut().filter(|c| c.uid == self.pod.uid).for_each(|claim| claim.policy = policy);
        Case { policy, governed: Some(Governed { claims: &claims, ..governed }), ..*self }.class()
    }

    /// The smallest settings of limits, money, stock and time that decide otherwise.
    fn turned(&self, governed: Governed<'a>, from: Class) -> Vec<Alternative> {
        let turns = turns(self.pod, &governed);
        let knobs: Vec<Knob> = turns.iter().map(|turn| turn.knob()).collect();
        let class = |setting: &[u64]| self.class_at(governed, &turns, setting);
        let settings = smallest(&knobs, &mut |setting| class(setting) != from);
        let alternative = |setting: Vec<u64>| {
            let turned = turns.iter().zip(&setting).filter(|(_, by)| **by > 0);
            let changes = turned.map(|(turn, by)| turn.change(*by)).collect();
            Alternative::new(from, class(&setting), changes)
        };
        settings.into_iter().map(alternative).collect()
    }

    /// The outcome with the knobs turned.
    fn class_at(&self, governed: Governed<'a>, turns: &[Turn], setting: &[u64]) -> Class {
        let mut altered = Altered::of(&governed);
        for (turn, by) in turns.iter().zip(setting) {
            turn.apply(*by, self.pod, &mut altered);
        }
        let world = World { now: altered.now, reports: &altered.reports, ..governed.world };
        let governed = Governed { spec: &altered.spec, claims: &altered.claims, world, ..governed };
        Case { governed: Some(governed), ..*self }.class()
    }
}

impl std::fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case")
            .field("pod", &self.pod.title())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

fn permission(pod: &PodFacts, plan: Option<&Plan>) -> Permission {
    let Some(plan) = plan else { return Permission::Free };
    if let Some(held) = plan.holds.iter().find(|held| held.uid == pod.uid) {
        return Permission::Held(held.clone());
    }
    match plan.ledger.grants.get(&pod.uid).filter(|grant| grant.state == GrantState::Open) {
        Some(grant) => Permission::Granted {
            side: grant.side,
            tier: grant.tier.clone(),
            providers: grant.providers.clone(),
            nodes: grant.nodes.clone(),
            rate: grant.rate,
        },
        None => Permission::Free,
    }
}

fn admits(permission: &Permission, node: &NodeRow) -> bool {
    match permission {
        Permission::Free => true,
        Permission::Held(_) => false,
        Permission::Granted { side, providers, nodes, .. } => {
            let provider = node.provider.as_deref().unwrap_or_default();
            *side == Side::Cloud
                && (providers.is_empty() || providers.iter().any(|p| p == provider))
                && (nodes.is_empty() || nodes.contains(&node.name))
        }
    }
}

/// The inputs that knobs turn.
struct Altered {
    spec: BurstPolicySpec,
    claims: Vec<Claim>,
    reports: BTreeMap<String, NodeReport>,
    now: Seconds,
}

impl Altered {
    fn of(governed: &Governed<'_>) -> Self {
        Self {
            spec: governed.spec.clone(),
            claims: governed.claims.to_vec(),
            reports: governed.world.reports.clone(),
            now: governed.world.now,
        }
    }
}

/// One knob of a governed decision.
enum Turn {
    Limit { place: Place, what: Counted, now: u64, most: u64 },
    Budget { window: Window, now: Money, currency: String },
    Stock { node: String, zone: String, class: String },
    Unschedulable,
    Preempted,
    Time,
}

/// Whose ceiling it is.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    Side(Side),
    Tier(usize, String),
}

fn turns(pod: &PodFacts, governed: &Governed<'_>) -> Vec<Turn> {
    let spec = governed.spec;
    let claim = governed.claims.iter().find(|claim| claim.uid == pod.uid);
    let mut turns = Vec::new();
    let tiers = spec.tiers.iter().enumerate();
    let places = tiers.map(|(at, tier)| (Place::Tier(at, tier.name.clone()), &tier.max));
    let sides = [(Place::Side(Side::Cloud), &spec.max.cloud), (Place::Side(Side::Local), &spec.max.local)];
    for (place, limit) in places.chain(sides) {
        for (what, now) in ceilings(limit) {
            turns.push(Turn::Limit { place: place.clone(), what, now, most: demand(governed, what) });
        }
    }
    if let Some(budget) = &spec.budget {
        let windows = [
            (Window::Hour, budget.per_hour),
            (Window::Day, budget.per_day),
            (Window::Month, budget.per_month),
        ];
        let set = windows.into_iter().filter_map(|(window, now)| Some((window, now?)));
        turns.extend(set.map(|(window, now)| Turn::Budget {
            window,
            now,
            currency: budget.currency.clone(),
        }));
    }
    let class = stock::class(pod.cloud_requests());
    for (node, report) in governed.world.reports {
        let out = report.stock_outs.iter().filter(|s| s.class == class && s.until > governed.world.now);
        turns.extend(out.map(|s| Turn::Stock {
            node: node.clone(),
            zone: s.zone.clone(),
            class: s.class.clone(),
        }));
    }
    if claim.is_some_and(|claim| claim.unschedulable_since.is_none()) {
        turns.push(Turn::Unschedulable);
    }
    if spec.preempt_before_burst && claim.is_some_and(|claim| !claim.preemption_tried) {
        turns.push(Turn::Preempted);
    }
    turns.push(Turn::Time);
    turns
}

/// More than everybody together could ask for: as good as no ceiling.
fn demand(governed: &Governed<'_>, what: Counted) -> u64 {
    let claims =
        governed.claims.iter().map(|claim| Resources { pods: 1, ..claim.requests.plus(claim.beside) });
    let grants = governed.ledger.grants.values().map(|grant| Resources { pods: 1, ..grant.requests });
    let sum = claims.chain(grants).fold(Resources::default(), Resources::plus);
    match what {
        Counted::Pods => sum.pods,
        Counted::Cpu => sum.cpu_milli,
        Counted::Memory => sum.memory_bytes,
        Counted::Gpu => sum.gpu,
    }
}

fn ceilings(limit: &Limit) -> impl Iterator<Item = (Counted, u64)> {
    let read = |text: &Option<String>, unit: fn(&Quantity) -> i64| {
        u64::try_from(unit(&Quantity::parse(text.as_deref()?).ok()?)).ok()
    };
    let all = [
        (Counted::Pods, limit.pods),
        (Counted::Cpu, read(&limit.cpu, Quantity::to_milli_ceil)),
        (Counted::Memory, read(&limit.memory, Quantity::to_value_ceil)),
        (Counted::Gpu, limit.gpu),
    ];
    all.into_iter().filter_map(|(what, now)| Some((what, now?)))
}

impl Turn {
    const fn knob(&self) -> Knob {
        match self {
            Self::Limit { most, .. } => Knob { group: 0, most: *most },
            Self::Budget { .. } => Knob { group: 1, most: CENTS },
            Self::Stock { .. } => Knob { group: 2, most: 1 },
            Self::Unschedulable => Knob { group: 3, most: 1 },
            Self::Preempted => Knob { group: 4, most: 1 },
            Self::Time => Knob { group: 5, most: AHEAD },
        }
    }

    fn apply(&self, by: u64, pod: &PodFacts, altered: &mut Altered) {
        if by == 0 {
            return;
        }
        let now = altered.now;
        let mut claim = |change: &dyn Fn(&mut Claim)| {
            altered.claims.iter_mut().filter(|claim| claim.uid == pod.uid).for_each(change);
        };
        match self {
            Self::Limit { place, what, now, .. } => {
                raise(&mut altered.spec, place, *what, now.saturating_add(by));
            }
            Self::Budget { window, now, .. } => {
                let Some(budget) = &mut altered.spec.budget else { return };
                let raised = Some(now.plus(cents(by)));
                match window {
                    Window::Hour => budget.per_hour = raised,
                    Window::Day => budget.per_day = raised,
                    Window::Month => budget.per_month = raised,
                }
            }
            Self::Stock { node, zone, class } => {
                if let Some(report) = altered.reports.get_mut(node) {
                    report.stock_outs.retain(|s| s.zone != *zone || s.class != *class);
                }
            }
            Self::Unschedulable => claim(&|claim| claim.unschedulable_since = Some(now)),
            Self::Preempted => claim(&|claim| claim.preemption_tried = true),
            Self::Time => altered.now = now.saturating_add_unsigned(by),
        }
    }

    fn change(&self, by: u64) -> Change {
        match self {
            Self::Limit { place, what, now, .. } => {
                let (name, tier) = match place {
                    Place::Tier(_, name) => (name.clone(), true),
                    Place::Side(Side::Cloud) => ("cloud".to_owned(), false),
                    Place::Side(Side::Local) => ("local".to_owned(), false),
                };
                Change::Limit { name, tier, what: *what, by, now: *now }
            }
            Self::Budget { window, now, currency } => {
                Change::Budget { window: *window, by: cents(by), now: *now, currency: currency.clone() }
            }
            Self::Stock { node, zone, class } => {
                Change::InStock { node: node.clone(), zone: zone.clone(), class: class.clone() }
            }
            Self::Unschedulable => Change::FoundUnschedulable,
            Self::Preempted => Change::PreemptionTried,
            Self::Time => Change::Wait { seconds: by },
        }
    }
}

fn cents(by: u64) -> Money {
    Money::nano(i128::from(by) * CENT)
}

fn raise(spec: &mut BurstPolicySpec, place: &Place, what: Counted, to: u64) {
    let limit = match place {
        Place::Side(Side::Cloud) => &mut spec.max.cloud,
        Place::Side(Side::Local) => &mut spec.max.local,
        Place::Tier(at, _) => match spec.tiers.get_mut(*at) {
            Some(tier) => &mut tier.max,
            None => return,
        },
    };
    match what {
        Counted::Pods => limit.pods = Some(to),
        Counted::Cpu => limit.cpu = Some(Quantity::from_milli(to).to_string()),
        Counted::Memory => limit.memory = Some(to.to_string()),
        Counted::Gpu => limit.gpu = Some(to),
    }
}

#[cfg(test)]
mod tests;
