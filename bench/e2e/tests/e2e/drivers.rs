//! One engine, three drivers: the same pod gets the same outcome, for the same reason, whether the cluster's own scheduler
//! carries the extender (driver a), or is the stock one that nobody may configure (driver b), or burst's profile runs as a
//! second kube-scheduler (driver c).

mod cases;
mod outcome;

use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::{CORES, REAL_NODES, World};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use lab::{AnotherScheduler, Process, SchedulerChoice, Workload, eventually, eventually_within};
use serde_json::{Value, json};

use cases::{CASES, Case};
use outcome::{Class, Outcome, newest, outcome};

/// Where the second scheduler serves.
const PORT: u16 = 10271;
/// Begins the name of every namespace of the case.
const PREFIX: &str = "driver-";
/// Marks the volumes of the case.
const FAMILY: &str = "drivers";
/// kubectl processes at a time.
const HANDS: usize = 4;

/// How a decision reaches the scheduler.
#[derive(Clone, Copy)]
struct Driver {
    name: &'static str,
    scheduler: &'static str,
}

const EXTENDER: Driver = Driver { name: "extender", scheduler: "default-scheduler" };
const TOLERATION: Driver = Driver { name: "toleration", scheduler: "default-scheduler" };
const SECOND: Driver = Driver { name: "second-scheduler", scheduler: "burst-scheduler" };
const DRIVERS: [Driver; 3] = [EXTENDER, TOLERATION, SECOND];

/// Outcomes by case and driver.
type Outcomes = BTreeMap<(&'static str, &'static str), Outcome>;

/// Every case through every driver, on one control plane: outcome and reason are equal, and what is wanted.
pub(crate) async fn same_outcome_from_every_driver(world: Arc<World>) -> Result<()> {
    let mut second =
        AnotherScheduler::second(&world.lab, "second-scheduler").await?.start(&world.lab, PORT).await?;
    let mut outcomes = through(&world, &[EXTENDER, SECOND], None).await?;
    second.kill().await?;
    outcomes.extend(through_a_stock_scheduler(&world).await?);
    let table = table(&outcomes);
    say(&table);
    let wrong: Vec<String> = CASES.iter().filter_map(|case| case.objection(&outcomes)).collect();
    ensure!(wrong.is_empty(), "{}\n{table}", wrong.join("\n"));
    Ok(())
}

/// The cases with a kube-scheduler that has neither configuration nor extender, and burst-scheduler set to that; whatever
/// comes of it, the lab is as before afterwards.
async fn through_a_stock_scheduler(world: &World) -> Result<Outcomes> {
    world.lab.end_scheduler().await?;
    let mut stock = world.lab.spawn_scheduler("stock-scheduler", &SchedulerChoice::Stock)?;
    let mut stack = world.stack.lock().await;
    let set = stack.set_driver(&world.lab, lab::Driver::Toleration).await;
    drop(stack);
    let outcomes = match set {
        Ok(()) => through(world, &[TOLERATION], Some(&stock)).await,
        Err(error) => Err(error),
    };
    let closed = nobody_opens_while_it_is_down(world).await;
    stock.kill().await?;
    world.lab.scheduler(&World::scheduler()?)?;
    world.stack.lock().await.set_driver(&world.lab, lab::Driver::Extender).await?;
    closed.and(outcomes)
}

/// Under driver b, without burst-scheduler, no pod that could stay at home gets into the cloud; enforce, which needs
/// nobody's leave, does.
async fn nobody_opens_while_it_is_down(world: &World) -> Result<()> {
    let ns = format!("{PREFIX}down");
    world.namespace(&ns).await?;
    world.stack.lock().await.scheduler.kill().await?;
    for (policy, opened) in [("auto", false), ("localPrefer", false), ("enforce", true)] {
        let name = policy.to_lowercase();
        world.lab.apply(&Workload::pod(&ns, &name).label("burst-to-cci", policy).text()).await?;
        let tolerations = world.pod(&ns, &name).await?["spec"]["tolerations"].to_string();
        ensure!(tolerations.contains("virtual-kubelet.io/provider") == opened, "{policy}: {tolerations}");
    }
    clear(world).await
}

