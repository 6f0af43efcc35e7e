//! Money, a round at a time. The prices make one pod cost 0.01 a second.

use super::*;
use crate::money::{Money, Rate};

/// 2026-11-21T14:00:00Z.
const TWO: Seconds = 1_795_269_600;

fn scene() -> Scene {
    let mut scene = Scene::with(&["v1 huawei", "v2 zcloud"]);
    scene.prices = PriceBook::read(
        "prices: [{provider: huawei, currency: CNY, vcpuSecond: '0.01', gibSecond: '0', source: t, date: t}]",
    )
    .expect("prices");
    scene.now = TWO;
    scene
}

fn bound(uids: &str) -> Vec<Claim> {
    let mut claims = pods(uids);
    for claim in &mut claims {
        claim.node = on("v1", NodeClass::Virtual, "huawei", "");
    }
    claims
}

fn money(text: &str) -> Money {
    Money::parse(text).expect("money")
}

#[test]
fn an_hour_is_paid_for_in_full_before_anyone_goes() {
    let spec = spec("budget: {currency: CNY, perHour: '72'}");
    let mut scene = scene();
    let plan = scene.plan(&spec, &Ledger::default(), &pods("abc"));
    // Two pods cost 72 in a full hour. The end of the hour does not help: the next hour must be paid for, too.
    assert_eq!(
        (grants(&plan.ledger).as_str(), holds(&plan).as_str()),
        ("a:cloud b:cloud", "c:BudgetReached")
    );
    assert_eq!(
        (plan.ledger.grants["a"].rate, plan.ledger.grants["a"].nodes.join(",")),
        (Rate(10_000_000), "v1".into())
    );
    // Nobody ends: every hour costs its budget and never more.
    let mut claims = bound("ab");
    claims.push(pod("c"));
    let mut ledger = plan.ledger;
    for _ in 0..50 {
        scene.now += 997;
        let plan = scene.plan(&spec, &ledger, &claims);
        assert_eq!(holds(&plan), "c:BudgetReached");
        let row = &plan.spend[0];
        assert!(row.spent <= money("72") && row.projected <= money("72"), "{row:?}");
        ledger = plan.ledger;
    }
    // One ends and is gone: the hour has its money back only as far as it is not spent.
    scene.now = ledger.settled - ledger.settled.rem_euclid(3600) + 3600;
    scene.report("v1").released = vec![ledger.grants["a"].released("a")];
    let plan = scene.plan(&spec, &ledger, &claims[1..]);
    assert_eq!(grants(&plan.ledger), "b:cloud c:cloud");
}

#[test]
fn what_was_spent_in_the_hour_is_gone_until_it_ends() {
    let spec = spec("budget: {currency: CNY, perHour: '36'}");
    let mut scene = scene();
    let mut ledger = scene.plan(&spec, &Ledger::default(), &pods("a")).ledger;
    ledger = scene.plan(&spec, &ledger, &bound("a")).ledger;
    scene.now += 1800;
    scene.report("v1").released = vec![ledger.grants["a"].released("a")];
    let plan = scene.plan(&spec, &ledger, &pods("b"));
    assert_eq!(plan.spend[0].spent, money("18"));
    assert_eq!(grants(&plan.ledger), "b:cloud", "18 spent and 18 to come");
    let plan = scene.plan(&spec, &ledger, &[Claim { requests: size(1001, 2), ..pod("b") }]);
    assert_eq!(holds(&plan), "b:BudgetReached", "the next hour could not be paid for");
    scene.now += 1;
    scene.report("v1").released.clear();
    let late = scene.plan(&spec, &ledger, &[]).ledger;
    scene.now += 60;
    scene.report("v1").released = vec![late.grants["a"].released("a")];
    let plan = scene.plan(&spec, &late, &pods("b"));
    assert_eq!(
        (grants(&plan.ledger).as_str(), holds(&plan).as_str()),
        ("b:cloud", ""),
        "a cost until it was gone"
    );
    assert_eq!(plan.spend[0].spent, money("18.61"));
}

#[test]
fn days_look_ahead_by_the_reserve() {
    let check = |budget: &str, at: Seconds, wanted: &str| {
        let mut scene = scene();
        scene.now = at;
        let plan = scene.plan(
            &spec(&format!("budget: {{currency: CNY, {budget}}}")),
            &Ledger::default(),
            &pods("abc"),
        );
        let got = if plan.holds.is_empty() { grants(&plan.ledger) } else { holds(&plan) };
        assert_eq!(got, wanted, "{budget}");
    };
    check("perDay: '108'", TWO, "a:cloud b:cloud c:cloud");
    check("perDay: '107.99'", TWO, "c:BudgetReached");
    check("perDay: '108', reserveSeconds: 3601", TWO, "c:BudgetReached");
    check("perMonth: '0.03', reserveSeconds: 1", TWO, "a:cloud b:cloud c:cloud");
    check(
        "perMonth: '0.03', perHour: '1', reserveSeconds: 1",
        TWO,
        "a:BudgetReached b:BudgetReached c:BudgetReached",
    );
    check("perDay: '0.05', reserveSeconds: 2", TWO + 36_000 - 1, "c:BudgetReached");
}

