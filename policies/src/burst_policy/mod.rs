//! BurstPolicy and ClusterBurstPolicy (`burst.io/v1alpha1`, DESIGN 4.3) as plain data: spec and status.
//!
//! The custom resource definitions are generated from these types, so a field's documentation here is what
//! `kubectl explain burstpolicy.spec` prints. Unknown fields are pruned by the API server and refused in files.

mod check;
mod matching;
mod object;
mod overlap;

pub use check::{Problem, ProblemKind, Surroundings, check, check_object, sentences, valid_condition};
use matching::rank;
pub use matching::{best, matches, terms};
pub use object::{PolicyKind, PolicyObject, key};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{money::Money, policy::Policy};

/// API group of every kind of burst.
pub const GROUP: &str = "burst.io";
/// Version of every kind of burst.
pub const VERSION: &str = "v1alpha1";

/// What a policy object asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BurstPolicySpec {
    /// Which pods it governs; empty means all pods of the namespace (of all namespaces for a ClusterBurstPolicy).
    #[serde(default)]
    pub selector: PodSelector,
    /// ClusterBurstPolicy only: which namespaces, by their labels; empty means all.
    #[serde(default, skip_serializing_if = "LabelSelector::is_empty")]
    pub namespace_selector: LabelSelector,
    /// Among policies whose selectors have equally many terms the higher priority wins, then the name.
    #[serde(default)]
    pub priority: i32,
    /// The policy of pods that say nothing themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Where pods go, in order of preference. Without tiers: real nodes, then any virtual node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Ceilings over all tiers of a side.
    #[serde(default)]
    pub max: SideLimits,
    /// How much money the pods in the cloud may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How long pods wait before they may burst.
    #[serde(default)]
    pub wait: Wait,
    /// Let preemption on real nodes be tried before a pod may burst.
    #[serde(default)]
    pub preempt_before_burst: bool,
    /// What to do when the cloud has sold out a pod's size everywhere the tiers allow.
    #[serde(default)]
    pub fallback: Fallback,
    /// Which side shrinks first when a ReplicaSet is scaled in.
    #[serde(default)]
    pub scale_in: ScaleIn,
    /// Move burst pods home when real nodes have room again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repatriation: Option<Repatriation>,
    /// Pods that go together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gang: Option<Gang>,
    /// Rewrite hostname spread constraints and anti-affinity so that virtual nodes do not count as one host.
    #[serde(default)]
    pub rewrite_topology: bool,
    /// Labels put on the cloud instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cloud_labels: BTreeMap<String, String>,
    /// Annotations put on the cloud instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cloud_annotations: BTreeMap<String, String>,
}

/// Which pods. Every part that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSelector {
    /// Labels that the pod has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
    /// The workload that owns the pod, directly or through another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerSelector>,
    /// `spec.priorityClassName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// A label selector as Kubernetes writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// The values, for In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The value is one of those given.
    In,
    /// There is no such label, or its value is none of those given.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
}

/// A workload by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnerSelector {
    /// For example `Deployment` or `CronJob`; any kind if empty.
    #[serde(default)]
    pub kind: String,
    /// Its name; any name if empty.
    #[serde(default)]
    pub name: String,
}

/// Real or virtual nodes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Side {
    /// Real nodes.
    #[default]
    Local,
    /// Virtual nodes.
    Cloud,
}

/// A group of nodes with a ceiling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// Name, unique in the policy; appears in grants, reasons and metrics.
    pub name: String,
    /// Real or virtual nodes.
    #[serde(default)]
    pub side: Side,
    /// Labels of its nodes; empty means all nodes of the side (of the provider and zones, if given).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Cloud only: value of the virtual nodes' provider taint (`huawei`, `alibabacloud`, `ucloud`, …); any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Cloud only: values of the nodes' label `topology.kubernetes.io/zone` or `burst.io/zone`, in order; any if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Ceiling of this tier.
    #[serde(default)]
    pub max: Limit,
}

/// A ceiling; what is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u64>,
    /// CPU as a Kubernetes quantity (`"64"`, `"500m"`), summed over the pods' effective requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory as a Kubernetes quantity (`"256Gi"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// GPUs, whole devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<u64>,
}

/// Ceilings per side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SideLimits {
    /// On real nodes.
    #[serde(default)]
    pub local: Limit,
    /// In the cloud. Counted by instance: a terminating pod counts until its instance is confirmed gone.
    #[serde(default)]
    pub cloud: Limit,
}

