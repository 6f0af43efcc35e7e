//! Pods per second that the genuine kube-scheduler binds: without burst, with it under every policy, by the toleration
//! driver, and with the Go extender in burst's place.
//!
//! A variant is measured so: the pods are created while no scheduler runs (admission is not timed), the scheduler is
//! started, and the rate is taken between the first and the last binding. Rounds go through all variants, each round in
//! another order, and the medians are compared, so that neither a slow minute of the machine nor what ran before hits only
//! some of them. Without burst means that burst-scheduler
//! does not run while pods are bound; else it does, with its watches, and shares the cores.
//!
//! The toleration driver writes pods instead of being called. Its pods are admitted by a burst-scheduler that grants
//! nothing, which ends; the leader starts together with kube-scheduler, so that both meet a thousand pods that wait, and
//! grants and bindings compete for the cores as they would for a burst of new pods. Beside the rate that is compared
//! stands the one from the first grant on, if that came before the first binding: nothing of the driver's work is outside.
//!
//! Real nodes are mostly free here, so auto pods cost no call (`spareCalls`). What a call costs is measured beside it: by
//! pods of a burst-scheduler that spares none, by the Go extender, and by a server that reads the request and answers
//! nothing at once, which is what kube-scheduler's own side of a call leaves to anybody.
//!
//! Between the creation of the pods and the start of the scheduler the cluster is left alone until it is quiet.
//!
//! kube-scheduler's own limit of 50 requests per second is lifted in every variant, for it would be all that is seen.

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
use lab::{Driver, Lab, LabOptions, Process, SchedulerChoice, StackOptions};
use policies::keys;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    large::{VIRTUAL, make_nodes},
    process::cpu_by_name,
    report::{Report, median},
    seen::{Seen, Times, times},
};

const CLIENTS: usize = 50;
const NAMESPACE: &str = "scheduling";
const LIMIT: Duration = Duration::from_secs(180);
const GO: &str = "127.0.0.1:10271";
/// Requests per second that kube-scheduler allows itself.
const UNLIMITED: u32 = 10_000;

/// Whose CPU time is shown.
const MEASURED: [&str; 3] = ["kube-scheduler", "kube-apiserver", "burst-scheduler"];

/// Whose work has to be over before anything is measured.
const BUSY: [&str; 3] = ["kube-apiserver", "etcd", "burst-scheduler"];

/// How much is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    pub(crate) rounds: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { nodes: 5000, pods: 1000, rounds: 5 }
    }
}

/// How the scheduler is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    /// No extender, no burst.
    Stock,
    /// As `deploy/scheduler/kube-scheduler-config.yaml`.
    Burst,
    /// The same, and every auto pod costs a call.
    Weighed,
    /// No extender; the leader of burst grants.
    Toleration,
    /// As `Burst`, with the Go extender's address.
    Go,
    /// As `Go`, with the path at which nothing is decided: what a call costs whoever answers it.
    Nothing,
}

impl Setup {
    const fn driver(self) -> Driver {
        match self {
            Self::Toleration => Driver::Toleration,
            Self::Stock | Self::Burst | Self::Weighed | Self::Go | Self::Nothing => Driver::Extender,
        }
    }

    const fn with_burst(self) -> bool {
        matches!(self, Self::Burst | Self::Weighed | Self::Toleration)
    }

    const fn with_extender(self) -> bool {
        matches!(self, Self::Burst | Self::Weighed | Self::Go | Self::Nothing)
    }

    const fn spares_calls(self) -> bool {
        !matches!(self, Self::Weighed | Self::Go | Self::Nothing)
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
struct Variant {
    name: &'static str,
    setup: Setup,
    /// `percentageOfNodesToScore`; 2 samples 100 of 5000 nodes, none is the default (about 500).
    sample: Option<u32>,
    policy: Option<&'static str>,
    against: &'static [&'static str],
}

const fn variant(
    name: &'static str,
    setup: Setup,
    sample: Option<u32>,
    policy: Option<&'static str>,
    against: &'static [&'static str],
) -> Variant {
    Variant { name, setup, sample, policy, against }
}

