//! Pods per second of the genuine kube-scheduler at 5000 nodes: alone, with burst's configuration for each policy, and
//! with the Go extender in burst's place.
//!
//! A variant is measured so: the pods are created while no scheduler runs (admission is not timed), the scheduler is
//! started, and the rate is taken between the first and the last binding. Rounds go through all variants in turn, and the
//! medians are compared, so that a slow minute of the machine hits all of them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use lab::{Lab, LabOptions, SchedulerChoice};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    large::{VIRTUAL, make_nodes},
    report::{Report, median},
    seen::{Seen, times},
};

const NODES: usize = 5000;
const PODS: usize = 1000;
const ROUNDS: usize = 5;
const CLIENTS: usize = 50;
const NAMESPACE: &str = "scheduling";
const LIMIT: Duration = Duration::from_secs(180);
const GO: &str = "127.0.0.1:10271";

/// How the scheduler is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    /// No extender, no burst.
    Stock,
    /// As `deploy/scheduler/kube-scheduler-config.yaml`.
    Burst,
    /// The same with the Go extender's address.
    Go,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
struct Variant {
    name: &'static str,
    setup: Setup,
    /// `percentageOfNodesToScore`; 2 samples 100 of 5000 nodes, none is the default (about 500).
    sample: Option<u32>,
    policy: Option<&'static str>,
    /// Compared with this variant, at least this ratio.
    against: Option<(&'static str, f64)>,
}

const fn variant(
    name: &'static str,
    setup: Setup,
    sample: Option<u32>,
    policy: Option<&'static str>,
    against: Option<(&'static str, f64)>,
) -> Variant {
    Variant { name, setup, sample, policy, against }
}

const VARIANTS: [Variant; 9] = [
    variant("stock", Setup::Stock, None, None, None),
    variant("stock_100", Setup::Stock, Some(2), None, None),
    variant("ordinary", Setup::Burst, None, None, Some(("stock", 0.95))),
    variant("off", Setup::Burst, None, Some("off"), Some(("stock", 0.95))),
    variant("enforce", Setup::Burst, None, Some("enforce"), Some(("stock", 0.95))),
    variant("local_prefer", Setup::Burst, None, Some("localPrefer"), Some(("stock", 0.95))),
    variant("auto", Setup::Burst, None, Some("auto"), Some(("stock", 0.75))),
    variant("auto_100", Setup::Burst, Some(2), Some("auto"), Some(("stock", 1.1))),
    variant("go_auto", Setup::Go, None, Some("auto"), None),
];

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let options = LabOptions { name: "bench-scheduling".to_owned(), api_only: true, ..LabOptions::default() };
    let lab = Lab::start(options).await?;
    println!("\nFilling the cluster with {NODES} nodes.");
    make_nodes(&lab, NODES).await?;
    lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
    lab.kubectl(&["create", "serviceaccount", "default", "-n", NAMESPACE]).await?;
    let _burst = lab::start_deciding_side(&lab).await?;
    let mut go = Command::new(lab.tools().go_extender());
    go.args(["--listen", GO, "--virtual-node", VIRTUAL]);
    let _go = lab.spawn("go-extender", go)?;
    let mut rates: HashMap<&str, Vec<f64>> = HashMap::new();
    for round in 1..=ROUNDS {
        for variant in VARIANTS {
            let rate = measure(&lab, variant).await.with_context(|| format!("variant {}", variant.name))?;
            println!("  round {round} of {ROUNDS}: {:<18} {rate:>5.0} pods/s", variant.name);
            rates.entry(variant.name).or_default().push(rate);
        }
    }
    let medians: HashMap<&str, f64> = rates.iter_mut().map(|(name, rates)| (*name, median(rates))).collect();
    show(report, &medians);
    Ok(())
}

fn show(report: &mut Report, medians: &HashMap<&str, f64>) {
    println!(
        "\nGenuine kube-scheduler at {NODES} nodes, {PODS} pods, medians of {ROUNDS} interleaved rounds:"
    );
    println!("{:<20}{:<8}{:<13}{:>8}  compared with", "variant", "sample", "policy", "pods/s");
    let of = |name: &str| medians.get(name).copied().unwrap_or(f64::NAN);
    let line = |v: &Variant, ratios: &[(&str, f64)]| {
        let sample = v.sample.map_or("default", |_| "100");
        let ratios: Vec<String> = ratios.iter().map(|(other, ratio)| format!("{other} {ratio:.2}")).collect();
        let (policy, rate) = (v.policy.unwrap_or("none"), of(v.name));
        println!("{:<20}{sample:<8}{policy:<13}{rate:>8.0}  {}", v.name, ratios.join(", "));
    };
    for variant in &VARIANTS {
        report.set(format!("scheduling_{}_pods_per_second", variant.name), of(variant.name));
        let mut others: Vec<&str> = variant.against.iter().map(|(name, _)| *name).collect();
        if variant.name == "auto_100" {
            others.push("stock_100");
        }
        let ratios: Vec<(&str, f64)> =
            others.into_iter().map(|other| (other, of(variant.name) / of(other))).collect();
        for (other, ratio) in &ratios {
            report.set(format!("scheduling_{}_ratio_to_{other}", variant.name), *ratio);
        }
        line(variant, &ratios);
    }
}

async fn measure(lab: &Lab, variant: Variant) -> Result<f64> {
    let pods: Api<Pod> = Api::namespaced(lab.client().await?, NAMESPACE);
    create(&pods, variant).await?;
    let config = configuration(lab, variant)?;
    let bound = tokio::spawn(times(pods.clone(), Seen::Bound, PODS, LIMIT));
    let mut scheduler = lab.spawn_scheduler("kube-scheduler", &SchedulerChoice::Configured(config))?;
    let bound = bound.await?;
    scheduler.check_running()?;
    let bound = bound.with_context(|| scheduler.log_tail(20))?;
    scheduler.kill().await?;
    expected_side(&pods, variant).await?;
    delete(&pods).await?;
    rate(bound.into_values())
}

/// Bindings per second between the first and the last.
fn rate(times: impl Iterator<Item = Instant>) -> Result<f64> {
    let mut times: Vec<Instant> = times.collect();
    times.sort();
    let (first, last) = times.first().zip(times.last()).context("no pod was bound")?;
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let between = (times.len() - 1) as f64;
    Ok(between / last.duration_since(*first).as_secs_f64())
}

/// A rate means nothing if the pods went elsewhere: enforce goes to the virtual node, what has room here stays here.
async fn expected_side(pods: &Api<Pod>, variant: Variant) -> Result<()> {
    let all = pods.list(&ListParams::default()).await?;
    let on_virtual = all
        .iter()
        .filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(VIRTUAL))
        .count();
    let wanted = if variant.policy == Some("enforce") { PODS } else { 0 };
    ensure!(on_virtual == wanted, "{on_virtual} of {PODS} pods are on {VIRTUAL}, not {wanted}");
    Ok(())
}

