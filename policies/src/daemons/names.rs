//! Names of containers and volumes that cannot collide with the pod's own: the DaemonSet's name before its own.

use std::collections::BTreeSet;

use serde_json::Value;

/// Longest DNS label.
const LONGEST: usize = 63;

/// Names of the pod's containers, init containers and volumes.
pub(super) fn taken(pod: &Value) -> BTreeSet<String> {
    let lists = ["containers", "initContainers", "volumes"];
    let items = lists.iter().filter_map(|list| pod.get("spec")?.get(list)?.as_array()).flatten();
    items.filter_map(|item| item.get("name")?.as_str()).map(str::to_owned).collect()
}

/// `<daemonset>-<name>`; with a hash at its end where that is too long, is no DNS label, or is taken.
pub(super) fn prefixed((namespace, daemon): (&str, &str), name: &str, taken: &BTreeSet<String>) -> String {
    let plain = format!("{daemon}-{name}");
    if plain.len() <= LONGEST && !plain.contains('.') && !taken.contains(&plain) {
        return plain;
    }
    let whole = format!("{namespace}/{daemon}/{name}");
    let head: String = plain.replace('.', "-").chars().take(LONGEST - 9).collect();
    let head = head.trim_end_matches('-');
    let hashed = |round: u32| format!("{head}-{:08x}", fnv(&format!("{whole}#{round}")));
    (0..).map(hashed).find(|name| !taken.contains(name)).unwrap_or(plain)
}

/// FNV-1a, 32 bits: the same in every process.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
