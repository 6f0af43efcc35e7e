//! What one decision costs inside burst-scheduler, without HTTP: the webhook's answer to a pod, and the extender's answers
//! about it, on the product's own types.
//!
//! `match` is the choice among the policy objects alone and a part of `admit`, which reads the review, chooses, and writes
//! the patch. `filter` and `prioritize` read the whole request of kube-scheduler, with every node name of the cluster in
//! it, and write the reply; kube-scheduler sends a sample, so this is their upper bound. An `auto` pod waits for `admit` and
//! `prioritize`; only one that can preempt, or while a place is sold out, for `filter` too, which stands in the table but not
//! in the sum. `explain` comes after the binding, once per pod, while nobody waits.
//!
//! Each call is timed by itself; the calls of a round take turns, and medians are reported.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use cluster::{Index, PolicyObjects, Snapshot, testing::FakeApi};
use jiff::Timestamp;
use policies::{
    burst_policy::{PolicyObject, best},
    decide::score::LocalLoad,
    pod::PodFacts,
    policy::Policy,
    price::PriceBook,
    resolve::Owner,
};
use scheduler::{
    admission::{
        Around, Lookups, pod,
        review::{self, Verdict},
    },
    app::Settings,
    config::Config,
    metrics::{Code, Verb},
    observer::Explainer,
    verbs::{View, answer},
};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    body::{Names, bare_pod, extender_args},
    large::{VIRTUAL, nodes},
    report::{Report, median},
};

const NODES: [usize; 3] = [100, 1000, 5000];
const POLICIES: [usize; 3] = [1, 10, 100];
/// Calls of each part; a tenth of it goes before, unmeasured.
const ROUNDS: usize = 1000;
/// The policy object that speaks for the pod, among the others.
const SPEAKS: &str = "BurstPolicy/shop/speaks";

/// What is measured.
const PARTS: [&str; 5] = ["match", "admit", "filter", "prioritize", "explain"];
/// What a pod waits for.
const SUM: [&str; 2] = ["admit", "prioritize"];

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    println!("\nDecision time per pod in microseconds, medians of {ROUNDS} calls each, all node names sent:");
    print!("{:>7} {:>9}", "nodes", "policies");
    println!(
        "{:>9} {:>9} {:>9} {:>11} {:>12} {:>9}",
        "match", "admit", "filter", "prioritize", "wait for it", "explain"
    );
    for count in NODES {
        let snapshot = snapshot(count)?;
        for policies in POLICIES {
            one(report, &snapshot, count, policies).await?;
        }
    }
    Ok(())
}

async fn one(report: &mut Report, snapshot: &Snapshot, nodes: usize, policies: usize) -> Result<()> {
    let bench = Bench::new(snapshot, nodes, policies).await?;
    let mut took: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..ROUNDS + ROUNDS / 10 {
        for part in PARTS {
            let begun = Instant::now();
            bench.call(part).await?;
            let micros = begun.elapsed().as_secs_f64() * 1e6;
            if round >= ROUNDS / 10 {
                took.entry(part).or_default().push(micros);
            }
        }
    }
    bench.tasks.cancel();
    let of: BTreeMap<&str, f64> = took.iter_mut().map(|(part, times)| (*part, median(times))).collect();
    let sum: f64 = SUM.iter().filter_map(|part| of.get(part)).sum();
    let get = |part: &str| of.get(part).copied().unwrap_or(f64::NAN);
    println!(
        "{nodes:>7} {policies:>9}{:>9.1} {:>9.1} {:>9.1} {:>11.1} {sum:>12.1} {:>9.0}",
        get("match"),
        get("admit"),
        get("filter"),
        get("prioritize"),
        get("explain"),
    );
    let prefix = format!("decision_{nodes}_nodes_{policies}_policies");
    for part in PARTS {
        report.set(format!("{prefix}_{part}_us"), get(part));
    }
    report.set(format!("{prefix}_sum_us"), sum);
    Ok(())
}

/// Everything that the calls read, made before the clock runs.
struct Bench<'s> {
    snapshot: &'s Snapshot,
    load: LocalLoad,
    objects: Vec<PolicyObject>,
    facts: PodFacts,
    bound: PodFacts,
    review: Vec<u8>,
    extender: Vec<u8>,
    settings: Settings,
    lookups: Lookups,
    tasks: CancellationToken,
}

