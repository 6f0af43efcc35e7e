//! `kubectl burst status`: one screen that says what burst has, uses, spends and holds back. Reads the API server alone.

use std::collections::BTreeMap;

use anyhow::Result;
use policies::burst_policy::{BurstPolicyStatus, SpendRow, Usage};
use policies::decide::sentence::{cpu, duration, free_bytes};
use policies::node::NodeClass;
use policies::resources::Resources;
use serde::Serialize;
use serde_json::Value;

use crate::api::{Api, Cluster, text};
use crate::explain::{Output, amounts, spend};
use crate::paper::{Paper, bar};
use crate::reading::Reading;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl burst status\n  kubectl burst status -o json | jq .held")]
pub(crate) struct Status {
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    cluster: Cluster,
}

/// Everything on the screen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Screen {
    real: Nodes,
    #[serde(rename = "virtual")]
    virtual_nodes: Nodes,
    /// Virtual nodes, by name.
    places: Vec<Place>,
    policies: Vec<Row>,
    /// Pods held back by reason code, over all policies.
    held: BTreeMap<String, u64>,
    stock_outs: Vec<StockOut>,
    scheduler: Program,
    bridge: Program,
    /// Who grants now.
    leader: Option<Leader>,
    drivers: Vec<String>,
    problems: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Nodes {
    nodes: u32,
    usable: u32,
    allocatable: Resources,
    requested: Resources,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    name: String,
    provider: String,
    ready: bool,
    pods: u64,
    /// As the bridge reports it; none without a report.
    instances: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    key: String,
    /// Why it is not in force, if it cannot be read.
    error: Option<String>,
    #[serde(flatten)]
    status: BurstPolicyStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct StockOut {
    node: String,
    zone: String,
    class: String,
    /// Seconds until the next try; 0 when it is due.
    retry_in: u64,
    message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Program {
    /// Versions seen; several during a rollout.
    versions: Vec<String>,
    /// Ready and wanted replicas of its Deployment, if there is one.
    replicas: Option<(u64, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Leader {
    lease: String,
    holder: String,
    /// Seconds since it last said so.
    renewed_ago: u64,
    /// Whether that is longer than the Lease holds.
    expired: bool,
}

/// The screen, and whether everything could be read.
pub(crate) async fn run(args: &Status) -> Result<(String, bool)> {
    let api = Api::connect(&args.cluster).await?;
    let namespace = &args.cluster.burst_namespace;
    let reading = Reading::take(&api, namespace).await?;
    let deployments = api.list(&format!("/apis/apps/v1/namespaces/{namespace}/deployments")).await?;
    let leases = api.list(&format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")).await?;
    let now = jiff::Timestamp::now().as_second();
    let screen = screen(&reading, &deployments, &leases, now);
    let text = match args.output {
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&screen)?),
        Output::Text => {
            let mut paper = Paper::here();
            draw(&screen, &mut paper);
            paper.text()
        }
    };
    Ok((text, screen.problems.is_empty()))
}

fn screen(reading: &Reading, deployments: &[Value], leases: &[Value], now: i64) -> Screen {
    let totals = reading.snapshot.totals();
    let nodes = |t: cluster::snapshot::ClassTotals| Nodes {
        nodes: t.nodes,
        usable: t.usable,
        allocatable: t.allocatable,
        requested: t.requested,
    };
    let rows: Vec<Row> = reading
        .objects
        .iter()
        .map(|object| Row {
            key: object.key.clone(),
            error: object.object.as_ref().err().cloned(),
            status: object.status.clone(),
        })
        .collect();
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for (code, pods) in rows.iter().flat_map(|row| &row.status.held_back) {
        *held.entry(code.clone()).or_default() += pods;
    }
    let mut bridge = program(deployments, "bridge");
    bridge.versions.extend(reading.reports.values().map(|r| r.version.clone()).filter(|v| !v.is_empty()));
    bridge.versions.sort();
    bridge.versions.dedup();
    let broken = rows.iter().filter_map(|row| Some(format!("{}: {}", row.key, row.error.as_ref()?)));
    Screen {
        real: nodes(totals.real),
        virtual_nodes: nodes(totals.virtual_nodes),
        places: places(reading),
        held,
        stock_outs: stock_outs(reading, now),
        scheduler: program(deployments, "scheduler"),
        bridge,
        leader: leases.iter().filter_map(|lease| leader(lease, now)).min_by_key(|l| l.lease != LEASE),
        drivers: drivers(reading),
        problems: reading.problems.iter().cloned().chain(broken).collect(),
        policies: rows,
    }
}

fn places(reading: &Reading) -> Vec<Place> {
    let place = |row: &policies::node::NodeRow| Place {
        name: row.name.clone(),
        provider: row.provider.clone().unwrap_or_default(),
        ready: row.ready && !row.unschedulable,
        pods: row.requested.pods,
        instances: reading.reports.get(&row.name).map(|report| report.instances),
    };
    reading.rows().into_iter().filter(|row| row.class == NodeClass::Virtual).map(place).collect()
}

fn stock_outs(reading: &Reading, now: i64) -> Vec<StockOut> {
    let each = reading.reports.iter().flat_map(|(node, report)| {
        report.stock_outs.iter().map(move |out| StockOut {
            node: node.clone(),
            zone: out.zone.clone(),
            class: out.class.clone(),
            retry_in: u64::try_from(out.until.saturating_sub(now)).unwrap_or(0),
            message: out.message.clone(),
        })
    });
    each.collect()
}

/// What the Deployment with the word in its name says of a program: the version is its image's tag.
fn program(deployments: &[Value], word: &str) -> Program {
    let ours = deployments.iter().find(|d| text(d, "/metadata/name").contains(word));
    let Some(deployment) = ours else { return Program::default() };
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let image = text(deployment, "/spec/template/spec/containers/0/image");
    let tag = image.rsplit_once(':').map(|(_, tag)| tag.to_owned()).filter(|tag| !tag.contains('/'));
    Program {
        versions: tag.into_iter().collect(),
        replicas: Some((number("/status/readyReplicas"), number("/spec/replicas"))),
    }
}

/// Name of the leader's Lease unless configured otherwise.
const LEASE: &str = "burst-leader";

/// The Lease of the one who grants, whatever it was named; not some other Lease of the namespace.
fn leader(lease: &Value, now: i64) -> Option<Leader> {
    let name = text(lease, "/metadata/name");
    let holder = text(lease, "/spec/holderIdentity");
    if !name.contains("scheduler") && !name.contains("leader") || holder.is_empty() {
        return None;
    }
    let renewed = text(lease, "/spec/renewTime").parse::<jiff::Timestamp>().ok()?.as_second();
    let ago = u64::try_from(now.saturating_sub(renewed)).unwrap_or(0);
    let holds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or(15);
    Some(Leader { lease: name.to_owned(), holder: holder.to_owned(), renewed_ago: ago, expired: ago > holds })
}

/// What can be told of the drivers from the API server: the ledger of the toleration driver.
fn drivers(reading: &Reading) -> Vec<String> {
    let prefix = "Driver/";
    reading.ledgers.keys().filter_map(|key| key.strip_prefix(prefix)).map(str::to_owned).collect()
}

fn draw(screen: &Screen, paper: &mut Paper) {
    paper.line("capacity");
    let row = |name: &str, nodes: &Nodes, wide: bool| {
        let of = |used: String, max: String, n: u64, m: u64| {
            let bar = if wide { format!("{} ", bar(n, m)) } else { String::new() };
            format!("{bar}{used} of {max}")
        };
        let (all, used) = (nodes.allocatable, nodes.requested);
        vec![
            name.to_owned(),
            format!("{} ({} usable)", nodes.nodes, nodes.usable),
            of(cpu(used.cpu_milli), cpu(all.cpu_milli), used.cpu_milli, all.cpu_milli),
            of(
                free_bytes(used.memory_bytes),
                free_bytes(all.memory_bytes),
                used.memory_bytes,
                all.memory_bytes,
            ),
            of(used.pods.to_string(), all.pods.to_string(), used.pods, all.pods),
        ]
    };
    let wide = paper.wide();
    let rows = [row("real", &screen.real, wide), row("virtual", &screen.virtual_nodes, wide)];
    paper.table(&["kind", "nodes", "cpu", "memory", "pods"], &rows);
    if !screen.places.is_empty() {
        paper.line("virtual nodes");
        let rows: Vec<_> = screen.places.iter().map(place).collect();
        paper.table(&["node", "provider", "state", "pods", "instances"], &rows);
    }
    paper.line("policies");
    if screen.policies.is_empty() {
        paper.item("no BurstPolicy and no ClusterBurstPolicy: nothing is limited, delayed or budgeted");
    }
    screen.policies.iter().for_each(|row| policy(row, paper));
    paper.line("held back");
    if screen.held.is_empty() {
        paper.item("no pod");
    }
    for (code, pods) in &screen.held {
        paper.item(&format!("{pods} {code}"));
    }
    if !screen.stock_outs.is_empty() {
        paper.line("sold out");
    }
    for out in &screen.stock_outs {
        let zone = if out.zone.is_empty() { String::new() } else { format!(", zone {}", out.zone) };
        let again = if out.retry_in == 0 {
            "next try is due".to_owned()
        } else {
            format!("next try in {}", duration(out.retry_in))
        };
        paper.item(&format!("{} on {}{zone}: {again} {}", out.class, out.node, out.message));
    }
    programs(screen, paper);
    screen.problems.iter().for_each(|problem| paper.line(&format!("problem: {problem}")));
}

fn place(place: &Place) -> Vec<String> {
    vec![
        place.name.clone(),
        place.provider.clone(),
        if place.ready { "ready" } else { "not usable" }.to_owned(),
        place.pods.to_string(),
        place.instances.map_or_else(|| "no report".to_owned(), |n| n.to_string()),
    ]
}

fn policy(row: &Row, paper: &mut Paper) {
    let Row { key, error, status } = row;
    if let Some(error) = error {
        paper.item(&format!("{key}: cannot be read ({error})"));
        return;
    }
    let counts = status.pods;
    paper.item(&format!("{key}: {} local, {} cloud, {} waiting", counts.local, counts.cloud, counts.waiting));
    for Usage { name, used, max } in &status.usage {
        let amounts = amounts(used, max);
        if !amounts.is_empty() {
            let share = used.pods.zip(max.pods).filter(|_| paper.wide());
            let bar = share.map(|(used, max)| format!("{} ", bar(used, max))).unwrap_or_default();
            paper.field("", &format!("{name}: {bar}{}", amounts.join(", ")));
        }
    }
    for row in &status.spend {
        paper.field("", &money(row, paper.wide()));
    }
    for condition in status.conditions.iter().filter(|c| c.kind == "Valid" && c.status == "False") {
        paper.field("", &format!("not valid: {}", condition.message));
    }
}

fn money(row: &SpendRow, wide: bool) -> String {
    let nano = |money: policies::money::Money| u64::try_from(money.as_nano()).unwrap_or(0);
    let bar = if wide { format!("{} ", bar(nano(row.spent), nano(row.max))) } else { String::new() };
    format!("{bar}{}", spend(row))
}

fn programs(screen: &Screen, paper: &mut Paper) {
    let words = |program: &Program| {
        let versions = match program.versions.as_slice() {
            [] => "version unknown".to_owned(),
            all => all.join(", "),
        };
        let replicas =
            program.replicas.map(|(ready, all)| format!(", {ready} of {all} ready")).unwrap_or_default();
        format!("{versions}{replicas}")
    };
    paper.line("programs");
    paper.field("scheduler", &words(&screen.scheduler));
    paper.field("bridge", &words(&screen.bridge));
    let leader = screen.leader.as_ref().map_or_else(
        || "none: nothing is granted".to_owned(),
        |leader| {
            let state = if leader.expired { ", expired: nothing is granted" } else { "" };
            format!("{} (renewed {} ago{state})", leader.holder, duration(leader.renewed_ago))
        },
    );
    paper.field("leader", &leader);
    let drivers = if screen.drivers.is_empty() { "extender".to_owned() } else { screen.drivers.join(", ") };
    paper.field("drivers", &drivers);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{NOW, busy};

    async fn taken() -> Screen {
        let api = Api::over(busy().client());
        let reading = Reading::take(&api, "burst-system").await.unwrap();
        let deployment = json!({
            "metadata": {"name": "burst-scheduler"}, "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"image": "registry:5000/burst-scheduler:0.1.0"}]}}}, "status": {"readyReplicas": 1}});
        let lease = json!({
            "metadata": {"name": "burst-leader"},
            "spec": {"holderIdentity": "burst-scheduler-a", "renewTime": "2027-01-15T07:59:58.000000Z"}});
        screen(&reading, &[deployment], &[lease], NOW)
    }

    #[tokio::test]
    async fn one_screen_says_it_all() {
        let screen = taken().await;
        let mut paper = Paper::new(None);
        draw(&screen, &mut paper);
        let text = paper.text();
        for wanted in [
            "  real     1 (1 usable)  1500m of 2",
            "burst-cci  huawei    ready  1     1",
            "  - BurstPolicy/shop/web: 0 local, 1 cloud, 1 waiting\n",
            "cloud: 1 of 1 pods\n",
            "hour: 0.80 spent, 1.10 projected, of 1.20 CNY\n",
            "  - 1 CloudLimit\n",
            "cpu-4 on burst-cci, zone a: next try in 1 min 30 s no room",
            "scheduler     0.1.0, 1 of 2 ready\n",
            "bridge        0.1.0\n",
            "leader        burst-scheduler-a (renewed 2 s ago)\n",
            "problem: BurstPolicy/shop/broken: ",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        let json = serde_json::to_value(&screen).unwrap();
        assert_eq!(json["held"], json!({"CloudLimit": 1}));
        assert_eq!(json["virtual"]["requested"]["cpu_milli"], 1000);
    }

    #[tokio::test]
    async fn it_fits_into_40_columns() {
        let screen = taken().await;
        let mut paper = Paper::new(Some(40));
        draw(&screen, &mut paper);
        let text = paper.text();
        let long = text.lines().find(|line| line.chars().count() > 40 && line.trim().contains(' '));
        assert_eq!(long, None, "{text}");
    }

    #[tokio::test]
    async fn a_cluster_without_burst_is_no_error() {
        let api = Api::over(cluster::testing::FakeApi::new().client());
        let reading = Reading::take(&api, "burst-system").await.unwrap();
        let mut paper = Paper::new(None);
        draw(&screen(&reading, &[], &[], NOW), &mut paper);
        let text = paper.text();
        assert!(text.contains("nothing is limited") && text.contains("none: nothing is granted"), "{text}");
    }
}
