//! The proof of localPrefer against the genuine kube-scheduler: the weights that it really uses, the files that it
//! really refuses, and a workload made to tempt it into the cloud.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{Placement, World, names};
use lab::{AnotherScheduler, Process, eventually_within, scheduler_get};
use policies::scheduler_config::{Profile, SchedulerConfig, ScoreWeights};
use serde_json::{Value, json};

/// Where a scheduler of these cases serves; they run one after the other.
const PORT: u16 = 10270;

fn configuration(rest: Value) -> Value {
    let mut config =
        json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"});
    if let (Some(config), Value::Object(rest)) = (config.as_object_mut(), rest) {
        config.extend(rest);
    }
    config
}

fn read(config: &Value) -> Result<SchedulerConfig> {
    let config: SchedulerConfig = serde_json::from_value(config.clone())?;
    config.validate()?;
    Ok(config)
}

/// Profiles whose score plugins come about in every way that the format knows. One scheduler runs them all.
fn profiles() -> Value {
    let weighted = |name: &str, weight: i32| json!({"name": name, "weight": weight});
    let named = |name: &str| json!({"name": name});
    json!([
        {"schedulerName": "stock"},
        {"schedulerName": "at-score", "plugins": {"score": {"enabled": [weighted("TaintToleration", 20)]}}},
        {"schedulerName": "at-multi-point", "plugins": {"multiPoint": {"enabled": [weighted("TaintToleration", 20), named("ImageLocality")]}}},
        {"schedulerName": "both", "plugins": {
            "multiPoint": {"enabled": [weighted("TaintToleration", 20), weighted("NodeAffinity", 9)], "disabled": [named("VolumeBinding")]},
            "score": {"enabled": [weighted("ImageLocality", 6), weighted("TaintToleration", 5)], "disabled": [named("InterPodAffinity")]}}},
        {"schedulerName": "off-and-on", "plugins": {
            "multiPoint": {"disabled": [named("NodeResourcesFit")]},
            "score": {"enabled": [weighted("NodeResourcesFit", 4), named("InterPodAffinity")], "disabled": [named("InterPodAffinity")]}}},
        {"schedulerName": "nothing-but", "plugins": {"score": {"disabled": [named("*")], "enabled": [weighted("TaintToleration", 7), named("NodeAffinity")]}}},
        {"schedulerName": "no-score", "plugins": {"score": {"disabled": [named("*")]}}},
        {"schedulerName": "few", "plugins": {"multiPoint": {"disabled": [named("*")],
            "enabled": [named("PrioritySort"), named("DefaultBinder"), weighted("TaintToleration", 2), named("NodeResourcesFit"), named("NodePorts")]}}},
        {"schedulerName": "negative", "plugins": {"score": {"enabled": [weighted("NodeAffinity", 9), weighted("ImageLocality", -5), weighted("TaintToleration", 0)]}}},
    ])
}

/// Our expansion of nine profiles is the genuine scheduler's: what `/configz` serves as the merged set, and what it
/// logs as the plugins that it runs, with weights and in order.
pub(crate) async fn weights_are_those_of_the_genuine_scheduler(world: Arc<World>) -> Result<()> {
    let another = AnotherScheduler::new("weights", configuration(json!({"profiles": profiles()})));
    let config = read(&another.config)?;
    let mut process = another.start(&world.lab, PORT).await?;
    let served = scheduler_get(&world.lab, PORT, "/configz").await;
    process.kill().await?;
    let served: Value = serde_json::from_str(&served?)?;
    let log = std::fs::read_to_string(process.log())?;
    let running = running_plugins(&log)?;
    ensure!(running.len() == config.profiles.len(), "{} profiles in the log", running.len());
    for (at, profile) in config.profiles.iter().enumerate() {
        let name = profile.name();
        let theirs = &served["componentconfig"]["profiles"][at];
        ensure!(theirs["schedulerName"] == name, "/configz: {served}");
        same_merged_set(profile, &theirs["plugins"]["multiPoint"]["enabled"])?;
        let running = running.get(at).context("a profile of the log")?;
        let ours: Vec<(String, i64)> =
            ScoreWeights::of(profile).iter().map(|(n, w)| (n.to_owned(), w)).collect();
        ensure!(&ours == running, "profile {name}: ours {ours:?}, the scheduler's {running:?}");
    }
    Ok(())
}

/// Names in order; a weight that is not given reads as none on their side and as 0 on ours.
fn same_merged_set(profile: &Profile, theirs: &Value) -> Result<()> {
    let theirs: Vec<(String, i64)> = theirs
        .as_array()
        .context("multiPoint of /configz")?
        .iter()
        .map(|p| (p["name"].as_str().unwrap_or_default().to_owned(), p["weight"].as_i64().unwrap_or(0)))
        .collect();
    let ours: Vec<(String, i64)> = profile
        .plugins
        .merged_multi_point()
        .into_iter()
        .map(|p| (p.name, p.weight.map_or(0, i64::from)))
        .collect();
    ensure!(ours == theirs, "profile {}: ours {ours:?}, /configz {theirs:?}", profile.name());
    Ok(())
}