impl<'s> Bench<'s> {
    async fn new(snapshot: &'s Snapshot, nodes: usize, policies: usize) -> Result<Self> {
        let objects = objects(policies)?;
        let (tasks, tracker) = (CancellationToken::new(), TaskTracker::new());
        let api = FakeApi::new();
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": namespace()}}));
        let fixed = PolicyObjects::fixed(objects.clone());
        let lookups = Lookups::start(&api.client(), fixed, "burst-system", &[], &tasks, &tracker);
        lookups.daemons().wait_synced().await;
        let mut bound = bare_pod();
        bound["spec"]["nodeName"] = json!(Names::Long.name(1));
        let bench = Self {
            snapshot,
            load: LocalLoad::of(snapshot.nodes().map(|(_, row)| row)),
            objects,
            facts: PodFacts::from_value(&bare_pod())?,
            bound: PodFacts::from_value(&bound)?,
            review: admission_review().to_string().into_bytes(),
            extender: extender_args(Names::Long, nodes, VIRTUAL),
            settings: Settings::of(&Config::default(), Arc::new(PriceBook::shipped())),
            lookups,
            tasks,
        };
        bench.means_something().await?;
        Ok(bench)
    }

    /// The right object speaks, the webhook writes, the extender answers: or the times mean nothing.
    async fn means_something(&self) -> Result<()> {
        ensure!(self.matched().is_some_and(|object| object.key == SPEAKS), "another object speaks");
        let verdict = self.verdict().await?;
        ensure!(verdict.as_str() == "patched", "the webhook answers {verdict:?}");
        for verb in [Verb::Filter, Verb::Prioritize] {
            let answered = answer(verb, &self.extender, self.view());
            ensure!(answered.code == Code::Ok, "{verb:?}: {:?}", answered.error);
        }
        ensure!(
            Explainer::default().explain(&self.bound, self.snapshot, Timestamp::UNIX_EPOCH).is_some(),
            "nothing to explain"
        );
        Ok(())
    }

    async fn call(&self, part: &str) -> Result<()> {
        match part {
            "match" => drop(std::hint::black_box(self.matched())),
            "admit" => {
                let verdict = self.verdict().await?;
                drop(std::hint::black_box(review::answer("uid", &verdict)?));
            }
            "filter" => drop(std::hint::black_box(answer(Verb::Filter, &self.extender, self.view()))),
            "prioritize" => drop(std::hint::black_box(answer(Verb::Prioritize, &self.extender, self.view()))),
            _ => drop(std::hint::black_box(Explainer::default().explain(
                &self.bound,
                self.snapshot,
                Timestamp::UNIX_EPOCH,
            ))),
        }
        Ok(())
    }

    fn matched(&self) -> Option<&PolicyObject> {
        let none = BTreeMap::new();
        let owners = [Owner { kind: "ReplicaSet", name: "web-6d4cf56db6", labels: &none }];
        best(&self.objects, &self.facts, &owners, &namespace())
    }

    async fn verdict(&self) -> Result<Verdict> {
        let around = Around {
            snapshot: self.snapshot,
            fresh: Ok(()),
            settings: &self.settings,
            lookups: &self.lookups,
            load: self.load,
            sold_out: false,
        };
        let request = review::parse(&self.review)?;
        pod(&request, &around).await.context("the webhook has no verdict")
    }

    fn view(&self) -> View<'_> {
        View { snapshot: self.snapshot, load: self.load, default_policy: Policy::Off, stock: None }
    }
}

fn namespace() -> BTreeMap<String, String> {
    [("burst.io/active", "true"), ("team", "blue")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// `count` objects: the one that speaks, and others that a look at their selectors has to rule out, half of them for the
/// pod's own namespace and half for the whole cluster.
fn objects(count: usize) -> Result<Vec<PolicyObject>> {
    let limits =
        json!({"policy": "auto", "max": {"cloud": {"pods": 100}}, "wait": {"beforeBurstSeconds": 30}});
    let with = |selector: Value| -> Result<_> {
        let mut spec = limits.clone();
        spec["selector"] = selector;
        Ok(serde_json::from_value(spec)?)
    };
    let speaks = with(json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "burst-to-cci", "operator": "In", "values": ["auto", "localPrefer"]}],
    }))?;
    let mut objects = vec![PolicyObject::new(Some("shop"), "speaks", speaks)];
    for index in 1..count {
        let other = with(json!({
            "matchLabels": {"pod-template-hash": "6d4cf56db6"},
            "matchExpressions": [{"key": "app", "operator": "In", "values": [format!("app-{index}"), "other"]}],
        }))?;
        let place = index.is_multiple_of(2).then_some("shop");
        objects.push(PolicyObject::new(place, &format!("other-{index:03}"), other));
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

fn admission_review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop", "dryRun": false,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
            },
            "object": bare_pod(), "oldObject": null,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

fn snapshot(count: usize) -> Result<Arc<Snapshot>> {
    let mut index = Index::default();
    for node in nodes(count - 1) {
        index.apply_node(serde_json::from_str(&node.to_string())?);
    }
    Ok(index.snapshot(true))
}
