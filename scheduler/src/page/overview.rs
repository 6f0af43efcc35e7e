//! Tiers, money, held pods and stock-outs for the page, as the policy objects' status and the bridges' reports say.
//!
//! Every replica shows the same, for the leader writes it down. It is read from the API server at most every two
//! seconds, and only while somebody looks: request handlers ask for it and get the last picture at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use kube::Client;
use policies::burst_policy::{
    BurstPolicyStatus, Condition, GROUP, Limit, PodCounts, PolicyKind, VERSION, key,
};
use policies::ledger::{Hold, NodeReport};
use policies::money::Money;
use policies::quantity::Quantity;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Time between two reads while somebody looks.
const EVERY: Duration = Duration::from_secs(2);
/// Longest wait for an answer of the API server.
const ANSWER: Duration = Duration::from_secs(5);

/// The last picture, and the wish for a newer one.
#[derive(Debug, Default)]
pub struct Overview {
    picture: ArcSwap<Picture>,
    asked: Notify,
}

/// What policies allow, use, spend and hold back.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// When it was read; none before the first time.
    pub at: Option<Timestamp>,
    /// Why the last read failed; what is shown is older then.
    pub error: Option<String>,
    /// Policy objects, by key.
    pub policies: Vec<PolicyView>,
    /// Pods held back, by reason, most first.
    pub held: Vec<HeldView>,
    /// Sizes that a cloud has sold out.
    pub stock_outs: Vec<StockOutView>,
}

/// One policy object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyView {
    /// `BurstPolicy/shop/web`.
    pub key: String,
    /// Pods governed now.
    pub pods: PodCounts,
    /// Ceilings, tier by tier and then by side.
    pub tiers: Vec<Bar>,
    /// Money by window.
    pub budgets: Vec<BudgetView>,
    /// What is wrong with it, in words.
    pub problems: Vec<String>,
}

/// One ceiling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bar {
    /// Tier or side.
    pub name: String,
    /// `pods`, `cpu`, `memory` or `gpu`.
    pub what: &'static str,
    /// In use.
    pub used: String,
    /// The ceiling.
    pub max: String,
    /// Use in thousandths of the ceiling; more than 1000 where it was lowered below the use.
    pub permille: u64,
}

/// Money of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetView {
    /// `hour`, `day` or `month`.
    pub window: String,
    /// The namespace, for budgets per namespace.
    pub namespace: Option<String>,
    /// Currency.
    pub currency: String,
    /// Spent so far.
    pub spent: Money,
    /// Spent by the end of the window if nothing changes.
    pub projected: Money,
    /// The budget.
    pub max: Money,
    /// Spent, in thousandths of the budget.
    pub spent_permille: u64,
    /// Projected, in thousandths of the budget.
    pub projected_permille: u64,
}

/// Pods held back for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeldView {
    /// Reason code.
    pub code: String,
    /// The reason in words.
    pub text: String,
    /// How many.
    pub pods: u64,
}

/// A size that a cloud has sold out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StockOutView {
    /// Virtual node.
    pub node: String,
    /// Provider.
    pub provider: String,
    /// Zone; empty if the node has none.
    pub zone: String,
    /// Class of size.
    pub class: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it is tried again.
    pub until: Option<Timestamp>,
    /// What the cloud said.
    pub message: String,
}

impl Overview {
    /// The last picture; a newer one is read soon.
    pub fn look(&self) -> Arc<Picture> {
        self.asked.notify_one();
        self.picture.load_full()
    }

    /// Reads while somebody looks, until `stop`.
    pub async fn run(self: Arc<Self>, client: Client, stop: CancellationToken) {
        while stop.run_until_cancelled(self.asked.notified()).await.is_some() {
            let read = tokio::time::timeout(ANSWER, read(&client));
            let Some(answer) = stop.run_until_cancelled(read).await else { return };
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER.as_secs())));
            self.picture.store(Arc::new(match answer {
                Ok(picture) => Picture { at: Some(Timestamp::now()), ..picture },
                Err(error) => Picture { error: Some(error), ..Picture::clone(&self.picture.load()) },
            }));
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }
}