#[test]
fn unspent_money_is_carried_once() {
    let spec = spec("budget: {currency: CNY, perDay: '864', carryOver: Unspent, reserveSeconds: 86400}");
    let mut scene = scene();
    scene.now = TWO - TWO.rem_euclid(86_400);
    let mut ledger = scene.plan(&spec, &Ledger::default(), &[]).ledger;
    let carried = |ledger: &Ledger| ledger.spend[""].day.carried;
    assert_eq!(carried(&ledger), money("0"), "a day that was not watched leaves nothing");
    scene.now += 86_400;
    ledger = scene.plan(&spec, &ledger, &[]).ledger;
    assert_eq!(carried(&ledger), money("864"));
    scene.now += 86_400;
    ledger = scene.plan(&spec, &ledger, &[]).ledger;
    assert_eq!(carried(&ledger), money("864"), "never more than one window's amount");
    // 1000 spent: the 864 that were carried first, so 136 of the day's own, and 728 go on.
    ledger.spend.get_mut("").expect("scope").day.spent = money("1000");
    scene.now += 86_400;
    let next = scene.plan(&spec, &ledger, &[]);
    assert_eq!((carried(&next.ledger), next.spend[0].max), (money("728"), money("1592")));
}

#[test]
fn a_pod_seen_late_is_paid_for_from_when_it_was_bound() {
    let spec = spec("budget: {currency: CNY, perDay: '864'}");
    let mut scene = scene();
    let ledger = scene.plan(&spec, &Ledger::default(), &pods("a")).ledger;
    scene.now += 600;
    let mut claims = bound("a");
    claims[0].node.as_mut().expect("bound").since = Some(TWO + 100);
    let plan = scene.plan(&spec, &ledger, &claims);
    assert_eq!(plan.spend[0].spent, money("5"));
    // Never seen at all: all that it may have cost.
    scene.report("v1").released = vec![ledger.grants["a"].released("a")];
    let plan = scene.plan(&spec, &ledger, &[]);
    assert_eq!((plan.spend[0].spent, plan.ledger.grants.len()), (money("6"), 0));
    // Bound to a real node: nothing.
    let mut home = pods("a");
    home[0].node = on("n1", NodeClass::Real, "", "");
    assert_eq!(scene.plan(&spec, &ledger, &home).spend[0].spent, money("0"));
}

#[test]
fn the_least_that_is_billed_is_paid() {
    let spec = spec("budget: {currency: CNY, perDay: '864'}");
    let mut scene = scene();
    scene.prices.prices[0].minimum_seconds = 60;
    let ledger = scene.plan(&spec, &Ledger::default(), &pods("a")).ledger;
    let ledger = scene.plan(&spec, &ledger, &bound("a")).ledger;
    scene.now += 10;
    scene.report("v1").released = vec![ledger.grants["a"].released("a")];
    assert_eq!(scene.plan(&spec, &ledger, &[]).spend[0].spent, money("0.6"));
}

#[test]
fn scopes_currencies_and_places_without_a_price() {
    let shared = spec("budget: {currency: CNY, perHour: '36'}");
    let own = spec("budget: {currency: CNY, perHour: '36', scope: Namespace}");
    let mut claims = pods("abc");
    claims[2].namespace = "lab".to_owned();
    let scene = scene();
    assert_eq!(grants(&scene.plan(&shared, &Ledger::default(), &claims).ledger), "a:cloud");
    let plan = scene.plan(&own, &Ledger::default(), &claims);
    assert_eq!(grants(&plan.ledger), "a:cloud c:cloud");
    let rows: Vec<_> = plan.spend.iter().map(|r| (r.namespace.as_deref(), r.window.as_str())).collect();
    assert_eq!(rows, [(Some("lab"), "hour"), (Some("shop"), "hour")]);
    let dollars = spec("budget: {currency: USD, perHour: '36'}");
    assert_eq!(holds(&scene.plan(&dollars, &Ledger::default(), &pods("a"))), "a:NoPrice");
    let unpriced =
        spec("{budget: {currency: CNY, perHour: '36'}, tiers: [{name: u, side: Cloud, provider: zcloud}]}");
    assert_eq!(holds(&scene.plan(&unpriced, &Ledger::default(), &pods("a"))), "a:NoPrice");
}

#[test]
fn a_long_absence_is_settled() {
    let spec = spec("budget: {currency: CNY, perHour: '36', perMonth: '99999999'}");
    let mut scene = scene();
    let ledger = scene.plan(&spec, &Ledger::default(), &pods("a")).ledger;
    let ledger = scene.plan(&spec, &ledger, &bound("a")).ledger;
    // Ten days later, and a clock that goes back changes nothing.
    scene.now += 10 * 86_400 - 4 * 86_400 + 60;
    let plan = scene.plan(&spec, &ledger, &bound("a"));
    let spent: Vec<_> = plan.spend.iter().map(|r| r.spent).collect();
    assert_eq!(spent, [money("0.6"), money("5184.6")]);
    scene.now -= 30;
    assert_eq!(scene.plan(&spec, &plan.ledger, &bound("a")).ledger, plan.ledger);
}
