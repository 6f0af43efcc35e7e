//! Who comes after a pod that is evicted, and who waits for a node already: live reads for moves home, which are rare.
//!
//! Only controllers that are known to make an equal pod again count. What the successor asks for is read from the
//! controller's template, because the living pod was narrowed at its admission and when it was granted.

use kube::Client;
use policies::ledger::home::Pending;
use policies::pod::PodFacts;
use serde::Deserialize;
use serde_json::Value;

use crate::patch::PodRef;
use crate::read::get;

/// Annotations by which people keep autoscalers from evicting a pod, with the value that says so.
const DO_NOT_DISRUPT: [(&str, &str); 2] =
    [("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"), ("karpenter.sh/do-not-disrupt", "true")];

/// Most pending pods that are looked at.
const MOST_PENDING: usize = 500;

/// Who comes after a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Successor {
    /// One like this, made by its controller.
    Like(Box<PodFacts>),
    /// Nobody, for this reason, as long as the pod lives.
    Nobody(&'static str),
}

/// Reads what decisions know of exactly this pod; none if it is gone.
///
/// # Errors
/// For people, when it cannot be told now.
pub async fn facts(client: &Client, pod: PodRef<'_>) -> Result<Option<PodFacts>, String> {
    let PodRef { namespace, name, uid } = pod;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let Some(live) = get::<Value>(client, &path, "application/json").await? else { return Ok(None) };
    if text(&live, "/metadata/uid") != uid {
        return Ok(None);
    }
    PodFacts::from_value(&live).map(Some).map_err(|error| error.to_string())
}

/// Reads who comes after a pod. `gated` says that the leader wrote its node affinity.
///
/// # Errors
/// For people, when it cannot be told now.
pub async fn successor(client: &Client, facts: PodFacts, gated: bool) -> Result<Successor, String> {
    let namespace = &facts.namespace;
    let Some(controller) = facts.controller() else {
        return Ok(Successor::Nobody("it has no controller that would make a new one"));
    };
    let plural = match controller.kind.as_str() {
        "ReplicaSet" => "replicasets",
        "StatefulSet" => "statefulsets",
        _ => return Ok(Successor::Nobody("only ReplicaSets and StatefulSets make an equal one")),
    };
    if controller.api_version != "apps/v1" {
        return Ok(Successor::Nobody("its controller is not one of Kubernetes' own"));
    }
    if DO_NOT_DISRUPT.iter().any(|(key, value)| facts.annotations.get(*key).is_some_and(|v| v == value)) {
        return Ok(Successor::Nobody("its annotations say that it must not be disrupted"));
    }
    let path = format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{}", controller.name);
    let owner = get::<Value>(client, &path, "application/json").await?;
    let owner = owner.filter(|owner| text(owner, "/metadata/uid") == controller.uid);
    let Some(owner) = owner.filter(grows) else {
        return Err(format!("{} {} makes no new pods now", controller.kind, controller.name));
    };
    let template = owner.pointer("/spec/template").unwrap_or(&Value::Null);
    let template = PodFacts::from_value(template).map_err(|error| error.to_string())?;
    if template.node_name.is_some() {
        return Ok(Successor::Nobody("its template names a node, and a new one would come back"));
    }
    let required_terms = if gated { template.required_terms } else { facts.required_terms };
    let requests = facts.requests.max(template.requests);
    Ok(Successor::Like(Box::new(PodFacts { required_terms, requests, node_name: None, ..facts })))
}

