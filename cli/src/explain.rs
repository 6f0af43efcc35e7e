//! `kubectl burst explain`: why a pod is where it is, and what would change that.
//!
//! Reads the API server alone and runs the same engine as burst-scheduler, so it works while that is down or cannot be
//! reached. It decides again as of now: the cluster may have changed since the pod was placed, and what was told at the
//! time stands beside it.

mod view;

pub(crate) use view::{amounts, spend};

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use cluster::GovernedPod;
use policies::burst_policy::{PolicyObject, SpendRow, Usage};
use policies::decide::case::{Case, Governed, Permission, Rival, priority_to_govern};
use policies::decide::{Alternative, Class, provider};
use policies::keys;
use policies::ledger::{Claim, Ledger, World};
use policies::money::Rate;
use policies::node::{NodeClass, NodeRow};
use policies::pod::PodFacts;
use policies::policy::Policy;
use policies::price::{Billing, Place, PriceBook};
use policies::reasons::Reason;
use policies::resolve::Owner;
use policies::resources::Resources;
use policies::stock;
use serde::Serialize;
use serde_json::Value;

use crate::api::{Api, Cluster, text};
use crate::reading::Reading;

/// Newest events that are shown.
const TOLD: usize = 5;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl burst explain web-7f9c-x2x4v -n shop\n  kubectl burst explain deploy/web -n shop\n  \
                  kubectl burst explain deploy/web -n shop -o json"
)]
pub(crate) struct Explain {
    /// A pod (web-7f9c-x2x4v, pod/web-7f9c-x2x4v) or a Deployment (deploy/web)
    pub(crate) what: String,
    /// Namespace; the context's if not given
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Price book of burst-scheduler (its priceBook), if it has one of its own
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: Cluster,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// One pod explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) phase: String,
    pub(crate) workload: Option<String>,
    /// Where it is.
    pub(crate) node: Option<String>,
    pub(crate) node_class: Option<NodeClass>,
    pub(crate) provider: Option<String>,
    pub(crate) policy: Policy,
    pub(crate) source: String,
    pub(crate) policy_object: Option<String>,
    /// What would be decided now.
    pub(crate) outcome: Class,
    pub(crate) sentence: String,
    pub(crate) why: Why,
    pub(crate) permission: Permission,
    pub(crate) limits: Vec<Usage>,
    pub(crate) spend: Vec<SpendRow>,
    /// Money per hour in the cloud.
    pub(crate) cost: Option<Cost>,
    pub(crate) alternatives: Vec<Alternative>,
    /// What burst said about it on the pod, newest first.
    pub(crate) told: Vec<Told>,
    pub(crate) notes: Vec<String>,
}

/// Nodes by what keeps the pod off them, per class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Why {
    pub(crate) real: Vec<Count>,
    #[serde(rename = "virtual")]
    pub(crate) virtual_nodes: Vec<Count>,
}

/// How many nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    /// None: nothing keeps it off.
    pub(crate) reason: Option<Reason>,
    pub(crate) nodes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    pub(crate) per_hour: String,
    pub(crate) currency: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Told {
    pub(crate) time: String,
    pub(crate) reason: String,
    pub(crate) note: String,
}

/// What is asked about.
#[derive(Debug, PartialEq, Eq)]
enum Subject<'a> {
    Pod(&'a str),
    Deployment(&'a str),
}

fn subject(what: &str) -> Result<Subject<'_>> {
    let (kind, name) = what.split_once('/').unwrap_or(("pod", what));
    if name.is_empty() || name.contains('/') {
        bail!("{what:?} names nothing: write a pod's name or deploy/NAME");
    }
    match kind {
        "pod" | "pods" | "po" => Ok(Subject::Pod(name)),
        "deploy" | "deployment" | "deployments" | "deployment.apps" | "deployments.apps" => {
            Ok(Subject::Deployment(name))
        }
        other => bail!("{other:?} is not explained: write a pod's name or deploy/NAME"),
    }
}

