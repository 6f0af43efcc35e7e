//! What the API server says in protobuf is what it says in JSON, for every reader of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster::protobuf::spoken;
use cluster::{GovernedPod, SlimNode, SlimPod};
use e2e::World;
use kube::Client;
use lab::{Workload, eventually, eventually_within};
use policies::pod::PodFacts;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const NS: &str = "wire";

/// A watch that ends by itself after what is there now, and the bookmark that says so.
const WATCH: &str = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=2";

/// A pod with everything that is read of pods, one that is bound, one in the cloud and nodes with taints: lists, pages, watches and
/// errors in protobuf are read as those in JSON are. burst-scheduler itself gets protobuf.
pub(crate) async fn protobuf_says_what_json_says(world: Arc<World>) -> Result<()> {
    world.namespace(NS).await?;
    everything(&world).await?;
    let json = world.lab.client().await?;
    let answers = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counted = Arc::clone(&answers);
    let told = move |protobuf| {
        let count = if protobuf { &counted.0 } else { &counted.1 };
        count.fetch_add(1, Ordering::Relaxed);
    };
    let protobuf = spoken(&json, Arc::new(told));

    let pods = format!("/api/v1/namespaces/{NS}/pods");
    for path in [pods.clone(), format!("{pods}?limit=2"), "/api/v1/nodes".to_owned()] {
        eventually_within(Duration::from_secs(30), &format!("{path} is read alike"), || async {
            alike(&listed(&json, &path).await?, &listed(&protobuf, &path).await?)
        })
        .await?;
    }
    for path in [format!("{pods}?{WATCH}"), format!("/api/v1/nodes?{WATCH}")] {
        eventually_within(Duration::from_secs(60), &format!("{path} is read alike"), || async {
            let (wanted, found) = tokio::try_join!(watched(&json, &path), watched(&protobuf, &path))?;
            ensure!(wanted.iter().any(|line| line.starts_with("BOOKMARK")), "no bookmark: {wanted:?}");
            alike(&wanted, &found)
        })
        .await?;
    }
    let wrong = format!("{pods}?continue=wrong");
    alike(&[refused(&json, &wrong).await?], &[refused(&protobuf, &wrong).await?])?;
    let (protobuf, other) = (answers.0.load(Ordering::Relaxed), answers.1.load(Ordering::Relaxed));
    ensure!(protobuf >= 5 && other == 0, "{protobuf} answers in protobuf, {other} in JSON");

    eventually("burst-scheduler is answered in protobuf", || async {
        let text = world.metrics().await?;
        ensure!(text.lines().any(|line| line == "burst_cache_protobuf 1"), "{text}");
        Ok(())
    })
    .await?;
    world.lab.kubectl(&["delete", "node/wire-tainted", "priorityclass/wire", "runtimeclass/wire"]).await?;
    world.clean(NS).await
}

/// Makes what is read.
async fn everything(world: &World) -> Result<()> {
    let objects = [
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "wire"}, "value": -7}),
        json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "wire"}, "handler": "runc",
               "overhead": {"podFixed": {"cpu": "250m", "memory": "120Mi"}}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NS, "name": "owner"}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "wire-tainted", "labels": {"zone": "a"}},
               "spec": {"unschedulable": true, "taints": [{"key": "wire", "value": "yes", "effect": "NoSchedule"}]}}),
    ];
    for object in objects {
        world.lab.apply(&object.to_string()).await?;
    }
    let uid =
        world.lab.kubectl(&["get", "configmap", "owner", "-n", NS, "-o", "jsonpath={.metadata.uid}"]).await?;
    world.lab.apply(&gated(&uid).to_string()).await?;
    let status = json!({"status": {"nominatedNodeName": "node-0"}}).to_string();
    let patch = ["patch", "pod", "everything", "-n", NS, "--subresource=status", "-p", &status];
    world.lab.kubectl(&patch).await?;
    world
        .lab
        .apply(&Workload::pod(NS, "bound").spec(|spec| spec["nodeName"] = json!("node-0")).text())
        .await?;
    world.lab.apply(&Workload::pod(NS, "cloud").label("burst-to-cci", "enforce").text()).await?;
    eventually_within(Duration::from_secs(60), "two pods run", || async {
        let pods = world.pods(NS).await?;
        let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        ensure!(running == 2 && pods.len() == 3, "{}", e2e::names(&pods));
        Ok(())
    })
    .await
}

