//! Limits, tiers, waits, closing, stock-outs and ceilings on real nodes, a round at a time.

use super::*;

#[test]
fn a_ceiling_of_pods_is_filled_in_order_and_flows_on() {
    let spec = spec("max: {cloud: {pods: 2}}");
    let mut scene = Scene::with(&["v1 huawei"]);
    let mut claims = pods("abcd");
    claims[2].priority = 7;
    claims[1].created = -5;
    let plan = scene.plan(&spec, &Ledger::default(), &claims);
    assert_eq!(grants(&plan.ledger), "b:cloud c:cloud");
    assert_eq!(holds(&plan), "a:CloudLimit d:CloudLimit");
    assert!(plan.changed && plan.next_time.is_none());
    let woken: Vec<_> =
        plan.wake.iter().map(|w| (w.uid.as_str(), w.tier.as_str(), w.cloud, w.ungate)).collect();
    assert_eq!(woken, [("b", "cloud", true, false), ("c", "cloud", true, false)]);
    assert!(plan.wake.iter().all(|w| w.providers.is_empty() && w.affinity.is_none()));

    // b is bound in the cloud, c on a real node: c's place is free at once.
    claims[1].node = on("v1", NodeClass::Virtual, "huawei", "");
    claims[2].node = on("n1", NodeClass::Real, "", "");
    for claim in &mut claims {
        claim.granted = Some("cloud".to_owned());
    }
    let plan = scene.plan(&spec, &plan.ledger, &claims);
    assert_eq!(grants(&plan.ledger), "a:cloud b:cloud");
    assert_eq!((holds(&plan).as_str(), plan.wake.len()), ("d:CloudLimit", 0));
    assert!(plan.ledger.grants["b"].permits("v1") && !plan.ledger.grants["b"].permits("v2"));

    // b is being deleted, then gone: it counts until its virtual node says so.
    claims[1].deleting = true;
    let plan = scene.plan(&spec, &plan.ledger, &claims);
    assert_eq!(grants(&plan.ledger), "a:cloud b:cloud!");
    let gone: Vec<Claim> = claims.iter().filter(|c| c.uid != "b").cloned().collect();
    let plan = scene.plan(&spec, &plan.ledger, &gone);
    assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), ("a:cloud b:cloud!", "d:CloudLimit"));
    assert!(!plan.ledger.grants["b"].permits("v1"));
    // An answer to an earlier grant of the same pod is no answer to this one.
    scene.report("v1").released =
        vec![Released { uid: "b".to_owned(), serial: plan.ledger.grants["b"].serial - 1 }];
    assert!(!scene.plan(&spec, &plan.ledger, &gone).changed);
    scene.report("v1").released = vec![plan.ledger.grants["b"].released("b")];
    let plan = scene.plan(&spec, &plan.ledger, &gone);
    assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), ("a:cloud d:cloud", ""));
    let rows: Vec<_> = plan.usage.iter().map(|u| (u.name.as_str(), u.used.pods, u.max.pods)).collect();
    assert_eq!(rows, [("local", Some(1), None), ("cloud", Some(2), Some(2))]);
}

#[test]
fn a_pod_that_was_never_seen_bound_is_asked_for_everywhere() {
    let spec = spec("max: {cloud: {pods: 1}}");
    let mut scene = Scene::with(&["v1 huawei", "v2 zcloud"]);
    let plan = scene.plan(&spec, &Ledger::default(), &pods("ab"));
    let answer = plan.ledger.grants["a"].released("a");
    scene.report("v1").released = vec![answer.clone()];
    let closing = scene.plan(&spec, &plan.ledger, &pods("b"));
    assert_eq!(grants(&closing.ledger), "a:cloud!", "v2 has not answered");
    scene.report("v2").released = vec![answer];
    assert_eq!(grants(&scene.plan(&spec, &closing.ledger, &pods("b")).ledger), "b:cloud");

    // Seen being deleted before it was bound: the API server binds it no more, nobody needs to answer.
    scene.reports.clear();
    let mut claims = pods("ab");
    claims[0].deleting = true;
    assert_eq!(grants(&scene.plan(&spec, &plan.ledger, &claims).ledger), "b:cloud");
    // A virtual node without Node and report was decommissioned.
    let mut bound = plan.ledger;
    bound.grants.get_mut("a").expect("granted").node = Some("v9".to_owned());
    assert_eq!(grants(&scene.plan(&spec, &bound, &pods("b")).ledger), "b:cloud");
}