/// The cases through some drivers: first those with room, then, with every core taken, the others. `slow` is a scheduler
/// that stands still while the first ones come: who opens the cloud before it has looked for room at home is found out.
async fn through(world: &World, drivers: &[Driver], slow: Option<&Process>) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    for full in [false, true] {
        let runs: Vec<Run> = CASES
            .iter()
            .filter(|case| case.full == full)
            .flat_map(|case| drivers.iter().map(|driver| Run::of(*case, *driver)))
            .collect();
        prepare(world, &runs).await?;
        if full {
            take_every_core(world, drivers).await?;
        }
        let ahead: Vec<Run> = runs.iter().filter(|run| run.case.ahead).map(Run::ahead).collect();
        for (run, (class, reason)) in ahead.iter().zip(all(world, &ahead, None).await?) {
            ensure!(class == Class::Cloud, "{}: {class:?} for {reason}", run.namespace);
        }
        let found = all(world, &runs, slow.filter(|_| !full)).await?;
        let keys = runs.iter().map(|run| (run.case.name, run.driver.name));
        outcomes.extend(keys.zip(found));
        clear(world).await?;
    }
    Ok(outcomes)
}

async fn take_every_core(world: &World, drivers: &[Driver]) -> Result<()> {
    // A namespace of its own for each time: the last one may not be gone yet.
    let names: String = drivers.iter().map(|driver| format!("-{}", driver.name)).collect();
    let filler = format!("{PREFIX}filler{names}");
    world.namespace(&filler).await?;
    let replicas = u32::try_from(REAL_NODES * CORES)?;
    world.lab.apply(&Workload::deployment(&filler, "filler", replicas).text()).await?;
    world.running(&filler, REAL_NODES * CORES).await.map(drop)
}

/// One pod of a case on its way through a driver.
struct Run {
    case: Case,
    driver: Driver,
    namespace: String,
    name: &'static str,
}

impl Run {
    fn of(case: Case, driver: Driver) -> Self {
        Self { case, driver, namespace: format!("{PREFIX}{}-{}", case.name, driver.name), name: "pod" }
    }

    /// The pod that goes before.
    fn ahead(&self) -> Self {
        Self { name: "ahead", ..Self::of(self.case, self.driver) }
    }

    fn pod(&self) -> Workload {
        let mut pod = Workload::pod(&self.namespace, self.name).spec(|spec| {
            spec["schedulerName"] = json!(self.driver.scheduler);
            if !self.case.full {
                // Room means room on every real node, whoever else comes.
                spec["containers"][0]["resources"]["requests"] = json!({"cpu": "250m", "memory": "512Mi"});
            }
            (self.case.change)(spec);
        });
        if let Some(policy) = self.case.policy {
            pod = pod.label("burst-to-cci", policy);
        }
        if self.case.volume.is_some() {
            pod = pod.spec(|spec| {
                spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
            });
        }
        pod
    }

    /// What its namespace needs, the namespace first.
    fn surroundings(&self) -> Vec<Value> {
        let name = &self.namespace;
        let mut all = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})];
        let limits = (self.case.limits)();
        if !limits.is_null() {
            all.push(json!({
                "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
                "metadata": {"namespace": name, "name": "limits"}, "spec": limits,
            }));
        }
        all.extend(self.case.volume.into_iter().flat_map(|label| volume(name, label)));
        all
    }

    /// Makes the pod. What admission says: a warning, or as the error why it refuses.
    async fn apply(&self, world: &World) -> Result<Result<String, String>> {
        let file = world.lab.dir().join(format!("{}-{}.json", self.namespace, self.name));
        std::fs::write(&file, self.pod().text())?;
        let file = file.to_str().context("path of the manifest")?;
        let output = world.lab.kubectl_output(&["apply", "-f", file]).await?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let title = format!("{}/{}", self.namespace, self.name);
        let said = said.replace(&title, "POD").replace(&format!("\"{}\"", self.name), "POD");
        let sentence = ["denied the request: ", "denied request: ", "Warning: "]
            .iter()
            .find_map(|before| said.split_once(before))
            .map_or(said.as_str(), |(_, sentence)| sentence)
            .to_owned();
        Ok(if output.status.success() { Ok(sentence) } else { Err(sentence) })
    }
}