/// A pod that waits behind gates, with all that the tables of the crate `cluster` name.
fn gated(owner: &str) -> Value {
    let zone =
        |operator: &str, values: &[&str]| json!({"key": "zone", "operator": operator, "values": values});
    let apart = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "wire"}}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": NS, "name": "everything", "labels": {"app": "wire", "empty": ""},
            "annotations": {"text": "\"quoted\"\\ line\nbreak\t<b>&amp; 突发"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner, "controller": true}],
        },
        "spec": {
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}},
                {"name": "none", "emptyDir": {}},
            ],
            "initContainers": [
                {"name": "sidecar", "image": "i", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
                {"name": "first", "image": "i", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
            ],
            "containers": [
                {"name": "web", "image": "i", "ports": [{"containerPort": 80}, {"containerPort": 443, "hostPort": 443}],
                 "resources": {"requests": {"cpu": "1500m", "memory": "1.5Gi", "example.com/nic": "2"},
                               "limits": {"cpu": "2", "memory": "2Gi", "example.com/nic": "2"},
                               "claims": [{"name": "device"}]}},
                {"name": "bare", "image": "i"},
            ],
            "resourceClaims": [{"name": "device", "resourceClaimName": "gpu-0"}],
            "resources": {"requests": {"cpu": "4"}, "limits": {"memory": "16Gi"}},
            "nodeSelector": {"disk": "fast"},
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [zone("In", &["a", ""]), zone("Exists", &[])]},
                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-0"]}]},
                ]}},
                "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]},
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]},
            },
            "tolerations": [{"key": "wire", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                                           "labelSelector": {"matchLabels": {"app": "wire"}}}],
            "schedulingGates": [{"name": "example.com/wait"}, {"name": "example.com/more"}],
            "priorityClassName": "wire", "runtimeClassName": "wire",
        },
    })
}

#[derive(Deserialize)]
struct List<'a> {
    kind: String,
    metadata: Value,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

async fn text(client: &Client, path: &str) -> Result<String, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

/// A list, as all our readers read it.
async fn listed(client: &Client, path: &str) -> Result<Vec<String>> {
    let text = text(client, path).await?;
    let list: List<'_> = serde_json::from_str(&text)?;
    let mut read = vec![format!("{} {}", list.kind, list.metadata)];
    ensure!(!list.items.is_empty(), "{path} has no items");
    for item in list.items {
        read.push(object(list.kind == "PodList", item.get())?);
    }
    Ok(read)
}

/// The events of a watch until it ends.
async fn watched(client: &Client, path: &str) -> Result<Vec<String>> {
    let mut read = Vec::new();
    for line in text(client, path).await?.lines() {
        let event: Event<'_> = serde_json::from_str(line)?;
        let value: Value = serde_json::from_str(event.object.get())?;
        let kind = value["kind"].as_str().unwrap_or_default();
        let object = match event.kind.as_str() {
            "BOOKMARK" => value["metadata"]["annotations"].to_string(),
            _ => object(kind == "Pod", event.object.get())?,
        };
        read.push(format!("{} {kind} {} {object}", event.kind, value["apiVersion"]));
    }
    read.sort();
    Ok(read)
}

fn object(pod: bool, text: &str) -> Result<String> {
    if !pod {
        return Ok(format!("{:?}", serde_json::from_str::<SlimNode>(text)?));
    }
    let slim = SlimPod { text: None, ..serde_json::from_str(text)? };
    let governed: GovernedPod = serde_json::from_str(text)?;
    ensure!(!slim.undecodable && !governed.undecodable, "{text}");
    Ok(format!("{slim:?} {governed:?} {:?}", PodFacts::from_json(text)?))
}

/// What an error says, its code and its details.
async fn refused(client: &Client, path: &str) -> Result<String> {
    match text(client, path).await.err().with_context(|| format!("{path} is answered"))? {
        kube::Error::Api(status) => Ok(format!("{status:?}")),
        other => Err(other.into()),
    }
}

fn alike(wanted: &[String], found: &[String]) -> Result<()> {
    for (wanted, found) in wanted.iter().zip(found) {
        ensure!(wanted == found, "in JSON\n{wanted}\nin protobuf\n{found}");
    }
    ensure!(wanted.len() == found.len(), "{} in JSON, {} in protobuf", wanted.len(), found.len());
    Ok(())
}