/// The answer, and whether there was one.
pub(crate) async fn run(args: &Explain) -> Result<(String, bool)> {
    let subject = subject(&args.what)?;
    let prices = prices(args.prices.as_deref())?;
    let api = Api::connect(&args.cluster).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| api.namespace.clone());
    let reading = Reading::take(&api, &args.cluster.burst_namespace).await?;
    let now = jiff::Timestamp::now().as_second();
    let engine = Engine { reading: &reading, prices: &prices, now };
    let answer = match subject {
        Subject::Pod(name) => {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
            let pod = api.get(&path).await?.with_context(|| format!("there is no pod {namespace}/{name}"))?;
            let mut report = engine.explain(&pod)?;
            report.told = told(&api, &namespace, &report.uid).await.unwrap_or_default();
            match args.output {
                Output::Text => view::pod(&report, now),
                Output::Json => json(&report)?,
            }
        }
        Subject::Deployment(name) => {
            let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
            api.get(&path).await?.with_context(|| format!("there is no Deployment {namespace}/{name}"))?;
            let pods = api.list(&format!("/api/v1/namespaces/{namespace}/pods")).await?;
            let mut reports = engine.of(&pods, &format!("Deployment/{name}"))?;
            if let Some(report) = view::speaker(&mut reports) {
                report.told = told(&api, &namespace, &report.uid).await.unwrap_or_default();
            }
            match args.output {
                Output::Text => view::deployment(&namespace, name, &mut reports, now),
                Output::Json => json(&reports)?,
            }
        }
    };
    Ok((answer, true))
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

