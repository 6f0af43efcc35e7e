//! A bound pod as the observer needs it: all facts if it has a policy other than off, else its identity only.
//!
//! An object that cannot be read never stops the watch: it is one without a policy.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use memchr::memmem;
use policies::keys;
use policies::pod::PodFacts;
use policies::policy::Policy;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A bound pod.
#[derive(Clone, Debug, Default)]
pub struct ObservedPod {
    metadata: ObjectMeta,
    /// The facts, if admission recorded a policy other than off, or labels of the pod name one.
    pub burst: Option<Box<PodFacts>>,
}

impl ObservedPod {
    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }
}

/// The policy in force as far as the pod itself tells.
pub(super) fn policy(facts: &PodFacts) -> Option<Policy> {
    let label = || keys::POLICY.iter().find_map(|key| facts.labels.get(*key)).and_then(|v| Policy::parse(v));
    facts.recorded_policy().or_else(label).filter(|policy| *policy != Policy::Off)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    metadata: Identity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Identity {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl<'de> Deserialize<'de> for ObservedPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Owned, for the watch hands its lines over piece by piece.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(raw.get()).unwrap_or_default();
        let metadata = ObjectMeta {
            name: head.metadata.name,
            namespace: head.metadata.namespace,
            uid: head.metadata.uid,
            resource_version: head.metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, burst: burst(raw.get()) })
    }
}

/// Most pods name no policy at all, which a search of the text tells without reading them.
fn burst(text: &str) -> Option<Box<PodFacts>> {
    let named = |key: &str| memmem::find(text.as_bytes(), key.as_bytes()).is_some();
    if !named(keys::RESOLVED_POLICY) && !keys::POLICY.iter().any(|key| named(key)) {
        return None;
    }
    let facts = PodFacts::from_json(text).ok()?;
    policy(&facts).is_some().then(|| Box::new(facts))
}

cluster::read_as!(ObservedPod as Pod);