async fn create(pods: &Api<Pod>, variant: Variant) -> Result<()> {
    futures::stream::iter(0..PODS)
        .map(|index| async move {
            let pod = pod(index, variant);
            pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CLIENTS)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

fn pod(index: usize, variant: Variant) -> Value {
    let mut pod = json!({
        "metadata": {"name": format!("pod-{index}"), "namespace": NAMESPACE, "labels": {}},
        "spec": {
            "automountServiceAccountToken": false, "enableServiceLinks": false, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "busybox",
                "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}}}],
        },
    });
    if let Some(policy) = variant.policy {
        pod["metadata"]["labels"] = json!({"burst-to-cci": policy});
    }
    pod
}

async fn delete(pods: &Api<Pod>) -> Result<()> {
    let gone = tokio::spawn(times(pods.clone(), Seen::Gone, PODS, LIMIT));
    pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
    gone.await??;
    Ok(())
}

/// The documented configuration with what the variant changes, as a file.
fn configuration(lab: &Lab, variant: Variant) -> Result<PathBuf> {
    let documented = lab::repository_root()?.join("deploy/scheduler/kube-scheduler-config.yaml");
    let mut config = read(&documented)?;
    // One process after the other: waiting for the lease of the one before is not what is measured.
    config["leaderElection"] = json!({"leaderElect": false});
    let profile = config["profiles"].get_mut(0).context("no profile")?;
    match variant.sample {
        Some(percent) => profile["percentageOfNodesToScore"] = json!(percent),
        None => drop(profile.as_object_mut().and_then(|map| map.remove("percentageOfNodesToScore"))),
    }
    match variant.setup {
        Setup::Burst => {}
        Setup::Stock => {
            drop(profile.as_object_mut().and_then(|map| map.remove("plugins")));
            drop(config.as_object_mut().and_then(|map| map.remove("extenders")));
        }
        Setup::Go => {
            let extender = config["extenders"].get_mut(0).context("no extender")?;
            extender["urlPrefix"] = json!(format!("http://{GO}"));
            extender["enableHTTPS"] = json!(false);
            let extender = extender.as_object_mut().context("an extender that is no object")?;
            extender.remove("tlsConfig");
            extender.remove("preemptVerb");
        }
    }
    let path = lab.dir().join(format!("scheduler-{}.yaml", variant.name));
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(serde_saphyr::from_str(&text)?)
}
