//! What admission writes on a pod about the DaemonSets beside it, and what is read of that everywhere else.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

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
    /// What their containers ask for together; `pods` is 0.
    pub requests: Resources,
}

impl Beside {
    /// Values of [`keys::DAEMONSETS`] and [`keys::DAEMONSETS_REQUESTS`]; none where there is nobody.
    pub fn written(&self) -> Option<(String, String)> {
        let mut list = Map::new();
        let Resources { cpu_milli, memory_bytes, ephemeral_storage_bytes, .. } = self.requests;
        let bytes = |bytes| Quantity::from_units(bytes, Format::BinarySi).to_string();
        let amounts = [
            ("cpu", cpu_milli, Quantity::from_milli(cpu_milli).to_string()),
            ("memory", memory_bytes, bytes(memory_bytes)),
            ("ephemeral-storage", ephemeral_storage_bytes, bytes(ephemeral_storage_bytes)),
        ];
        for (name, amount, text) in amounts {
            if amount > 0 {
                list.insert(name.to_owned(), text.into());
            }
        }
        (!self.names.is_empty()).then(|| (self.names.join(","), Value::Object(list).to_string()))
    }
}

/// What the DaemonSets beside a pod with these annotations ask for; nothing where there are none.
///
/// # Errors
/// What is wrong with the annotation, for people.
pub fn requests(annotations: &BTreeMap<String, String>) -> Result<Resources, String> {
    let Some(text) = annotations.get(keys::DAEMONSETS_REQUESTS) else { return Ok(Resources::default()) };
    let list: BTreeMap<String, String> = serde_json::from_str(text)
        .map_err(|error| format!("annotation {}: {error}", keys::DAEMONSETS_REQUESTS))?;
    let rows = list.iter().map(|(name, amount)| (name.as_str(), amount.as_str()));
    let sum = read_list(keys::DAEMONSETS_REQUESTS, rows).map_err(|bad| format!("annotation {bad}"))?;
    Ok(Resources { pods: 0, ..sum })
}

/// The DaemonSets that a pod with this annotation is to have beside it.
pub fn names(annotation: &str) -> impl Iterator<Item = &str> {
    annotation.split(',').filter(|name| !name.is_empty())
}