async fn read(client: &Client) -> Result<Picture, String> {
    let mut policies = Vec::new();
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for kind in PolicyKind::ALL {
        for object in list(client, kind.plural()).await? {
            let (view, back) = policy(kind, &object);
            policies.push(view);
            for (code, pods) in back {
                *held.entry(code).or_default() += pods;
            }
        }
    }
    let reports = list(client, "virtualnodereports").await?;
    let mut held: Vec<HeldView> = held.into_iter().map(|(code, pods)| held_view(code, pods)).collect();
    held.sort_by(|a, b| b.pods.cmp(&a.pods).then_with(|| a.code.cmp(&b.code)));
    Ok(Picture {
        at: None,
        error: None,
        policies,
        held,
        stock_outs: reports.iter().flat_map(sold_out).collect(),
    })
}

/// All objects of one of our kinds; none where the API server does not serve it.
async fn list(client: &Client, plural: &str) -> Result<Vec<Value>, String> {
    let request = http_request(&format!("/apis/{GROUP}/{VERSION}/{plural}"))?;
    match client.request::<Value>(request).await {
        Ok(mut list) => match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(vec![]),
        },
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(vec![]),
        Err(error) => Err(format!("{plural}: {error}")),
    }
}

fn http_request(path: &str) -> Result<http::Request<Vec<u8>>, String> {
    http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())
}

fn policy(kind: PolicyKind, object: &Value) -> (PolicyView, BTreeMap<String, u64>) {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let status: BurstPolicyStatus = object
        .get("status")
        .and_then(|status| serde_json::from_value(status.clone()).ok())
        .unwrap_or_default();
    let wrong = |c: &&Condition| c.kind == "Valid" && c.status == "False";
    let problems = status.conditions.iter().filter(wrong).map(|c| c.message.clone()).collect();
    let tiers = status.usage.iter().flat_map(|row| bars(&row.name, &row.used, &row.max)).collect();
    let budgets = status.spend.into_iter().map(|row| BudgetView {
        spent_permille: permille(row.spent.as_nano(), row.max.as_nano()),
        projected_permille: permille(row.projected.as_nano(), row.max.as_nano()),
        window: row.window,
        namespace: row.namespace,
        currency: row.currency,
        spent: row.spent,
        projected: row.projected,
        max: row.max,
    });
    let key = key(kind, text("/metadata/namespace"), text("/metadata/name"));
    let view = PolicyView { key, pods: status.pods, tiers, budgets: budgets.collect(), problems };
    (view, status.held_back)
}

/// What has a ceiling, of one tier or side.
fn bars(name: &str, used: &Limit, max: &Limit) -> Vec<Bar> {
    let nano = |text: &str| Quantity::parse(text).map_or(0, |quantity| quantity.nano());
    let bar = |what, used: String, max: Option<String>| {
        let max = max?;
        let permille = permille(nano(&used), nano(&max));
        Some(Bar { name: name.to_owned(), what, used, max, permille })
    };
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "0".to_owned());
    let all = [
        bar("pods", or_none(number(used.pods)), number(max.pods)),
        bar("cpu", or_none(used.cpu.clone()), max.cpu.clone()),
        bar("memory", or_none(used.memory.clone()), max.memory.clone()),
        bar("gpu", or_none(number(used.gpu)), number(max.gpu)),
    ];
    all.into_iter().flatten().collect()
}

/// Thousandths, rounded up; a ceiling of nothing is full.
fn permille(used: i128, max: i128) -> u64 {
    let (used, max) = (used.max(0).unsigned_abs(), max.max(0).unsigned_abs());
    if max == 0 { 1000 } else { u64::try_from(used.saturating_mul(1000).div_ceil(max)).unwrap_or(u64::MAX) }
}

fn held_view(code: String, pods: u64) -> HeldView {
    let known = Hold::ALL.into_iter().find(|hold| hold.code() == code);
    let text = known.map_or("", |hold| hold.text().trim_start_matches("burst: "));
    HeldView { text: text.to_owned(), code, pods }
}