#[test]
fn a_living_pod_whose_grant_was_closed_waits_for_the_answer_and_gets_a_new_one() {
    let spec = spec("max: {cloud: {pods: 1}}");
    let mut scene = Scene::with(&["v1 huawei"]);
    let granted = scene.plan(&spec, &Ledger::default(), &pods("a"));
    // A leader that has not seen the pod closes its grant.
    let closed = scene.plan(&spec, &granted.ledger, &[]);
    let plan = scene.plan(&spec, &closed.ledger, &pods("a"));
    assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), ("a:cloud!", "a:Closing"));
    scene.report("v1").released = vec![plan.ledger.grants["a"].released("a")];
    let plan = scene.plan(&spec, &plan.ledger, &pods("a"));
    assert_eq!(grants(&plan.ledger), "a:cloud");
    assert!(plan.ledger.grants["a"].serial > granted.ledger.grants["a"].serial);
    // The old answer, still there, does not close the new grant when its time comes.
    assert_eq!(grants(&scene.plan(&spec, &plan.ledger, &[]).ledger), "a:cloud!");
}

#[test]
fn every_resource_is_limited() {
    let check = |max: &str, wanted: &str| {
        let spec = spec(&format!("max: {{cloud: {max}}}"));
        let mut claims = pods("abc");
        claims[2].requests.gpu = 1;
        let plan = Scene::with(&["v1 huawei"]).plan(&spec, &Ledger::default(), &claims);
        assert_eq!(grants(&plan.ledger), wanted, "{max}");
    };
    check("{}", "a:cloud b:cloud c:cloud");
    check("{pods: 0}", "");
    check("{cpu: '2'}", "a:cloud b:cloud");
    check("{cpu: 1999m}", "a:cloud");
    check("{memory: 4Gi}", "a:cloud b:cloud");
    check("{memory: 4294967295}", "a:cloud");
    check("{gpu: 0}", "a:cloud b:cloud");
    check("{cpu: many}", "");
    check("{cpu: '-1'}", "");
}

#[test]
fn tiers_are_filled_in_order() {
    let spec = spec(
        "{tiers: [{name: a, side: Cloud, provider: huawei, zones: [z2, z1], max: {pods: 1}},
                  {name: b, side: Cloud, provider: zcloud}], max: {cloud: {pods: 2}}}",
    );
    let mut scene = Scene::with(&["v1 huawei z1", "v2 huawei z2", "v3 zcloud z1"]);
    let mut claims = pods("abc");
    let plan = scene.plan(&spec, &Ledger::default(), &claims);
    assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), ("a:a b:b", "c:CloudLimit"));
    let place = |plan: &Plan, uid: &str| {
        (plan.ledger.grants[uid].providers.join(","), plan.ledger.grants[uid].nodes.join(","))
    };
    assert_eq!(place(&plan, "a"), ("huawei".into(), "v2".into()));
    assert_eq!(place(&plan, "b"), ("zcloud".into(), "v3".into()));

    // Bound in the tier's other zone: nothing but the place changes. Bound in another tier: it moves if that has room.
    claims[0].node = on("v1", NodeClass::Virtual, "huawei", "z1");
    let moved = scene.plan(&spec, &plan.ledger, &claims);
    assert_eq!(place(&moved, "a").1, "v1");
    claims[1].node = on("v2", NodeClass::Virtual, "huawei", "z2");
    let astray = scene.plan(&spec, &moved.ledger, &claims);
    assert_eq!(grants(&astray.ledger), "a:a b:b");
    assert_eq!(holds(&astray), "c:CloudLimit b:TierLimit");
    assert!(!astray.ledger.grants["b"].permits("v2"));
    claims[0].deleting = true;
    scene.report("v1").released = vec![astray.ledger.grants["a"].released("a")];
    let plan = scene.plan(&spec, &astray.ledger, &claims);
    assert_eq!(grants(&plan.ledger), "b:a c:b");
    assert!(plan.ledger.grants["b"].permits("v2"));
}