/// Namespaces and policy objects, known to everybody who acts on them.
async fn prepare(world: &World, runs: &[Run]) -> Result<()> {
    let list: Vec<Value> = runs.iter().flat_map(Run::surroundings).collect();
    world.lab.apply(&json!({"apiVersion": "v1", "kind": "List", "items": list}).to_string()).await?;
    eventually("ServiceAccounts in every namespace", || async {
        let named = ["--field-selector", "metadata.name=default"];
        let accounts = [&["get", "serviceaccounts", "-A", "--no-headers"][..], &named].concat();
        let text = world.lab.kubectl(&accounts).await?;
        let is_ready = |run: &&Run| text.lines().any(|line| line.starts_with(&format!("{} ", run.namespace)));
        let ready = runs.iter().filter(is_ready).count();
        ensure!(ready == runs.len(), "{ready} of {}", runs.len());
        Ok(())
    })
    .await?;
    let limited = runs.iter().filter(|run| !(run.case.limits)().is_null());
    several(limited.map(|run| governed(world, run).boxed()).collect()).await?;
    let claiming: Vec<&Run> = runs.iter().filter(|run| run.case.volume.is_some()).collect();
    eventually("the claims are bound", || async {
        let text = world.lab.kubectl(&["get", "persistentvolumeclaims", "-A", "--no-headers"]).await?;
        let is_bound = |line: &str, run: &Run| line.starts_with(&run.namespace) && line.contains(" Bound ");
        let bound = |run: &&&Run| text.lines().any(|line| is_bound(line, run));
        let ready = claiming.iter().filter(bound).count();
        ensure!(ready == claiming.len(), "{ready} of {}: {text}", claiming.len());
        Ok(())
    })
    .await
}

