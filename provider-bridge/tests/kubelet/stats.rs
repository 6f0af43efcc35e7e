//! `/stats/summary` and `/metrics/resource` through the door, read as strictly as those do who depend on them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::port::port;

/// `Summary` of `k8s.io/kubelet/pkg/apis/stats/v1alpha1`, as far as a cloud can say it; nothing else may be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    node: Node,
    pods: Vec<Pod>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Node {
    node_name: String,
    #[serde(rename = "startTime")]
    _start_time: jiff::Timestamp,
    cpu: Cpu,
    memory: Memory,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Pod {
    pod_ref: BTreeMap<String, String>,
    #[serde(rename = "startTime")]
    _start_time: jiff::Timestamp,
    containers: Vec<Container>,
    cpu: Cpu,
    memory: Memory,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Container {
    name: String,
    #[serde(rename = "startTime")]
    _start_time: jiff::Timestamp,
    cpu: Cpu,
    memory: Memory,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Cpu {
    #[serde(rename = "time")]
    _time: jiff::Timestamp,
    usage_nano_cores: u64,
    usage_core_nano_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Memory {
    #[serde(rename = "time")]
    _time: jiff::Timestamp,
    working_set_bytes: u64,
}

#[tokio::test]
async fn the_summary_is_the_kubelets() {
    let (status, body) = port().await.get("/stats/summary").await;
    assert_eq!(status, 200, "{body}");
    let summary: Summary = serde_json::from_str(&body).unwrap();
    assert_eq!(summary.node.node_name, "vn-1");
    let [pod] = &summary.pods[..] else { panic!("{body}") };
    let reference: Vec<(&str, &str)> = pod.pod_ref.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(reference, [("name", "web"), ("namespace", "shop"), ("uid", "u-1")]);
    let [container] = &pod.containers[..] else { panic!("{body}") };
    assert_eq!(container.name, "app");
    for cpu in [&summary.node.cpu, &pod.cpu, &container.cpu] {
        assert_eq!((cpu.usage_nano_cores, cpu.usage_core_nano_seconds), (250_000_000, 2_500_000_000));
    }
    for memory in [&summary.node.memory, &pod.memory, &container.memory] {
        assert_eq!(memory.working_set_bytes, 64 << 20);
    }
}

/// As metrics-server reads it: every container with CPU above zero, memory and a start; samples with times.
#[tokio::test]
async fn metrics_server_finds_what_it_reads() {
    let (status, body) = port().await.get("/metrics/resource").await;
    assert_eq!(status, 200, "{body}");
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            family = rest.split(' ').nth(1).unwrap().to_owned();
            continue;
        }
        let (series, rest) = line.split_once(' ').unwrap();
        assert_eq!(series.split('{').next(), Some(family.as_str()), "{line}");
        let mut fields = rest.split(' ');
        let value: f64 = fields.next().unwrap().parse().unwrap();
        let at = fields.next().map(|at| at.parse::<i64>().unwrap());
        assert_eq!(fields.next(), None, "{line}");
        assert!(samples.insert(series.to_owned(), (value, at)).is_none(), "twice: {series}");
    }
    let of = |series: &str| samples.get(series).copied().unwrap_or_else(|| panic!("{series} in\n{body}"));
    let labels = "{namespace=\"shop\",pod=\"web\",container=\"app\"}";
    let (cpu, at) = of(&format!("container_cpu_usage_seconds_total{labels}"));
    assert!((cpu - 2.5).abs() < 1e-9 && at.is_some(), "{cpu} {at:?}");
    assert!(of(&format!("container_memory_working_set_bytes{labels}")).0 > 0.0);
    assert!(of(&format!("container_start_time_seconds{labels}")).0 > 1e9);
    assert!(of("node_cpu_usage_seconds_total").0 > 0.0 && of("node_memory_working_set_bytes").0 > 0.0);
    assert!(of("pod_cpu_usage_seconds_total{namespace=\"shop\",pod=\"web\"}").1.is_some());
    assert_eq!(of("resource_scrape_error"), (0.0, None));
}