const VARIANTS: [Variant; 14] = [
    variant("stock", Setup::Stock, None, None, &[]),
    variant("ordinary", Setup::Burst, None, None, &["stock"]),
    variant("off", Setup::Burst, None, Some("off"), &["stock"]),
    variant("enforce", Setup::Burst, None, Some("enforce"), &["stock"]),
    variant("local_prefer", Setup::Burst, None, Some("localPrefer"), &["stock"]),
    variant("auto", Setup::Burst, None, Some("auto"), &["stock"]),
    variant("toleration", Setup::Toleration, None, Some("auto"), &["stock"]),
    variant("weighed", Setup::Weighed, None, Some("auto"), &["stock", "go", "nothing"]),
    variant("go", Setup::Go, None, Some("auto"), &["stock"]),
    variant("nothing", Setup::Nothing, None, Some("auto"), &["stock"]),
    variant("stock_100", Setup::Stock, Some(2), None, &["stock"]),
    variant("auto_100", Setup::Burst, Some(2), Some("auto"), &["stock", "stock_100"]),
    variant("weighed_100", Setup::Weighed, Some(2), Some("auto"), &["stock", "stock_100", "nothing_100"]),
    variant("nothing_100", Setup::Nothing, Some(2), Some("auto"), &["stock", "stock_100"]),
];

pub(crate) async fn run(report: &mut Report, size: Size, only: Option<&str>) -> Result<()> {
    let mut bench = Bench::start(size).await?;
    let chosen = |variant: &&Variant| {
        let named = |v: &Variant| only.is_none_or(|part| v.name.contains(part));
        named(variant) || VARIANTS.iter().any(|v| named(v) && v.against.contains(&variant.name))
    };
    let variants: Vec<&Variant> = VARIANTS.iter().filter(chosen).collect();
    let mut rates: HashMap<&str, Vec<Rate>> = HashMap::new();
    for round in 1..=size.rounds {
        for variant in order(&variants, round) {
            let rate = bench.measure(variant).await.with_context(|| format!("variant {}", variant.name))?;
            println!("  round {round} of {}: {:<14} {:>5.0} pods/s", size.rounds, variant.name, rate.bound);
            rates.entry(variant.name).or_default().push(rate);
        }
    }
    show(report, size, &rates);
    Ok(())
}

/// The turns of one round. Who comes after whom changes from round to round, for what ran before leaves the API server's
/// heap and caches as they are; what others are compared with comes twice.
fn order<'v>(variants: &[&'v Variant], round: usize) -> Vec<&'v Variant> {
    let yardsticks = variants.iter().filter(|variant| variant.against.is_empty());
    let turns: Vec<&Variant> = variants.iter().chain(yardsticks).copied().collect();
    let strides: Vec<usize> = (1..turns.len()).filter(|stride| coprime(*stride, turns.len())).collect();
    let stride = strides.get(round % strides.len().max(1)).copied().unwrap_or(1);
    (0..turns.len()).filter_map(|at| turns.get((round + at * stride) % turns.len())).copied().collect()
}

const fn coprime(mut a: usize, mut b: usize) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