#[test]
fn waits() {
    let check = |yaml: &str, change: fn(&mut Claim), wanted: &str| {
        let mut claim = pod("a");
        change(&mut claim);
        let plan = Scene::with(&["v1 huawei"]).plan(&spec(yaml), &Ledger::default(), &[claim.clone()]);
        let got = if plan.ledger.grants.is_empty() { holds(&plan) } else { grants(&plan.ledger) };
        assert_eq!(got, wanted, "{yaml} {claim:?}");
        assert_eq!(plan.next_time, wanted.split_once('@').map(|(_, t)| t.parse().expect("a time")));
    };
    let prefer = |c: &mut Claim| c.policy = Policy::LocalPrefer;
    check("{}", |_| (), "a:cloud");
    check("{}", |c| c.policy = Policy::Off, "");
    check("{}", prefer, "a:LocalFirst");
    let tried = |c: &mut Claim| {
        c.policy = Policy::LocalPrefer;
        c.unschedulable_since = Some(990);
    };
    check("{}", tried, "a:cloud");
    check("wait: {beforeBurstSeconds: 1000}", |_| (), "a:cloud");
    check("wait: {beforeBurstSeconds: 1001}", |_| (), "a:WaitBeforeBurst@1001");
    check("wait: {beforeBurstSeconds: 9999, deadlineSeconds: 1500}", |_| (), "a:WaitBeforeBurst@1500");
    check("wait: {beforeBurstSeconds: 9999, deadlineSeconds: 900}", |_| (), "a:cloud");
    check("wait: {deadlineSeconds: 900}", prefer, "a:LocalFirst");
    check("wait: {autoscalerSeconds: 60}", |_| (), "a:LocalFirst");
    check("wait: {autoscalerSeconds: 60}", tried, "a:WaitAutoscaler@1050");
    check("wait: {autoscalerSeconds: 10}", tried, "a:cloud");
    check("wait: {autoscalerSeconds: 60, deadlineSeconds: 1020}", tried, "a:WaitAutoscaler@1020");
    check("wait: {autoscalerSeconds: 60}", |c| c.policy = Policy::Enforce, "a:cloud");
    check("preemptBeforeBurst: true", tried, "a:WaitPreemption");
    check(
        "preemptBeforeBurst: true",
        |c| (c.unschedulable_since, c.preemption_tried) = (Some(1), true),
        "a:cloud",
    );
    check(
        "wait: {beforeBurstSeconds: 18446744073709551615}",
        |_| (),
        "a:WaitBeforeBurst@9223372036854775807",
    );
    check("tiers: [{name: x, side: Cloud, provider: zcloud}]", |_| (), "a:NoVirtualNode");
}

