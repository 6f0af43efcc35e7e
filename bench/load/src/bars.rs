//! The bars: what a release has to reach, each one number of the report against one limit.
//!
//! Ratios compare what ran interleaved in one run, so they hold on a busy machine; the rest is a matter of the machine. A
//! bar that is missed is said and written down and fails nothing: a benchmark is no test.

use crate::report::{Report, Verdict};

/// Which side of the limit is good.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(limit) => figure >= limit,
            Self::AtMost(limit) => figure <= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!("≥ {limit}"),
            Self::AtMost(limit) => format!("≤ {limit}"),
        }
    }
}

struct Bar {
    what: &'static str,
    metric: &'static str,
    limit: Limit,
}

const fn at_least(limit: f64, metric: &'static str, what: &'static str) -> Bar {
    Bar { what, metric, limit: Limit::AtLeast(limit) }
}

const fn at_most(limit: f64, metric: &'static str, what: &'static str) -> Bar {
    Bar { what, metric, limit: Limit::AtMost(limit) }
}

const BARS: [Bar; 34] = [
    at_most(
        150.0,
        "decision_5000_nodes_10_policies_sum_us",
        "decision per pod, 5000 names, 10 policies (µs)",
    ),
    at_least(10.0, "extender_filter_long_5000_ratio", "filter/s, 5000 long names, to the Go server's"),
    at_least(
        10.0,
        "extender_prioritize_long_5000_ratio",
        "prioritize/s, 5000 long names, to the Go server's",
    ),
    at_most(
        1000.0,
        "extender_filter_long_5000_burst_server_p99_us",
        "filter server time p99, 5000 names (µs)",
    ),
    at_most(
        1000.0,
        "extender_prioritize_long_5000_burst_server_p99_us",
        "prioritize server time p99, 5000 names (µs)",
    ),
    at_most(1.0, "extender_connections_for_10000_calls", "connections for 10 000 calls"),
    // 64 MB.
    at_most(61.0, "memory_scheduler_rss_mib", "burst-scheduler, 5000 nodes and 100 000 pods (MiB)"),
    at_most(61.0, "memory_scheduler_rss_after_changes_mib", "the same after 10 000 changes (MiB)"),
    at_least(0.95, "scheduling_ordinary_ratio_to_stock", "kube-scheduler pods/s to without burst: ordinary"),
    at_least(0.95, "scheduling_off_ratio_to_stock", "… off"),
    at_least(0.95, "scheduling_enforce_ratio_to_stock", "… enforce"),
    at_least(0.95, "scheduling_local_prefer_ratio_to_stock", "… localPrefer"),
    at_least(0.75, "scheduling_auto_ratio_to_stock", "… auto, both with the default sample"),
    at_least(
        1.1,
        "scheduling_auto_100_ratio_to_stock",
        "… auto as documented (100-node sample), to the default",
    ),
    at_least(0.9, "scheduling_auto_100_ratio_to_stock_100", "… auto, both with a 100-node sample"),
    at_least(0.95, "scheduling_toleration_ratio_to_stock", "… auto by the toleration driver"),
    at_least(
        0.75,
        "scheduling_weighed_ratio_to_stock",
        "… auto that costs a call, both with the default sample",
    ),
    at_least(1.1, "scheduling_weighed_100_ratio_to_stock", "… the same as documented, to the default"),
    at_least(0.9, "scheduling_weighed_100_ratio_to_stock_100", "… the same, both with a 100-node sample"),
    at_least(1.0, "scheduling_weighed_ratio_to_go", "… auto that costs a call, to the Go extender"),
    at_least(
        240.0,
        "churn_burst_running_pods_per_second",
        "bridge, pods/s to Running (50 × virtual-kubelet's 4.8)",
    ),
    at_least(115.0, "churn_burst_gone_pods_per_second", "bridge, pods/s gone (50 × virtual-kubelet's 2.3)"),
    at_least(0.7, "churn_running_ratio_to_kwok", "bridge, pods/s to Running, to kwok's"),
    at_least(0.7, "churn_gone_ratio_to_kwok", "bridge, pods/s gone, to kwok's"),
    at_most(4.0, "churn_burst_api_writes_per_pod", "bridge, API writes per pod (3 and one container start)"),
    at_most(200.0, "churn_burst_rss_peak_mib", "burst-bridge at its highest with 1000 pods (MiB)"),
    at_most(
        0.0,
        "calls_eci_life_refused",
        "calls of 1000 pods' life that ECI refuses by its published numbers",
    ),
    at_most(
        500.0,
        "calls_eci_steady_describecontainergroupstatus_per_minute",
        "ECI, 5000 steady pods, lists of states a minute (the least of what is published)",
    ),
    at_most(100.0, "calls_cci_create_p99_ms", "bound pod to create request p99 at 100 pods/s: CCI (ms)"),
    at_most(100.0, "calls_cci2_create_p99_ms", "… CCI 2.0"),
    at_most(100.0, "calls_eci_create_p99_ms", "… ECI, with raised limits"),
    at_most(100.0, "calls_cube_create_p99_ms", "… Cube"),
    at_most(100.0, "calls_kubernetes_create_p99_ms", "… another cluster"),
    at_most(30.0, "simulate_million_rows_seconds", "kubectl burst simulate, a million rows (s)"),
];

/// Judges every bar that this run has a number for, prints and records the verdicts.
pub(crate) fn judge(report: &mut Report) {
    println!("\nBars:");
    for bar in &BARS {
        let Some(figure) = report.get(bar.metric) else { continue };
        let verdict = Verdict { what: bar.what, figure, bar: bar.limit.text(), met: bar.limit.met(figure) };
        println!("  {verdict}");
        report.judged(bar.metric, verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let mut report = Report::default();
        report.set("simulate_million_rows_seconds", 31.0);
        report.set("scheduling_off_ratio_to_stock", 0.95);
        judge(&mut report);
        let met = |metric: &str| report.verdict(metric).map(|verdict| verdict.met);
        assert_eq!(met("simulate_million_rows_seconds"), Some(false));
        assert_eq!(met("scheduling_off_ratio_to_stock"), Some(true));
        assert_eq!(met("scheduling_auto_ratio_to_stock"), None, "not measured, not judged");
    }

    #[test]
    fn a_number_that_is_none_is_not_met() {
        assert!(!Limit::AtLeast(0.95).met(f64::NAN) && !Limit::AtMost(1.0).met(f64::NAN));
    }
}
