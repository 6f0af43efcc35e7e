use proptest::prelude::*;

use super::*;

/// Gi with decimals, rounded up to a byte.
fn gi(v: f64) -> u64 {
    (v * GI as f64).ceil() as u64
}

fn ask(cpu: f64, memory: f64) -> Ask {
    let requests = Amount {
        cpu_milli: Some((cpu * 1000.0).round() as u64).filter(|v| *v > 0),
        memory_bytes: Some(gi(memory)).filter(|v| *v > 0),
    };
    Ask { name: "c".into(), requests, ..Ask::default() }
}

fn init(cpu: f64, memory: f64) -> Ask {
    Ask { init: true, ..ask(cpu, memory) }
}

#[track_caller]
fn check(asks: &[Ask], pod: Option<(f64, f64)>) {
    let got = round(asks).map(|s| s.pod).ok();
    let want = pod.map(|(c, m)| Size { cpu_milli: (c * 1000.0).round() as u64, memory_bytes: gi(m) });
    assert_eq!(got, want, "{asks:?}");
}

/// The "seed rule" column of the vendor's rounding, row by row.
#[test]
fn published_table() {
    check(&[ask(0.1, 0.1)], Some((0.25, 1.0)));
    check(&[ask(0.25, 0.5)], Some((0.25, 1.0)));
    check(&[ask(0.5, 0.3), ask(0.3, 0.3)], Some((1.0, 2.0)));
    check(&[ask(0.3, 0.6)], Some((0.5, 1.0)));
    check(&[ask(1.0, 1.0)], Some((1.0, 2.0)));
    check(&[ask(1.5, 5.5)], Some((1.5, 6.0)));
    check(&[ask(2.0, 32.0)], Some((4.0, 32.0)));
    check(&[ask(0.25, 0.2), ask(0.0, 0.0)], Some((0.25, 1.0)));
    check(&[ask(32.0, 64.0)], Some((32.0, 64.0)));
    check(&[ask(33.0, 64.0)], None);
    check(&[ask(48.0, 96.0)], None);
}

#[test]
fn edges() {
    check(&[ask(1.0, 9.0)], Some((1.25, 9.0)));
    check(&[ask(0.25, 2.0)], Some((0.25, 2.0)));
    check(&[ask(32.0, 256.0)], Some((32.0, 256.0)));
    check(&[ask(32.0, 256.1)], None);
    check(&[ask(1.0, 257.0)], None);
    check(&[ask(31.8, 1.0)], Some((32.0, 64.0)));
    check(&[ask(0.5, 1.0), ask(0.0, 1.0)], Some((0.75, 2.0)));
    check(&[ask(0.0, 1.0)], None);
    check(&[ask(0.0, 0.0)], None);
    check(&[], None);
    check(&[ask(0.5, 1.0), init(2.0, 5.5)], Some((2.0, 6.0)));
    check(&[init(0.5, 1.5), ask(0.0, 0.0)], Some((0.5, 2.0)));
    check(&[ask(u64::MAX as f64, 1.0)], None);
}

#[test]
fn limits_win_and_growth_lands_on_the_first_container_with_resources() {
    let mut first = ask(0.1, 0.1);
    first.limits = Amount { cpu_milli: Some(500), memory_bytes: None };
    let shape = round(&[ask(0.0, 0.0), first, ask(0.5, 0.5)]).unwrap();
    let sizes: Vec<Size> = shape.containers.iter().map(|c| c.size).collect();
    assert!(sizes[0].is_best_effort());
    assert_eq!(sizes[1], Size { cpu_milli: 500, memory_bytes: 2 * GI - GI / 2 });
    assert_eq!(sizes[2], Size { cpu_milli: 500, memory_bytes: GI / 2 });
    assert_eq!(shape.pod, Size { cpu_milli: 1000, memory_bytes: 2 * GI });
}

#[test]
fn sentences() {
    let say = |asks: &[Ask]| round(asks).unwrap().changed;
    assert_eq!(
        say(&[ask(1.0, 9.0)]).as_deref(),
        Some("memory 9Gi is not a CCI size for 1 core (2-8 Gi); rounded to 1.25 core / 9Gi")
    );
    assert_eq!(
        say(&[ask(1.0, 2.5)]).as_deref(),
        Some("memory 2.5Gi is not a whole number of Gi; rounded to 1 core / 3Gi")
    );
    assert_eq!(
        say(&[ask(0.3, 1.0)]).as_deref(),
        Some("container c: cpu 0.3 is not a multiple of 0.25 core; rounded to 0.5 core / 1Gi")
    );
    assert_eq!(say(&[ask(1.0, 4.0)]), None);
    assert_eq!(
        round(&[ask(33.0, 64.0)]).unwrap_err().to_string(),
        "33 core / 66Gi after rounding is larger than the largest CCI pod (32 core / 256Gi): \
         ask for less, or split the pod"
    );
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let amount = || {
        (proptest::option::of(0u64..12_000), proptest::option::of(0u64..(48 * GI)))
            .prop_map(|(cpu_milli, memory_bytes)| Amount { cpu_milli, memory_bytes })
    };
    (amount(), amount(), any::<bool>()).prop_map(|(requests, limits, init)| Ask {
        name: "c".into(),
        requests,
        limits,
        init,
    })
}

fn again(shape: &Shape) -> Vec<Ask> {
    let side = |s: Size| Amount { cpu_milli: Some(s.cpu_milli), memory_bytes: Some(s.memory_bytes) };
    let each = shape.containers.iter();
    each.map(|c| Ask { name: c.name.clone(), requests: side(c.size), limits: side(c.size), init: c.init })
        .collect()
}

proptest! {
    #[test]
    fn a_rounded_pod_is_legal_never_smaller_and_stays(asks in prop::collection::vec(any_ask(), 1..6)) {
        let Ok(shape) = round(&asks) else { return Ok(()) };
        let sizes: Vec<Size> = shape.containers.iter().map(|c| c.size).collect();
        prop_assert_eq!(effective(&asks, &sizes), shape.pod, "the pod is what its containers make");
        for (ask, size) in asks.iter().zip(&sizes) {
            let want = ask.equalised();
            prop_assert!(size.cpu_milli >= want.cpu_milli && size.memory_bytes >= want.memory_bytes);
            prop_assert_eq!(size.is_best_effort(), want.is_best_effort());
            prop_assert!(size.is_best_effort() || size.cpu_milli >= 250);
            prop_assert!(size.is_best_effort() || size.memory_bytes >= CONTAINER_MEMORY_MIN);
            prop_assert_eq!(size.cpu_milli % 250, 0);
        }
        let gi = shape.pod.memory_bytes / GI;
        prop_assert_eq!(shape.pod.memory_bytes % GI, 0);
        prop_assert!(gi * 1000 >= 2 * shape.pod.cpu_milli && gi * 1000 <= 8 * shape.pod.cpu_milli);
        prop_assert!(shape.pod.cpu_milli <= POD_CPU_MAX_MILLI && shape.pod.memory_bytes <= POD_MEMORY_MAX);
        let twice = round(&again(&shape)).unwrap();
        prop_assert_eq!(&twice.containers, &shape.containers);
        prop_assert_eq!(twice.pod, shape.pod);
        prop_assert_eq!(twice.changed, None);
    }
}
