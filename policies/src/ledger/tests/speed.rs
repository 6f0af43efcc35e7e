//! A round over many pods.

use std::time::Instant;

use super::*;

/// 10 000 pods, half of them with a grant, three tiers, a budget; prints what a round takes. The bar, 50 ms, is for a
/// release build (`cargo test --release -p policies ten_thousand -- --nocapture`).
#[test]
fn ten_thousand_claims() {
    let spec = spec(
        "{tiers: [{name: a, side: Cloud, provider: huawei, zones: [z1], max: {pods: 4000}},
                  {name: b, side: Cloud, provider: huawei, zones: [z2], max: {cpu: '1000'}},
                  {name: c, side: Cloud, provider: zcloud}],
          max: {cloud: {pods: 9000}}, budget: {currency: CNY, perHour: '999999999', perDay: '9999999999'}}",
    );
    let mut scene = Scene::with(&["v1 huawei z1", "v2 huawei z2", "v3 zcloud z1"]);
    scene.prices = PriceBook::read(
        "prices:
- {provider: huawei, currency: CNY, vcpuSecond: '0.01', gibSecond: '0', source: t, date: t}
- {provider: zcloud, currency: CNY, vcpuSecond: '0.01', gibSecond: '0', source: t, date: t}",
    )
    .expect("prices");
    let mut claims: Vec<Claim> =
        (0..10_000).map(|n| pod(&format!("0f3c9a6e-1b7d-4c52-9d8e-{n:012}"))).collect();
    let half = plan(&spec, &Ledger::default(), &claims[..5_000], &scene.world()).ledger;
    for claim in &mut claims[..5_000] {
        claim.node = on("v1", NodeClass::Virtual, "huawei", "z1");
    }
    let began = Instant::now();
    let plan = plan(&spec, &half, &claims, &scene.world());
    let took = began.elapsed();
    println!("plan over {} claims: {took:?}", claims.len());
    assert_eq!((plan.ledger.grants.len(), plan.holds.len()), (9_000, 2_000));
    if !cfg!(debug_assertions) {
        assert!(took.as_millis() < 250, "{took:?}");
    }
}
