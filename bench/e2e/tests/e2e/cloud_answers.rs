//! Whatever the cloud answers, the pod's events say it in words, the pod is never failed, and it runs when the cloud does.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::{Workload, eventually};
use serde_json::{Value, json};

/// What the simulator answers to a create, and a word that the pod's events must then say.
const ANSWERS: [(&str, u16, &str); 5] = [
    ("unauthorized", 401, "credentials"),
    ("forbidden", 403, "account"),
    ("throttled", 429, "throttled"),
    ("broken", 500, "will be retried"),
    ("unavailable", 503, "will be retried"),
];

/// What else may come back: nothing that a user has to hear of.
fn others() -> [(&'static str, Value); 4] {
    [
        ("conflict", json!({"kind": "status", "code": 409})),
        ("garbage", json!({"kind": "garbage"})),
        ("empty", json!({"kind": "empty"})),
        ("lost", json!({"kind": "lostAnswer"})),
    ]
}

/// 401, 403, 429, 500 and 503 on create, a conflict, a garbage body, an empty body and a lost answer, each to one pod.
pub(crate) async fn refusals_are_told_and_survived(world: Arc<World>) -> Result<()> {
    let ns = "cloud-answers";
    world.namespace(ns).await?;
    let told = ANSWERS.map(|(name, code, word)| (name, json!({"kind": "status", "code": code}), Some(word)));
    let untold = others().map(|(name, action)| (name, action, None));
    let pods: Vec<(&str, Value, Option<&str>)> = told.into_iter().chain(untold).collect();
    let rules: Vec<Value> = pods.iter().map(|(name, action, _)| fault(name, action)).collect();
    let stack = world.stack.lock().await;
    stack.cloud_post(&world.lab, "faults", &Value::from(rules)).await?;
    drop(stack);
    for (name, ..) in &pods {
        let pod = Workload::pod(ns, name).spec(|spec| spec["nodeName"] = json!("burst-cci-0"));
        world.lab.apply(&pod.text()).await?;
    }
    for (name, _, word) in &pods {
        if let Some(word) = word {
            told_in_words(&world, ns, name, word).await?;
        }
        runs_once(&world, ns, name).await?;
    }
    let stack = world.stack.lock().await;
    let rules = stack.cloud_get(&world.lab, "faults").await;
    stack.cloud_post(&world.lab, "faults", &json!([])).await.context("clearing faults")?;
    drop(stack);
    for (rule, (name, ..)) in rules?.as_array().into_iter().flatten().zip(&pods) {
        ensure!(rule["struck"] != 0, "the cloud never gave pod {name} its answer: {rule}");
    }
    world.clean(ns).await
}

async fn told_in_words(world: &World, ns: &str, name: &str, word: &str) -> Result<()> {
    let selector = format!("involvedObject.name={name}");
    eventually(&format!("an event of pod {name} says {word}"), || async {
        let args =
            ["get", "events", "-n", ns, "--field-selector", &selector, "-o", "jsonpath={.items[*].message}"];
        let events = world.lab.kubectl(&args).await?;
        ensure!(events.contains(word), "events: {events}");
        Ok(())
    })
    .await
}

/// The pod runs after all, and no answer made a second instance of it.
async fn runs_once(world: &World, ns: &str, name: &str) -> Result<()> {
    eventually(&format!("pod {name} runs after all"), || async {
        let pod = world.pod(ns, name).await?;
        ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
        Ok(())
    })
    .await?;
    let instances = world.instances_of(ns).await?;
    let named = instances.iter().filter(|i| i.to_string().contains(&format!("\"{name}\""))).count();
    ensure!(named == 1, "{named} instances of pod {name}: {instances:?}");
    Ok(())
}

/// A rule for the first creates of one pod: passing trouble is told when it lasts, which is from the third refusal on.
fn fault(name: &str, action: &Value) -> Value {
    json!({"method": "POST", "route": "/api/v1/namespaces/{namespace}/pods", "times": 4, "action": action,
        "bodyContains": json!({"burst.io/pod-name": name}).to_string().trim_matches(['{', '}'])})
}