fn show(report: &mut Report, size: Size, rates: &HashMap<&str, Vec<Rate>>) {
    let Size { nodes, pods, rounds } = size;
    println!(
        "\nGenuine kube-scheduler at {nodes} nodes, {pods} pods, medians of {rounds} interleaved rounds:"
    );
    println!(
        "{:<14}{:<9}{:<13}{:>8}{:>11}{:>11}{:>7}  compared with (us of CPU per pod by process)",
        "variant", "sample", "policy", "pods/s", "scheduler", "apiserver", "burst"
    );
    let of = |name: &str, field: fn(&Rate) -> f64| {
        median(&mut rates.get(name).into_iter().flatten().map(field).collect::<Vec<_>>())
    };
    for variant in VARIANTS.iter().filter(|variant| rates.contains_key(variant.name)) {
        let (name, rate) = (variant.name, of(variant.name, |rate| rate.bound));
        report.set(format!("scheduling_{name}_pods_per_second"), rate);
        let mut said = Vec::new();
        for other in variant.against.iter().filter(|other| rates.contains_key(**other)) {
            let ratio = rate / of(other, |rate| rate.bound);
            report.set(format!("scheduling_{name}_ratio_to_{other}"), ratio);
            said.push(format!("{other} {ratio:.2}"));
        }
        if variant.setup == Setup::Toleration {
            let ratio = of(name, |rate| rate.from_grant) / of("stock", |rate| rate.bound);
            report.set(format!("scheduling_{name}_ratio_to_stock_from_first_grant"), ratio);
            said.push(format!("{ratio:.2} from the first grant on"));
        }
        let cpu = [of(name, |r| r.cpu_us[0]), of(name, |r| r.cpu_us[1]), of(name, |r| r.cpu_us[2])];
        for (process, us) in MEASURED.iter().zip(cpu) {
            report.set(format!("scheduling_{name}_{}_cpu_us_per_pod", process.replace('-', "_")), us);
        }
        let (sample, policy) =
            (variant.sample.map_or("default", |_| "100"), variant.policy.unwrap_or("none"));
        let [scheduler, server, burst] = cpu;
        println!(
            "{name:<14}{sample:<9}{policy:<13}{rate:>8.0}{scheduler:>11.0}{server:>11.0}{burst:>7.0}  {}",
            said.join(", ")
        );
    }
}

/// Pods per second of one round.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// From the first binding to the last.
    bound: f64,
    /// The same from the first grant on, if that came before.
    from_grant: f64,
    /// What each of [`MEASURED`] used of the cores meanwhile, its start included, in microseconds per pod.
    cpu_us: [f64; MEASURED.len()],
}

impl Rate {
    fn of(seen: &Times, cpu_seconds: [f64; MEASURED.len()]) -> Result<Self> {
        let (first, last) = seen.at.values().min().zip(seen.at.values().max()).context("no pod was bound")?;
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let pods = (seen.at.len() - 1) as f64;
        let since = |begin: &Instant| pods / last.duration_since(*begin).as_secs_f64();
        let granted = seen.first_grant.as_ref().map_or(first, |grant| grant.min(first));
        let cpu_us = cpu_seconds.map(|seconds| seconds * 1e6 / pods);
        Ok(Self { bound: since(first), from_grant: since(granted), cpu_us })
    }
}

/// How burst-scheduler is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct How {
    driver: Driver,
    leader: bool,
    spare_calls: bool,
}

