//! What in a policy object contradicts itself, its neighbours or the present, each with the sentence that mends it.
//!
//! The API server refuses most of what one object says by itself (the same rules as CEL, [`crate::crds`]); files that
//! never meet an API server are checked here. The rest can only be reported: the leader writes it into `status`.

use super::{
    Budget, BurstPolicySpec, Condition, LabelSelector, Limit, Operator, PodSelector, PolicyKind,
    PolicyObject, Requirement, Side, Tier, Usage, Wait, overlap, rank,
};
use crate::{money::Money, policy::Policy, quantity::Quantity};

/// Most rivals that a sentence names.
const NAMED: usize = 5;

/// What kind of contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A field that cannot be read or cannot mean anything.
    BadField,
    /// Two tiers of one name.
    DuplicateTier,
    /// A tier that no pod can come to.
    TierUnreachable,
    /// Two fields that cannot both hold.
    Contradiction,
    /// Another object of equal rank speaks for the same pods.
    EqualRank,
    /// A ceiling below what is in use.
    MaxBelowUse,
    /// A budget in a currency without prices.
    NoPrice,
}

impl ProblemKind {
    /// UpperCamelCase, as a condition's reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadField => "BadField",
            Self::DuplicateTier => "DuplicateTier",
            Self::TierUnreachable => "TierUnreachable",
            Self::Contradiction => "Contradiction",
            Self::EqualRank => "EqualRank",
            Self::MaxBelowUse => "MaxBelowUse",
            Self::NoPrice => "NoPrice",
        }
    }
}

/// One contradiction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// Where, for example `spec.tiers[1].provider`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub text: String,
}

/// What an object can contradict besides itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// All objects; the one that is checked may be among them.
    pub objects: &'a [PolicyObject],
    /// Its use now, as its status shows it.
    pub usage: &'a [Usage],
    /// Whether there are prices in a currency.
    pub priced: &'a dyn Fn(&str) -> bool,
}

/// Everything that is wrong with an object where it stands.
pub fn check_object(object: &PolicyObject, around: &Surroundings<'_>) -> Vec<Problem> {
    let mut problems = check(&object.spec);
    if object.kind == PolicyKind::BurstPolicy && !object.spec.namespace_selector.is_empty() {
        let text = "a BurstPolicy speaks for its own namespace: remove namespaceSelector, or write a ClusterBurstPolicy";
        problems.push(problem(ProblemKind::Contradiction, "spec.namespaceSelector", text));
    }
    problems.extend(equal_rank(object, around.objects));
    problems.extend(around.usage.iter().filter_map(|usage| below_use(&object.spec, usage)));
    problems.extend(object.spec.budget.as_ref().and_then(|budget| unpriced(budget, around.priced)));
    problems
}

/// What is wrong with a spec by itself.
pub fn check(spec: &BurstPolicySpec) -> Vec<Problem> {
    let mut found = Found::default();
    found.selector(&spec.selector, &spec.namespace_selector);
    found.tiers(spec);
    found.limit("spec.max.local", &spec.max.local);
    found.limit("spec.max.cloud", &spec.max.cloud);
    found.wait(&spec.wait);
    if let Some(budget) = &spec.budget {
        found.budget(budget);
    }
    if let Some(gang) = &spec.gang {
        if gang.size == 0 {
            found.bad(
                "spec.gang.size",
                "0 would never be reached as a group: write how many pods belong together",
            );
        }
        if gang.label_key.is_empty() {
            found.bad("spec.gang.labelKey", "name the label whose value tells the group");
        }
    }
    if spec.repatriation.as_ref().is_some_and(|r| r.max_per_hour == 0) {
        found
            .bad("spec.repatriation.maxPerHour", "0 moves nothing: write at least 1, or remove repatriation");
    }
    found.0
}

/// The condition `Valid` of an object with these problems. `before` is the one in its status, `now` an RFC 3339 time.
pub fn valid_condition(
    problems: &[Problem],
    before: Option<&Condition>,
    generation: i64,
    now: &str,
) -> Condition {
    let (status, reason) = match problems.first() {
        None => ("True", "NoContradiction"),
        Some(first) => ("False", first.kind.as_str()),
    };
    let since = before.filter(|c| c.status == status).map_or(now, |c| c.last_transition_time.as_str());
    Condition {
        kind: "Valid".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: sentences(problems),
        last_transition_time: since.to_owned(),
        observed_generation: generation,
    }
}

/// All problems in one text: `field: sentence; field: sentence`.
pub fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("{}: {}", p.field, p.text)).collect::<Vec<_>>().join("; ")
}

