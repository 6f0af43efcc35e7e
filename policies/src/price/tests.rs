use super::*;

fn size(cpu_milli: u64, gib: u64) -> Resources {
    Resources { cpu_milli, memory_bytes: gib * GI, pods: 1, ..Resources::default() }
}

fn place<'a>(provider: &'a str, zone: &'a str) -> Place<'a> {
    Place { provider, zone, billing: Billing::OnDemand }
}

const BOOK: &str = r#"
prices:
  - {provider: huawei, currency: CNY, vcpuSecond: "0.00004", gibSecond: "0.00001", source: operator, date: "2026"}
  - {provider: huawei, zone: z1, currency: CNY, vcpuSecond: "0.00003", gibSecond: "0.00001", minimumSeconds: 60, source: operator, date: "2026"}
  - {provider: huawei, billing: spot, currency: CNY, vcpuSecond: "0.00001", gibSecond: "0", source: operator, date: "2026"}
  - {provider: alibabacloud, currency: CNY, vcpuSecond: "0.001", gibSecond: "0.00001", source: operator, date: "2026"}
  - {provider: zcloud, currency: CNY, vcpuSecond: "0.000000001", gibSecond: "0", gpuSecond: {T4: "0.001", V100: "0.003"}, source: operator, date: "2026"}
"#;

#[test]
fn the_shipped_book_prices_eci_as_its_billing_page_does() {
    let book = PriceBook::shipped();
    assert!(!book.prices.is_empty() && book.has("CNY") && !book.has("USD"));
    // The page's own examples: 1c2g 0.2205/h, 2c4g 0.4411/h, 4c8g 0.8821/h, 8c16g 1.7643/h (4 places).
    for (cores, gib, per_hour) in [(1, 2, 2205), (2, 4, 4411), (4, 8, 8821), (8, 16, 17643)] {
        let quote = book.quote("CNY", place("alibabacloud", "cn-hangzhou-h"), size(cores * 1000, gib), None);
        let nano = quote.expect("a price").rate.over(3600).as_nano();
        assert_eq!((nano + 50_000) / 100_000, per_hour, "{cores}c{gib}g");
    }
    for (cores, gib, per_hour) in [(1, 2, 1750), (2, 4, 3499), (8, 16, 13997)] {
        let quote = book.quote("CNY", place("ucloud", ""), size(cores * 1000, gib), None);
        let nano = quote.expect("a price").rate.over(3600).as_nano();
        assert!((nano - per_hour * 100_000).abs() <= 100_000, "{cores}c{gib}g: {nano}");
    }
    assert_eq!(
        book.quote("CNY", place("huawei", ""), size(1000, 2), None),
        None,
        "not published, so not invented"
    );
}

#[test]
fn the_nearest_row_counts() {
    let book = PriceBook::read(BOOK).expect("decodes");
    let check = |place: Place<'_>, requests, billed, wanted: Option<(u64, u64)>| {
        let got = book.quote("CNY", place, requests, billed).map(|q| (q.rate.0, q.minimum_seconds));
        assert_eq!(got, wanted, "{place:?} {requests:?}");
    };
    check(place("huawei", "z9"), size(1000, 2), None, Some((60_000, 0)));
    check(place("huawei", "z1"), size(1000, 2), None, Some((50_000, 60)));
    check(Place { billing: Billing::Spot, ..place("huawei", "z9") }, size(1000, 2), None, Some((10_000, 0)));
    check(
        Place { billing: Billing::Reserved, ..place("huawei", "z1") },
        size(1000, 2),
        None,
        Some((50_000, 60)),
    );
    // CCI rounds 0.1 core / 1 Gi up to 0.25 core / 1 Gi; a known size is taken as it is.
    check(place("huawei", "z9"), size(100, 1), None, Some((20_000, 0)));
    check(place("huawei", "z9"), size(100, 1), Some(size(1000, 2)), Some((60_000, 0)));
    // ECI rounds 5 cores / 9 Gi up to 6 / 10 where it sells that, else to 8 / 16.
    check(place("alibabacloud", "cn-hangzhou-h"), size(5000, 9), None, Some((6_100_000, 0)));
    check(place("alibabacloud", "us-west-1a"), size(5000, 9), None, Some((8_160_000, 0)));
    // Others are not rounded, but a part of a billionth counts whole.
    check(place("zcloud", ""), size(1, 0), None, Some((1, 0)));
    check(place("zcloud", ""), Resources { gpu: 2, ..size(0, 0) }, None, Some((6_000_000, 0)));
    check(place("huawei", "z9"), Resources { gpu: 1, ..size(1000, 2) }, None, None);
    check(place("azure", ""), size(1000, 2), None, None);
    assert_eq!(book.quote("USD", place("huawei", ""), size(1000, 2), None), None);
    let absurd = Resources { cpu_milli: u64::MAX, memory_bytes: u64::MAX, gpu: u64::MAX, ..size(0, 0) };
    check(place("zcloud", ""), absurd, None, Some((u64::MAX, 0)));
}

#[test]
fn a_bad_book_is_refused_in_words() {
    let row = |fields: &str| format!("prices:\n- {{{fields}}}\n");
    let good = r#"provider: x, currency: CNY, vcpuSecond: "1", gibSecond: "1", source: s, date: d"#;
    assert!(PriceBook::read(&row(good)).is_ok());
    let check = |text: &str, wanted: &str| {
        let error = PriceBook::read(text).expect_err(text).to_string();
        assert!(error.contains(wanted), "{error}");
    };
    check(&row(&good.replace("vcpuSecond", "vcpusecond")), "vcpusecond");
    check(&row(&good.replace(r#"gibSecond: "1""#, r#"gibSecond: "1e3""#)), "not an amount of money");
    check(&row(&good.replace(r#"gibSecond: "1""#, r#"gibSecond: "-1""#)), "below zero");
    check(&row(&good.replace("CNY", "yuan")), "ISO code");
    check(&row(&good.replace("provider: x", r#"provider: """#)), "provider is empty");
    check(&row(&good.replace("date: d", r#"date: """#)), "source and date");
    check(&row(&good.replace("date: d", "billing: free, date: d")), "free");
    check(&format!("{}- {{{good}}}\n", row(good)), "prices[1] (x): an earlier row");
    check("prices: 7", "does not decode");
}