/// Guards the real nodes under the toleration driver: opened at once, an auto pod would go to the emptier node, which is
/// the virtual one.
#[test]
fn without_a_scheduler_of_ours_auto_is_opened_after_it_was_found_unschedulable() {
    let check = |yaml: &str, change: fn(&mut Claim), wanted: &str| {
        let mut claim = pod("a");
        change(&mut claim);
        let scene = Scene::with(&["v1 huawei"]);
        let plan = plan_real_first(&spec(yaml), &Ledger::default(), &[claim], &scene.world());
        let got = if plan.ledger.grants.is_empty() { holds(&plan) } else { grants(&plan.ledger) };
        assert_eq!(got, wanted, "{yaml}");
    };
    let tried = |c: &mut Claim| c.unschedulable_since = Some(990);
    check("{}", |_| (), "a:LocalFirst");
    check("{}", tried, "a:cloud");
    check("{}", |c| c.policy = Policy::LocalPrefer, "a:LocalFirst");
    check("{}", |c| c.policy = Policy::Enforce, "a:cloud");
    check("max: {cloud: {pods: 0}}", |_| (), "a:LocalFirst");
    check("max: {cloud: {pods: 0}}", tried, "a:CloudLimit");
    check("wait: {autoscalerSeconds: 60}", tried, "a:WaitAutoscaler@1050");
}

#[test]
fn a_pod_bound_without_a_grant_gets_one_where_it_is() {
    let spec = spec("{max: {cloud: {pods: 1}}, wait: {beforeBurstSeconds: 9999}}");
    let scene = Scene::with(&["v1 huawei"]);
    let mut claims = pods("abc");
    for claim in &mut claims {
        claim.node = on("v1", NodeClass::Virtual, "huawei", "");
    }
    claims[0].policy = Policy::Off;
    let plan = scene.plan(&spec, &Ledger::default(), &claims);
    assert_eq!(
        (grants(&plan.ledger).as_str(), holds(&plan).as_str()),
        ("b:cloud", "a:PolicyOff c:CloudLimit")
    );
    assert_eq!(plan.ledger.grants["b"].nodes, ["v1"]);
}

/// Who has a grant leaves it to others to find out about a place, and is told what came of it in the same round.
#[test]
fn a_grant_without_a_place_waits_for_whoever_probes_another() {
    let spec = spec(
        "tiers:
        - {name: a, side: Cloud, provider: zcloud}
        - {name: b, side: Cloud, provider: huawei, max: {pods: 1}}",
    );
    let mut scene = Scene::with(&["v1 huawei z1", "v3 zcloud"]);
    let granted = scene.plan(&spec, &Ledger::default(), &pods("a")).ledger;
    assert_eq!(grants(&granted), "a:a");
    scene.sold_out("v1", "cpu-1", 1_500);
    scene.sold_out("v3", "cpu-1", 2_000);
    scene.now = 1_500;
    let alone = scene.plan(&spec, &granted, &pods("a"));
    assert_eq!((grants(&alone.ledger).as_str(), holds(&alone).as_str()), ("a:a", "a:SoldOut@2000"));
    let probed = scene.plan(&spec, &granted, &pods("ab"));
    assert_eq!((grants(&probed.ledger).as_str(), holds(&probed).as_str()), ("a:a b:b", "a:TierLimit@2000"));
    let again = scene.plan(&spec, &probed.ledger, &pods("ab"));
    assert_eq!((again.ledger, again.holds), (probed.ledger, probed.holds));
}

