//! The status of a policy object, from a round's plan. Pure.

use policies::burst_policy::{
    BurstPolicyStatus, Condition, PodCounts, PolicyObject, Problem, ProblemKind, Side, valid_condition,
};
use policies::ledger::{Claim, Hold, Plan};
use policies::node::NodeClass;

/// What the object's status should say. `before` is what it said last, `now` an RFC 3339 time.
pub(super) fn status(
    object: &PolicyObject,
    plan: &Plan,
    claims: &[Claim],
    problems: &[Problem],
    before: &BurstPolicyStatus,
    now: &str,
) -> BurstPolicyStatus {
    let old = |kind: &str| before.conditions.iter().find(|condition| condition.kind == kind);
    // A policy that contradicts something is in force all the same; one with a field that cannot be read grants nothing.
    let bad: Vec<Problem> = problems.iter().filter(|p| p.kind == ProblemKind::BadField).cloned().collect();
    let ready = Condition {
        kind: "Ready".to_owned(),
        reason: if bad.is_empty() { "InForce" } else { ProblemKind::BadField.as_str() }.to_owned(),
        ..valid_condition(&bad, old("Ready"), object.generation, now)
    };
    let mut conditions = vec![ready, valid_condition(problems, old("Valid"), object.generation, now)];
    let mut add = |kind: &str, because: &[Hold], clear: &str| {
        let first = plan.holds.iter().map(|held| held.hold).find(|hold| because.contains(hold));
        let (status, reason, message) = match first {
            Some(hold) => ("True", hold.code(), hold.text()),
            None => ("False", clear, ""),
        };
        let since = old(kind).filter(|c| c.status == status).map_or(now, |c| &c.last_transition_time);
        conditions.push(Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since.to_owned(),
            observed_generation: object.generation,
        });
    };
    add(
        "LimitReached",
        &[Hold::TierLimit, Hold::CloudLimit, Hold::LocalLimit, Hold::GangTooLarge],
        "BelowLimits",
    );
    add("BudgetReached", &[Hold::BudgetReached, Hold::NoPrice], "WithinBudget");
    add("StockOut", &[Hold::SoldOut], "InStock");
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let local = |claim: &&Claim| {
        claim.is_live() && claim.node.as_ref().is_some_and(|node| node.class == NodeClass::Real)
    };
    let mut held_back = std::collections::BTreeMap::new();
    for held in &plan.holds {
        *held_back.entry(held.hold.code().to_owned()).or_insert(0) += 1;
    }
    BurstPolicyStatus {
        observed_generation: object.generation,
        pods: PodCounts {
            local: count(claims.iter().filter(local).count()),
            cloud: count(plan.ledger.grants.values().filter(|grant| grant.side == Side::Cloud).count()),
            waiting: count(plan.holds.len()),
        },
        usage: plan.usage.clone(),
        spend: plan.spend.clone(),
        held_back,
        conditions,
    }
}

/// Whether two statuses differ in more than money that flows by itself.
pub(super) fn differs(a: &BurstPolicyStatus, b: &BurstPolicyStatus) -> bool {
    let rest = |status: &BurstPolicyStatus| BurstPolicyStatus { spend: Vec::new(), ..status.clone() };
    rest(a) != rest(b)
}

#[cfg(test)]
mod tests {
    use policies::burst_policy::{BurstPolicySpec, SpendRow};
    use policies::ledger::{Bound, Grant, Held};

    use super::*;

    fn plan(holds: &[Hold]) -> Plan {
        let held = |hold: &Hold| Held { uid: "u".to_owned(), hold: *hold, until: None };
        let mut plan = Plan { holds: holds.iter().map(held).collect(), ..Plan::default() };
        plan.ledger.grants.insert("c".to_owned(), Grant { side: Side::Cloud, ..Grant::default() });
        plan.ledger.grants.insert("l".to_owned(), Grant { side: Side::Local, ..Grant::default() });
        plan
    }

    fn of(holds: &[Hold], before: &BurstPolicyStatus, now: &str) -> BurstPolicyStatus {
        let object = PolicyObject::new(Some("shop"), "web", BurstPolicySpec::default());
        let bound = Bound {
            name: "n".to_owned(),
            class: NodeClass::Real,
            provider: String::new(),
            zone: String::new(),
            since: None,
        };
        let claims = [
            Claim { node: Some(bound.clone()), ..Claim::default() },
            Claim { node: Some(bound), deleting: true, ..Claim::default() },
            Claim::default(),
        ];
        status(&object, &plan(holds), &claims, &[], before, now)
    }

    fn condition<'a>(status: &'a BurstPolicyStatus, kind: &str) -> &'a Condition {
        status.conditions.iter().find(|condition| condition.kind == kind).expect("there")
    }

    #[test]
    fn counts_and_conditions() {
        let holds = [Hold::CloudLimit, Hold::CloudLimit, Hold::SoldOut];
        let status = of(&holds, &BurstPolicyStatus::default(), "t1");
        assert_eq!((status.pods.local, status.pods.cloud, status.pods.waiting), (1, 1, 3));
        assert_eq!(status.held_back["CloudLimit"], 2);
        assert_eq!(condition(&status, "LimitReached").status, "True");
        assert_eq!(condition(&status, "LimitReached").reason, "CloudLimit");
        assert_eq!(condition(&status, "StockOut").status, "True");
        assert_eq!(condition(&status, "BudgetReached").status, "False");
        assert_eq!(condition(&status, "Valid").status, "True");
        assert_eq!(condition(&status, "Ready").reason, "InForce");
    }

    #[test]
    fn only_a_field_that_cannot_be_read_puts_a_policy_out_of_force() {
        let ready = |kind| {
            let object = PolicyObject::new(Some("shop"), "web", BurstPolicySpec::default());
            let problem = Problem { kind, field: "spec.max".to_owned(), text: "mend it".to_owned() };
            let status =
                status(&object, &Plan::default(), &[], &[problem], &BurstPolicyStatus::default(), "t");
            assert_eq!(condition(&status, "Valid").status, "False");
            condition(&status, "Ready").status.clone()
        };
        assert_eq!(ready(ProblemKind::BadField), "False");
        assert_eq!(ready(ProblemKind::MaxBelowUse), "True");
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_turns() {
        let first = of(&[Hold::CloudLimit], &BurstPolicyStatus::default(), "t1");
        let second = of(&[Hold::CloudLimit], &first, "t2");
        assert_eq!(second, first, "nothing to write");
        let third = of(&[], &second, "t3");
        assert_eq!(condition(&third, "LimitReached").last_transition_time, "t3");
        assert_eq!(condition(&third, "StockOut").last_transition_time, "t1");
    }

    #[test]
    fn money_alone_is_no_haste() {
        let first = of(&[], &BurstPolicyStatus::default(), "t1");
        let mut second = first.clone();
        second.spend.push(SpendRow::default());
        assert!(!differs(&first, &second) && first != second);
        second.pods.waiting += 1;
        assert!(differs(&first, &second));
    }
}
