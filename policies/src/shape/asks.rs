//! What the containers of a pod ask for, in the form that rounding takes.

use super::{Amount, Ask};
use crate::{
    pod::view::{Container, PodView, ResourceList},
    quantity::Quantity,
    resources::Resources,
};

/// The asks of a pod: init containers first, a sidecar as an app container. A quantity that cannot be read says nothing.
pub fn asks(pod: &PodView<'_>) -> Vec<Ask> {
    let init = pod.spec.init_containers.iter().map(|c| ask(c, !is_sidecar(c)));
    init.chain(pod.spec.containers.iter().map(|c| ask(c, false))).collect()
}

/// The asks of a pod and of containers of these sizes beside it.
pub fn asks_with(pod: &PodView<'_>, beside: &[Resources]) -> Vec<Ask> {
    let mut all = asks(pod);
    all.extend(beside.iter().map(|size| {
        let requests = Amount { cpu_milli: Some(size.cpu_milli), memory_bytes: Some(size.memory_bytes) };
        Ask { requests, limits: requests, ..Ask::default() }
    }));
    all
}

/// Bytes of ephemeral storage that the containers request which run to the end of the pod's life.
pub fn disk(pod: &PodView<'_>) -> u64 {
    let sidecars = pod.spec.init_containers.iter().filter(|c| is_sidecar(c));
    let asked = sidecars.chain(&pod.spec.containers);
    asked.fold(0, |sum, c| {
        let own = read(&c.resources.requests, "ephemeral-storage", Quantity::to_value_ceil);
        sum.saturating_add(own.unwrap_or_default())
    })
}

fn is_sidecar(container: &Container<'_>) -> bool {
    container.restart_policy.as_ref().is_some_and(|policy| policy.as_str() == "Always")
}

fn ask(container: &Container<'_>, init: bool) -> Ask {
    Ask {
        name: container.name.as_str().to_owned(),
        requests: amount(&container.resources.requests),
        limits: amount(&container.resources.limits),
        init,
    }
}

fn amount(list: &ResourceList<'_>) -> Amount {
    Amount {
        cpu_milli: read(list, "cpu", Quantity::to_milli_ceil),
        memory_bytes: read(list, "memory", Quantity::to_value_ceil),
    }
}

fn read(list: &ResourceList<'_>, name: &str, unit: fn(&Quantity) -> i64) -> Option<u64> {
    let quantity = Quantity::parse(&list.get(name)?.0).ok()?;
    u64::try_from(unit(&quantity)).ok()
}
