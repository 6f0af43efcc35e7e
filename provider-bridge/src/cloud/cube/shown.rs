//! Pods as Cube shows them: base64 of the YAML that was sent, with what the cloud adds. What is absent reads as empty.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use policies::keys::tag;
use policies::quantity::Quantity;
use policies::resources::Resources;
use serde_json::Value;

use crate::cloud::translate::json::{list, text};
use crate::cloud::{Instance, PodIdentity};

use super::names::RELEASES_ADDRESS;
use super::status::{self, pod_status};

/// One pod of a list.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) instance: Instance,
    /// Of which cluster.
    pub(super) cluster: String,
    /// What becomes of its elastic address; none where it has none.
    pub(super) releases: Option<bool>,
    /// Its containers and their limits.
    pub(super) containers: Vec<(String, Resources)>,
}

/// Reads a pod; the error says what is wrong with it.
pub(super) fn read(encoded: &str) -> Result<Shown, String> {
    let bytes = STANDARD.decode(encoded.trim()).map_err(|error| format!("not base64: {error}"))?;
    let yaml = String::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    // A stream may hold further documents.
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&yaml).map_err(|error| format!("not YAML: {error}"))?;
    let is_pod = |document: &&Value| text(document, "kind").is_none_or(|kind| kind == "Pod");
    let pod = documents.iter().find(is_pod).ok_or("no Pod in it")?;
    let metadata = pod.get("metadata").ok_or("no metadata in it")?;
    let id = text(metadata, "cubeId").filter(|id| !id.is_empty()).ok_or("no cubeId in it")?;
    Ok(shown(pod, metadata, id))
}

fn shown(pod: &Value, metadata: &Value, id: &str) -> Shown {
    let label = |key: &str| metadata.get("labels").and_then(|labels| text(labels, key)).unwrap_or_default();
    let annotation = |key: &str| metadata.get("annotations").and_then(|all| text(all, key));
    let either = |key: &str, field: &str| {
        annotation(key).or_else(|| text(metadata, field)).unwrap_or_default().to_owned()
    };
    let created = text(metadata, "creationTimestamp").unwrap_or_default();
    let containers = containers(pod);
    let instance = Instance {
        id: id.to_owned(),
        pod: PodIdentity {
            uid: label(tag::POD_UID).to_owned(),
            namespace: either(tag::POD_NAMESPACE, "namespace"),
            name: either(tag::POD_NAME, "name"),
        },
        node: label(tag::NODE).to_owned(),
        created: created.parse::<Timestamp>().ok(),
        deleting: status::deleting(pod),
        billed: containers.iter().map(|(_, limits)| *limits).fold(one_pod(), plus),
        status: std::sync::Arc::new(pod_status(pod, annotation(tag::HIDDEN).unwrap_or_default())),
    };
    Shown {
        instance,
        cluster: label(tag::CLUSTER).to_owned(),
        releases: annotation(RELEASES_ADDRESS).map(|text| text == "true"),
        containers,
    }
}

/// Name and limits of every container. Their sum is a size of the table.
fn containers(pod: &Value) -> Vec<(String, Resources)> {
    let containers = pod.get("spec").map(|spec| list(spec, "containers")).unwrap_or_default();
    let limit = |container: &Value, resource: &str, unit: fn(&Quantity) -> i64| {
        let value = container.pointer(&format!("/resources/limits/{resource}"))?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        u64::try_from(unit(&Quantity::parse(&text).ok()?)).ok()
    };
    let one = |container: &Value| {
        let limits = Resources {
            cpu_milli: limit(container, "cpu", Quantity::to_milli_ceil).unwrap_or_default(),
            memory_bytes: limit(container, "memory", Quantity::to_value_ceil).unwrap_or_default(),
            ..Resources::default()
        };
        (text(container, "name").unwrap_or_default().to_owned(), limits)
    };
    containers.iter().map(one).collect()
}

fn one_pod() -> Resources {
    Resources { pods: 1, ..Resources::default() }
}

fn plus(sum: Resources, limits: Resources) -> Resources {
    Resources {
        cpu_milli: sum.cpu_milli.saturating_add(limits.cpu_milli),
        memory_bytes: sum.memory_bytes.saturating_add(limits.memory_bytes),
        ..sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(yaml: &str) -> String {
        STANDARD.encode(yaml)
    }

    #[test]
    fn whose_a_pod_is_and_what_it_costs() {
        let yaml = "apiVersion: v1\nkind: Pod\nmetadata:\n  cubeId: cube-1\n  uid: other\n  name: web\n  namespace: shop\n  \
                    creationTimestamp: '2026-01-02T03:04:05Z'\n  labels: {burst.io/cluster-id: c-1, burst.io/pod-uid: u-1, \
                    burst.io/virtual-node: n-1}\n  annotations: {burst.io/pod-name: web.long, burst.io/releases-address: 'false'}\n\
                    spec:\n  containers:\n  - {name: a, resources: {limits: {cpu: 1500m, memory: 3Gi}}}\n  - {name: b, \
                    resources: {limits: {cpu: 500m, memory: 1Gi}}}\nstatus: {phase: Terminating}\n";
        let shown = read(&encoded(yaml)).unwrap();
        let instance = &shown.instance;
        assert_eq!(
            (instance.id.as_str(), shown.cluster.as_str(), shown.releases),
            ("cube-1", "c-1", Some(false))
        );
        let pod = &instance.pod;
        assert_eq!(
            (pod.uid.as_str(), pod.namespace.as_str(), pod.name.as_str()),
            ("u-1", "shop", "web.long")
        );
        assert_eq!((instance.billed.cpu_milli, instance.billed.memory_bytes), (2000, 4 << 30));
        assert!(instance.deleting && instance.created.is_some());
    }

    #[test]
    fn half_a_pod_is_an_error_and_a_strangers_is_not() {
        assert!(read("???").unwrap_err().contains("base64"));
        assert!(read(&encoded("metadata: {cubeId: [")).unwrap_err().contains("YAML"));
        assert!(read(&encoded("kind: Pod\nmetadata: {}\n")).unwrap_err().contains("cubeId"));
        let stranger = read(&encoded("kind: Pod\nmetadata: {cubeId: cube-9}\n")).unwrap();
        assert!(stranger.cluster.is_empty() && stranger.instance.pod.uid.is_empty());
    }
}