fn prices(file: Option<&std::path::Path>) -> Result<PriceBook> {
    let Some(file) = file else { return Ok(PriceBook::shipped()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    PriceBook::read(&text).with_context(|| file.display().to_string())
}

/// The newest of burst's own events about a pod.
async fn told(api: &Api, namespace: &str, uid: &str) -> Result<Vec<Told>> {
    let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.uid%3D{uid}");
    let events = api.list(&path).await?;
    let ours = events.iter().filter(|event| {
        text(event, "/reportingComponent").starts_with("burst.io/")
            || text(event, "/source/component").starts_with("burst.io/")
    });
    let mut told: Vec<Told> = ours
        .map(|event| {
            let times = ["/series/lastObservedTime", "/eventTime", "/lastTimestamp"];
            let time = times.iter().map(|at| text(event, at)).find(|time| !time.is_empty());
            Told {
                time: time.unwrap_or_default().to_owned(),
                reason: text(event, "/reason").to_owned(),
                note: text(event, "/message").to_owned(),
            }
        })
        .collect();
    told.sort_by(|a, b| b.cmp(a));
    told.truncate(TOLD);
    Ok(told)
}

/// The engine over what was read.
pub(crate) struct Engine<'a> {
    pub(crate) reading: &'a Reading,
    pub(crate) prices: &'a PriceBook,
    pub(crate) now: i64,
}

impl Engine<'_> {
    /// The pods of a workload, waiting ones first.
    fn of(&self, pods: &[Value], workload: &str) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        for pod in pods {
            let facts = PodFacts::from_value(pod);
            if facts.is_ok_and(|facts| facts.workload().as_deref() == Some(workload)) {
                reports.push(self.explain(pod)?);
            }
        }
        reports.sort_by(|a, b| (a.node.is_some(), &a.name).cmp(&(b.node.is_some(), &b.name)));
        Ok(reports)
    }

    /// Explains one pod.
    pub(crate) fn explain(&self, pod: &Value) -> Result<Report> {
        let facts = PodFacts::from_value(pod).context("the pod")?;
        let body = pod.to_string();
        let (policy, source) = policy(&facts);
        let mut notes = self.reading.problems.clone();
        // As if it had no node: what it uses is taken out of the node that it is on.
        let placed = facts.node_name.as_deref().and_then(|name| self.reading.snapshot.by_name(name));
        let finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        let before = placed.map(|row| {
            let used = if finished { row.requested } else { row.requested.minus(facts.requests) };
            NodeRow { requested: used, ..row.clone() }
        });
        let unbound = PodFacts { node_name: None, nominated_node_name: None, ..facts.clone() };
        let rows = self.reading.rows();
        let nodes: Vec<&NodeRow> = rows
            .into_iter()
            .map(|row| before.as_ref().filter(|b| b.name == row.name).unwrap_or(row))
            .collect();
        let class = stock::class(facts.cloud_requests());
        let judge = |node: &NodeRow| {
            let sold_out = || self.sold_out(&node.name, &class).then_some(Reason::SoldOut);
            provider::objection(node, &body, &facts).or_else(sold_out)
        };
        let policy_object = facts.annotations.get(keys::BURST_POLICY).cloned();
        let object = policy_object.as_deref().and_then(|key| self.object(key, &mut notes));
        let empty = Ledger::default();
        let ledger = object.and_then(|o| self.reading.ledgers.get(&o.key)).unwrap_or(&empty);
        let claims = object.map(|o| self.reading.claims(o)).unwrap_or_default();
        let virtual_nodes = self.reading.virtual_nodes();
        let real: Vec<NodeRow> =
            nodes.iter().filter(|row| row.class == NodeClass::Real).map(|row| (*row).clone()).collect();
        let world = World {
            now: self.now,
            virtual_nodes: &virtual_nodes,
            real_nodes: &real,
            reports: &self.reading.reports,
            prices: self.prices,
        };
        let governed = object.map(|o| Governed { spec: &o.spec, ledger, claims: &claims, world });
        let case = Case { pod: &unbound, policy, nodes: &nodes, judge: &judge, governed };
        let explained = case.explain();
        let not_yet = !ledger.grants.contains_key(&facts.uid);
        if not_yet && matches!(explained.permission, Permission::Granted { .. }) {
            notes.push(
                "the ledger has no grant for this pod yet: the leader would grant it now; `kubectl burst status` \
                 shows whether there is one"
                    .to_owned(),
            );
        }
        if !facts.unjudged.is_empty() {
            notes.push(format!(
                "only the scheduler can judge {:?} of this pod; the nodes are counted without it",
                facts.unjudged
            ));
        }
        let claims_of_rivals = self.rivals(pod, &facts, policy, object);
        let rivals: Vec<Rival<'_>> = claims_of_rivals
            .iter()
            .map(|(rival, to, policy, claims)| {
                let ledger = self.reading.ledgers.get(&rival.key).unwrap_or(&empty);
                let governed = Governed { spec: &rival.spec, ledger, claims, world };
                Rival { object: &rival.key, to: *to, policy: *policy, governed }
            })
            .collect();
        let currency = object.and_then(|o| o.spec.budget.as_ref()).map(|b| b.currency.clone());
        let billed = serde_json::from_value::<GovernedPod>(pod.clone()).ok().map(|pod| pod.billed);
        let cost = self.cost((&facts, &billed.unwrap_or_default()), placed, &explained.permission, currency);
        Ok(Report {
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            uid: facts.uid.clone(),
            phase: text(pod, "/status/phase").to_owned(),
            workload: facts.workload(),
            node: facts.node_name.clone(),
            node_class: placed.map(|row| row.class),
            provider: placed.and_then(|row| row.provider.clone()),
            policy,
            source,
            outcome: explained.decision.outcome.class(),
            sentence: explained.decision.sentence.clone(),
            why: Why {
                real: counts(&explained.decision.verdicts, NodeClass::Real),
                virtual_nodes: counts(&explained.decision.verdicts, NodeClass::Virtual),
            },
            permission: explained.permission,
            limits: explained.limits,
            spend: explained.spend,
            cost,
            alternatives: case.alternatives(&rivals),
            policy_object,
            told: vec![],
            notes,
        })
    }

    /// The objects that would govern the pod if their priority were higher, with that priority, the policy in force
    /// then, and the claims of each.
    fn rivals(
        &self,
        pod: &Value,
        facts: &PodFacts,
        policy: Policy,
        governs: Option<&PolicyObject>,
    ) -> Vec<(PolicyObject, i32, Policy, Vec<Claim>)> {
        let Some(governs) = governs else { return vec![] };
        let Ok(claimant) = serde_json::from_value::<GovernedPod>(pod.clone()) else { return vec![] };
        let objects: Vec<PolicyObject> =
            self.reading.objects.iter().filter_map(|o| o.object.as_ref().ok()).cloned().collect();
        let nothing = BTreeMap::new();
        let labels = self.reading.namespaces.get(&facts.namespace).unwrap_or(&nothing);
        // As far as the pod tells: its controller, and the Deployment of that.
        let workload = facts.workload();
        let workload = workload.as_deref().and_then(|w| w.split_once('/'));
        let owners: Vec<Owner<'_>> =
            workload.map(|(kind, name)| Owner { kind, name, labels: &nothing }).into_iter().collect();
        let from_object =
            facts.annotations.get(keys::POLICY_SOURCE).is_some_and(|s| s.contains("BurstPolicy/"));
        let rival = |object: &PolicyObject| {
            let to = priority_to_govern(&objects, object, facts, &owners, labels)?;
            let policy = if from_object { object.spec.policy? } else { policy };
            let mut claims = self.reading.claims(object);
            claims.push(Claim { policy, ..self.reading.claim(&claimant, object) });
            Some((object.clone(), to, policy, claims))
        };
        objects.iter().filter(|object| object.key != governs.key).filter_map(rival).collect()
    }

    fn object(&self, key: &str, notes: &mut Vec<String>) -> Option<&PolicyObject> {
        match self.reading.object(key).map(|object| &object.object) {
            Some(Ok(object)) => Some(object),
            Some(Err(error)) => {
                notes.push(format!("{key} cannot be read, so nothing is granted by it: {error}"));
                None
            }
            // No object: the driver opens who was found unschedulable, and limits nothing.
            None if key == keys::DRIVER => None,
            None => {
                notes.push(format!("{key} governed this pod at admission and does not exist any more"));
                None
            }
        }
    }

    fn sold_out(&self, node: &str, class: &str) -> bool {
        let report = self.reading.reports.get(node);
        report.is_some_and(|r| r.stock_outs.iter().any(|s| s.class == *class && s.until > self.now))
    }

    /// What the pod costs per hour: by its grant, else by the price book in the currency of its policy, else in any.
    fn cost(
        &self,
        (facts, billed): (&PodFacts, &BTreeMap<String, Resources>),
        placed: Option<&NodeRow>,
        permission: &Permission,
        currency: Option<String>,
    ) -> Option<Cost> {
        let per_hour =
            |rate: Rate, currency: String| Cost { per_hour: rate.over(3600).to_string(), currency };
        if let (Permission::Granted { rate, .. }, Some(currency)) = (permission, &currency)
            && rate.0 > 0
        {
            return Some(per_hour(*rate, currency.clone()));
        }
        let on_virtual = placed.filter(|row| row.class == NodeClass::Virtual);
        if placed.is_some() && on_virtual.is_none() {
            return None;
        }
        let row = on_virtual.or_else(|| self.reading.snapshot.virtual_nodes().next())?;
        let provider = row.provider.as_deref()?;
        let priced = self.prices.prices.iter().find(|p| p.provider == provider).map(|p| p.currency.clone());
        let currency = currency.or(priced)?;
        let place = Place { provider, zone: "", billing: Billing::OnDemand };
        let quote =
            self.prices.quote(&currency, place, facts.cloud_requests(), billed.get(provider).copied())?;
        Some(per_hour(quote.rate, currency))
    }
}