/// Waits until what was done before a measurement is over: pods that were deleted and made are still being told to
/// watchers, written to disk and collected as garbage for seconds, on the cores that are to be measured. A cluster that is
/// never quiet is measured as it is.
async fn settled() -> Result<()> {
    const LOOK: Duration = Duration::from_millis(500);
    let end = Instant::now() + Duration::from_secs(20);
    let used = || Ok::<f64, anyhow::Error>(cpu_by_name(BUSY)?.iter().sum());
    let mut before = used()?;
    while Instant::now() < end {
        tokio::time::sleep(LOOK).await;
        let now = used()?;
        if now - before < LOOK.as_secs_f64() / 10.0 {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// The cluster, and what runs beside it.
struct Bench {
    lab: Lab,
    size: Size,
    pods: Api<Pod>,
    /// burst-scheduler, and how it was started.
    burst: Option<(How, Process)>,
    _go: Process,
}

impl Bench {
    async fn start(size: Size) -> Result<Self> {
        let options =
            LabOptions { name: "bench-scheduling".to_owned(), api_only: true, ..LabOptions::default() };
        let lab = Lab::start(options).await?;
        println!("\nFilling the cluster with {} nodes.", size.nodes);
        make_nodes(&lab, size.nodes).await?;
        lab::prepare_deciding_side(&lab).await?;
        // Marked from the start, as every namespace with burst workloads soon is: else the first pods differ.
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {keys::NAMESPACE_ACTIVE: "true"}}});
        lab.apply(&namespace.to_string()).await?;
        lab.kubectl(&["create", "serviceaccount", "default", "-n", NAMESPACE]).await?;
        let mut go = Command::new(lab.tools().go_extender());
        go.args(["--listen", GO, "--virtual-node", VIRTUAL]);
        let go = lab.spawn("go-extender", go)?;
        let pods = Api::namespaced(lab.client().await?, NAMESPACE);
        Ok(Self { lab, size, pods, burst: None, _go: go })
    }

    async fn measure(&mut self, variant: &Variant) -> Result<Rate> {
        // The toleration driver's pods are admitted by a burst-scheduler that does not grant.
        let setup = variant.setup;
        let how = How {
            driver: setup.driver(),
            leader: setup != Setup::Toleration,
            spare_calls: setup.spares_calls(),
        };
        self.run_burst(how).await?;
        self.create(variant).await?;
        if !variant.setup.with_burst() || variant.setup == Setup::Toleration {
            self.stop_burst().await?;
        }
        let config = self.configuration(variant)?;
        settled().await?;
        let bound = tokio::spawn(times(self.pods.clone(), Seen::Bound, self.size.pods, LIMIT));
        let mut scheduler =
            self.lab.spawn_scheduler("kube-scheduler", &SchedulerChoice::Configured(config))?;
        if variant.setup == Setup::Toleration {
            self.run_burst(How { leader: true, ..how }).await?;
        }
        let before = cpu_by_name(MEASURED)?;
        let bound = bound.await?;
        let after = cpu_by_name(MEASURED)?;
        scheduler.check_running()?;
        let bound = bound.with_context(|| scheduler.log_tail(20))?;
        scheduler.kill().await?;
        self.expected_side(variant).await?;
        self.delete().await?;
        Rate::of(&bound, std::array::from_fn(|i| after[i] - before[i]))
    }

    /// Sees to it that burst-scheduler runs so.
    async fn run_burst(&mut self, how: How) -> Result<()> {
        if self.burst.as_ref().is_some_and(|(running, _)| *running == how) {
            return Ok(());
        }
        self.stop_burst().await?;
        let How { driver, leader, spare_calls } = how;
        let options = StackOptions { driver, leader, spare_calls, ..StackOptions::default() };
        let process = lab::start_deciding_side(&self.lab, &options).await?;
        self.burst = Some((how, process));
        Ok(())
    }

    async fn stop_burst(&mut self) -> Result<()> {
        if let Some((_, mut process)) = self.burst.take() {
            process.check_running()?;
            process.kill().await?;
            // The next one leads at once.
            let lease = ["delete", "lease", "burst-leader", "-n", "burst-system", "--ignore-not-found"];
            self.lab.kubectl(&lease).await?;
        }
        Ok(())
    }

    /// A rate means nothing if the pods went elsewhere: enforce goes to the virtual node, what has room here stays here.
    /// Pods that tolerate the virtual node are the scheduler's to place where nobody says anything of it.
    async fn expected_side(&self, variant: &Variant) -> Result<()> {
        let all = self.pods.list(&ListParams::default()).await?;
        let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let on_virtual = all.iter().filter(|pod| node(pod).as_deref() == Some(VIRTUAL)).count();
        let expected = match (variant.setup, variant.policy) {
            (Setup::Toleration | Setup::Nothing, _) => return Ok(()),
            (_, Some("enforce")) => self.size.pods,
            _ => 0,
        };
        ensure!(
            on_virtual == expected,
            "{on_virtual} of {} pods are on {VIRTUAL}, not {expected}",
            all.items.len()
        );
        Ok(())
    }

    async fn create(&self, variant: &Variant) -> Result<()> {
        let create = |index: usize| async move {
            let pod: Pod = serde_json::from_value(pod(index, variant))?;
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            match self.pods.create(&PostParams::default(), &pod).await {
                // The server closes a connection after 90 s without a request, which may be this moment.
                Err(kube::Error::Service(_)) => match self.pods.get_opt(name).await? {
                    Some(created) => anyhow::Ok(created),
                    None => Ok(self.pods.create(&PostParams::default(), &pod).await?),
                },
                created => Ok(created?),
            }
        };
        let created = futures::stream::iter(0..self.size.pods).map(create).buffer_unordered(CLIENTS);
        let created: Vec<Pod> = created.try_collect().await?;
        for pod in &created {
            as_meant(&serde_json::to_value(pod)?, variant)?;
        }
        Ok(())
    }

    async fn delete(&self) -> Result<()> {
        let gone = tokio::spawn(times(self.pods.clone(), Seen::Gone, self.size.pods, LIMIT));
        self.pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
        gone.await??;
        Ok(())
    }

    /// The documented configuration with what the variant changes, as a file.
    fn configuration(&self, variant: &Variant) -> Result<PathBuf> {
        let documented = lab::repository_root()?.join("deploy/scheduler/kube-scheduler-config.yaml");
        let mut config = read(&documented)?;
        // One process after the other: waiting for the lease of the one before is not what is measured.
        config["leaderElection"] = json!({"leaderElect": false});
        config["clientConnection"]["qps"] = json!(UNLIMITED);
        config["clientConnection"]["burst"] = json!(UNLIMITED);
        let profile = config["profiles"].get_mut(0).context("no profile")?;
        let profile = profile.as_object_mut().context("a profile that is no object")?;
        match variant.sample {
            Some(percent) => drop(profile.insert("percentageOfNodesToScore".to_owned(), json!(percent))),
            None => drop(profile.remove("percentageOfNodesToScore")),
        }
        if !variant.setup.with_extender() {
            profile.remove("plugins");
            drop(config.as_object_mut().and_then(|map| map.remove("extenders")));
        }
        let elsewhere = match variant.setup {
            Setup::Go => Some(format!("http://{GO}")),
            Setup::Nothing => Some(format!("http://{GO}/nothing")),
            Setup::Stock | Setup::Burst | Setup::Weighed | Setup::Toleration => None,
        };
        if let Some(elsewhere) = elsewhere {
            let extender = config["extenders"].get_mut(0).context("no extender")?;
            extender["urlPrefix"] = json!(elsewhere);
            extender["enableHTTPS"] = json!(false);
            let extender = extender.as_object_mut().context("an extender that is no object")?;
            extender.remove("tlsConfig");
            extender.remove("preemptVerb");
        }
        let path = self.lab.dir().join(format!("scheduler-{}.yaml", variant.name));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }
}

