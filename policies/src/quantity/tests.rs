use proptest::prelude::*;

use super::*;

fn check(text: &str, nano: i128, canonical: &str) {
    let q = Quantity::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(q.nano(), nano, "{text}");
    assert_eq!(q.to_string(), canonical, "{text}");
}

#[test]
fn every_suffix() {
    check("0", 0, "0");
    check("1", NANO, "1");
    check("1n", 1, "1n");
    check("1u", 1_000, "1u");
    check("100m", 100_000_000, "100m");
    check("1k", 1_000 * NANO, "1k");
    check("1M", 1_000_000 * NANO, "1M");
    check("1G", NANO * NANO, "1G");
    check("1T", 1_000 * NANO * NANO, "1T");
    check("1P", 1_000_000 * NANO * NANO, "1P");
    check("1E", NANO * NANO * NANO, "1E");
    check("1Ki", 1024 * NANO, "1Ki");
    check("1Mi", (1 << 20) * NANO, "1Mi");
    check("1Gi", (1 << 30) * NANO, "1Gi");
    check("1Ti", (1 << 40) * NANO, "1Ti");
    check("1Pi", (1 << 50) * NANO, "1Pi");
    check("1Ei", (1 << 60) * NANO, "1Ei");
    check("1e3", 1_000 * NANO, "1e3");
    check("1E3", 1_000 * NANO, "1e3");
    check("1e+3", 1_000 * NANO, "1e3");
    check("5E-3", 5_000_000, "5e-3");
}

#[test]
fn spelling_and_canonical_form() {
    check("0.5", 500_000_000, "500m");
    check(".5", 500_000_000, "500m");
    check("1.", NANO, "1");
    check("+0.25", 250_000_000, "250m");
    check("-1.5", -1_500_000_000, "-1500m");
    check("1.5Gi", (3 << 29) * NANO, "1536Mi");
    check("0.5Ki", 512 * NANO, "512");
    check("1.0001Ki", 1_024_102_400_000, "1024102400u");
    check("1000m", NANO, "1");
    check("2048Mi", (2 << 30) * NANO, "2Gi");
    check("1000000", 1_000_000 * NANO, "1M");
    check("1e2", 100 * NANO, "100");
    check("00012", 12 * NANO, "12");
    check("-0", 0, "0");
}

#[test]
fn rounding_and_capping() {
    check("0.1n", 1, "1n");
    check("-0.1n", -1, "-1n");
    check("1.0000000001", NANO + 1, "1000000001n");
    check("1e-400", 1, "1e-9");
    check("0e999999999999999999999", 0, "0");
    check("10E", MAX_NANO, "9223372036854775807");
    check("1e99999999999999999999", MAX_NANO, "9223372036854775807");
    check("16Ei", MAX_NANO, "9223372036854775807");
    check(&"9".repeat(400), MAX_NANO, "9223372036854775807");
    check(&format!("0.{}1", "0".repeat(400)), 1, "1n");
    check("10000000000000000000000m", MAX_NANO, "9223372036854775807");
}

#[test]
fn ceilings() {
    let check = |text: &str, milli, value| {
        let q = Quantity::parse(text).unwrap();
        assert_eq!((q.to_milli_ceil(), q.to_value_ceil()), (milli, value), "{text}");
    };
    check("1", 1000, 1);
    check("100u", 1, 1);
    check("1500m", 1500, 2);
    check("-1500m", -1500, -1);
    check("1Gi", 1_073_741_824_000, 1_073_741_824);
    check("9E", i64::MAX, 9_000_000_000_000_000_000);
}

#[test]
fn refusals_say_what_is_wrong() {
    let check = |text: &str, wanted: &str| {
        let error = Quantity::parse(text).expect_err(text).to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    };
    check("", "empty");
    for text in ["+", "-", ".", "lots", "i", "Ki", "--1", " 1"] {
        check(text, "does not start with a number");
    }
    for text in ["1i", "1K", "1mi", "1am", "1.1.M", "1e", "1e+", "1Gi ", "1 Gi", "1_000", "1,5", "0x10"] {
        check(text, "is not one of n u m k M G T P E Ki Mi Gi Ti Pi Ei");
    }
    check("1GB", "did you mean \"1G\"?");
    check("1.5gi", "did you mean \"1.5Gi\"?");
    check("2 Gi", "did you mean \"2Gi\"?");
    check("1e3Ki", "has an exponent and the suffix \"Ki\"");
    check("1e3m", "has an exponent and the suffix \"m\"");
    check("1Ki3", "is not one of");
    check("1e3.5", "is not one of");
    check("١", "does not start with a number");
}

#[test]
fn constructors() {
    assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
    assert_eq!(Quantity::from_units(3 << 30, Format::BinarySi).to_string(), "3Gi");
    assert_eq!(Quantity::from_units(u64::MAX, Format::BinarySi).nano(), MAX_NANO);
    assert!(Quantity::parse("1Ki").unwrap() == Quantity::parse("1024").unwrap());
    assert!(Quantity::parse("1k").unwrap() < Quantity::parse("1Ki").unwrap());
}

proptest! {
    #[test]
    fn canonical_round_trip(
        integer in 0_u64..1_000_000_000_000,
        fraction in prop::option::of("[0-9]{0,12}"),
        sign in prop::sample::select(vec!["", "-", "+"]),
        suffix in prop::sample::select(vec![
            "n", "u", "m", "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-7",
        ]),
    ) {
        let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
        let first = Quantity::parse(&format!("{sign}{integer}{fraction}{suffix}")).unwrap();
        let text = first.to_string();
        let second = Quantity::parse(&text).unwrap();
        prop_assert_eq!(first, second);
        prop_assert_eq!(text, second.to_string());
    }

    #[test]
    fn agrees_with_plain_arithmetic(milli in 0_u64..1_000_000_000_000, kibi in 0_u64..1_000_000_000) {
        prop_assert_eq!(Quantity::parse(&format!("{milli}m")).unwrap().to_milli_ceil(), milli as i64);
        let text = format!("{}.{:03}", milli / 1000, milli % 1000);
        prop_assert_eq!(Quantity::parse(&text).unwrap(), Quantity::from_milli(milli));
        prop_assert_eq!(Quantity::parse(&format!("{kibi}Ki")).unwrap().to_value_ceil(), (kibi * 1024) as i64);
    }

    #[test]
    fn never_panics_and_stays_in_range(text in ".{0,40}", number in "[+-]?[0-9]{0,50}\\.?[0-9]{0,50}([eE][+-]?[0-9]{1,25}|[KMGTPE]i?)?") {
        for candidate in [text, number] {
            if let Ok(q) = Quantity::parse(&candidate) {
                prop_assert!(q.nano().abs() <= MAX_NANO);
            }
        }
    }
}