/// Money that pods in the cloud may cost. Windows are UTC calendar hours, days and months.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// ISO code of the currency; the price book must have prices in it.
    pub currency: String,
    /// Most per hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<Money>,
    /// Most per day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<Money>,
    /// Most per month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_month: Option<Money>,
    /// Whose money it is.
    #[serde(default)]
    pub scope: BudgetScope,
    /// What happens to money that a window did not use.
    #[serde(default)]
    pub carry_over: CarryOver,
    /// Seconds of running that a pod must be able to pay for when it is let into the cloud (and all running pods with
    /// it), but never beyond the end of the window that follows. Default 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve_seconds: Option<u64>,
}

/// Whose money a budget is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetScope {
    /// One amount for all pods of the policy.
    #[default]
    Policy,
    /// The amount is each namespace's own.
    Namespace,
}

/// What happens to money that a window did not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CarryOver {
    /// It is gone.
    #[default]
    None,
    /// It adds to the next window, once, and never more than one window's amount.
    Unspent,
}

/// How long pods wait before they may burst. Waiting pods are ordinary pending pods, visible to autoscalers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wait {
    /// Seconds from creation before a pod may burst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_burst_seconds: Option<u64>,
    /// Seconds from the first time a pod was found unschedulable, to let an autoscaler add nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaler_seconds: Option<u64>,
    /// Seconds from creation after which a pod bursts at once, whatever the other waits say (limits and budgets hold).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
}

/// What to do when the cloud has sold out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fallback {
    /// The next zone, provider and tier in order, then real nodes again.
    #[default]
    NextTier,
    /// Keep trying the tier that was chosen.
    Wait,
}

/// Which side shrinks first when a ReplicaSet is scaled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScaleIn {
    /// Pods in the cloud go first.
    #[default]
    CloudFirst,
    /// Burst writes no deletion cost.
    Off,
}

/// Moving burst pods home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repatriation {
    /// Seconds a pod stays in the cloud at least.
    #[serde(default = "ten_minutes")]
    pub min_stay_seconds: u64,
    /// Most moves per hour, over the policy.
    #[serde(default = "sixty")]
    pub max_per_hour: u32,
}

const fn ten_minutes() -> u64 {
    600
}

const fn sixty() -> u32 {
    60
}

/// Pods that go together: all of a group on one side, or all wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gang {
    /// Label whose value names the group.
    pub label_key: String,
    /// Pods that must exist before the group is decided; a pod annotation `burst.io/gang-size` overrides it.
    pub size: u32,
}

/// What holds now, written by the one leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BurstPolicyStatus {
    /// `metadata.generation` that this status is of.
    pub observed_generation: i64,
    /// Pods governed now, by side; `waiting` are held back.
    pub pods: PodCounts,
    /// Use against ceiling, tier by tier, then per side (`name` is `local` or `cloud`).
    pub usage: Vec<Usage>,
    /// Money, one row per window and scope.
    pub spend: Vec<SpendRow>,
    /// Why pods wait: reason code and number of pods.
    pub held_back: BTreeMap<String, u64>,
    /// `Ready`, `LimitReached`, `BudgetReached`, `StockOut`, `Valid`.
    pub conditions: Vec<Condition>,
}

/// Pods by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCounts {
    /// On real nodes.
    pub local: u64,
    /// In the cloud, or granted.
    pub cloud: u64,
    /// Held back.
    pub waiting: u64,
}

/// Use against a ceiling. Quantities as Kubernetes writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Tier, or `local` and `cloud` for the sides.
    pub name: String,
    /// In use or granted.
    pub used: Limit,
    /// The ceiling.
    pub max: Limit,
}

/// Money of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SpendRow {
    /// `hour`, `day` or `month`.
    pub window: String,
    /// The namespace, for budgets per namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Currency.
    pub currency: String,
    /// Spent in the window so far.
    pub spent: Money,
    /// Spent plus what running pods cost until the end of the window.
    pub projected: Money,
    /// The ceiling, carry-over included.
    pub max: Money,
}

/// A condition as Kubernetes has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Type, UpperCamelCase.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason, UpperCamelCase.
    pub reason: String,
    /// For people: what, and what to do.
    pub message: String,
    /// When the status changed, RFC 3339.
    pub last_transition_time: String,
    /// `metadata.generation` that it is of.
    pub observed_generation: i64,
}