/// The score plugins of every profile, out of the line that the framework logs when it is built.
fn running_plugins(log: &str) -> Result<Vec<Vec<(String, i64)>>> {
    let lines = log.lines().filter(|l| l.contains("the scheduler starts to work with those plugins"));
    lines
        .map(|line| {
            let (_, json) = line.split_once("Plugins=").with_context(|| line.to_owned())?;
            let plugins: Value = serde_json::from_str(json).with_context(|| line.to_owned())?;
            let enabled = plugins["Score"]["Enabled"].as_array().cloned().unwrap_or_default();
            let each = enabled.iter().map(|p| {
                (p["Name"].as_str().unwrap_or_default().to_owned(), p["Weight"].as_i64().unwrap_or(0))
            });
            Ok(each.collect())
        })
        .collect()
}

/// What `validate` calls unusable does not start, and what it lets pass does.
pub(crate) async fn refused_files_are_those_that_do_not_start(world: Arc<World>) -> Result<()> {
    let plugins = |plugins: Value| json!({"profiles": [{"schedulerName": "a", "plugins": plugins}]});
    let extender = |more: Value| {
        let mut extender = json!({"urlPrefix": "http://127.0.0.1:1"});
        if let (Some(extender), Some(more)) = (extender.as_object_mut(), more.as_object()) {
            extender.extend(more.clone());
        }
        extender
    };
    let cases = [
        (
            "negative",
            plugins(
                json!({"score": {"enabled": [{"name": "ImageLocality", "weight": -5}, {"name": "NodeAffinity"}]}}),
            ),
        ),
        ("no-queue-sort", plugins(json!({"multiPoint": {"disabled": [{"name": "*"}]}}))),
        ("no-score", plugins(json!({"score": {"enabled": [{"name": "NodePorts"}]}}))),
        (
            "twice",
            plugins(json!({"score": {"enabled": [{"name": "ImageLocality"}, {"name": "ImageLocality"}]}})),
        ),
        ("removed", plugins(json!({"filter": {"enabled": [{"name": "EBSLimits"}]}}))),
        ("unbound", plugins(json!({"bind": {"disabled": [{"name": "DefaultBinder"}]}}))),
        ("unknown-field", json!({"profilez": []})),
        ("unnamed", json!({"profiles": [{"schedulerName": "a"}, {}]})),
        ("percentage", json!({"percentageOfNodesToScore": 101})),
        ("weightless", json!({"extenders": [extender(json!({"prioritizeVerb": "p"}))]})),
        ("native", json!({"extenders": [extender(json!({"managedResources": [{"name": "cpu"}]}))]})),
        ("duration", json!({"extenders": [extender(json!({"httpTimeout": "5"}))]})),
    ];
    for (name, rest) in cases {
        let another = AnotherScheduler::new(&format!("refused-{name}"), configuration(rest));
        let ours = read(&another.config).err().with_context(|| format!("{name}: we do not refuse it"))?;
        let mut process = another.spawn(&world.lab, PORT)?;
        let ended = eventually_within(Duration::from_secs(30), "it refuses the file", || {
            let running = process.check_running().is_ok();
            async move {
                ensure!(!running, "it runs");
                Ok(())
            }
        })
        .await;
        ended.with_context(|| format!("{name}: we say {ours}; {}", process.log_tail(5)))?;
    }
    Ok(())
}

const ADVERSE: &str = "adverse";
const REPLICAS: usize = 90;

/// Six real nodes of 16 cores and one virtual node in a zone of its own; every preference of the pods points to it.
async fn prepare(world: &World) -> Result<()> {
    let size = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
    let nodes: Vec<Value> = (0..6)
        .map(|i| {
            let name = format!("{ADVERSE}-{i}");
            json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": {
                    "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                    "topology.kubernetes.io/zone": format!("zone-{}", i % 3), ADVERSE: "yes"}},
                "status": {"allocatable": size, "capacity": size}})
        })
        .collect();
    world.lab.apply(&json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string()).await?;
    let label = format!("{ADVERSE}=yes");
    world.lab.kubectl(&["label", "node", "burst-cci-1", &label, "topology.kubernetes.io/zone=cloud"]).await?;
    eventually_within(Duration::from_secs(60), "seven nodes are Ready", || async {
        let text = world.lab.kubectl(&["get", "nodes", "-l", &label, "--no-headers"]).await?;
        let ready = text.lines().filter(|line| line.contains(" Ready ")).count();
        ensure!(ready == 7, "{text}");
        Ok(())
    })
    .await
}

async fn undo(world: &World) -> Result<()> {
    let gone = format!("{ADVERSE}-");
    world.lab.kubectl(&["label", "node", "burst-cci-1", &gone, "topology.kubernetes.io/zone-"]).await?;
    world.lab.kubectl(&["delete", "nodes", "-l", &format!("{ADVERSE}=yes")]).await.map(drop)
}