fn problem(kind: ProblemKind, field: &str, text: impl Into<String>) -> Problem {
    Problem { kind, field: field.to_owned(), text: text.into() }
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, kind: ProblemKind, field: &str, text: impl Into<String>) {
        self.0.push(problem(kind, field, text));
    }

    fn bad(&mut self, field: &str, text: impl Into<String>) {
        self.add(ProblemKind::BadField, field, text);
    }

    fn selector(&mut self, pods: &PodSelector, namespaces: &LabelSelector) {
        self.requirements("spec.selector.matchExpressions", &pods.match_expressions);
        self.requirements("spec.namespaceSelector.matchExpressions", &namespaces.match_expressions);
        if pods.owner.as_ref().is_some_and(|o| o.kind.is_empty() && o.name.is_empty()) {
            self.bad("spec.selector.owner", "name a kind, a name, or both; or remove owner");
        }
        if !overlap::possible(&pods.match_labels, &pods.match_expressions) {
            let text =
                "no pod can meet all of these requirements: remove one of those that exclude each other";
            self.add(ProblemKind::Contradiction, "spec.selector", text);
        }
        if !overlap::possible(&namespaces.match_labels, &namespaces.match_expressions) {
            let text = "no namespace can meet all of these requirements: remove one of those that exclude each other";
            self.add(ProblemKind::Contradiction, "spec.namespaceSelector", text);
        }
    }

    fn requirements(&mut self, field: &str, requirements: &[Requirement]) {
        for (i, requirement) in requirements.iter().enumerate() {
            let listed = matches!(requirement.operator, Operator::In | Operator::NotIn);
            if listed && requirement.values.is_empty() {
                self.bad(&format!("{field}[{i}].values"), "In and NotIn need at least one value");
            }
            if !listed && !requirement.values.is_empty() {
                self.bad(
                    &format!("{field}[{i}].values"),
                    "Exists and DoesNotExist take no values: remove them",
                );
            }
        }
    }

    fn tiers(&mut self, spec: &BurstPolicySpec) {
        for (i, tier) in spec.tiers.iter().enumerate() {
            let field = format!("spec.tiers[{i}]");
            let before = spec.tiers.get(..i).unwrap_or_default();
            self.tier(&field, tier);
            if before.iter().any(|t| t.name == tier.name) {
                let text =
                    format!("there is a tier {:?} before: give every tier a name of its own", tier.name);
                self.add(ProblemKind::DuplicateTier, &format!("{field}.name"), text);
            } else if let Some(first) = before.iter().find(|t| covers(t, tier)) {
                let text = format!(
                    "no pod ever comes to tier {:?}: tier {:?} before it has no max and contains all of its nodes; \
                     give {:?} a max, or move {:?} before it",
                    tier.name, first.name, first.name, tier.name
                );
                self.add(ProblemKind::TierUnreachable, &field, text);
            }
            if let (Side::Local, Some(policy @ (Policy::Enforce | Policy::Off))) = (tier.side, spec.policy) {
                let text = format!(
                    "policy {} never orders real nodes by tier: remove this Local tier, or write policy auto or localPrefer",
                    policy.as_str()
                );
                self.add(ProblemKind::Contradiction, &field, text);
            }
        }
    }

    fn tier(&mut self, field: &str, tier: &Tier) {
        if tier.name.is_empty() {
            self.bad(&format!("{field}.name"), "give the tier a name");
        }
        if tier.side == Side::Local {
            let text = "only Cloud tiers have it: write side: Cloud, or name real nodes by nodeSelector";
            if tier.provider.is_some() {
                self.add(ProblemKind::Contradiction, &format!("{field}.provider"), text);
            }
            if !tier.zones.is_empty() {
                self.add(ProblemKind::Contradiction, &format!("{field}.zones"), text);
            }
        }
        self.limit(&format!("{field}.max"), &tier.max);
    }

    fn limit(&mut self, field: &str, limit: &Limit) {
        self.quantity(&format!("{field}.cpu"), limit.cpu.as_deref(), "cores like \"64\" or \"500m\"");
        self.quantity(&format!("{field}.memory"), limit.memory.as_deref(), "bytes like \"256Gi\"");
    }

    fn quantity(&mut self, field: &str, text: Option<&str>, write: &str) {
        match text.map(|text| (text, Quantity::parse(text))) {
            Some((_, Err(error))) => self.bad(field, error.to_string()),
            Some((text, Ok(amount))) if amount.is_negative() => {
                self.bad(field, format!("{text:?} is below zero: write {write}"));
            }
            _ => {}
        }
    }

    fn wait(&mut self, wait: &Wait) {
        if let (Some(deadline), Some(before)) = (wait.deadline_seconds, wait.before_burst_seconds)
            && deadline < before
        {
            let text = format!(
                "a pod bursts {deadline} s after its creation at the latest, so beforeBurstSeconds {before} is never \
                 waited for: raise the deadline or shorten the wait"
            );
            self.add(ProblemKind::Contradiction, "spec.wait.deadlineSeconds", text);
        }
    }

    fn budget(&mut self, budget: &Budget) {
        let currency = &budget.currency;
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            self.bad(
                "spec.budget.currency",
                format!("{currency:?} is no ISO code: write for example USD or CNY"),
            );
        }
        let amounts = [&budget.per_hour, &budget.per_day, &budget.per_month];
        if amounts.iter().all(|amount| amount.is_none()) {
            self.bad(
                "spec.budget",
                "a budget without an amount limits nothing: write perHour, perDay or perMonth",
            );
        }
        if amounts.into_iter().flatten().any(|amount| *amount < Money::ZERO) {
            self.bad("spec.budget", "an amount below zero cannot be spent: write at least 0");
        }
    }
}

