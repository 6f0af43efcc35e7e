//! Names on Cube's side, and the metadata by which a pod is found again.
//!
//! Pure. Cube has no tags that a list could be asked for, so identity stands in the metadata of the YAML, which every
//! answer repeats: labels for cluster, node and UID, annotations for the rest; where annotations get lost, namespace and
//! name are the metadata's own. The name of a Cube pod is for people.

use std::collections::BTreeMap;

use policies::keys::tag;
use serde_json::{Map, Value, json};

use crate::cloud::encoding::sha256_hex;
use crate::cloud::{CreateRequest, PodIdentity, hidden};

/// Longest part of namespace and name that is kept in a Cube pod's name.
const NAME_PART: usize = 50;

/// Annotation on the instance: whether its elastic address is given back with it.
pub(super) const RELEASES_ADDRESS: &str = "burst.io/releases-address";

/// Name of a pod's Cube pod: readable, different for every UID, of letters, digits and `-`.
pub(super) fn cube(pod: &PodIdentity) -> String {
    let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let readable: String =
        format!("{}-{}", pod.namespace, pod.name).chars().map(legal).take(NAME_PART).collect();
    let hash: String = sha256_hex(pod.uid.as_bytes()).chars().take(8).collect();
    format!("{}-{hash}", readable.trim_matches('-'))
}

/// The metadata of the YAML. `releases` says what becomes of an elastic address, if there is one.
pub(super) fn metadata(cluster: &str, request: &CreateRequest, releases: Option<bool>) -> Value {
    let pod = &request.pod;
    let mut labels: BTreeMap<&str, &str> =
        request.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    labels.extend([(tag::CLUSTER, cluster), (tag::NODE, &request.node), (tag::POD_UID, &pod.uid)]);
    let mut annotations = Map::new();
    let hidden = hidden::tag(&request.hidden);
    let own = [(tag::POD_NAMESPACE, &pod.namespace), (tag::POD_NAME, &pod.name), (tag::HIDDEN, &hidden)];
    for (key, value) in own.into_iter().filter(|(_, value)| !value.is_empty()) {
        annotations.insert(key.to_owned(), value.as_str().into());
    }
    if let Some(releases) = releases {
        annotations.insert(RELEASES_ADDRESS.to_owned(), releases.to_string().into());
    }
    json!({
        "name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "labels": labels, "annotations": annotations,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn request(name: &str) -> CreateRequest {
        CreateRequest {
            pod: PodIdentity { uid: "8e5a1c9e-0001".into(), namespace: "shop".into(), name: name.into() },
            node: "uk8s-c-vk-0".into(),
            object: Arc::new(Value::Null),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            hidden: Vec::new(),
            needs_grant: false,
        }
    }

    #[test]
    fn names_are_short_and_differ_by_uid() {
        for name in ["web-7f", "a.b.c", &"x".repeat(253)] {
            let cube = cube(&request(name).pod);
            assert!(cube.len() <= 63 && cube.starts_with("shop-"), "{cube}");
            assert!(cube.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{cube}");
        }
        let other = PodIdentity { uid: "8e5a1c9e-0002".into(), ..request("web-7f").pod };
        assert_ne!(cube(&other), cube(&request("web-7f").pod));
    }
}
