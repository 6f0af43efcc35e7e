//! Names, tags and selectors of instances in a Kubernetes-style cloud: everything by which one is found again.
//!
//! Pure. Names are deterministic from the pod UID, so that creating twice cannot make two instances.

use policies::keys::tag;

use crate::cloud::PodIdentity;
use crate::cloud::encoding::sha256_hex;

/// Longest part of the pod's name that is kept, in characters.
const NAME_PART: usize = 40;

/// Name of a pod's instance: readable, unique by the UID, a valid DNS label.
pub(in crate::cloud) fn instance(pod: &PodIdentity) -> String {
    let readable: String =
        pod.name.chars().take(NAME_PART).map(|c| if c == '.' { '-' } else { c }).collect::<String>();
    format!("{}-{}", readable.trim_end_matches('-'), short_hash(&pod.uid))
}

/// The first eight hexadecimal digits of the SHA-256.
pub(in crate::cloud) fn short_hash(text: &str) -> String {
    sha256_hex(text.as_bytes()).chars().take(8).collect()
}

/// Selects every instance (and copy) of the cluster on the given virtual nodes.
pub(in crate::cloud) fn selector(cluster_id: &str, nodes: &[String]) -> String {
    let cluster = format!("{}={cluster_id}", tag::CLUSTER);
    match nodes {
        [] => cluster,
        [node] => format!("{cluster},{}={node}", tag::NODE),
        nodes => format!("{cluster},{} in ({})", tag::NODE, nodes.join(",")),
    }
}

/// An instance's opaque id: its name and, where known, the UID that the cloud gave it.
pub(in crate::cloud) fn id(name: &str, cloud_uid: &str) -> String {
    if cloud_uid.is_empty() { name.to_owned() } else { format!("{name}/{cloud_uid}") }
}

/// Name and UID from an id made by [`id`].
pub(in crate::cloud) fn parse_id(id: &str) -> (&str, Option<&str>) {
    id.split_once('/').map_or((id, None), |(name, uid)| (name, Some(uid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(pod: &str) -> String {
        instance(&PodIdentity { uid: "8e5a1c9e-0001".into(), namespace: "shop".into(), name: pod.into() })
    }

    #[test]
    fn instance_names_are_dns_labels_and_follow_the_uid() {
        let hash = short_hash("8e5a1c9e-0001");
        let cases = [
            ("web-7f", format!("web-7f-{hash}")),
            ("a.b.c", format!("a-b-c-{hash}")),
            (&"x".repeat(253), format!("{}-{hash}", "x".repeat(40))),
            (&format!("{}-tail", "x".repeat(39)), format!("{}-{hash}", "x".repeat(39))),
        ];
        for (pod, expected) in cases {
            let name = name_of(pod);
            assert_eq!(name, expected);
            assert!(
                name.len() <= 63
                    && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            );
        }
        let other =
            PodIdentity { uid: "8e5a1c9e-0002".into(), namespace: "shop".into(), name: "web-7f".into() };
        assert_ne!(instance(&other), name_of("web-7f"));
    }

    #[test]
    fn selectors() {
        let nodes = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(selector("c1", &nodes(&["n1"])), "burst.io/cluster-id=c1,burst.io/virtual-node=n1");
        assert_eq!(
            selector("c1", &nodes(&["n1", "n2"])),
            "burst.io/cluster-id=c1,burst.io/virtual-node in (n1,n2)"
        );
    }

    #[test]
    fn ids_round_trip() {
        assert_eq!(parse_id(&id("web-1", "u-1")), ("web-1", Some("u-1")));
        assert_eq!(parse_id(&id("web-1", "")), ("web-1", None));
    }
}