#[test]
fn sold_out_places_are_avoided_and_probed_once() {
    let tiers = "tiers:
        - {name: a, side: Cloud, provider: huawei, zones: [z1, z2]}
        - {name: b, side: Cloud, provider: zcloud}";
    let next = spec(tiers);
    let wait = spec(&format!("{}\nfallback: Wait", tiers.replace("        - ", "- ")));
    let mut scene = Scene::with(&["v1 huawei z1", "v2 huawei z2", "v3 zcloud"]);
    scene.sold_out("v1", "cpu-1", 2_000);
    let granted = scene.plan(&next, &Ledger::default(), &pods("a"));
    assert_eq!(granted.ledger.grants["a"].nodes, ["v2"]);
    scene.sold_out("v2", "cpu-1", 1_500);
    // What was granted and is not bound gets one more place and keeps the first, counted in both.
    let widened = scene.plan(&next, &granted.ledger, &pods("a"));
    let grant = &widened.ledger.grants["a"];
    assert_eq!(
        (grant.tier.as_str(), grant.nodes.join(","), grant.providers.join(",")),
        ("b", "v2,v3".into(), "huawei,zcloud".into())
    );
    assert_eq!(grant.also, [Seat { side: Side::Cloud, tier: "a".to_owned() }]);
    let used: Vec<_> = widened.usage.iter().map(|u| u.used.pods.unwrap_or_default()).collect();
    assert_eq!(used, [1, 1, 0, 1]);
    assert_eq!(grants(&scene.plan(&next, &Ledger::default(), &pods("b")).ledger), "b:b");
    let held = scene.plan(&wait, &Ledger::default(), &pods("b"));
    assert_eq!((holds(&held).as_str(), held.next_time), ("b:SoldOut@1500", Some(1_500)));
    // Other sizes are not concerned.
    let mut large = pod("c");
    large.requests.cpu_milli = 4_000;
    assert_eq!(grants(&scene.plan(&wait, &Ledger::default(), &[large]).ledger), "c:a");
    // z2's time is over: one pod finds out, the others wait for it.
    scene.now = 1_500;
    let probe = scene.plan(&wait, &Ledger::default(), &pods("bc"));
    assert_eq!((grants(&probe.ledger).as_str(), holds(&probe).as_str()), ("b:a", "c:SoldOut@2000"));
    assert_eq!(probe.ledger.grants["b"].nodes, ["v2"]);
    // A probe whose pod was bound elsewhere finds nothing out: the next pod does, in the same round.
    let mut elsewhere = pods("bc");
    elsewhere[0].node = on("v3", NodeClass::Virtual, "zcloud", "");
    let moved = scene.plan(&wait, &probe.ledger, &elsewhere);
    assert_eq!((grants(&moved.ledger).as_str(), holds(&moved).as_str()), ("b:b c:a", ""));
    assert_eq!(moved.ledger.grants["c"].nodes, ["v2"]);
    scene.report("v2").stock_outs.clear();
    assert_eq!(grants(&scene.plan(&wait, &probe.ledger, &pods("bc")).ledger), "b:a c:a");
}

#[test]
fn ceilings_on_real_nodes_hold_by_gates() {
    let spec = spec("max: {local: {pods: 1}, cloud: {pods: 1}}");
    let scene = Scene::with(&["v1 huawei"]).real("n1", &[], size(8000, 32));
    let mut claims = pods("abc");
    for claim in &mut claims {
        (claim.gated, claim.policy) = (true, Policy::LocalPrefer);
    }
    let plan = scene.plan(&spec, &Ledger::default(), &claims);
    assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), ("a:local b:cloud", "c:CloudLimit"));
    let wake = |uid: &str| plan.wake.iter().find(|w| w.uid == uid).cloned().expect("woken");
    assert_eq!((wake("a").cloud, wake("a").ungate, wake("a").affinity), (false, true, None));
    let terms = wake("b").affinity.expect("virtual nodes only");
    assert_eq!((terms.len(), terms[0].match_expressions[0].operator.as_str()), (1, "In"));

    // a was let go and finds no room on real nodes: it may burst, and holds its place on real nodes until it is bound.
    let mut ledger = plan.ledger;
    for claim in &mut claims {
        claim.gated = false;
    }
    (claims[2].gated, claims[1].node) = (true, on("v1", NodeClass::Virtual, "huawei", ""));
    claims[0].unschedulable_since = Some(900);
    ledger.grants.remove("b");
    claims.remove(1);
    let plan = scene.plan(&spec, &ledger, &claims);
    assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), ("a:cloud", "c:CloudLimit"));
    assert_eq!(plan.ledger.grants["a"].also, [Seat { side: Side::Local, tier: "local".to_owned() }]);
    claims[0].node = on("v1", NodeClass::Virtual, "huawei", "");
    let plan = scene.plan(&spec, &plan.ledger, &claims);
    assert_eq!((grants(&plan.ledger).as_str(), holds(&plan).as_str()), ("a:cloud c:local", ""));
}