/// A claim called `data` with its volume, which nodes with one value of a label can reach.
fn volume(ns: &str, (key, value): (&str, &str)) -> [Value; 2] {
    let size = json!({"storage": "1Gi"});
    let nodes = json!([{"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}]);
    let claim = json!({"namespace": ns, "name": "data"});
    [
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": ns, "labels": {"of": FAMILY}},
            "spec": {
                "capacity": size, "accessModes": ["ReadWriteOnce"], "claimRef": claim, "storageClassName": "",
                "csi": {"driver": "disk.example", "volumeHandle": ns},
                "nodeAffinity": {"required": {"nodeSelectorTerms": nodes}},
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": claim,
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": ns,
                "resources": {"requests": size},
            },
        }),
    ]
}

/// Waits until admission knows the policy object.
async fn governed(world: &World, run: &Run) -> Result<()> {
    let probe = run.pod().text();
    eventually("the object governs new pods", || async {
        let dry = ["apply", "--dry-run=server", "-o", "json", "-f", "-"];
        let pod: Value = serde_json::from_str(&world.lab.kubectl_stdin(&dry, &probe).await?)?;
        let object = pod["metadata"]["annotations"]["burst.io/burst-policy"].as_str();
        ensure!(object.is_some_and(|key| key.starts_with("BurstPolicy/")), "{pod}");
        Ok(())
    })
    .await
}

/// Makes the pods and sees what becomes of them, in the order of the runs.
async fn all(world: &World, runs: &[Run], slow: Option<&Process>) -> Result<Vec<Outcome>> {
    if let Some(scheduler) = slow {
        scheduler.suspend()?;
    }
    let applied = several(runs.iter().map(|run| run.apply(world).boxed()).collect()).await;
    if let Some(scheduler) = slow {
        let kept = kept_at_home(world, runs).await;
        scheduler.resume()?;
        kept?;
    }
    let outcomes = runs.iter().zip(applied?).map(|(run, said)| {
        async move {
            match said {
                Err(refusal) => Ok((Class::Reject, refusal)),
                Ok(told) => outcome(world, &run.namespace, run.name, &told).await,
            }
        }
        .boxed()
    });
    several(outcomes.collect()).await
}

/// A few at a time; the results are in order.
async fn several<T>(tasks: Vec<BoxFuture<'_, Result<T>>>) -> Result<Vec<T>> {
    stream::iter(tasks).buffered(HANDS).try_collect().await
}

/// The scheduler has not looked yet: whoever may run at home too is not let into the cloud.
async fn kept_at_home(world: &World, runs: &[Run]) -> Result<()> {
    let both = |run: &&Run| {
        let Case { class, policy, volume, .. } = run.case;
        class == Class::Local && policy.is_some_and(|policy| policy != "off") && volume.is_none()
    };
    for run in runs.iter().filter(both) {
        let what = format!("{} waits for the scheduler", run.namespace);
        eventually_within(Duration::from_secs(20), &what, || async {
            let decision = newest(world, &run.namespace, run.name).await?;
            ensure!(decision["reason"] == "LocalFirst", "{decision}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Removes the namespaces and waits until their pods and instances are gone.
async fn clear(world: &World) -> Result<()> {
    let names = world.lab.kubectl(&["get", "namespaces", "-o", "name"]).await?;
    let ours: Vec<&str> =
        names.lines().filter(|name| name.starts_with(&format!("namespace/{PREFIX}"))).collect();
    world.lab.kubectl(&[&["delete", "--wait=false", "--ignore-not-found"][..], &ours].concat()).await?;
    eventually_within(Duration::from_secs(120), "every pod and instance is gone", || async {
        let pods = world.lab.kubectl(&["get", "pods", "-A", "--no-headers"]).await?;
        if let Some(pod) = pods.lines().find(|line| line.starts_with(PREFIX)) {
            bail!("a pod is left: {pod}");
        }
        let open = world.stack.lock().await.cloud_get(&world.lab, "instances").await?.to_string();
        ensure!(!open.contains(&format!("\"{PREFIX}")), "instances left: {open}");
        Ok(())
    })
    .await?;
    let volumes = ["delete", "persistentvolumes", "-l", &format!("of={FAMILY}"), "--wait=false"];
    world.lab.kubectl(&volumes).await.map(drop)
}

impl Case {
    /// What is not as wanted, or not the same from every driver.
    fn objection(&self, outcomes: &Outcomes) -> Option<String> {
        let found: Vec<_> =
            DRIVERS.iter().map(|driver| (driver.name, outcomes.get(&(self.name, driver.name)))).collect();
        let as_wanted = |outcome: &Option<&Outcome>| {
            outcome.is_some_and(|(class, reason)| *class == self.class && reason.contains(self.reason))
        };
        let same = found.windows(2).all(|pair| pair.first().map(|one| one.1) == pair.last().map(|one| one.1));
        let good = same && found.iter().all(|(_, outcome)| as_wanted(outcome));
        (!good).then(|| format!("{}: {found:?}, not {:?} for {:?}", self.name, self.class, self.reason))
    }
}

fn table(outcomes: &Outcomes) -> String {
    let mut table = format!("  {:<20}", "case");
    for driver in DRIVERS {
        let _ = write!(table, "{:<32}", driver.name);
    }
    for case in &CASES {
        let _ = write!(table, "\n  {:<20}", case.name);
        for driver in DRIVERS {
            let outcome = outcomes.get(&(case.name, driver.name)).map(|(class, reason)| {
                let short: String = reason.chars().take(22).collect();
                format!("{class:?} {short}")
            });
            let _ = write!(table, "{:<32}", outcome.unwrap_or_default());
        }
    }
    table
}

#[expect(clippy::print_stderr, reason = "the table is what the case is about")]
fn say(text: &str) {
    eprintln!("{text}");
}
