//! What CCI 2.0 sells: a table, into which a pod is raised unless its annotation names an entry. Pure.
//!
//! Facts: CCI 2.0 user guide, pod specifications. Requests and limits are made equal by the server.

use serde_json::Value;

use crate::error::FieldError;
use crate::size::{Size, cpu_milli, memory_bytes};

/// The annotation that names an entry: `2.00_4.0`.
const SPECS: &str = "resource.cci.io/pod-size-specs";
/// Without it nothing is raised above 32 cores.
const LARGE: &str = "resource.cci.io/resizing-large-size-instance-greater-than-32-cores";
const CONTAINERS_MAX: usize = 5;
const LARGE_FROM: u64 = 32_000;

/// Every size, as thousandths of a vCPU and halves of a GiB.
fn sizes() -> Vec<Size> {
    let mut all = Vec::new();
    let mut add = |cpu: u64, halves: &mut dyn Iterator<Item = u64>| {
        all.extend(halves.map(|half| Size { cpu_milli: cpu, memory_bytes: half << 29 }));
    };
    add(250, &mut [1, 2, 4].into_iter());
    add(500, &mut [1, 2, 4, 6, 8].into_iter());
    for (cores, step) in [(1, 1), (2, 1), (4, 1), (8, 4), (16, 8)] {
        add(cores * 1000, &mut (cores..=cores * 8).step_by(step).map(|gib| gib * 2));
    }
    add(32_000, &mut [32, 64, 128, 256].into_iter().map(|gib| gib * 2));
    add(48_000, &mut [96, 192, 384].into_iter().map(|gib| gib * 2));
    add(64_000, &mut [128, 256, 512].into_iter().map(|gib| gib * 2));
    all
}

/// The size of a pod, or every reason why it cannot be bought.
pub(crate) fn pod_size(pod: &Value) -> Result<Size, Vec<FieldError>> {
    let mut errors = Vec::new();
    let app = containers(pod, "containers", &mut errors);
    let init = containers(pod, "initContainers", &mut errors);
    if app.len() > CONTAINERS_MAX {
        errors.push(FieldError::new(
            "spec.containers",
            format!("Too many: {}: must have at most 5 items", app.len()),
        ));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut asked = Size::default();
    for one in &app {
        asked.cpu_milli += one.cpu_milli;
        asked.memory_bytes += one.memory_bytes;
    }
    for one in &init {
        asked.cpu_milli = asked.cpu_milli.max(one.cpu_milli);
        asked.memory_bytes = asked.memory_bytes.max(one.memory_bytes);
    }
    let annotation = |name: &str| {
        pod.pointer("/metadata/annotations").and_then(|all| all.get(name)).and_then(Value::as_str)
    };
    let fits = |size: &Size| size.cpu_milli >= asked.cpu_milli && size.memory_bytes >= asked.memory_bytes;
    let wrong = |why: String| vec![FieldError::new(format!("metadata.annotations[{SPECS}]"), why)];
    if let Some(named) = annotation(SPECS) {
        let size = sizes().into_iter().find(|size| size.annotation() == named);
        let size = size.ok_or_else(|| wrong(format!("Invalid value: {named:?}: not a size of CCI")))?;
        return if fits(&size) {
            Ok(size)
        } else {
            Err(wrong(format!("Invalid value: {named:?}: less than the containers need")))
        };
    }
    let large = annotation(LARGE) == Some("true");
    // The fewest cores that hold it, then the least memory: 0.25/3 becomes 0.5/3.
    let best = sizes().into_iter().filter(fits).min_by_key(|size| (size.cpu_milli, size.memory_bytes));
    best.filter(|size| large || size.cpu_milli <= LARGE_FROM).ok_or_else(|| {
        let why =
            format!("no size of CCI holds cpu {}m and memory {} bytes", asked.cpu_milli, asked.memory_bytes);
        vec![FieldError::new("spec.containers[].resources", why)]
    })
}

/// Limits win over requests; a container without either asks for nothing.
fn containers(pod: &Value, list: &str, errors: &mut Vec<FieldError>) -> Vec<Size> {
    let all = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut sizes = Vec::with_capacity(all.len());
    for (i, container) in all.iter().enumerate() {
        let mut amount = |name: &str, parse: fn(&str) -> Option<u64>| {
            let read = |part: &str| container.pointer(&format!("/resources/{part}/{name}"));
            let Some(value) = read("limits").or_else(|| read("requests")) else { return 0 };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parse(&text).unwrap_or_else(|| {
                let field = format!("spec.{list}[{i}].resources.limits.{name}");
                errors.push(FieldError::new(field, format!("Invalid value: {text:?}: not a quantity")));
                0
            })
        };
        sizes
            .push(Size { cpu_milli: amount("cpu", cpu_milli), memory_bytes: amount("memory", memory_bytes) });
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(cpu: &str, memory: &str, annotations: Value, expected: Option<&str>) {
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [
            {"resources": {"limits": {"cpu": cpu, "memory": memory}}}]}});
        let got = pod_size(&pod).ok().map(Size::annotation);
        assert_eq!(got.as_deref(), expected, "{pod}");
    }

    #[test]
    fn the_references_worked_examples() {
        let large = json!({LARGE: "true"});
        for (cpu, memory, expected) in [
            ("0.1", "0.1Gi", "0.25_0.5"),
            ("0.25", "3Gi", "0.50_3.0"),
            ("1.5", "3Gi", "2.00_3.0"),
            ("3", "5Gi", "4.00_5.0"),
            ("6", "15Gi", "8.00_16.0"),
            ("8", "9Gi", "8.00_12.0"),
            ("16", "17Gi", "16.00_24.0"),
            ("20", "40Gi", "32.00_64.0"),
        ] {
            check(cpu, memory, json!({}), Some(expected));
        }
        check("33", "64Gi", large.clone(), Some("48.00_96.0"));
        check("33", "64Gi", json!({}), None);
        check("64", "600Gi", large, None);
    }

    #[test]
    fn a_named_size_is_an_entry_that_holds_the_pod() {
        check("1", "2Gi", json!({SPECS: "2.00_4.0"}), Some("2.00_4.0"));
        check("1", "2Gi", json!({SPECS: "2.00_40.0"}), None);
        check("4", "8Gi", json!({SPECS: "2.00_4.0"}), None);
        check("x", "2Gi", json!({}), None);
    }
}
