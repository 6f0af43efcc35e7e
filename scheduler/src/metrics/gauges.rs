//! Gauges that the snapshot already holds, written at scrape time: never stale, and gone with their node.

use std::fmt::Write;

use cluster::freshness::Freshness;
use cluster::snapshot::{ClassTotals, Snapshot};
use policies::policy::Policy;

use super::Metric;

/// Appends the gauges in the exposition format.
pub fn gauges(snapshot: &Snapshot, freshness: &Freshness, out: &mut String) {
    let mut page = Page(out);
    page.write(Metric::BuildInfo, [(label("version", env!("CARGO_PKG_VERSION")), 1.0)]);
    cache(&mut page, snapshot, freshness);
    let info = snapshot.virtual_nodes().map(|node| {
        let provider = label("provider", node.provider.as_deref().unwrap_or_default());
        (format!("{},{provider}", label("node", &node.name)), 1.0)
    });
    page.write(Metric::VirtualNodeInfo, info);
    capacity(&mut page, &snapshot.totals().real, &snapshot.totals().virtual_nodes);
    pods(&mut page, snapshot);
}

fn cache(page: &mut Page<'_>, snapshot: &Snapshot, freshness: &Freshness) {
    let age = freshness.age(tokio::time::Instant::now());
    page.write(Metric::CacheAge, age.map(|age| (String::new(), age.as_secs_f64())));
    page.write(Metric::CacheSynced, [(String::new(), f64::from(u8::from(snapshot.synced())))]);
    page.write(Metric::CacheErrors, [(String::new(), number(freshness.errors()))]);
    page.write(Metric::CacheUndecodable, [(String::new(), f64::from(snapshot.totals().undecodable))]);
}

fn capacity(page: &mut Page<'_>, real: &ClassTotals, virtual_nodes: &ClassTotals) {
    let classes = [("real", real), ("virtual", virtual_nodes)];
    let states = classes.iter().flat_map(|(class, totals)| {
        let series =
            |state, count| (format!("{},{}", label("class", class), label("state", state)), f64::from(count));
        [series("usable", totals.usable), series("unusable", totals.nodes.saturating_sub(totals.usable))]
    });
    page.write(Metric::Nodes, states);
    let by_class: [(Metric, Read); 6] = [
        (Metric::CpuAllocatable, |t| number(t.allocatable.cpu_milli) / 1000.0),
        (Metric::CpuRequested, |t| number(t.requested.cpu_milli) / 1000.0),
        (Metric::MemoryAllocatable, |t| number(t.allocatable.memory_bytes)),
        (Metric::MemoryRequested, |t| number(t.requested.memory_bytes)),
        (Metric::PodsAllocatable, |t| number(t.allocatable.pods)),
        (Metric::PodsBound, |t| number(t.requested.pods)),
    ];
    for (metric, value) in by_class {
        page.write(metric, classes.iter().map(|(class, totals)| (label("class", class), value(totals))));
    }
}

fn pods(page: &mut Page<'_>, snapshot: &Snapshot) {
    let by_policy = Policy::ALL.into_iter().flat_map(|policy| {
        let counts = snapshot.totals().policy(policy);
        [("pending", counts.pending), ("local", counts.local), ("cloud", counts.burst)].map(|(place, n)| {
            (format!("{},{}", label("policy", policy.as_str()), label("place", place)), f64::from(n))
        })
    });
    page.write(Metric::PodsByPolicy, by_policy);
    page.write(Metric::PodsPending, [(String::new(), f64::from(snapshot.totals().pending_pods))]);
}

type Read = fn(&ClassTotals) -> f64;

struct Page<'o>(&'o mut String);

impl Page<'_> {
    fn write(&mut self, metric: Metric, series: impl IntoIterator<Item = (String, f64)>) {
        let name = metric.name();
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {}", metric.help(), metric.kind().as_str());
        for (labels, value) in series {
            let _ = match labels.as_str() {
                "" => writeln!(self.0, "{name} {value}"),
                labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
            };
        }
    }
}

fn label(key: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{key}=\"{value}\"")
}

/// Amounts of a cluster stay below what a float holds exactly.
#[allow(clippy::cast_precision_loss)]
const fn number(amount: u64) -> f64 {
    amount as f64
}
