//! Gauges that the snapshot already holds, written at scrape time: never stale, and gone with their node.

use std::fmt::Write;

use cluster::freshness::Freshness;
use cluster::snapshot::{ClassTotals, Snapshot};
use policies::burst_policy::{Limit, Usage};
use policies::policy::Policy;
use policies::quantity::Quantity;

use super::Metric;
use crate::leader::{PolicyRow, View};

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
    page.write(Metric::CacheProtobuf, [(String::new(), f64::from(u8::from(freshness.protobuf())))]);
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

/// Appends what the leader knows; on other replicas only that they do not lead.
pub fn leader(view: &View, out: &mut String) {
    let mut page = Page(out);
    page.write(Metric::Leader, [(String::new(), f64::from(u8::from(view.leading)))]);
    let amounts = |of: fn(&Usage) -> &Limit| {
        view.policies.iter().flat_map(move |row| {
            let tiers = row.usage.iter();
            tiers.flat_map(move |usage| limit(&row.policy, &usage.name, of(usage)))
        })
    };
    page.write(Metric::PolicyLimit, amounts(|usage| &usage.max));
    page.write(Metric::PolicyUsed, amounts(|usage| &usage.used));
    let budgets = view.policies.iter().flat_map(|row| {
        row.spend.iter().map(|spend| {
            let scope = label("namespace", spend.namespace.as_deref().unwrap_or_default());
            let place = format!("{},{scope}", label("window", &spend.window));
            let labels = format!("{},{place},{}", policy(row), label("currency", &spend.currency));
            (labels, units(spend.max.minus(spend.spent).as_nano()))
        })
    });
    page.write(Metric::BudgetRemaining, budgets);
    let rates = view.policies.iter().filter(|row| !row.spend.is_empty());
    page.write(Metric::SpendRate, rates.map(|row| (policy(row), units(row.rate.into()))));
    let grants = view.policies.iter().flat_map(|row| {
        let states = ["open", "closing"].into_iter().zip(row.grants);
        states.map(|(state, n)| (format!("{},{}", policy(row), label("state", state)), number(n)))
    });
    page.write(Metric::Grants, grants);
}

fn policy(row: &PolicyRow) -> String {
    label("policy", &row.policy)
}

/// The resources that a limit names; a quantity that cannot be read is left out.
fn limit(policy: &str, tier: &str, limit: &Limit) -> Vec<(String, f64)> {
    let quantity = |text: &Option<String>| Quantity::parse(text.as_deref()?).ok();
    let cpu = quantity(&limit.cpu).map(|quantity| units(quantity.nano()));
    let memory = quantity(&limit.memory).map(|quantity| units(quantity.nano()));
    let amounts =
        [("pods", limit.pods.map(number)), ("cpu", cpu), ("memory", memory), ("gpu", limit.gpu.map(number))];
    let labels = |resource| {
        format!("{},{},{}", label("policy", policy), label("tier", tier), label("resource", resource))
    };
    amounts.into_iter().filter_map(|(resource, amount)| Some((labels(resource), amount?))).collect()
}

/// Billionths as units; a metric need not be exact.
#[allow(clippy::cast_precision_loss)]
fn units(nano: i128) -> f64 {
    nano as f64 / 1e9
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
