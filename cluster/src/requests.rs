//! Effective requests of a pod and amounts of a node, from the wire.
//!
//! Facts: the scheduler's own sum (sidecars, init containers, overhead, pod-level resources) and the quantity grammar.

use std::collections::BTreeMap;

use policies::resources::Resources;
use serde::{Deserialize, Deserializer};
use smol_str::SmolStr;

/// Resource names with their quantities as text.
pub(crate) type Amounts = BTreeMap<SmolStr, Amount>;

/// A quantity as text; a JSON number is accepted as its decimal text, anything else is an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Amount(SmolStr);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Text(SmolStr),
            Number(serde_json::Number),
            Nothing(()),
        }
        Ok(Self(match Any::deserialize(deserializer)? {
            Any::Text(text) => text,
            Any::Number(number) => SmolStr::new(number.to_string()),
            Any::Nothing(()) => SmolStr::default(),
        }))
    }
}

/// The part of `spec` that decides requests and place.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpecWire {
    #[serde(deserialize_with = "or_default")]
    pub(crate) node_name: SmolStr,
    #[serde(deserialize_with = "or_default")]
    pub(crate) priority: i32,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<ContainerWire>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<ContainerWire>,
    #[serde(deserialize_with = "or_default")]
    overhead: Amounts,
    #[serde(deserialize_with = "or_default")]
    resources: ResourcesWire,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ContainerWire {
    #[serde(deserialize_with = "or_default")]
    resources: ResourcesWire,
    #[serde(deserialize_with = "or_default")]
    restart_policy: SmolStr,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResourcesWire {
    #[serde(deserialize_with = "or_default")]
    requests: Amounts,
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// What the pod needs from a node, as the scheduler sums it; `pods` is 1.
pub(crate) fn effective(spec: &PodSpecWire) -> Resources {
    let main = spec
        .containers
        .iter()
        .fold(Resources::default(), |sum, c| sum.plus(resources(&c.resources.requests)));
    let mut sidecars = Resources::default();
    let mut peak = Resources::default();
    for container in &spec.init_containers {
        let need = resources(&container.resources.requests);
        if container.restart_policy == "Always" {
            sidecars = sidecars.plus(need);
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars.plus(need));
        }
    }
    let summed = main.plus(sidecars).max(peak);
    let pod_level = &spec.resources.requests;
    let stated = resources(pod_level);
    let pick =
        |name: &str, stated: u64, summed: u64| if pod_level.contains_key(name) { stated } else { summed };
    let need = Resources {
        cpu_milli: pick("cpu", stated.cpu_milli, summed.cpu_milli),
        memory_bytes: pick("memory", stated.memory_bytes, summed.memory_bytes),
        ..summed
    };
    Resources { pods: 1, ..need.plus(resources(&spec.overhead)) }
}

/// Amounts by name to the fields that decisions look at; unreadable quantities count as zero.
pub(crate) fn resources(amounts: &Amounts) -> Resources {
    let mut out = Resources::default();
    for (name, amount) in amounts {
        let milli = || milli(&amount.0).unwrap_or(0);
        let whole = || clamp(milli().div_ceil(1000));
        match name.as_str() {
            "cpu" => out.cpu_milli = clamp(milli()),
            "memory" => out.memory_bytes = whole(),
            "ephemeral-storage" => out.ephemeral_storage_bytes = whole(),
            "pods" => out.pods = whole(),
            gpu if gpu.ends_with("/gpu") => out.gpu = out.gpu.saturating_add(whole()),
            _ => {}
        }
    }
    out
}

fn clamp(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// A quantity in thousandths, rounded up, saturating; none if it is not a quantity. Negative counts as zero.
fn milli(text: &str) -> Option<u128> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let end = text.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let (ten, two) = scale(suffix)?;
    if negative {
        return Some(0);
    }
    Some(scaled(whole, fraction, ten + 3, two))
}

/// Exponents of ten and two that a suffix stands for.
fn scale(suffix: &str) -> Option<(i32, u32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok().filter(|e| e.abs() < 64)?, 0),
    })
}

/// `whole.fraction` times 10^ten times 2^two, rounded up, saturating.
fn scaled(whole: &str, fraction: &str, ten: i32, two: u32) -> u128 {
    let mut digits: u128 = 0;
    let mut power = ten;
    let mut lost = false;
    for (after_point, byte) in whole.bytes().map(|b| (false, b)).chain(fraction.bytes().map(|b| (true, b))) {
        if digits > u128::from(u64::MAX) {
            lost |= byte != b'0';
            power += i32::from(!after_point);
            continue;
        }
        digits = digits * 10 + u128::from(byte - b'0');
        power -= i32::from(after_point);
    }
    let binary = digits.saturating_mul(1u128 << two);
    let factor = 10u128.checked_pow(power.unsigned_abs()).unwrap_or(u128::MAX);
    let value = if power >= 0 { binary.saturating_mul(factor) } else { binary.div_ceil(factor) };
    value.saturating_add(u128::from(lost && power < 0))
}