/// Whether a controller would replace a pod: it is not being deleted, and has no more pods than it wants.
fn grows(owner: &Value) -> bool {
    let number = |pointer: &str| owner.pointer(pointer).and_then(Value::as_u64);
    let wanted = number("/spec/replicas").unwrap_or(1);
    let deleting = owner.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
    !deleting && wanted > 0 && number("/status/replicas").unwrap_or(0) <= wanted
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[derive(Deserialize)]
struct Pods {
    metadata: ListMeta,
    items: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    rest: Option<String>,
}

/// Every pod that waits for a node.
///
/// # Errors
/// For people: the API server does not say, there are too many, or one of them cannot be read.
pub async fn pending(client: &Client) -> Result<Vec<Pending>, String> {
    let selector = "spec.nodeName%3D%2Cstatus.phase%3DPending";
    let path = format!("/api/v1/pods?fieldSelector={selector}&limit={MOST_PENDING}");
    let list: Pods = get(client, &path, "application/json").await?.ok_or("pods cannot be listed")?;
    if list.metadata.rest.is_some_and(|rest| !rest.is_empty()) {
        return Err(format!("more than {MOST_PENDING} pods wait for a node"));
    }
    let waits = |pod: &&Value| pod.pointer("/metadata/deletionTimestamp").is_none_or(Value::is_null);
    let read = |pod: &Value| {
        let facts = PodFacts::from_value(pod).map_err(|error| error.to_string())?;
        Ok(Pending { policy: facts.recorded_policy().unwrap_or_default(), facts })
    };
    list.items.iter().filter(waits).map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::FakeApi;

    fn pod(owner: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "shop", "uid": "u", "ownerReferences": [owner]},
            "spec": {
                "nodeName": "virtual",
                "containers": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "type", "operator": "Exists"}]}]}}},
            },
        })
    }

    fn owner(kind: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "o", "controller": true})
    }

    fn set(extra: &Value) -> Value {
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": "shop", "uid": "o"},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [
                {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "4Gi"}}}]}}},
            "status": {"replicas": 1},
        });
        json_patch::merge(&mut set, extra);
        set
    }

    async fn ask(objects: &[Value], gated: bool) -> Result<Option<Successor>, String> {
        let api = FakeApi::new();
        objects.iter().for_each(|object| drop(api.put(object.clone())));
        let (client, pod) = (api.client(), PodRef { namespace: "shop", name: "a", uid: "u" });
        match facts(&client, pod).await? {
            Some(facts) => successor(&client, facts, gated).await.map(Some),
            None => Ok(None),
        }
    }

    #[tokio::test]
    async fn an_equal_pod_comes_from_a_replica_set() {
        let objects = [pod(&owner("ReplicaSet")), set(&json!({}))];
        let like = |found| match found {
            Ok(Some(Successor::Like(facts))) => facts,
            other => panic!("{other:?}"),
        };
        let facts = like(ask(&objects, false).await);
        assert_eq!((facts.requests.cpu_milli, facts.requests.memory_bytes), (2000, 4 << 30), "the larger");
        assert!(facts.required_terms.is_some() && facts.node_name.is_none());
        let facts = like(ask(&objects, true).await);
        assert_eq!(facts.required_terms, None, "the leader's own affinity is not the successor's");
    }

    #[tokio::test]
    async fn others_are_not_made_again() {
        let nobody = |found| matches!(found, Ok(Some(Successor::Nobody(_))));
        for kind in ["Job", "DaemonSet", "Workflow"] {
            assert!(nobody(ask(&[pod(&owner(kind))], false).await), "{kind}");
        }
        let mut bare = pod(&owner("ReplicaSet"));
        bare["metadata"]["ownerReferences"] = json!([]);
        assert!(nobody(ask(&[bare], false).await));
        let mut kept = pod(&owner("ReplicaSet"));
        kept["metadata"]["annotations"] = json!({"karpenter.sh/do-not-disrupt": "true"});
        assert!(nobody(ask(&[kept], false).await));
        let named = set(&json!({"spec": {"template": {"spec": {"nodeName": "virtual"}}}}));
        assert!(nobody(ask(&[pod(&owner("ReplicaSet")), named], false).await));
        // What may be otherwise tomorrow is no answer.
        for extra in [
            json!({"spec": {"replicas": 0}}),
            json!({"status": {"replicas": 2}}),
            json!({"metadata": {"uid": "other"}}),
        ] {
            let found = ask(&[pod(&owner("ReplicaSet")), set(&extra)], false).await;
            assert!(found.is_err(), "{extra}: {found:?}");
        }
        assert_eq!(ask(&[], false).await, Ok(None));
    }

    #[tokio::test]
    async fn pods_without_a_node_wait() {
        let api = FakeApi::new();
        for (name, extra) in [
            ("waits", json!({"metadata": {"annotations": {"burst.io/resolved-policy": "enforce"}}})),
            ("bound", json!({"spec": {"nodeName": "n"}})),
            ("done", json!({"status": {"phase": "Failed"}})),
            (
                "going",
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}}),
            ),
        ] {
            let mut pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "uid": name},
                "spec": {"containers": []}, "status": {"phase": "Pending"},
            });
            json_patch::merge(&mut pod, &extra);
            api.put(pod);
        }
        let found = pending(&api.client()).await.expect("a list");
        let names: Vec<_> = found.iter().map(|p| (p.facts.name.as_str(), p.policy.as_str())).collect();
        assert_eq!(names, [("waits", "enforce")]);
    }
}
