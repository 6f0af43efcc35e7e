//! A Pod's JSON as far as scheduling looks at it, borrowed from the text it came in.
//!
//! Reads from a JSON text or from a `serde_json::Value` without copying strings; unknown fields are skipped and
//! `null` counts as absent, as the API server treats it. Field names are the Pod type's own (core/v1).

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use crate::{keys, policy::Policy};

/// A string that borrows from the JSON where the JSON has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Text<'_> {
    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Labels, annotations, selectors.
pub type TextMap<'a> = BTreeMap<Text<'a>, Text<'a>>;

/// `resources.requests` and the like.
pub type ResourceList<'a> = BTreeMap<Text<'a>, QuantityText<'a>>;

/// A pod, or a pod template: both have `metadata` and `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodView<'a> {
    /// `metadata`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub metadata: Metadata<'a>,
    /// `spec`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub spec: Spec<'a>,
    /// `status`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub status: Status<'a>,
}

/// `metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are ObjectMeta's own")]
pub struct Metadata<'a> {
    #[serde(borrow)]
    pub uid: Option<Text<'a>>,
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub generate_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub deletion_timestamp: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub labels: TextMap<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub annotations: TextMap<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerView<'a>>,
}

/// One of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are OwnerReference's own")]
pub struct OwnerView<'a> {
    #[serde(borrow)]
    pub api_version: Text<'a>,
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub uid: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    pub controller: bool,
}

/// `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are PodSpec's own")]
pub struct Spec<'a> {
    #[serde(borrow)]
    pub node_name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub node_selector: TextMap<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub affinity: Affinity<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub tolerations: Vec<TolerationView<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub scheduling_gates: Vec<Named<'a>>,
    pub priority: Option<i32>,
    #[serde(borrow)]
    pub priority_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub scheduler_name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub containers: Vec<Container<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub init_containers: Vec<Container<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub overhead: ResourceList<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub resources: Requirements<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub topology_spread_constraints: Vec<Spread<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<Volume>,
    #[serde(deserialize_with = "nullable")]
    pub resource_claims: Vec<Present>,
}

/// `status`, as far as scheduling reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are PodStatus' own")]
pub struct Status<'a> {
    #[serde(borrow)]
    pub phase: Option<Text<'a>>,
    #[serde(borrow)]
    pub nominated_node_name: Option<Text<'a>>,
}

/// Something of which only the name matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named<'a> {
    /// `name`.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// Something of which only the presence matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(d).map(|_| Self)
    }
}

/// A container, an init container or a sidecar.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are Container's own")]
pub struct Container<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub restart_policy: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub resources: Requirements<'a>,
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<Port>,
}

/// `ports` of a container.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Port {
    /// `hostPort`; 0 or none means none.
    pub host_port: Option<i64>,
}

/// `resources` of a container or of the pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are ResourceRequirements' own")]
pub struct Requirements<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub requests: ResourceList<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub limits: ResourceList<'a>,
}

/// `topologySpreadConstraints`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spread<'a> {
    /// `DoNotSchedule` or `ScheduleAnyway`.
    #[serde(borrow)]
    pub when_unsatisfiable: Text<'a>,
}

/// A volume that may tie the pod to some nodes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    /// `persistentVolumeClaim`.
    pub persistent_volume_claim: Option<Present>,
    /// `ephemeral`: a claim made for the pod.
    pub ephemeral: Option<Present>,
}

/// `affinity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are Affinity's own")]
pub struct Affinity<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub node_affinity: NodeAffinity<'a>,
    #[serde(deserialize_with = "nullable")]
    pub pod_affinity: PodAffinity,
    #[serde(deserialize_with = "nullable")]
    pub pod_anti_affinity: PodAffinity,
}

/// `podAffinity` and `podAntiAffinity`: only whether something is required.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodAffinity {
    /// The required terms.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution", deserialize_with = "nullable")]
    pub required: Vec<Present>,
}

/// `nodeAffinity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeAffinity<'a> {
    /// The required selector.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution", borrow)]
    pub required: Option<NodeSelector<'a>>,
}

/// A required node selector: terms are alternatives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSelector<'a> {
    /// `nodeSelectorTerms`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub node_selector_terms: Vec<TermView<'a>>,
}

/// One node selector term.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are NodeSelectorTerm's own")]
pub struct TermView<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub match_expressions: Vec<RequirementView<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub match_fields: Vec<RequirementView<'a>>,
}

/// One node selector requirement.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are NodeSelectorRequirement's own")]
pub struct RequirementView<'a> {
    #[serde(borrow)]
    pub key: Text<'a>,
    #[serde(borrow)]
    pub operator: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub values: Vec<Text<'a>>,
}

/// One toleration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are Toleration's own")]
pub struct TolerationView<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub key: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub operator: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub value: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub effect: Text<'a>,
}

impl PodView<'_> {
    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.get(key).map(Text::as_str)
    }

    /// The policy that admission wrote on the pod.
    pub fn recorded_policy(&self) -> Option<Policy> {
        self.annotation(keys::RESOLVED_POLICY).and_then(Policy::parse)
    }
}

/// A quantity's text; Kubernetes accepts bare JSON numbers too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuantityText<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for QuantityText<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(QuantityVisitor(PhantomData)).map(Self)
    }
}

struct QuantityVisitor<'a>(PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for QuantityVisitor<'a> {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as \"500m\" or 2")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        // Prints the shortest text that reads back as the same number: what the user wrote.
        Ok(Cow::Owned(number.to_string()))
    }
}

fn nullable<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}
