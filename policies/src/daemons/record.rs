//! What admission writes on a pod about the DaemonSets beside it, and what is read of that everywhere else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    keys,
    pod::read_list,
    quantity::{Format, Quantity},
    resources::Resources,
};

/// The DaemonSets beside a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// `namespace/name`, sorted.
    pub names: Vec<String>,
    /// What each of their containers asks for; `pods` is 0.
    pub sizes: Vec<Resources>,
    /// What their containers ask for together; `pods` is 0.
    pub requests: Resources,
}

impl Beside {
    /// Values of [`keys::DAEMONSETS`], [`keys::DAEMONSETS_REQUESTS`] and [`keys::DAEMONSETS_SIZES`]; none where there is
    /// nobody.
    pub fn written(&self) -> [(&'static str, Option<String>); 3] {
        let texts = (!self.names.is_empty()).then(|| {
            let sizes: Vec<Value> = self.sizes.iter().map(|size| list(*size)).collect();
            (self.names.join(","), list(self.requests).to_string(), Value::Array(sizes).to_string())
        });
        let (names, requests, sizes) = match texts {
            Some((names, requests, sizes)) => (Some(names), Some(requests), Some(sizes)),
            None => (None, None, None),
        };
        [(keys::DAEMONSETS, names), (keys::DAEMONSETS_REQUESTS, requests), (keys::DAEMONSETS_SIZES, sizes)]
    }
}

/// As a resource list.
fn list(amount: Resources) -> Value {
    let Resources { cpu_milli, memory_bytes, ephemeral_storage_bytes, .. } = amount;
    let bytes = |bytes| Quantity::from_units(bytes, Format::BinarySi).to_string();
    let amounts = [
        ("cpu", cpu_milli, Quantity::from_milli(cpu_milli).to_string()),
        ("memory", memory_bytes, bytes(memory_bytes)),
        ("ephemeral-storage", ephemeral_storage_bytes, bytes(ephemeral_storage_bytes)),
    ];
    let there = amounts.into_iter().filter(|(_, amount, _)| *amount > 0);
    Value::Object(there.map(|(name, _, text)| (name.to_owned(), text.into())).collect())
}

/// What the DaemonSets beside a pod with these annotations ask for; nothing where there are none.
///
/// # Errors
/// What is wrong with the annotation, for people.
pub fn requests(annotations: &BTreeMap<String, String>) -> Result<Resources, String> {
    let Some(text) = annotations.get(keys::DAEMONSETS_REQUESTS) else { return Ok(Resources::default()) };
    let list = serde_json::from_str(text).map_err(|error| wrong(keys::DAEMONSETS_REQUESTS, &error))?;
    read(keys::DAEMONSETS_REQUESTS, &list)
}

/// The same by container. Without that it is taken for one.
///
/// # Errors
/// As [`requests`].
pub fn sizes(annotations: &BTreeMap<String, String>) -> Result<Vec<Resources>, String> {
    let Some(text) = annotations.get(keys::DAEMONSETS_SIZES) else {
        let sum = requests(annotations)?;
        return Ok(if sum == Resources::default() { Vec::new() } else { vec![sum] });
    };
    let all: Vec<BTreeMap<String, String>> =
        serde_json::from_str(text).map_err(|error| wrong(keys::DAEMONSETS_SIZES, &error))?;
    all.iter().map(|list| read(keys::DAEMONSETS_SIZES, list)).collect()
}

fn read(key: &str, list: &BTreeMap<String, String>) -> Result<Resources, String> {
    let rows = list.iter().map(|(name, amount)| (name.as_str(), amount.as_str()));
    let sum = read_list(key, rows).map_err(|bad| format!("annotation {bad}"))?;
    Ok(Resources { pods: 0, ..sum })
}

fn wrong(key: &str, error: &serde_json::Error) -> String {
    format!("annotation {key}: {error}")
}

/// The DaemonSets that a pod with this annotation is to have beside it.
pub fn names(annotation: &str) -> impl Iterator<Item = &str> {
    annotation.split(',').filter(|name| !name.is_empty())
}
