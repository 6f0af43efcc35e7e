//! From what the containers ask for to the size that CCI sells, by `policies::shape::cci`. What it does not sell was refused
//! with the pod's fields.

use policies::quantity::Quantity;
use policies::shape::cci::{self, Amount, Ask, POD_DISK_MAX, Shape};
use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{containers, text};
use crate::cloud::translate::{Problem, Size, Sizes};

/// Rounds a pod; the error is the sentence for its owner.
pub(super) fn shape(pod: &Value) -> Result<Shape, Problem> {
    cci::round(&asks(pod)?).map_err(|refusal| Problem::Invalid(refusal.to_string()))
}

/// What the containers ask for, in the pod's order.
pub(super) fn asks(pod: &Value) -> Result<Vec<Ask>, Problem> {
    containers(pod).map(|(init, container)| ask(init, container)).collect()
}

/// What the containers get, for fields that tell them.
pub(super) fn sizes(shape: &Shape) -> Sizes {
    Sizes {
        containers: shape.containers.iter().map(|c| (c.name.clone(), size(c.size))).collect(),
        pod: size(shape.pod),
        disk_bytes: POD_DISK_MAX,
    }
}

/// A size as fields tell it.
pub(super) const fn size(size: cci::Size) -> Size {
    Size { cpu_milli: size.cpu_milli, memory_bytes: size.memory_bytes }
}

fn ask(init: bool, container: &Value) -> Result<Ask, Problem> {
    let name = text(container, "name").unwrap_or_default().to_owned();
    let side = |side: &str| -> Result<Amount, Problem> {
        Ok(Amount {
            cpu_milli: amount(container, side, "cpu", &name)?.map(|q| non_negative(q.to_milli_ceil())),
            memory_bytes: amount(container, side, "memory", &name)?.map(|q| non_negative(q.to_value_ceil())),
        })
    };
    Ok(Ask { requests: side("requests")?, limits: side("limits")?, init, name })
}

fn amount(container: &Value, side: &str, resource: &str, name: &str) -> Result<Option<Quantity>, Problem> {
    let Some(value) = container.get("resources").and_then(|r| r.get(side)?.get(resource)) else {
        return Ok(None);
    };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let quantity = Quantity::parse(&text);
    quantity
        .map(Some)
        .map_err(|e| Problem::Invalid(format!("container {name}: resources.{side}.{resource}: {e}")))
}

fn non_negative(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// `resources` with requests equal to limits; `None` for a container without a size.
pub(super) fn resources(shape: &Shape, name: &str) -> Option<Value> {
    alike(shape.containers.iter().find(|container| container.name == name)?.size)
}

/// Requests and limits that are both this; `None` for nothing.
pub(super) fn alike(size: cci::Size) -> Option<Value> {
    if size.is_best_effort() {
        return None;
    }
    let amounts: Map<String, Value> = [("cpu", cpu(size.cpu_milli)), ("memory", memory(size.memory_bytes))]
        .into_iter()
        .map(|(resource, amount)| (resource.to_owned(), amount.into()))
        .collect();
    Some(json!({"requests": amounts, "limits": amounts}))
}

/// `1250` milli-cores as `1250m`, whole cores as `2`.
fn cpu(milli: u64) -> String {
    if milli.is_multiple_of(1000) { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// Bytes in the largest binary unit that is exact.
fn memory(bytes: u64) -> String {
    let units = [(1u64 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let exact = units.iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    exact.map_or_else(|| bytes.to_string(), |(unit, suffix)| format!("{}{suffix}", bytes / unit))
}

/// The billed size as the annotations of Huawei's add-on spell it: cores and `Gi`.
pub(super) fn billed(size: cci::Size) -> (String, String) {
    let (whole, rest) = (size.cpu_milli / 1000, size.cpu_milli % 1000);
    let cores = if rest == 0 {
        whole.to_string()
    } else {
        format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
    };
    (cores, memory(size.memory_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling() {
        assert_eq!((cpu(250), cpu(2000)), ("250m".into(), "2".into()));
        assert_eq!((memory(2 << 30), memory(512 << 20)), ("2Gi".into(), "512Mi".into()));
        assert_eq!((memory(214_748_365), memory(2048)), ("214748365".into(), "2Ki".into()));
    }
}
