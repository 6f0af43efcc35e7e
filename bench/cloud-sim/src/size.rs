//! What CCI 1.0 sells and what it refuses. Pure arithmetic over a pod's spec.
//!
//! Facts: CCI 1.0 user guide, pod specifications: 0.25 to 32 vCPU in steps of 0.25, or 48 or 64; 1 to 512 whole Gi;
//! memory to vCPU 2 to 8; request = limit; at least 0.25 vCPU and 0.2 Gi per container; at most 5 containers; the pod's
//! size is the larger of the sum of its containers and its largest init container.

use serde_json::Value;

use crate::error::FieldError;

const GI: u64 = 1 << 30;
/// 0.2 Gi, rounded down so that `205Mi` and `214748364` both pass.
const CONTAINER_MEMORY_MIN: u64 = GI / 5;
const CONTAINER_CPU_MIN: u64 = 250;
const CONTAINERS_MAX: usize = 5;

/// A billed size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Thousandths of a vCPU.
    pub(crate) cpu_milli: u64,
    /// Bytes.
    pub(crate) memory_bytes: u64,
}

impl Size {
    /// The form of the annotation `resource.cci.io/size`: `2.00_4.0`.
    #[allow(clippy::cast_precision_loss, reason = "for display; sizes are far below 2^52")]
    pub(crate) fn annotation(self) -> String {
        format!("{:.2}_{:.1}", self.cpu_milli as f64 / 1000.0, self.memory_bytes as f64 / GI as f64)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

/// The size of a pod, or every reason why it cannot be bought.
pub(crate) fn pod_size(spec: &Value) -> Result<Size, Vec<FieldError>> {
    let mut errors = Vec::new();
    let app = containers(spec, "containers", &mut errors);
    let init = containers(spec, "initContainers", &mut errors);
    if app.len() > CONTAINERS_MAX {
        let message = format!("Too many: {}: must have at most {CONTAINERS_MAX} items", app.len());
        errors.push(FieldError::new("spec.containers", message));
    }
    let sum = app.into_iter().fold(Size::default(), Size::plus);
    let size = init.into_iter().fold(sum, Size::max);
    if errors.is_empty() {
        errors
            .extend(wrong_total(size).map(|message| FieldError::new("spec.containers[].resources", message)));
    }
    if errors.is_empty() { Ok(size) } else { Err(errors) }
}

/// Why a total is not for sale.
fn wrong_total(size: Size) -> Option<String> {
    let Size { cpu_milli: cpu, memory_bytes: memory } = size;
    let stepped = (250..=32_000).contains(&cpu) && cpu.is_multiple_of(250);
    if !stepped && cpu != 48_000 && cpu != 64_000 {
        return Some(format!("pod cpu {cpu}m is not 0.25 to 32 vCPU in steps of 0.25, or 48, or 64"));
    }
    if !memory.is_multiple_of(GI) || !(1..=512).contains(&(memory / GI)) {
        return Some(format!("pod memory {memory} bytes is not a whole number of Gi from 1 to 512"));
    }
    // ratio in Gi per vCPU: 2 <= memory / cpu <= 8
    let gi_milli = memory / GI * 1000;
    (gi_milli < 2 * cpu || gi_milli > 8 * cpu)
        .then(|| format!("pod memory {}Gi to cpu {cpu}m is not a ratio of 1:2 to 1:8", memory / GI))
}

fn containers(spec: &Value, list: &str, errors: &mut Vec<FieldError>) -> Vec<Size> {
    let all = spec.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    all.iter()
        .enumerate()
        .map(|(i, container)| {
            let field = format!("spec.{list}[{i}].resources");
            container_size(container.get("resources").unwrap_or(&Value::Null), &field, errors)
        })
        .collect()
}

/// A container's size; one without any resources is BestEffort and counts nothing.
fn container_size(resources: &Value, field: &str, errors: &mut Vec<FieldError>) -> Size {
    let mut amount = |name: &str, parse: fn(&str) -> Option<u64>| {
        let read = |part: &str| resources.get(part).and_then(|part| part.get(name)).map(quantity_text);
        let (request, limit) = (read("requests"), read("limits"));
        let mut complain =
            |message: String| errors.push(FieldError::new(format!("{field}.limits.{name}"), message));
        let Some(limit) = limit else {
            if request.is_some() {
                complain("Required value: a request needs an equal limit".to_owned());
            }
            return None;
        };
        let Some(value) = parse(&limit) else {
            complain(format!("Invalid value: {limit:?}: not a quantity"));
            return None;
        };
        if request.is_some_and(|request| parse(&request) != Some(value)) {
            complain(format!("Invalid value: {limit:?}: request and limit must be equal"));
        }
        Some(value)
    };
    let (cpu, memory) = (amount("cpu", cpu_milli), amount("memory", memory_bytes));
    if cpu.is_some_and(|cpu| cpu < CONTAINER_CPU_MIN) {
        errors.push(FieldError::new(format!("{field}.limits.cpu"), "Invalid value: less than 0.25 vCPU"));
    }
    if memory.is_some_and(|memory| memory < CONTAINER_MEMORY_MIN) {
        errors.push(FieldError::new(format!("{field}.limits.memory"), "Invalid value: less than 0.2 Gi"));
    }
    if cpu.is_some() != memory.is_some() {
        errors.push(FieldError::new(field, "Required value: cpu and memory go together"));
    }
    Size { cpu_milli: cpu.unwrap_or(0), memory_bytes: memory.unwrap_or(0) }
}

/// A quantity as text; JSON numbers are legal too.
fn quantity_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Thousandths of a core, rounded up as Kubernetes does.
pub(crate) fn cpu_milli(text: &str) -> Option<u64> {
    scaled(text, 1000)
}

/// Bytes, rounded up.
pub(crate) fn memory_bytes(text: &str) -> Option<u64> {
    scaled(text, 1)
}

/// A Kubernetes quantity times `unit`, rounded up; exact in 128-bit integers.
fn scaled(text: &str, unit: u128) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(split)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 18 {
        return None;
    }
    let mantissa: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (times, over) = suffix_factor(suffix)?;
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?.checked_mul(over)?;
    let value = mantissa.checked_mul(times)?.checked_mul(unit)?.div_ceil(divisor);
    u64::try_from(value).ok()
}

/// A suffix as a fraction.
fn suffix_factor(suffix: &str) -> Option<(u128, u128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        _ => return exponent(suffix),
    })
}

