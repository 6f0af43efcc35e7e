//! The dependency rules of the workspace: which crate may know what. A rule that is broken says why it is there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: a failure is a panic with a message")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const PRODUCT: [&str; 5] = ["policies", "cluster", "scheduler", "provider-bridge", "cli"];
const BENCH: [&str; 5] = ["lab", "cloud-sim", "demo", "e2e", "load"];

/// The dependency graph of the workspace: normal and build dependencies, no development ones.
struct Graph {
    /// Package id to crate name.
    names: BTreeMap<String, String>,
    /// Package id to the ids it depends on.
    edges: BTreeMap<String, Vec<String>>,
    /// Crates of the workspace, name to id.
    members: BTreeMap<String, String>,
}

impl Graph {
    fn read() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--offline"])
            .current_dir(deploy::root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::of(&serde_json::from_slice(&output.stdout).unwrap())
    }

    fn of(metadata: &Value) -> Self {
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        let list = |v: &Value| v.as_array().unwrap().clone();
        let names: BTreeMap<_, _> =
            list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let kept = |dep: &Value| list(&dep["dep_kinds"]).iter().any(|k| k["kind"] != "dev");
        let edges = list(&metadata["resolve"]["nodes"]).into_iter().map(|node| {
            let deps = list(&node["deps"]).into_iter().filter(kept).map(|d| text(&d["pkg"])).collect();
            (text(&node["id"]), deps)
        });
        let edges = edges.collect();
        let members = list(&metadata["workspace_members"]);
        let members = members.iter().map(|id| (names[&text(id)].clone(), text(id))).collect();
        Self { names, edges, members }
    }

    /// A path of crate names from a member to the first dependency that `wanted` picks, or none.
    fn path(&self, from: &str, wanted: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        let start = self.members.get(from).unwrap_or_else(|| panic!("{from} is not in the workspace"));
        let mut seen = BTreeSet::from([start.clone()]);
        let mut paths = vec![vec![start.clone()]];
        while let Some(path) = paths.pop() {
            for next in &self.edges[path.last().unwrap()] {
                let mut longer = path.clone();
                longer.push(next.clone());
                if wanted(&self.names[next]) {
                    return Some(longer.iter().map(|id| self.names[id].clone()).collect());
                }
                if seen.insert(next.clone()) {
                    paths.push(longer);
                }
            }
        }
        None
    }

    #[track_caller]
    fn never(&self, from: &str, banned: &[&str], why: &str) {
        if let Some(path) = self.path(from, |name| banned.contains(&name)) {
            panic!(
                "{from} must not depend on {}: {why}. It does through {}",
                path[path.len() - 1],
                path.join(" -> ")
            );
        }
    }

    /// Names of the crates that a member itself lists.
    fn direct(&self, from: &str) -> BTreeSet<String> {
        self.edges[&self.members[from]].iter().map(|id| self.names[id].clone()).collect()
    }
}

#[test]
fn policies_is_pure() {
    let io = [
        "tokio",
        "async-std",
        "futures",
        "kube",
        "kube-client",
        "kube-core",
        "k8s-openapi",
        "hyper",
        "hyper-util",
        "reqwest",
        "actix-web",
        "rustls",
        "rand",
        "jiff",
        "chrono",
        "tracing",
        "metrics",
    ];
    let why = "it is a pure library: no IO, no runtime, no Kubernetes client, no clock, no randomness";
    Graph::read().never("policies", &io, why);
}

#[test]
fn cluster_knows_no_cloud_and_serves_no_http() {
    let graph = Graph::read();
    let why = "it is the Kubernetes side of both programs and holds no cloud or HTTP-server code";
    graph.never("cluster", &["actix-web", "actix-http", "reqwest", "scheduler", "provider-bridge"], why);
    let direct = graph.direct("cluster");
    for server in ["hyper", "hyper-util", "axum", "warp"] {
        assert!(!direct.contains(server), "cluster must not depend on {server} itself: {why}");
    }
}

#[test]
fn the_two_programs_do_not_know_each_other() {
    let graph = Graph::read();
    graph.never("scheduler", &["provider-bridge", "reqwest"], "the scheduler holds no cloud code");
    graph.never(
        "provider-bridge",
        &["actix-web", "actix-http", "scheduler"],
        "the bridge holds no scheduler code",
    );
    graph.never(
        "cli",
        &["scheduler", "provider-bridge", "actix-web", "reqwest"],
        "the plugin needs policies and cluster only",
    );
}

#[test]
fn the_cloud_simulator_shares_nothing_with_the_product() {
    let mut product = PRODUCT.to_vec();
    product.push("deploy");
    let why = "client and simulator would share one mistake";
    Graph::read().never("cloud-sim", &product, why);
}

#[test]
fn the_product_does_not_depend_on_the_bench_or_on_deploy() {
    let graph = Graph::read();
    for product in PRODUCT {
        graph.never(product, &BENCH, "the bench tests the product and is not part of it");
        graph.never(product, &["deploy"], "deploy holds files and tests, no product code");
    }
    graph.never("deploy", &PRODUCT, "outside its tests, deploy knows no product crate");
}

/// What is really built: `cargo metadata` also lists optional crates that no feature switches on.
fn built() -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "--workspace", "--offline", "--prefix", "none", "--format", "{p}"])
        .current_dir(deploy::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn one_tls_stack() {
    let built = built();
    assert!(built.contains("rustls") && built.contains("aws-lc-rs"));
    for other in ["ring", "openssl", "openssl-sys", "native-tls"] {
        assert!(
            !built.contains(other),
            "{other} is built beside rustls with aws-lc-rs; `cargo tree -i {other}` shows whose feature brings it"
        );
    }
}

#[test]
fn every_crate_is_under_a_rule() {
    let graph = Graph::read();
    let known: BTreeSet<&str> = PRODUCT.into_iter().chain(BENCH).chain(["deploy"]).collect();
    let members: BTreeSet<&str> = graph.members.keys().map(String::as_str).collect();
    assert_eq!(members, known, "a new crate needs its place in these rules");
}

#[test]
fn a_broken_rule_names_the_path() {
    let metadata = serde_json::json!({
        "packages": [{"id": "a#1", "name": "a"}, {"id": "b#1", "name": "b"}, {"id": "c#1", "name": "c"},
                     {"id": "d#1", "name": "d"}],
        "workspace_members": ["a#1"],
        "resolve": {"nodes": [
            {"id": "a#1", "deps": [{"pkg": "b#1", "dep_kinds": [{"kind": null}]},
                                   {"pkg": "d#1", "dep_kinds": [{"kind": "dev"}]}]},
            {"id": "b#1", "deps": [{"pkg": "c#1", "dep_kinds": [{"kind": null}]}]},
            {"id": "c#1", "deps": []}, {"id": "d#1", "deps": []}]}});
    let graph = Graph::of(&metadata);
    assert_eq!(graph.path("a", |n| n == "c").unwrap(), ["a", "b", "c"]);
    assert!(graph.path("a", |n| n == "d").is_none(), "development dependencies do not count");
}