/// The policy in force, and who said so, as far as the pod itself tells.
fn policy(facts: &PodFacts) -> (Policy, String) {
    if let Some(policy) = facts.recorded_policy() {
        let source = facts.annotations.get(keys::POLICY_SOURCE).cloned();
        return (policy, source.unwrap_or_else(|| "admission".to_owned()));
    }
    let label = keys::POLICY.iter().find_map(|key| Some((*key, Policy::parse(facts.labels.get(*key)?)?)));
    match label {
        Some((key, policy)) => (policy, format!("pod label {key}")),
        None => (Policy::Off, "nothing: admission recorded no policy on the pod".to_owned()),
    }
}

fn counts(verdicts: &[policies::decide::NodeVerdict<'_>], class: NodeClass) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for verdict in verdicts.iter().filter(|v| v.node.class == class) {
        match counts.iter_mut().find(|count| count.reason == verdict.obstacle) {
            Some(count) => count.nodes += 1,
            None => counts.push(Count { reason: verdict.obstacle, nodes: 1 }),
        }
    }
    counts.sort_by_key(|count| (std::cmp::Reverse(count.nodes), count.reason));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, busy};

    async fn explained(name: &str) -> (Report, String) {
        let api = Api::over(busy().client());
        let reading = Reading::take(&api, "burst-system").await.unwrap();
        let prices = PriceBook::default();
        let engine = Engine { reading: &reading, prices: &prices, now: NOW };
        let pod = api.get(&format!("/api/v1/namespaces/shop/pods/{name}")).await.unwrap().unwrap();
        let mut report = engine.explain(&pod).unwrap();
        report.told = told(&api, "shop", &report.uid).await.unwrap();
        let text = view::pod(&report, NOW);
        (report, text)
    }

    #[tokio::test]
    async fn a_pod_that_is_held_back() {
        let (report, text) = explained("web-7f9c-2").await;
        for wanted in [
            "pod shop/web-7f9c-2 is held back\n",
            "policy        localPrefer, from BurstPolicy/shop/web; governed by BurstPolicy/shop/web\n",
            "outcome       wait: waits, policy localPrefer; ",
            "real nodes    1: 1 short of cpu\n",
            "virtual nodes 1: 1 held back by the policy object\n",
            "held back     CloudLimit: the ceiling in the cloud is reached",
            "limits        cloud: 1 of 1 pods\n",
            "otherwise it\n",
            "  - would run on a real node if 1500m more cpu were free on node-1\n",
            "  - would burst if the ceiling max.cloud were 1 pod higher\n",
            "BurstHeld: the ceiling in the cloud is reached\n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        assert_eq!(report.workload.as_deref(), Some("Deployment/web"));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["outcome"], &json["permission"]["is"]), (&"wait".into(), &"held".into()));
    }

    #[tokio::test]
    async fn a_pod_in_the_cloud() {
        let (report, text) = explained("web-7f9c-1").await;
        assert_eq!(report.outcome, Class::Cloud);
        for wanted in [
            "pod shop/web-7f9c-1 is in the cloud, on burst-cci (huawei)\n",
            "outcome       cloud: decided again now, it bursts to burst-cci (huawei)",
            "granted       tier cloud\n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn a_deployment_is_told_by_groups_and_one_of_its_pods() {
        let api = Api::over(busy().client());
        let reading = Reading::take(&api, "burst-system").await.unwrap();
        let prices = PriceBook::default();
        let engine = Engine { reading: &reading, prices: &prices, now: NOW };
        let pods = api.list("/api/v1/namespaces/shop/pods").await.unwrap();
        let mut reports = engine.of(&pods, "Deployment/web").unwrap();
        let text = view::deployment("shop", "web", &mut reports, NOW);
        for wanted in [
            "Deployment shop/web: 2 pods\n",
            "  - 1 held back: CloudLimit\n",
            "  - 1 in the cloud (huawei)\n",
            "for example web-7f9c-2 is held back\n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
        assert!(engine.of(&pods, "Deployment/we").unwrap().is_empty());
    }

    #[test]
    fn what_can_be_asked_about() {
        let check = |what, wanted: Option<Subject<'_>>| assert_eq!(subject(what).ok(), wanted, "{what}");
        check("web-1", Some(Subject::Pod("web-1")));
        check("pod/web-1", Some(Subject::Pod("web-1")));
        check("deploy/web", Some(Subject::Deployment("web")));
        check("deployment.apps/web", Some(Subject::Deployment("web")));
        check("job/web", None);
        check("deploy/", None);
        check("pod/shop/web", None);
    }
}