/// Whether every node of `tier` is one of `first`, and `first` has no ceiling: then `first` takes every pod that `tier`
/// has room for.
fn covers(first: &Tier, tier: &Tier) -> bool {
    let zones = first.zones.is_empty()
        || !tier.zones.is_empty() && tier.zones.iter().all(|zone| first.zones.contains(zone));
    first.max == Limit::default()
        && first.side == tier.side
        && zones
        && (first.provider.is_none() || first.provider == tier.provider)
        && first.node_selector.iter().all(|(key, value)| tier.node_selector.get(key) == Some(value))
}

/// Objects between which only the name decides, for some pod.
fn equal_rank(object: &PolicyObject, all: &[PolicyObject]) -> Option<Problem> {
    let rivals = |other: &&PolicyObject| {
        other.key != object.key
            && rank(other) == rank(object)
            && other.namespace == object.namespace
            && overlap::objects(object, other)
    };
    let rivals: Vec<_> = all.iter().filter(rivals).map(|other| other.name.as_str()).collect();
    let first = rivals.iter().min()?;
    let wins = if object.name.as_str() < *first { object.name.as_str() } else { first };
    let named = rivals.get(..NAMED).unwrap_or(&rivals).join(", ");
    let more = match rivals.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!(
        "equal rank with {} {named}{more} for the same pods, so only the name decides ({wins} speaks): \
         give one a higher priority, or make the selectors exclude each other",
        object.kind
    );
    Some(problem(ProblemKind::EqualRank, "spec.selector", text))
}

/// A ceiling below what is in use.
fn below_use(spec: &BurstPolicySpec, usage: &Usage) -> Option<Problem> {
    let (field, max) = match spec.tiers.iter().position(|t| t.name == usage.name) {
        Some(i) => (format!("spec.tiers[{i}].max"), &spec.tiers.get(i)?.max),
        None if usage.name == "local" => ("spec.max.local".to_owned(), &spec.max.local),
        None if usage.name == "cloud" => ("spec.max.cloud".to_owned(), &spec.max.cloud),
        None => return None,
    };
    let amount = |text: &Option<String>| text.as_deref().and_then(|t| Quantity::parse(t).ok());
    let number = |what, used: Option<u64>, max: Option<u64>| {
        used.zip(max).filter(|(used, max)| used > max).map(|(used, max)| format!("{used} {what} (max {max})"))
    };
    let quantity = |what, used: &Option<String>, max: &Option<String>| {
        let over = amount(used).zip(amount(max)).is_some_and(|(used, max)| used > max);
        over.then(|| {
            let text = |t: &Option<String>| t.clone().unwrap_or_default();
            format!("{what} {} (max {})", text(used), text(max))
        })
    };
    let used = &usage.used;
    let over: Vec<_> = [
        number("pods", used.pods, max.pods),
        quantity("cpu", &used.cpu, &max.cpu),
        quantity("memory", &used.memory, &max.memory),
        number("GPUs", used.gpu, max.gpu),
    ]
    .into_iter()
    .flatten()
    .collect();
    if over.is_empty() {
        return None;
    }
    let text = format!(
        "in use now: {}; nothing is taken away, and no pod is let in until the use is below: delete pods, or raise the max",
        over.join(", ")
    );
    Some(problem(ProblemKind::MaxBelowUse, &field, text))
}

fn unpriced(budget: &Budget, priced: &dyn Fn(&str) -> bool) -> Option<Problem> {
    let currency = &budget.currency;
    (!priced(currency)).then(|| {
        let text = format!(
            "the price book has no price in {currency}, so nothing may burst under this budget: add prices in {currency} \
             (docs/prices.md), or write the budget in a currency that has them"
        );
        problem(ProblemKind::NoPrice, "spec.budget.currency", text)
    })
}

#[cfg(test)]
mod tests;
