//! Policy objects on the real API server: the definitions are taken, explained and printed, and contradictions refused.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::eventually_within;
use serde_json::{Value, json};

const KINDS: [(&str, &str); 4] = [
    ("burstpolicies.burst.io", "bp"),
    ("clusterburstpolicies.burst.io", "cbp"),
    ("burstledgers.burst.io", "bled"),
    ("virtualnodereports.burst.io", "vnr"),
];

/// Specs that the API server must refuse, each with a part of the sentence. `policies` checks files with the same cases.
const REFUSED: &str = include_str!("../../../../policies/src/crds/refused.json");

fn policy(namespace: &str, name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstPolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
    .to_string()
}

/// The definitions are structural and established, short names work, and every level of a policy is explained.
pub(crate) async fn definitions_are_accepted_and_explained(world: Arc<World>) -> Result<()> {
    for (crd, short) in KINDS {
        let text = world.lab.kubectl(&["get", "crd", crd, "-o", "json"]).await?;
        let crd: Value = serde_json::from_str(&text)?;
        for condition in crd["status"]["conditions"].as_array().context("conditions")? {
            let good = match condition["type"].as_str() {
                Some("Established" | "NamesAccepted") => condition["status"] == "True",
                Some("NonStructuralSchema") => false,
                _ => true,
            };
            ensure!(good, "{condition}");
        }
        world.lab.kubectl(&["get", short, "-A"]).await?;
    }
    for (path, says) in [
        ("burstpolicy", "How pods of its namespace burst"),
        ("burstpolicy.spec.policy", "localPrefer: A virtual node only if no real node is feasible now."),
        ("bp.spec.tiers.max.cpu", "summed over the pods' effective requests"),
        ("cbp.spec.namespaceSelector", "which namespaces, by their labels"),
        ("bp.status.heldBack", "Why pods wait"),
        ("bled.spec.grants", "Grants by pod UID"),
        ("vnr.spec.stockOuts", "Sizes that the cloud has no room for"),
    ] {
        let text = world.lab.kubectl(&["explain", path]).await?;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(text.contains(says), "kubectl explain {path} does not say {says:?}: {text}");
    }
    Ok(())
}

/// What one object can say wrong by itself is refused by the API server with the sentence that mends it.
pub(crate) async fn contradictions_are_refused(world: Arc<World>) -> Result<()> {
    let ns = "contradictory-policies";
    world.namespace(ns).await?;
    let cases: Vec<Value> = serde_json::from_str(REFUSED)?;
    ensure!(cases.len() > 20, "only {} cases", cases.len());
    for case in &cases {
        let says = case["says"].as_str().context("a sentence")?.to_lowercase();
        let applied = world.lab.apply(&policy(ns, "wrong", &case["spec"])).await;
        let error = applied.err().with_context(|| format!("was admitted: {case}"))?.to_string();
        ensure!(error.to_lowercase().contains(&says), "the refusal does not say {says:?}: {error}");
    }
    // An empty spec, and the same selector of namespaces where it belongs, are no contradictions.
    world.lab.apply(&policy(ns, "empty", &json!({}))).await?;
    let cluster = json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "ClusterBurstPolicy", "metadata": {"name": "nobody"},
        "spec": {"namespaceSelector": {"matchLabels": {"nobody": "here"}}},
    });
    world.lab.apply(&cluster.to_string()).await?;
    world.lab.kubectl(&["delete", "cbp", "nobody"]).await?;
    world.clean(ns).await
}

/// `kubectl get bp` shows what holds now; a status can be written without touching the spec.
pub(crate) async fn columns_show_use(world: Arc<World>) -> Result<()> {
    let ns = "policy-columns";
    world.namespace(ns).await?;
    let spec = json!({
        "selector": {"matchLabels": {"app": "nobody"}}, "policy": "localPrefer", "max": {"cloud": {"pods": 7}},
    });
    world.lab.apply(&policy(ns, "web", &spec)).await?;
    let status = json!({"status": {
        "pods": {"local": 1, "cloud": 3, "waiting": 2},
        "spend": [{"window": "hour", "currency": "CNY", "spent": "1.25", "projected": "2", "max": "5"}],
        "heldBack": {"LimitReached": 2},
        "conditions": [{"type": "Ready", "status": "True", "reason": "InForce", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}],
    }})
    .to_string();
    // The leader may write the same status from what it sees; the columns are read right after the patch.
    eventually_within(Duration::from_secs(20), "the columns of kubectl get bp", || async {
        world
            .lab
            .kubectl(&["patch", "bp", "web", "-n", ns, "--subresource=status", "--type=merge", "-p", &status])
            .await?;
        let text = world.lab.kubectl(&["get", "bp", "-n", ns]).await?;
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let (head, row) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        ensure!(head == "NAME POLICY CLOUD USED CLOUD MAX WAITING SPENT READY AGE", "{text}");
        ensure!(row.starts_with("web localPrefer 3 7 2 1.25 True "), "{text}");
        Ok(())
    })
    .await?;
    let text = world.lab.kubectl(&["get", "bp", "web", "-n", ns, "-o", "json"]).await?;
    let object: Value = serde_json::from_str(&text)?;
    ensure!(object["metadata"]["generation"] == 1, "a status is no new generation: {object}");
    world.clean(ns).await
}