/// Ninety one-core pods that fit the 96 real cores, and would rather each be alone on a host and evenly over the zones.
fn workload(ns: &str, scheduler: &str) -> String {
    let labels = json!({"app": "crowd"});
    let selector = json!({"matchLabels": labels});
    let mut spec = lab::Workload::pod_spec("1", "1Gi");
    spec["schedulerName"] = json!(scheduler);
    spec["affinity"] = json!({
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": ADVERSE, "operator": "Exists"}]}]}},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 100, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}}]}});
    spec["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector}]);
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": ns, "name": "crowd"},
        "spec": {"replicas": REPLICAS, "selector": selector, "template": {
            "metadata": {"labels": {"app": "crowd", "burst-to-cci": "localPrefer"}}, "spec": spec}}})
    .to_string()
}

/// Lets a scheduler place the crowd, and counts.
async fn placed(world: &World, ns: &str, scheduler: &str) -> Result<Placement> {
    world.namespace(ns).await?;
    world.lab.apply(&workload(ns, scheduler)).await?;
    let outcome =
        eventually_within(Duration::from_secs(300), "every pod of the crowd has a node", || async {
            let pods = world.pods(ns).await?;
            let placed = Placement::of(&pods);
            ensure!(
                placed.local + placed.burst == REPLICAS,
                "{placed:?} of {}: {}",
                pods.len(),
                names(&pods)
            );
            Ok(placed)
        })
        .await;
    world.clean(ns).await?;
    outcome
}

/// A scheduler with the proved weights, in front of `address` instead of the extender. Every pod is sent to it: with the
/// marker of the shipped file these pods would cost no call, and nothing could go wrong.
async fn proved_with_extender_at(world: &World, name: &str, address: &str) -> Result<Process> {
    let mut another = AnotherScheduler::second(&world.lab, name).await?;
    another.config["profiles"][0]["schedulerName"] = json!(name);
    another.config["leaderElection"] = json!({"leaderElect": false});
    another.config["extenders"][0]["urlPrefix"] = json!(format!("https://{address}/v1"));
    another.start(&world.lab, PORT).await
}

/// 90 of 90 stay local with the proved weights, whether the extender answers, answers after its time, or is gone; with
/// the stock weights some go to the cloud, so the workload really tempts.
pub(crate) async fn adversarial_pods_stay_local(world: Arc<World>) -> Result<()> {
    prepare(&world).await?;
    let outcome = adversarial(&world).await;
    undo(&world).await?;
    outcome
}

async fn adversarial(world: &World) -> Result<()> {
    let none = Placement { local: REPLICAS, burst: 0 };
    let stock = AnotherScheduler::new(
        "adverse-stock",
        configuration(json!({"profiles": [{"schedulerName": "adverse-stock"}]})),
    );
    let tempted = with(world, stock.start(&world.lab, PORT).await?, "adverse-stock").await?;
    say(&format!("stock weights: {} of {REPLICAS} in the cloud", tempted.burst));
    ensure!(tempted.burst > 0, "the workload does not tempt the stock scheduler: {tempted:?}");
    let shipped = placed(world, "adverse-shipped", "default-scheduler").await?;
    ensure!(shipped == none, "shipped configuration, extender up: {shipped:?}");
    let slow = slow_proxy("127.0.0.1:10260").await?;
    for (name, address) in
        [("adverse-up", "127.0.0.1:10260"), ("adverse-slow", slow.as_str()), ("adverse-dead", "127.0.0.1:9")]
    {
        let process = proved_with_extender_at(world, name, address).await?;
        let placement = with(world, process, name).await?;
        say(&format!("{name}: {} of {REPLICAS} in the cloud", placement.burst));
        ensure!(placement == none, "{name}: {placement:?}");
    }
    Ok(())
}

/// The crowd under a scheduler of that name, which is ended after it.
async fn with(world: &World, mut process: Process, name: &str) -> Result<Placement> {
    let placement = placed(world, name, name).await;
    process.kill().await?;
    placement
}

/// Everything that the extender says arrives 500 ms late: after its 300 ms.
async fn slow_proxy(upstream: &'static str) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(upstream).await?;
                let (mut from_client, mut to_client) = client.split();
                let (mut from_server, mut to_server) = server.split();
                let asking = tokio::io::copy(&mut from_client, &mut to_server);
                let answering = async {
                    let mut buffer = vec![0; 65_536];
                    loop {
                        let count = from_server.read(&mut buffer).await?;
                        if count == 0 {
                            return Ok::<_, std::io::Error>(());
                        }
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        to_client.write_all(buffer.get(..count).unwrap_or_default()).await?;
                    }
                };
                tokio::select! { _ = asking => Ok(()), done = answering => done }
            });
        }
    });
    Ok(address)
}

#[expect(clippy::print_stderr, reason = "the number is what the case is about")]
fn say(text: &str) {
    eprintln!("  {text}");
}
