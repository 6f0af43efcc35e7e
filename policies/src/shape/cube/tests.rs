use proptest::prelude::*;

use super::*;
use crate::shape::Amount;

fn ask(cores: f64, gib: f64) -> Ask {
    let size = size(cores, gib);
    let some = |value: u64| Some(value).filter(|value| *value > 0);
    let limits = Amount { cpu_milli: some(size.cpu_milli), memory_bytes: some(size.memory_bytes) };
    Ask { limits, ..Ask::default() }
}

#[test]
fn the_data_file_is_read() {
    assert_eq!(sizes().count(), 21);
    assert_eq!(default_size(), size(1.0, 2.0));
    // The table of the vendor's own virtual node is part of it.
    let node =
        [(0.5, [0.5, 1.0, 2.0]), (1.0, [1.0, 2.0, 4.0]), (2.0, [2.0, 4.0, 8.0]), (4.0, [4.0, 8.0, 16.0])];
    for (cores, gib) in node {
        assert!(gib.iter().all(|gib| sizes().any(|sold| sold == size(cores, *gib))), "{cores}");
    }
    assert!([8.0, 16.0].iter().all(|gib| sizes().any(|sold| sold == size(8.0, *gib))));
}

/// Worked examples of the reference.
#[test]
fn worked_examples() {
    let check = |asked: (f64, f64), wanted: (f64, f64)| {
        let sold = round(sum(&[ask(asked.0, asked.1)]), default_size()).expect("sold");
        assert_eq!(sold.size, size(wanted.0, wanted.1), "{asked:?}");
    };
    check((0.1, 0.1), (0.5, 0.5));
    check((0.5, 3.0), (1.0, 4.0));
    check((1.5, 3.0), (2.0, 4.0));
    check((3.0, 5.0), (4.0, 8.0));
    check((8.0, 17.0), (8.0, 32.0));
    check((9.0, 16.0), (16.0, 16.0));
    check((1.0, 0.0), (1.0, 1.0));
    check((0.0, 3.0), (1.0, 4.0));
    check((0.0, 0.0), (1.0, 2.0));
    let too_large = round(size(32.0, 129.0), default_size()).unwrap_err().to_string();
    assert!(
        too_large.starts_with("32 core / 129Gi is larger than the largest Cube pod (32 core / 128Gi)"),
        "{too_large}"
    );
}

#[test]
fn the_sentence_says_what_was_asked_and_what_is_billed() {
    let said = |cores, gib| round(size(cores, gib), size(0.5, 0.5)).expect("sold").changed;
    assert_eq!(said(2.0, 4.0), None);
    assert_eq!(said(3.0, 5.0).as_deref(), Some("3 core / 5Gi is not a Cube size; rounded to 4 core / 8Gi"));
    assert_eq!(said(0.0, 0.0).as_deref(), Some("no container says a size; rounded to 0.5 core / 0.5Gi"));
}

#[test]
fn limits_add_up_to_what_is_sold() {
    let init = Ask { init: true, ..ask(4.0, 4.0) };
    let check = |asks: &[Ask], sold: Size, wanted: &[Size]| {
        assert_eq!(split(asks, sold), wanted, "{asks:?}");
    };
    check(&[ask(1.0, 1.0), ask(0.5, 1.0)], size(2.0, 2.0), &[size(1.5, 1.0), size(0.5, 1.0)]);
    check(&[init, ask(1.0, 1.0)], size(4.0, 4.0), &[size(4.0, 4.0)]);
    check(&[ask(0.0, 0.0), ask(0.0, 0.0)], size(1.0, 2.0), &[size(0.5, 1.0), size(0.5, 1.0)]);
    check(&[ask(0.4, 0.0), ask(0.0, 0.0)], size(0.5, 0.5), &[size(0.4, 0.375), size(0.1, 0.125)]);
    check(&[], size(1.0, 2.0), &[]);
}

proptest! {
    /// Nothing gets less than it asks for, limits add up to a size of the table, and such a size stays.
    #[test]
    fn never_smaller_and_always_sold(asked in proptest::collection::vec((0u64..9000, 0u64..20_000, any::<bool>()), 1..5)) {
        let asks: Vec<Ask> = asked
            .iter()
            .enumerate()
            .map(|(at, (cpu, mib, init))| {
                let requests = Amount { cpu_milli: Some(*cpu), memory_bytes: Some(mib << 20) };
                Ask { requests, init: *init && at > 0, ..Ask::default() }
            })
            .collect();
        let counted = sum(&asks);
        if let Ok(sold) = round(counted, default_size()) {
            prop_assert!(counted.fits(sold.size));
            prop_assert_eq!(round(sold.size, default_size()).unwrap().size, sold.size);
            let limits = split(&asks, sold.size);
            let whole = limits.iter().fold(Size::default(), |sum, size| sum.plus(*size));
            prop_assert_eq!(whole, sold.size);
            for (limit, ask) in limits.iter().zip(asks.iter().filter(|ask| !ask.init)) {
                prop_assert!(ask.equalised().fits(*limit));
            }
        }
    }
}
