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

/// 401, 403, 429, 500 and 503 on create; then a conflict, a garbage body, an empty body and a lost answer.
pub(crate) async fn refusals_are_told_and_survived(world: Arc<World>) -> Result<()> {
    let ns = "cloud-answers";
    world.namespace(ns).await?;
    for (name, status, word) in ANSWERS {
        one(&world, ns, name, json!({"kind": "status", "code": status}), Some(word)).await?;
    }
    for (name, action) in [
        ("conflict", json!({"kind": "status", "code": 409})),
        ("garbage", json!({"kind": "garbage"})),
        ("empty", json!({"kind": "empty"})),
        ("lost", json!({"kind": "lostAnswer"})),
    ] {
        one(&world, ns, name, action, None).await?;
    }
    world.clean(ns).await
}

async fn one(world: &World, ns: &str, name: &str, action: Value, word: Option<&str>) -> Result<()> {
    let rule = fault(&action);
    world.stack.lock().await.cloud_post(&world.lab, "faults", &rule).await?;
    let pod = Workload::pod(ns, name).spec(|spec| spec["nodeName"] = json!("burst-cci-0"));
    world.lab.apply(&pod.text()).await?;
    if let Some(word) = word {
        let selector = format!("involvedObject.name={name}");
        eventually(&format!("an event of pod {name} says {word}"), || async {
            let args = [
                "get",
                "events",
                "-n",
                ns,
                "--field-selector",
                &selector,
                "-o",
                "jsonpath={.items[*].message}",
            ];
            let events = world.lab.kubectl(&args).await?;
            ensure!(events.contains(word), "events: {events}");
            Ok(())
        })
        .await?;
    }
    eventually(&format!("pod {name} runs after all"), || async {
        let pod = world.pod(ns, name).await?;
        ensure!(pod["status"]["phase"] == "Running", "{}", pod["status"]);
        Ok(())
    })
    .await?;
    let instances = world.instances_of(ns).await?;
    let named = instances.iter().filter(|i| i.to_string().contains(&format!("\"{name}\""))).count();
    ensure!(named == 1, "{named} instances of pod {name}: {instances:?}");
    world
        .stack
        .lock()
        .await
        .cloud_post(&world.lab, "faults", &json!([]))
        .await
        .map(drop)
        .context("clearing faults")
}

/// A rule for the next creates of pods: passing trouble is told when it lasts, which is from the third refusal on.
fn fault(action: &Value) -> Value {
    json!([{"method": "POST", "route": "/api/v1/namespaces/{namespace}/pods", "times": 4, "action": action}])
}
