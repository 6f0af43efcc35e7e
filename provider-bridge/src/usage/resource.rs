//! `/metrics/resource`: what metrics-server reads, in Prometheus' text form, with the kubelet's families.
//!
//! Labels stand in the order `namespace`, `pod`, `container`: virtual-kubelet's own tests count on the pod being second.
//! Samples carry the time of the measurement.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Answer, ContainerUsed, NodeUsage, PodUsage};

/// Names, kinds and meanings as the kubelet has them.
const NODE_CPU: [&str; 3] =
    ["node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds"];
const NODE_MEMORY: [&str; 3] =
    ["node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes"];
const CONTAINER_CPU: [&str; 3] = [
    "container_cpu_usage_seconds_total",
    "counter",
    "Cumulative cpu time consumed by the container in core-seconds",
];
const CONTAINER_MEMORY: [&str; 3] =
    ["container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes"];
const CONTAINER_START: [&str; 3] =
    ["container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds"];
const POD_CPU: [&str; 3] =
    ["pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds"];
const POD_MEMORY: [&str; 3] =
    ["pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes"];
const ERROR: [[&str; 3]; 2] = [
    [
        "resource_scrape_error",
        "gauge",
        "1 if there was an error while getting container metrics, 0 otherwise",
    ],
    ["scrape_error", "gauge", "The same as resource_scrape_error, by its old name"],
];

/// The page with a batch.
pub fn text(answer: &Answer) -> String {
    let usage: &NodeUsage = &answer.usage;
    let mut page = Page::default();
    let all =
        || usage.pods.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
    page.family(CONTAINER_CPU, all(), |(pod, container)| {
        Some((of_container(pod, container), seconds(container.core_nano_seconds), Some(container.at)))
    });
    page.family(CONTAINER_MEMORY, all(), |(pod, container)| {
        let bytes = container.memory.working_set?.to_string();
        Some((of_container(pod, container), bytes, Some(container.at)))
    });
    page.family(CONTAINER_START, all(), |(pod, container)| {
        Some((of_container(pod, container), unix(container.started?), None))
    });
    page.family(NODE_CPU, [usage], |node| {
        Some((String::new(), seconds(node.core_nano_seconds), Some(node.at)))
    });
    page.family(NODE_MEMORY, [usage], |node| {
        Some((String::new(), node.memory.working_set?.to_string(), Some(node.at)))
    });
    page.family(POD_CPU, &usage.pods, |pod| {
        Some((of_pod(pod), seconds(pod.core_nano_seconds), Some(pod.at)))
    });
    page.family(POD_MEMORY, &usage.pods, |pod| {
        Some((of_pod(pod), pod.memory.working_set?.to_string(), Some(pod.at)))
    });
    page.error(answer.failed);
    page.text
}

/// The page where nothing is known.
pub fn unknown() -> String {
    let mut page = Page::default();
    page.error(true);
    page.text
}

#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    /// A family with its samples: labels, value, time. Without samples it is left out.
    fn family<T>(
        &mut self,
        [name, kind, help]: [&str; 3],
        items: impl IntoIterator<Item = T>,
        sample: impl Fn(T) -> Option<(String, String, Option<Timestamp>)>,
    ) {
        let mut begun = false;
        for (labels, value, at) in items.into_iter().filter_map(sample) {
            if !begun {
                let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
                begun = true;
            }
            let at = at.map(|at| format!(" {}", at.as_millisecond())).unwrap_or_default();
            let _ = writeln!(self.text, "{name}{labels} {value}{at}");
        }
    }

    fn error(&mut self, failed: bool) {
        for name in ERROR {
            self.family(name, [failed], |failed| Some((String::new(), u8::from(failed).to_string(), None)));
        }
    }
}

/// Names of namespaces, pods and containers need no escapes.
fn of_pod(pod: &PodUsage) -> String {
    format!("{{namespace=\"{}\",pod=\"{}\"}}", pod.pod.namespace, pod.pod.name)
}

fn of_container(pod: &PodUsage, container: &ContainerUsed) -> String {
    let (namespace, name) = (&pod.pod.namespace, &pod.pod.name);
    format!("{{namespace=\"{namespace}\",pod=\"{name}\",container=\"{}\"}}", container.name)
}

/// Exactly: floats lose the last digits of what ran for months.
fn seconds(nanos: u64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

fn unix(at: Timestamp) -> String {
    format!("{}.{:03}", at.as_second(), at.subsec_millisecond())
}
