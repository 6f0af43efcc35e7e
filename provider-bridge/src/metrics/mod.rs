//! Every metric of the bridge: names in one enum, described once, recorded through the functions here only.
//!
//! Base units, closed label sets, no pod names: a node label holds one of the few virtual nodes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use policies::ledger::StockOut;

mod measured;

pub use measured::Measured;

/// Name of each metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Pods of a virtual node by state.
    Pods,
    /// Calls to the cloud by operation and outcome.
    CloudRequests,
    /// Seconds of a call to the cloud.
    CloudRequestSeconds,
    /// Writes to the API server by operation and outcome.
    ApiWrites,
    /// Seconds from seeing a binding to sending the create.
    BindToCreateSeconds,
    /// Seconds from the cloud's news to the written status.
    RunningToStatusSeconds,
    /// Instances without a pod.
    Orphans,
    /// Orphans deleted.
    OrphansDeleted,
    /// Listings that were not believed because they would have ended too many at once.
    ImplausibleLists,
    /// The cloud counts as unreachable.
    CloudOutage,
    /// A class of sizes is sold out in the node's place.
    StockoutState,
    /// Running pods of which the cloud does not tell what they use.
    Unmeasured,
    /// Tasks that ended abnormally and were started again.
    TaskRestarts,
    /// Version.
    BuildInfo,
}

/// All of them with what they mean, for the documentation and the `HELP` lines.
pub const ALL: [(Metric, &str); 14] = [
    (Metric::Pods, "Pods of a virtual node by state"),
    (Metric::CloudRequests, "Calls to the cloud by operation and outcome"),
    (Metric::CloudRequestSeconds, "Duration of calls to the cloud"),
    (Metric::ApiWrites, "Writes to the API server about pods by operation and outcome"),
    (Metric::BindToCreateSeconds, "From seeing a binding to sending the create to the cloud"),
    (Metric::RunningToStatusSeconds, "From the cloud's news about an instance to the written pod status"),
    (Metric::Orphans, "Instances in the cloud whose pod does not exist"),
    (Metric::OrphansDeleted, "Orphans that were deleted"),
    (
        Metric::ImplausibleLists,
        "Listings that were not believed because they would end too many pods at once",
    ),
    (Metric::CloudOutage, "1 while the cloud counts as unreachable"),
    (
        Metric::StockoutState,
        "1 while the cloud has sold out a class of sizes where the virtual node is, else 0",
    ),
    (Metric::Unmeasured, "Running pods of which the cloud did not tell what they use, when last asked"),
    (Metric::TaskRestarts, "Tasks that ended abnormally and were started again"),
    (Metric::BuildInfo, "Always 1; the label is the version"),
];

impl Metric {
    /// As exported.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pods => "burst_bridge_pods",
            Self::CloudRequests => "burst_bridge_cloud_requests_total",
            Self::CloudRequestSeconds => "burst_bridge_cloud_request_duration_seconds",
            Self::ApiWrites => "burst_bridge_api_writes_total",
            Self::BindToCreateSeconds => "burst_bridge_bind_to_create_seconds",
            Self::RunningToStatusSeconds => "burst_bridge_running_to_status_seconds",
            Self::Orphans => "burst_bridge_orphans",
            Self::OrphansDeleted => "burst_bridge_orphans_deleted_total",
            Self::ImplausibleLists => "burst_bridge_implausible_lists_total",
            Self::CloudOutage => "burst_bridge_cloud_outage",
            Self::StockoutState => "burst_stockout_state",
            Self::Unmeasured => "burst_bridge_unmeasured_pods",
            Self::TaskRestarts => "burst_bridge_task_restarts_total",
            Self::BuildInfo => "burst_build_info",
        }
    }

    fn describe(self, help: &'static str) {
        match self {
            Self::Pods
            | Self::Orphans
            | Self::CloudOutage
            | Self::StockoutState
            | Self::Unmeasured
            | Self::BuildInfo => {
                describe_gauge!(self.name(), help);
            }
            Self::CloudRequests
            | Self::ApiWrites
            | Self::OrphansDeleted
            | Self::ImplausibleLists
            | Self::TaskRestarts => describe_counter!(self.name(), help),
            Self::CloudRequestSeconds | Self::BindToCreateSeconds | Self::RunningToStatusSeconds => {
                describe_histogram!(self.name(), help);
            }
        }
    }
}

