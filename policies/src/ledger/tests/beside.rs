//! DaemonSets beside a pod: they count and cost in the cloud, and nowhere else.

use super::*;

fn accompanied(uid: &str) -> Claim {
    Claim { beside: Resources { pods: 0, ..size(500, 1) }, ..pod(uid) }
}

#[test]
fn what_runs_beside_a_pod_counts_in_the_cloud() {
    let scene = Scene::with(&["v1 huawei"]);
    let granted = |max: &str, claims: &[Claim]| {
        let plan = scene.plan(&spec(&format!("max: {{cloud: {{{max}}}}}")), &Ledger::default(), claims);
        (grants(&plan.ledger), plan.ledger.grants.values().map(|grant| grant.requests).collect::<Vec<_>>())
    };
    let two = [accompanied("a"), accompanied("b")];
    assert_eq!(granted("cpu: '3'", &two), ("a:cloud b:cloud".into(), vec![size(1500, 3); 2]));
    assert_eq!(granted("cpu: 2900m", &two).0, "a:cloud", "without them both would fit");
    assert_eq!(granted("memory: 5Gi", &two).0, "a:cloud");
    assert_eq!(granted("cpu: 2900m", &pods("ab")).0, "a:cloud b:cloud");
}

#[test]
fn on_real_nodes_it_is_judged_alone() {
    let spec = spec("max: {local: {cpu: '2'}, cloud: {cpu: '3'}}");
    let scene = Scene::with(&["v1 huawei"]).real("n1", &[], size(8000, 32));
    let claims: Vec<Claim> =
        ["a", "b", "c", "d"].iter().map(|uid| Claim { gated: true, ..accompanied(uid) }).collect();
    let plan = scene.plan(&spec, &Ledger::default(), &claims);
    let sizes: Vec<u64> = plan.ledger.grants.values().map(|grant| grant.requests.cpu_milli).collect();
    assert_eq!(
        (grants(&plan.ledger).as_str(), sizes),
        ("a:local b:local c:cloud d:cloud", vec![1000, 1000, 1500, 1500])
    );
    // Bound where they were granted, nothing changes.
    let mut bound = claims;
    for claim in &mut bound {
        claim.gated = false;
        claim.node = match claim.uid.as_str() {
            "a" | "b" => on("n1", NodeClass::Real, "", ""),
            _ => on("v1", NodeClass::Virtual, "huawei", ""),
        };
    }
    let plan = scene.plan(&spec, &plan.ledger, &bound);
    let sizes: Vec<u64> = plan.ledger.grants.values().map(|grant| grant.requests.cpu_milli).collect();
    assert_eq!(sizes, [1000, 1000, 1500, 1500]);
}

#[test]
fn it_is_paid_for() {
    let mut scene = Scene::with(&["v1 huawei"]);
    scene.prices = PriceBook::read(
        "prices: [{provider: huawei, currency: CNY, vcpuSecond: '0.01', gibSecond: '0', source: t, date: t}]",
    )
    .expect("prices");
    let spec = spec("budget: {currency: CNY, perHour: '72'}");
    let granted = |claims: &[Claim]| grants(&scene.plan(&spec, &Ledger::default(), claims).ledger);
    assert_eq!(granted(&pods("ab")), "a:cloud b:cloud");
    assert_eq!(granted(&[accompanied("a"), accompanied("b")]), "a:cloud", "54 an hour each");
    // CCI bills two cores for each; another provider's size is another.
    let rounded = |uid: &str| Claim { billed: [("huawei".to_owned(), size(2000, 4))].into(), ..pod(uid) };
    assert_eq!(granted(&[rounded("a"), rounded("b")]), "a:cloud", "72 an hour each");
}