/// Admission wrote what the variant is about: the marker on pods that the extender is asked about, the label on those that
/// wait for a grant.
fn as_meant(pod: &Value, variant: &Variant) -> Result<()> {
    let marked = !pod["spec"]["containers"][0]["resources"]["requests"][keys::MARKER_RESOURCE].is_null();
    let governed = !pod["metadata"]["labels"][keys::GOVERNED].is_null();
    let asked = !variant.setup.spares_calls() && variant.policy == Some("auto");
    ensure!(marked == asked, "marked: {marked}, and the extender is to be asked: {asked}");
    let waits = variant.setup == Setup::Toleration;
    ensure!(governed == waits, "governed: {governed}, and it is to wait for a grant: {waits}");
    Ok(())
}

fn pod(index: usize, variant: &Variant) -> Value {
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

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(serde_saphyr::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_all_variants_in_another_order() {
        let variants: Vec<&Variant> = VARIANTS.iter().collect();
        let names = |round| order(&variants, round).iter().map(|v| v.name).collect::<Vec<_>>();
        let mut before = std::collections::BTreeSet::new();
        for round in 1..=5 {
            let turns = names(round);
            for variant in VARIANTS {
                let times = turns.iter().filter(|name| **name == variant.name).count();
                assert_eq!(times, if variant.name == "stock" { 2 } else { 1 }, "{turns:?}");
            }
            let at = turns.iter().position(|name| *name == "ordinary").expect("a turn");
            before.insert(turns[(at + turns.len() - 1) % turns.len()]);
        }
        assert!(before.len() >= 4, "ordinary comes after {before:?}");
        assert_eq!(order(&variants[..1], 1).len(), 2, "one alone");
    }
}