#[test]
fn real_tiers_are_filled_in_order_and_pods_on_them_count() {
    let spec = spec(
        "tiers:
        - {name: pool-a, nodeSelector: {pool: a}, max: {cpu: '2'}}
        - {name: pool-b, nodeSelector: {pool: b}}
        - {name: away, side: Cloud}",
    );
    let scene = Scene::with(&["v1 huawei"]).real("a1", &[("pool", "a")], size(8000, 32)).real(
        "b1",
        &[("pool", "b")],
        size(1000, 32),
    );
    let mut claims = pods("abcd");
    for claim in &mut claims[1..] {
        claim.gated = true;
    }
    claims[0].node = on("a1", NodeClass::Real, "", "");
    let plan = scene.plan(&spec, &Ledger::default(), &claims);
    // d has room nowhere and gets the tiers whose ceilings allow it, where an autoscaler sees it.
    assert_eq!(grants(&plan.ledger), "a:pool-a b:pool-a c:pool-b d:pool-b");
    let wake = plan.wake.iter().find(|w| w.uid == "b").and_then(|w| w.affinity.clone()).expect("terms");
    let keys: Vec<_> =
        wake.iter().map(|t| t.match_expressions.iter().map(|r| r.key.as_str()).collect::<Vec<_>>()).collect();
    assert_eq!(keys, [vec!["type", "pool"], vec!["type"]]);
}

#[test]
fn a_grant_follows_the_pods_size() {
    let spec = spec("max: {cloud: {cpu: '3'}}");
    let scene = Scene::with(&["v1 huawei"]);
    let plan = scene.plan(&spec, &Ledger::default(), &pods("ab"));
    let mut claims = pods("abc");
    claims[0].requests = size(2000, 2);
    let plan = scene.plan(&spec, &plan.ledger, &claims);
    assert_eq!((plan.ledger.grants["a"].requests.cpu_milli, holds(&plan).as_str()), (2000, "c:CloudLimit"));
}

/// Guards pods that only one of several providers can run: the tier of another is not for them, nor is its ceiling.
#[test]
fn a_provider_that_cannot_run_a_pod_is_passed_over() {
    let spec = spec(
        "tiers: [{name: first, side: Cloud, provider: huawei, max: {pods: 1}}, \
         {name: second, side: Cloud, provider: mock, max: {gpu: 1}}]",
    );
    let scene = Scene::with(&["v1 huawei", "v2 mock"]);
    let gpu = |uid: &str| Claim {
        requests: Resources { gpu: 1, ..size(1000, 2) },
        unsupported_by: vec!["huawei".to_owned()],
        ..pod(uid)
    };
    let plan = scene.plan(&spec, &Ledger::default(), &[gpu("a"), gpu("b"), pod("c")]);
    assert_eq!(grants(&plan.ledger), "a:second c:first");
    assert_eq!(holds(&plan), "b:TierLimit");
    assert_eq!(plan.ledger.grants["a"].providers, ["mock"]);
    let nowhere = Claim { unsupported_by: vec!["huawei".to_owned(), "mock".to_owned()], ..pod("d") };
    assert_eq!(holds(&scene.plan(&spec, &Ledger::default(), &[nowhere])), "d:NoVirtualNode");
    // Without tiers, too, the grant names who can.
    let any = self::spec("max: {cloud: {pods: 5}}");
    let plan = scene.plan(&any, &Ledger::default(), &[gpu("a"), pod("c")]);
    assert_eq!(plan.ledger.grants["a"].providers, ["mock"]);
    assert_eq!(plan.ledger.grants["a"].nodes, ["v2"]);
    assert!(plan.ledger.grants["c"].providers.is_empty());
}