/// Upper bounds of all duration histograms, seconds.
const BUCKETS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0];

static EXPORTER: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();

/// Installs the recorder of this process.
///
/// # Errors
/// When another recorder is installed already.
pub fn install() -> Result<(), BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
        .install_recorder()?;
    let _ = EXPORTER.set(handle);
    for (metric, help) in ALL {
        metric.describe(help);
    }
    gauge!(Metric::BuildInfo.name(), "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(())
}

/// Prometheus text; empty before [`install`].
pub fn render() -> String {
    EXPORTER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Must run every few seconds, or histograms grow without bound.
pub fn upkeep() {
    if let Some(handle) = EXPORTER.get() {
        handle.run_upkeep();
    }
}

/// Pods by state; orphans are a metric of their own too, because they cost money.
pub fn pods(node: &str, counts: &[(&'static str, usize)]) {
    for (state, n) in counts {
        let n = u32::try_from(*n).unwrap_or(u32::MAX);
        gauge!(Metric::Pods.name(), "node" => node.to_owned(), "state" => *state).set(f64::from(n));
        if *state == "orphan" {
            gauge!(Metric::Orphans.name(), "node" => node.to_owned()).set(f64::from(n));
        }
    }
}

/// See [`Metric::BindToCreateSeconds`].
pub fn bind_to_create(node: &str, after: Duration) {
    histogram!(Metric::BindToCreateSeconds.name(), "node" => node.to_owned()).record(after.as_secs_f64());
}

/// See [`Metric::RunningToStatusSeconds`].
pub fn running_to_status(node: &str, after: Duration) {
    histogram!(Metric::RunningToStatusSeconds.name(), "node" => node.to_owned()).record(after.as_secs_f64());
}

/// See [`Metric::ApiWrites`].
pub fn api_write(node: &str, operation: &'static str, ok: bool) {
    let outcome = if ok { "ok" } else { "failed" };
    counter!(Metric::ApiWrites.name(), "node" => node.to_owned(), "operation" => operation, "outcome" => outcome)
        .increment(1);
}

/// See [`Metric::ImplausibleLists`].
pub fn implausible(node: &str) {
    counter!(Metric::ImplausibleLists.name(), "node" => node.to_owned()).increment(1);
}

/// See [`Metric::OrphansDeleted`].
pub fn orphan_deleted(node: &str) {
    counter!(Metric::OrphansDeleted.name(), "node" => node.to_owned()).increment(1);
}

/// See [`Metric::CloudOutage`].
pub fn cloud_outage(node: &str, outage: bool) {
    gauge!(Metric::CloudOutage.name(), "node" => node.to_owned()).set(if outage { 1.0 } else { 0.0 });
}

/// See [`Metric::StockoutState`]. Classes are few: powers of two and numbers of GPUs.
pub fn stock_outs(node: &str, rows: &[StockOut], now: i64) {
    static KNOWN: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.extend(rows.iter().map(|row| (node.to_owned(), row.class.clone())));
    for (node, class) in known.iter().filter(|(of, _)| of == node) {
        let out = rows.iter().any(|row| row.class == *class && now < row.until);
        gauge!(Metric::StockoutState.name(), "node" => node.clone(), "class" => class.clone()).set(if out {
            1.0
        } else {
            0.0
        });
    }
}

/// See [`Metric::Unmeasured`].
pub fn unmeasured(node: &str, pods: usize) {
    let pods = u32::try_from(pods).unwrap_or(u32::MAX);
    gauge!(Metric::Unmeasured.name(), "node" => node.to_owned()).set(f64::from(pods));
}

/// See [`Metric::TaskRestarts`].
pub fn task_restart(task: &str) {
    counter!(Metric::TaskRestarts.name(), "task" => task.to_owned()).increment(1);
}

fn cloud_request(provider: &'static str, operation: &'static str, outcome: &'static str, took: Duration) {
    counter!(Metric::CloudRequests.name(), "provider" => provider, "operation" => operation, "outcome" => outcome)
        .increment(1);
    histogram!(Metric::CloudRequestSeconds.name(), "provider" => provider, "operation" => operation)
        .record(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_prefixed_and_in_base_units() {
        let mut names: Vec<_> = ALL.iter().map(|(m, _)| m.name()).collect();
        assert!(names.iter().all(|n| n.starts_with("burst_")), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