fn exponent(suffix: &str) -> Option<(u128, u128)> {
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let ten = 10_u128.checked_pow(power.unsigned_abs())?;
    Some(if power < 0 { (1, ten) } else { (ten, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn pod(containers: &[(&str, &str)], init: &[(&str, &str)]) -> Value {
        let list = |all: &[(&str, &str)]| -> Vec<Value> {
            all.iter()
                .map(|(cpu, memory)| match *cpu {
                    "" => json!({"resources": {}}),
                    _ => json!({"resources": {"limits": {"cpu": cpu, "memory": memory}}}),
                })
                .collect()
        };
        json!({"containers": list(containers), "initContainers": list(init)})
    }

    fn check(containers: &[(&str, &str)], init: &[(&str, &str)], expected: Option<&str>) {
        let size = pod_size(&pod(containers, init));
        let text = size.as_ref().ok().map(|size| size.annotation());
        assert_eq!(text.as_deref(), expected, "{containers:?} {init:?}: {size:?}");
    }

    #[test]
    fn sizes_that_are_sold_and_not() {
        check(&[("1", "2Gi")], &[], Some("1.00_2.0"));
        check(&[("0.25", "1Gi"), ("", "")], &[], Some("0.25_1.0"));
        check(&[("250m", "512Mi"), ("250m", "512Mi")], &[], Some("0.50_1.0"));
        check(&[("1", "2Gi")], &[("2", "4Gi")], Some("2.00_4.0"));
        check(&[("32", "64Gi")], &[], Some("32.00_64.0"));
        check(&[("48", "96Gi")], &[], Some("48.00_96.0"));
        check(&[("64", "512Gi")], &[], Some("64.00_512.0"));
        check(&[("1.5", "6Gi")], &[], Some("1.50_6.0"));
        check(&[("1", "1Gi")], &[], None);
        check(&[("1", "9Gi")], &[], None);
        check(&[("33", "66Gi")], &[], None);
        check(&[("0.3", "1Gi")], &[], None);
        check(&[("0.1", "1Gi")], &[], None);
        check(&[("1", "2.5Gi")], &[], None);
        check(&[("1", "2G")], &[], None);
        check(&[("64", "513Gi")], &[], None);
        check(&[("", "")], &[], None);
        check(&[("1", "1.9Gi"), ("0.25", "0.1Gi")], &[], None);
        check(&[("0.25", "1Gi"); 6], &[], None);
        check(&[("x", "1Gi")], &[], None);
        check(&[("0.25", "1Gi"); 5], &[], Some("1.25_5.0"));
    }

    #[test]
    fn request_and_limit_are_equal() {
        let with = |requests: Value, limits: Value| {
            pod_size(&json!({"containers": [{"resources": {"requests": requests, "limits": limits}}]}))
        };
        let full = json!({"cpu": "1", "memory": "2Gi"});
        assert!(with(full.clone(), json!({"cpu": "1000m", "memory": "2048Mi"})).is_ok());
        assert!(with(full.clone(), json!({})).is_err());
        assert!(with(json!({"cpu": "500m"}), full.clone()).is_err());
        assert!(with(json!({}), json!({"cpu": "1"})).is_err());
        assert!(with(json!({}), full).is_ok());
    }

    #[test]
    fn quantities_are_exact() {
        for (text, milli) in [
            ("0.25", Some(250)),
            ("1e1", Some(10_000)),
            ("1n", Some(1)),
            ("1.0005", Some(1001)),
            ("", None),
            (".", None),
            ("-1", None),
            ("1x", None),
        ] {
            assert_eq!(cpu_milli(text), milli, "{text}");
        }
        for (text, bytes) in [
            ("1.5Gi", Some(1_610_612_736)),
            ("0.2Gi", Some(214_748_365)),
            ("1k", Some(1000)),
            ("205Mi", Some(214_958_080)),
            ("1Gib", None),
        ] {
            assert_eq!(memory_bytes(text), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sold_keeps_the_published_rules(cpu in 0_u64..70_000, memory in 0_u64..600_000) {
            let spec = pod(&[(&format!("{cpu}m"), &format!("{memory}Mi"))], &[]);
            if let Ok(size) = pod_size(&spec) {
                prop_assert_eq!(size, Size { cpu_milli: cpu, memory_bytes: memory << 20 });
                prop_assert!(cpu % 250 == 0 && (cpu <= 32_000 || cpu == 48_000 || cpu == 64_000));
                prop_assert!(memory % 1024 == 0 && memory * 1000 >= 2048 * cpu && memory * 1000 <= 8192 * cpu);
            }
        }

        #[test]
        fn quantities_never_panic(text in "[0-9.]{0,30}[a-zA-Z0-9+-]{0,6}") {
            let _ = (cpu_milli(&text), memory_bytes(&text));
        }
    }
}
