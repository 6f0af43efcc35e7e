use super::*;
use crate::shape::Amount;

fn ask(cpu: f64, gib: f64, init: bool) -> Ask {
    let amount =
        Amount { cpu_milli: Some((cpu * 1000.0) as u64), memory_bytes: Some((gib * GI as f64) as u64) };
    Ask { requests: amount, init, ..Ask::default() }
}

fn bought(asks: &[Ask], wishes: Wishes) -> Result<String, Refusal> {
    sold(asks, wishes).map(|sold| spec(sold.size))
}

fn one(cpu: f64, gib: f64, wishes: Wishes) -> String {
    bought(&[ask(cpu, gib, false)], wishes).unwrap_or_else(|refusal| refusal.to_string())
}

#[test]
fn the_vendors_worked_examples() {
    for (cpu, gib, expected) in [
        (0.1, 0.1, "0.25_0.5"),
        (0.25, 3.0, "0.50_3.0"),
        (1.5, 3.0, "2.00_3.0"),
        (3.0, 5.0, "4.00_5.0"),
        (6.0, 15.0, "8.00_16.0"),
        (8.0, 9.0, "8.00_12.0"),
        (16.0, 17.0, "16.00_24.0"),
        (20.0, 40.0, "32.00_64.0"),
        (1.0, 2.0, "1.00_2.0"),
    ] {
        assert_eq!(one(cpu, gib, Wishes::default()), expected, "{cpu}/{gib}");
    }
}

#[test]
fn above_32_cores_only_where_the_pod_allows_it_or_asks_for_that_size() {
    let large = Wishes { large: true, ..Wishes::default() };
    assert_eq!(one(33.0, 64.0, large), "48.00_96.0");
    assert!(one(33.0, 64.0, Wishes::default()).contains(LARGE));
    assert_eq!(one(48.0, 96.0, Wishes::default()), "48.00_96.0");
    assert!(one(64.0, 600.0, large).contains("64 core / 512Gi"));
    assert_eq!(one(32.0, 256.0, Wishes::default()), "32.00_256.0");
}

#[test]
fn memory_is_reserved_before_rounding() {
    let reserve = Wishes { reserve: true, ..Wishes::default() };
    assert_eq!(one(1.0, 2.0, reserve), "1.00_3.0");
    assert_eq!(one(1.0, 8.0, reserve), "2.00_9.0");
}

#[test]
fn a_named_size_is_taken_as_it_is_or_refused() {
    let named = |text: &str| Wishes { named: named(text), ..Wishes::default() };
    assert_eq!(one(1.0, 2.0, named("2.00_4.0")), "2.00_4.0");
    assert!(one(4.0, 8.0, named("2.00_4.0")).contains("name a larger size"));
    for text in ["2.00_40.0", "2_4", "", "2.00_4"] {
        assert_eq!(super::named(text), None, "{text}");
    }
}

#[test]
fn pods_of_several_containers() {
    let small = [ask(0.1, 0.1, false), ask(0.1, 0.1, false)];
    assert_eq!(bought(&small, Wishes::default()).unwrap(), "0.50_1.0");
    let init = [ask(2.0, 1.0, true), ask(1.0, 4.0, false)];
    assert_eq!(bought(&init, Wishes::default()).unwrap(), "2.00_4.0");
    let silent = [Ask::default(), ask(1.0, 1.0, false)];
    assert_eq!(bought(&silent, Wishes::default()).unwrap(), "1.00_1.0");
    assert_eq!(bought(&[Ask::default()], Wishes::default()), Err(Refusal::NoCpu));
}

/// Whatever is asked for, what is bought holds it, and buying it again changes nothing.
#[test]
fn nothing_is_made_smaller() {
    for cpu in (100..=32_000).step_by(700) {
        for gib in 1..=128 {
            let asked = Size { cpu_milli: cpu, memory_bytes: gib * GI };
            let amount = Amount { cpu_milli: Some(cpu), memory_bytes: Some(gib * GI) };
            let Ok(sold) = sold(&[Ask { limits: amount, ..Ask::default() }], Wishes::default()) else {
                continue;
            };
            assert!(asked.fits(sold.size), "{asked:?} {sold:?}");
            assert_eq!(billed(sold.size, Place::default()), Ok(sold.size));
            assert_eq!(named(&spec(sold.size)), Some(sold.size));
        }
    }
    assert_eq!(sizes().count(), 100);
}
