//! All of a group on one side, or all wait.

use super::*;

fn gang(uids: &str, size: u32) -> Vec<Claim> {
    let mut claims = pods(uids);
    for claim in &mut claims {
        claim.gated = true;
        claim.gang = Some(GangMember { group: "g".to_owned(), size });
    }
    claims
}

#[test]
fn a_gang_goes_as_a_whole() {
    let check = |max: u64, cores: u64, members: &str, wanted: &str, waits: &str| {
        let spec = spec(&format!("max: {{cloud: {{pods: {max}}}}}"));
        let scene = Scene::with(&["v1 huawei"]).real("n1", &[], size(cores * 1000, 64));
        let plan = scene.plan(&spec, &Ledger::default(), &gang(members, 4));
        assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), (wanted, waits));
        assert!(plan.wake.iter().all(|w| w.affinity.as_ref().is_some_and(|terms| terms.len() == 1)));
    };
    check(3, 3, "abcd", "", "a:GangTooLarge b:GangTooLarge c:GangTooLarge d:GangTooLarge");
    check(4, 3, "abcd", "a:cloud b:cloud c:cloud d:cloud", "");
    check(0, 4, "abcd", "a:local b:local c:local d:local", "");
    check(9, 9, "abc", "", "a:GangIncomplete b:GangIncomplete c:GangIncomplete");
}

#[test]
fn a_gang_that_does_not_fit_stops_nobody_and_late_members_follow() {
    let spec = spec("max: {cloud: {pods: 5}}");
    let scene = Scene::with(&["v1 huawei"]);
    let mut claims = gang("abcdef", 6);
    claims.push(pod("z"));
    let plan = scene.plan(&spec, &Ledger::default(), &claims);
    assert_eq!(grants(&plan.ledger), "z:cloud");
    claims.drain(2..6);
    for claim in &mut claims[..2] {
        claim.gang = Some(GangMember { group: "g".to_owned(), size: 2 });
    }
    let plan = scene.plan(&spec, &plan.ledger, &claims);
    assert_eq!(grants(&plan.ledger), "a:cloud b:cloud z:cloud");
    claims.extend(gang("kl", 2));
    let scene = scene.real("n1", &[], size(64_000, 64));
    assert_eq!(
        grants(&scene.plan(&spec, &plan.ledger, &claims).ledger),
        "a:cloud b:cloud k:cloud l:cloud z:cloud"
    );
}

#[test]
fn members_on_real_nodes_do_not_burst_alone() {
    let scene = Scene::with(&["v1 huawei"]).real("n1", &[], size(4_000, 64));
    let mut claims = gang("abcd", 4);
    let plan = scene.plan(&spec("{}"), &Ledger::default(), &claims);
    for claim in &mut claims {
        (claim.gated, claim.unschedulable_since) = (false, Some(900));
    }
    claims[0].node = on("n1", NodeClass::Real, "", "");
    let plan = scene.plan(&spec("{}"), &plan.ledger, &claims);
    assert_eq!(grants(&plan.ledger), "b:local c:local d:local");
}
