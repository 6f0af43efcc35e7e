use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{quantity::Quantity, shape::Amount};

fn of(cores: f64, gib: f64) -> Size {
    table::size(cores, gib)
}

#[test]
fn the_data_file_is_read_and_says_where_it_is_from() {
    assert_eq!(sizes(false).count(), 44);
    assert_eq!(sizes(true).count(), 44 + 4 + 11 + 22 + 25);
    assert_eq!(table::default(), of(2.0, 4.0));
    assert!(extended_region("cn-hangzhou") && !extended_region("us-west-1"));
}

/// The vendor's worked examples, on the table of all regions and with that of some regions.
#[test]
fn worked_examples_of_the_vendor() {
    let check = |asked: (f64, f64), everywhere: (f64, f64), some: (f64, f64)| {
        let asked = of(asked.0, asked.1);
        assert_eq!(round(asked, false).expect("sold").size, of(everywhere.0, everywhere.1), "{asked:?}");
        assert_eq!(round(asked, true).expect("sold").size, of(some.0, some.1), "{asked:?}");
    };
    check((0.1, 0.25), (0.25, 0.5), (0.25, 0.5));
    check((0.25, 2.0), (0.5, 2.0), (0.5, 2.0));
    check((1.0, 1.0), (1.0, 2.0), (1.0, 2.0));
    check((1.0, 3.0), (1.0, 4.0), (1.0, 4.0));
    check((3.0, 5.0), (4.0, 8.0), (4.0, 6.0));
    check((3.0, 12.0), (4.0, 16.0), (4.0, 12.0));
    check((5.0, 9.0), (8.0, 16.0), (6.0, 10.0));
    check((7.0, 13.0), (8.0, 16.0), (8.0, 14.0));
    check((8.0, 100.0), (16.0, 128.0), (16.0, 128.0));
    check((10.0, 20.0), (12.0, 24.0), (12.0, 24.0));
    check((33.0, 64.0), (52.0, 96.0), (52.0, 96.0));
    assert_eq!(round(of(64.0, 513.0), true), Err(TooLarge(of(64.0, 513.0))));
    let said = TooLarge(of(64.0, 513.0)).to_string();
    assert!(
        said.starts_with("64 core / 513Gi is larger than the largest ECI pod (64 core / 512Gi)"),
        "{said}"
    );
}

#[test]
fn the_sentence_says_what_was_asked_and_what_is_billed() {
    let said = |cores, gib| round(of(cores, gib), false).expect("sold").changed;
    assert_eq!(said(2.0, 4.0), None);
    assert_eq!(said(3.0, 5.0).as_deref(), Some("3 core / 5Gi is not an ECI size; rounded to 4 core / 8Gi"));
    assert_eq!(said(0.0, 3.0).as_deref(), Some("memory 3Gi without cpu; rounded to 1 core / 4Gi"));
    assert_eq!(said(3.0, 0.0).as_deref(), Some("3 core without memory; rounded to 4 core / 2Gi"));
    assert_eq!(said(0.0, 0.0).as_deref(), Some("no container says a size; rounded to 2 core / 4Gi"));
}

fn pod(spec: &Value, annotations: &Value) -> Size {
    let pod = json!({"metadata": {"annotations": annotations}, "spec": spec});
    let view = PodView::deserialize(&pod).expect("a pod");
    counted(&view, &[]).expect("counts")
}

#[test]
fn limits_count_before_requests_and_annotations_before_both() {
    let container =
        |requests: Value, limits: Value| json!({"resources": {"requests": requests, "limits": limits}});
    let none = json!({});
    let check = |containers: Value, init: Value, annotations: &Value, wanted: Size| {
        assert_eq!(pod(&json!({"containers": containers, "initContainers": init}), annotations), wanted);
    };
    let small = container(json!({"cpu": "1", "memory": "1Gi"}), none.clone());
    let limited = container(json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "2", "memory": "3Gi"}));
    let only = container(none.clone(), json!({"cpu": "500m"}));
    check(json!([small]), json!([]), &none, of(1.0, 1.0));
    check(json!([limited]), json!([]), &none, of(2.0, 3.0));
    check(json!([limited, small, only]), json!([]), &none, of(3.5, 4.0));
    check(json!([small]), json!([limited]), &none, of(2.0, 3.0));
    check(json!([{}]), json!([]), &none, Size::default());
    let specs = |text: &str| json!({"k8s.aliyun.com/eci-use-specs": text});
    check(json!([limited]), json!([]), &specs("4-8Gi, 2-4Gi"), of(4.0, 8.0));
    check(json!([limited]), json!([]), &specs("ecs.c6.xlarge,2-4Gi"), of(2.0, 3.0));
    check(json!([limited]), json!([]), &specs("much"), of(2.0, 3.0));
}

#[test]
fn extended_sizes_depend_on_the_zone_and_are_never_spot() {
    let check = |zone: &str, billing: Billing, wanted: Size| {
        let place = Place { provider: keys::PROVIDER_ALIBABA, zone, billing };
        assert_eq!(RULES.billed(of(5.0, 9.0), place).expect("sold"), wanted, "{zone}");
    };
    check("cn-hangzhou-h", Billing::OnDemand, of(6.0, 10.0));
    check("ap-southeast-1a", Billing::OnDemand, of(6.0, 10.0));
    check("cn-hangzhou-h", Billing::Spot, of(8.0, 16.0));
    check("us-west-1a", Billing::OnDemand, of(8.0, 16.0));
    check("", Billing::OnDemand, of(8.0, 16.0));
}

proptest! {
    /// Nothing gets less than it asks for, a size of the table stays, and more sizes never cost more.
    #[test]
    fn never_smaller_and_idempotent(cpu in 0u64..70_000, mib in 0u64..600 * 1024, limit in 0u64..70_000) {
        let amount = |cpu| Amount { cpu_milli: Some(cpu), memory_bytes: Some(mib << 20) };
        let ask = Ask { requests: amount(cpu), limits: Amount { cpu_milli: Some(limit), ..Amount::default() }, ..Ask::default() };
        let asked = sum(&[ask], None);
        prop_assert!(asked.cpu_milli >= cpu.max(limit) && asked.memory_bytes == mib << 20);
        if let Ok(sold) = round(asked, false) {
            prop_assert!(asked.fits(sold.size));
            prop_assert_eq!(round(sold.size, false).unwrap().size, sold.size);
            prop_assert!(round(asked, true).is_ok());
        } else {
            prop_assert!(cpu.max(limit) > 52_000 || mib > 384 * 1024);
        }
        let shown = units::memory(asked.memory_bytes);
        prop_assert!(Quantity::parse(&shown).is_ok() || shown.ends_with("bytes"));
    }
}