fn sold_out(report: &Value) -> Vec<StockOutView> {
    let node = report.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let spec: NodeReport =
        report.get("spec").and_then(|spec| serde_json::from_value(spec.clone()).ok()).unwrap_or_default();
    let view = |out: policies::ledger::StockOut| StockOutView {
        node: node.to_owned(),
        provider: spec.provider.clone(),
        zone: out.zone,
        class: out.class,
        since: Timestamp::from_second(out.since).ok(),
        until: Timestamp::from_second(out.until).ok(),
        message: out.message,
    };
    spec.stock_outs.into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use cluster::testing::{FakeApi, Fault};
    use serde_json::json;

    use super::*;

    fn world() -> FakeApi {
        let api = FakeApi::new();
        api.put(json!({
            "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
            "metadata": {"name": "web", "namespace": "shop", "uid": "bp"}, "spec": {},
            "status": {
                "pods": {"local": 2, "cloud": 3, "waiting": 4},
                "usage": [
                    {"name": "spot", "used": {"pods": 3, "cpu": "1500m"}, "max": {"cpu": "2"}},
                    {"name": "cloud", "used": {"pods": 3}, "max": {"pods": 2}},
                    {"name": "local", "used": {"pods": 2}, "max": {}},
                ],
                "spend": [{"window": "hour", "currency": "CNY", "spent": "0.30", "projected": "1.00", "max": "1.20"}],
                "heldBack": {"CloudLimit": 3, "SoldOut": 1},
                "conditions": [{"type": "Valid", "status": "False", "reason": "A", "message": "tier spot is never reached"}],
            },
        }));
        api.put(json!({
            "apiVersion": "burst.io/v1alpha1", "kind": "ClusterBurstPolicy",
            "metadata": {"name": "all", "uid": "cbp"}, "spec": {}, "status": {"heldBack": {"SoldOut": 9}},
        }));
        api.put(json!({
            "apiVersion": "burst.io/v1alpha1", "kind": "VirtualNodeReport", "metadata": {"name": "burst-cci", "uid": "r"},
            "spec": {"provider": "huawei", "stockOuts": [{"zone": "a", "class": "cpu-4", "until": 90, "message": "no room"}]},
        }));
        api
    }

    #[tokio::test]
    async fn the_picture_is_read_from_status_and_reports() {
        let picture = read(&world().client()).await.expect("a picture");
        let [web, all] = picture.policies.as_slice() else { panic!("{:?}", picture.policies) };
        assert_eq!((web.key.as_str(), all.key.as_str()), ("BurstPolicy/shop/web", "ClusterBurstPolicy/all"));
        let bars: Vec<_> = web.tiers.iter().map(|b| (b.name.as_str(), b.what, b.permille)).collect();
        assert_eq!(bars, [("spot", "cpu", 750), ("cloud", "pods", 1500)]);
        assert_eq!((web.budgets[0].spent_permille, web.budgets[0].projected_permille), (250, 834));
        assert_eq!(web.problems, ["tier spot is never reached"]);
        let held: Vec<_> = picture.held.iter().map(|h| (h.code.as_str(), h.pods)).collect();
        assert_eq!(held, [("SoldOut", 10), ("CloudLimit", 3)]);
        assert!(picture.held[0].text.contains("sold out"), "{:?}", picture.held);
        assert_eq!(picture.stock_outs[0].class, "cpu-4");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_read_only_while_somebody_looks_and_a_failure_keeps_the_last() {
        let (api, overview, stop) = (world(), Arc::new(Overview::default()), CancellationToken::new());
        let task = tokio::spawn(Arc::clone(&overview).run(api.client(), stop.clone()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(api.requests().is_empty(), "nobody looked");
        assert_eq!(overview.look().at, None);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(overview.look().policies.len(), 2);
        api.fault(Fault::status(503).on("GET", "/burstpolicies"));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let last = overview.look();
        assert!(last.error.is_some() && last.policies.len() == 2, "{:?}", last.error);
        stop.cancel();
        task.await.expect("ended");
    }
}
