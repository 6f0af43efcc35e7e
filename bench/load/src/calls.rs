//! How often burst-bridge calls each cloud, and how long it takes to make the call that creates an instance.
//!
//! The real program, one per provider, against the API server in memory ([`served`](crate::served)) and the simulated
//! cloud; for `kubernetes` the cloud is a second API server in memory, whose kubelet is played. Three numbers each:
//!
//! - *life*: requests for pods that are created all at once, run and are deleted, per pod. The simulated ECI refuses what
//!   exceeds the vendor's published numbers, and so counts what the bridge got wrong.
//! - *create*: from the moment at which a bound pod is in the API server to the moment at which the cloud has taken the
//!   create request, for pods that come at 100 per second. Their delivery by the watch and the cloud's check of the
//!   signature are in it. ECI's published 1000 creates per minute are 17 per second: for this and the next number its
//!   limits are raised on both sides, in the configuration as an operator would whose vendor agreed.
//! - *steady*: requests while that many pods run and nothing happens, counted at all clouds in one window of real time:
//!   it holds two renewals of a watch (300 s each), ten complete lists of ECI's and two hundred looks at Cube.

mod bridge;
mod cloud;
mod cluster_cloud;
mod home;
mod limits;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::{Process, repository_root};

use crate::report::{Report, quantile};

use bridge::Bridge;
use cloud::{Cloud, Counts};
use home::Home;
use limits::published;

/// Pods per second on the way up.
const PACE: u32 = 100;
/// For every wait.
const LIMIT: Duration = Duration::from_secs(900);
/// Time for the last look after everything runs.
const SETTLE: Duration = Duration::from_secs(20);

/// Whose API is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    Cci,
    /// CCI 2.0.
    Cci2,
    Kubernetes,
    Eci,
    Cube,
}

/// The busiest while steady comes last, so that it disturbs nobody's creates.
const PROVIDERS: [Provider; 5] =
    [Provider::Cci, Provider::Cci2, Provider::Kubernetes, Provider::Eci, Provider::Cube];

impl Provider {
    /// As the bridge's configuration has it.
    const fn registered(self) -> &'static str {
        if let Self::Cci2 = self { "cci" } else { self.word() }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Cci => "cci",
            Self::Cci2 => "cci2",
            Self::Kubernetes => "kubernetes",
            Self::Eci => "eci",
            Self::Cube => "cube",
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Pods of the life.
    pub(crate) life: usize,
    /// Pods that then run.
    pub(crate) steady: usize,
    /// How long they are watched.
    pub(crate) window: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Self { life: 1000, steady: 5000, window: Duration::from_secs(620) }
    }
}

/// One provider's bridge, both sides of it, all running.
struct Stage {
    provider: Provider,
    home: Home,
    cloud: Cloud,
    _bridge: Process,
}

pub(crate) async fn run(report: &mut Report, size: Size, only: Option<&str>) -> Result<()> {
    let dir = repository_root()?.join("target/bench/calls");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    println!(
        "\nCalls to the clouds: {} pods' life, then {} pods at {PACE} per second:",
        size.life, size.steady
    );
    let mut stages = Vec::new();
    for provider in PROVIDERS {
        if only.is_none_or(|only| provider.word().contains(only)) {
            stages.push(one(report, provider, size, &dir.join(provider.word())).await?);
        }
    }
    ensure!(!stages.is_empty(), "no provider is called so");
    tokio::time::sleep(SETTLE).await;
    steady(report, &stages, size).await
}

/// Life and creates of one provider; leaves its pods running.
async fn one(report: &mut Report, provider: Provider, size: Size, dir: &std::path::Path) -> Result<Stage> {
    std::fs::create_dir_all(dir)?;
    let home = Home::start().await?;
    let cloud = Cloud::start(provider, dir).await?;
    let bridge = Bridge { provider, dir, home: home.address, cloud: &cloud };
    let mut process = bridge.start(false)?;
    home.ready(&mut process, bridge::NODE).await?;
    life(report, provider, &home, &cloud, size.life).await?;
    if cloud.raise().await? {
        process.stop(Duration::from_secs(30)).await?;
        process = bridge.start(true)?;
        home.ready(&mut process, bridge::NODE).await?;
        // The node has been Ready all the time. Pods that a bridge finds when it starts are held until a second list shows
        // that they have no instance, which is not what is measured here.
        one_pod(&home, &cloud).await?;
    }
    creates(report, provider, &home, &cloud, size.steady).await?;
    process.check_running()?;
    Ok(Stage { provider, home, cloud, _bridge: process })
}

/// A whole life: after it the bridge is known to work.
async fn one_pod(home: &Home, cloud: &Cloud) -> Result<()> {
    drop(home.create("first", 0));
    home.running(1).await?;
    home.delete_all().await?;
    home.running(0).await?;
    cloud.empty().await
}

