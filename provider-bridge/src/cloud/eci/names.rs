//! Names, tags and tokens on ECI's side: everything by which a container group is found again.
//!
//! Pure. A group's name is for people (ECI does not make it unique); its identity is its tags. A tag's value has at most
//! 128 characters, and a pod's name may have 253: what is longer goes on in `<key>.2`, `<key>.3`, so that nothing is lost.

use std::collections::BTreeMap;

use policies::keys::tag;

use crate::cloud::encoding::sha256_hex;
use crate::cloud::{CreateRequest, PodIdentity, hidden};

/// Longest value of a tag, characters.
const TAG_VALUE_MAX: usize = 128;
/// Most tags of one container group.
pub(super) const TAGS_MAX: usize = 20;
/// Longest part of namespace and name that is kept in a group's name.
const NAME_PART: usize = 100;

/// Name of a pod's container group: readable, different for every UID, of ECI's characters (lower-case letters, digits
/// and `-`, 2 to 128 of them).
pub(super) fn group(pod: &PodIdentity) -> String {
    let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let readable: String =
        format!("{}-{}", pod.namespace, pod.name).chars().map(legal).take(NAME_PART).collect();
    let hash: String = sha256_hex(pod.uid.as_bytes()).chars().take(8).collect();
    format!("{}-{hash}", readable.trim_matches('-'))
}

/// The token of one attempt: the same for the same attempt at the same place, whoever asks and how often.
pub(super) fn token(cluster: &str, uid: &str, generation: u32, attempt: &str) -> String {
    // 64 characters, the most that ECI takes.
    sha256_hex(format!("{cluster}/{uid}/{generation}/{attempt}").as_bytes())
}

/// The tags that make a group ours, without the policy's and the user's own.
pub(super) fn tags(cluster: &str, request: &CreateRequest) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let hidden = hidden::tag(&request.hidden);
    let own = [
        (tag::CLUSTER, cluster),
        (tag::NODE, &request.node),
        (tag::POD_UID, &request.pod.uid),
        (tag::POD_NAMESPACE, &request.pod.namespace),
        (tag::POD_NAME, &request.pod.name),
        (tag::HIDDEN, &hidden),
    ];
    for (key, value) in own {
        put(&mut tags, key, value);
    }
    tags
}

fn put(tags: &mut BTreeMap<String, String>, key: &str, value: &str) {
    let letters: Vec<char> = value.chars().collect();
    for (at, part) in (1..).zip(letters.chunks(TAG_VALUE_MAX)) {
        tags.insert(numbered(key, at), part.iter().collect());
    }
}

/// The whole value of a tag.
pub(super) fn get(tags: &BTreeMap<String, String>, key: &str) -> String {
    (1..).map_while(|at| tags.get(&numbered(key, at))).map(String::as_str).collect()
}

fn numbered(key: &str, at: usize) -> String {
    if at == 1 { key.to_owned() } else { format!("{key}.{at}") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;

    fn pod(namespace: &str, name: &str) -> PodIdentity {
        PodIdentity { uid: "8e5a1c9e-0001".into(), namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn group_names_have_ecis_characters_and_follow_the_uid() {
        let long = "x".repeat(253);
        for (namespace, name) in [("shop", "web-7f"), ("shop", "a.b.c"), ("shop", &long), ("1", "a-")] {
            let name = group(&pod(namespace, name));
            assert!((2..=128).contains(&name.len()), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(!name.ends_with('-'), "{name}");
        }
        assert!(group(&pod("shop", "web.7f")).starts_with("shop-web-7f-"));
        let other = PodIdentity { uid: "8e5a1c9e-0002".into(), ..pod("shop", "web-7f") };
        assert_ne!(group(&other), group(&pod("shop", "web-7f")));
    }

    #[test]
    fn tokens_differ_by_attempt_and_are_short_enough() {
        let one = token("c", "u", 0, "vsw-1");
        assert_eq!(one.len(), 64);
        assert_eq!(one, token("c", "u", 0, "vsw-1"));
        for other in [token("c", "u", 1, "vsw-1"), token("c", "u", 0, "vsw-2"), token("c", "v", 0, "vsw-1")] {
            assert_ne!(one, other);
        }
    }

    /// Guards recovery: the longest names that Kubernetes allows come back whole.
    #[test]
    fn long_names_come_back_from_the_tags() {
        let request = CreateRequest {
            pod: pod(&"n".repeat(63), &"p".repeat(253)),
            node: "virtual-node-eci-0".into(),
            object: Arc::new(Value::Null),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            hidden: (0..9).map(|n| format!("agent-{n}-{}", "x".repeat(40))).collect(),
            needs_grant: false,
        };
        let tags = tags("cluster-1", &request);
        assert!(tags.len() <= TAGS_MAX - 3, "{}", tags.len());
        assert!(tags.values().all(|value| value.chars().count() <= 128));
        assert_eq!(get(&tags, tag::POD_NAME), request.pod.name);
        assert_eq!(get(&tags, tag::POD_UID), request.pod.uid);
        assert_eq!(get(&tags, tag::HIDDEN), hidden::tag(&request.hidden));
        assert_eq!(get(&BTreeMap::new(), tag::HIDDEN), "");
    }
}