async fn life(
    report: &mut Report,
    provider: Provider,
    home: &Home,
    cloud: &Cloud,
    pods: usize,
) -> Result<()> {
    // What is made once for all pods comes before.
    one_pod(home, cloud).await?;
    cloud.reset().await?;
    let begin = Instant::now();
    (0..pods).for_each(|index| drop(home.create("life", index)));
    home.running(pods).await?;
    let up = begin.elapsed();
    home.delete_all().await?;
    home.running(0).await?;
    cloud.empty().await?;
    let (counts, took) = (cloud.counts().await?, begin.elapsed());
    let refused: u64 = counts.values().map(|count| count.refused).sum();
    let per_pod = share(&counts, ratio(pods));
    println!(
        "  {:<10} life: {:.2} requests per pod in {:.0} s ({:.0} s until all ran), {refused} refused: {}",
        provider.word(),
        per_pod.values().sum::<f64>(),
        took.as_secs_f64(),
        up.as_secs_f64(),
        words(&per_pod),
    );
    record(report, provider, "life", "per_pod", &per_pod);
    report.set(format!("calls_{}_life_refused", provider.word()), ratio(refused));
    Ok(())
}

async fn creates(
    report: &mut Report,
    provider: Provider,
    home: &Home,
    cloud: &Cloud,
    pods: usize,
) -> Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PACE);
    let mut bound = Vec::new();
    for index in 0..pods {
        ticks.tick().await;
        bound.push(home.create("steady", index));
    }
    home.running(pods).await?;
    let accepted = cloud.accepted().await?;
    let mut times: Vec<f64> = bound
        .iter()
        .filter_map(|(uid, at)| accepted.get(uid).map(|accepted| (accepted - at) / 1000.0))
        .collect();
    ensure!(times.len() == pods, "{} of {pods} creates were seen", times.len());
    // The first thousand is the bar's; how it goes on with the number of pods is said beside.
    let mut first: Vec<f64> = times.iter().take(1000).copied().collect();
    let (p50, p99) = (quantile(&mut first, 0.5), quantile(&mut first, 0.99));
    let (all, most) = (quantile(&mut times, 0.99), quantile(&mut times, 1.0));
    println!(
        "  {:<10} create: p50 {p50:.1} ms, p99 {p99:.1} ms of the first {}; p99 {all:.1} ms, at most {most:.0} ms of all",
        provider.word(),
        first.len(),
    );
    let word = provider.word();
    report.set(format!("calls_{word}_create_p50_ms"), p50);
    report.set(format!("calls_{word}_create_p99_ms"), p99);
    report.set(format!("calls_{word}_create_all_p99_ms"), all);
    Ok(())
}

async fn steady(report: &mut Report, stages: &[Stage], size: Size) -> Result<()> {
    for stage in stages {
        stage.cloud.reset().await?;
    }
    let begin = Instant::now();
    tokio::time::sleep(size.window).await;
    println!("\nCalls while {} pods run, counted for {:.0} s:", size.steady, size.window.as_secs_f64());
    for stage in stages {
        let mut counts = stage.cloud.counts().await?;
        // What was not called at all is worth a row.
        limits::named(stage.provider).for_each(|operation| {
            counts.entry(operation.to_owned()).or_default();
        });
        let per_minute = share(&counts, begin.elapsed().as_secs_f64() / 60.0);
        let total = per_minute.values().sum::<f64>() + 0.0;
        println!("  {:<10} {:.0} an hour, {total:.1} a minute", stage.provider.word(), total * 60.0);
        for (operation, figure) in &per_minute {
            let limit = published(stage.provider, operation)
                .map_or_else(|| "none published".to_owned(), |limit| format!("of {limit} published"));
            println!("             {figure:>8.1} a minute {operation} ({limit})");
        }
        record(report, stage.provider, "steady", "per_minute", &per_minute);
        report.set(format!("calls_{}_steady_per_hour", stage.provider.word()), total * 60.0);
        stage.home.running(size.steady).await?;
    }
    println!("  {}", limits::SOURCE);
    Ok(())
}

/// Calls of each kind by a number.
fn share(counts: &Counts, by: f64) -> BTreeMap<String, f64> {
    let all = |(operation, count): (&String, &cloud::Count)| {
        (operation.clone(), ratio(count.answered + count.refused) / by)
    };
    counts.iter().map(all).collect()
}

fn words(per_pod: &BTreeMap<String, f64>) -> String {
    per_pod.iter().map(|(name, figure)| format!("{name} {figure:.2}")).collect::<Vec<_>>().join(", ")
}

fn record(report: &mut Report, provider: Provider, part: &str, unit: &str, figures: &BTreeMap<String, f64>) {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    for (operation, figure) in figures {
        let operation: String = operation.chars().map(plain).collect();
        report.set(format!("calls_{}_{part}_{operation}_{unit}", provider.word()), *figure);
    }
    report.set(format!("calls_{}_{part}_{unit}", provider.word()), figures.values().sum());
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn ratio(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or_default() as f64
}
