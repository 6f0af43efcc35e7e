//! What of Kubernetes' messages we read: number, name in JSON and type of each field. All others are skipped.
//!
//! A field that a reader of ours looks at (`slim/`, `governed.rs`, policies' pod view) and that is not here is absent for it.
//! Numbers are those of the `generated.proto` files of k8s.io/api and k8s.io/apimachinery; they never change.

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Integer,
    Flag,
    /// Seconds and nanoseconds here, RFC 3339 to the second in JSON. Zero is none.
    Time,
    /// A message around a string here, a string in JSON.
    Quantity,
    Message(&'static Message),
    /// A message here whose fields stand in the outer object in JSON.
    Inline(&'static Message),
    /// Only that it is there matters: an empty object.
    Present,
}

/// How often a field comes, and what JSON makes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    /// A list that JSON has even if it is empty.
    Always,
    /// Entries of key and value.
    Map,
}

/// A field that is read.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
}

/// The fields of a message that are read; at most 64.
#[derive(Debug)]
pub(super) struct Message(pub(super) &'static [Field]);

/// The message behind `kind` of `v1`.
pub(super) fn of(kind: &str) -> Option<&'static Message> {
    Some(match kind {
        "Pod" => &POD,
        "PodList" => &POD_LIST,
        "Node" => &NODE,
        "NodeList" => &NODE_LIST,
        "Status" => &STATUS,
        _ => return None,
    })
}

const fn one(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, shape: Shape::One }
}

const fn text(number: u64, name: &'static str) -> Field {
    one(number, name, Kind::Text)
}

const fn message(number: u64, name: &'static str, message: &'static Message) -> Field {
    one(number, name, Kind::Message(message))
}

const fn list(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, shape: Shape::List }
}

const fn messages(number: u64, name: &'static str, message: &'static Message) -> Field {
    list(number, name, Kind::Message(message))
}

const fn map(number: u64, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, shape: Shape::Map }
}

const fn items(message: &'static Message) -> Field {
    Field { number: 2, name: "items", kind: Kind::Message(message), shape: Shape::Always }
}

// meta/v1

static LIST_META: Message =
    Message(&[text(2, "resourceVersion"), text(3, "continue"), one(4, "remainingItemCount", Kind::Integer)]);

static OBJECT_META: Message = Message(&[
    text(1, "name"),
    text(2, "generateName"),
    text(3, "namespace"),
    text(5, "uid"),
    text(6, "resourceVersion"),
    one(8, "creationTimestamp", Kind::Time),
    one(9, "deletionTimestamp", Kind::Time),
    map(11, "labels", Kind::Text),
    map(12, "annotations", Kind::Text),
    messages(13, "ownerReferences", &OWNER_REFERENCE),
]);

static OWNER_REFERENCE: Message = Message(&[
    text(1, "kind"),
    text(3, "name"),
    text(4, "uid"),
    text(5, "apiVersion"),
    one(6, "controller", Kind::Flag),
]);

static STATUS: Message = Message(&[
    message(1, "metadata", &LIST_META),
    text(2, "status"),
    text(3, "message"),
    text(4, "reason"),
    message(5, "details", &STATUS_DETAILS),
    one(6, "code", Kind::Integer),
]);

static STATUS_DETAILS: Message = Message(&[
    text(1, "name"),
    text(2, "group"),
    text(3, "kind"),
    messages(4, "causes", &STATUS_CAUSE),
    one(5, "retryAfterSeconds", Kind::Integer),
    text(6, "uid"),
]);

static STATUS_CAUSE: Message = Message(&[text(1, "reason"), text(2, "message"), text(3, "field")]);

// core/v1, nodes

static NODE_LIST: Message = Message(&[message(1, "metadata", &LIST_META), items(&NODE)]);

static NODE: Message = Message(&[
    message(1, "metadata", &NODE_META),
    message(2, "spec", &NODE_SPEC),
    message(3, "status", &NODE_STATUS),
]);

/// Annotations, for a bookmark may have one.
static NODE_META: Message = Message(&[
    text(1, "name"),
    text(5, "uid"),
    text(6, "resourceVersion"),
    map(11, "labels", Kind::Text),
    map(12, "annotations", Kind::Text),
]);

static NODE_SPEC: Message = Message(&[one(4, "unschedulable", Kind::Flag), messages(5, "taints", &TAINT)]);

static TAINT: Message = Message(&[text(1, "key"), text(2, "value"), text(3, "effect")]);

static NODE_STATUS: Message =
    Message(&[map(2, "allocatable", Kind::Quantity), messages(4, "conditions", &NODE_CONDITION)]);

static NODE_CONDITION: Message = Message(&[text(1, "type"), text(2, "status")]);

// core/v1, pods

static POD_LIST: Message = Message(&[message(1, "metadata", &LIST_META), items(&POD)]);

static POD: Message = Message(&[
    message(1, "metadata", &OBJECT_META),
    message(2, "spec", &POD_SPEC),
    message(3, "status", &POD_STATUS),
]);

static POD_SPEC: Message = Message(&[
    messages(1, "volumes", &VOLUME),
    messages(2, "containers", &CONTAINER),
    map(7, "nodeSelector", Kind::Text),
    text(10, "nodeName"),
    message(18, "affinity", &AFFINITY),
    text(19, "schedulerName"),
    messages(20, "initContainers", &CONTAINER),
    messages(22, "tolerations", &TOLERATION),
    text(24, "priorityClassName"),
    one(25, "priority", Kind::Integer),
    map(32, "overhead", Kind::Quantity),
    messages(33, "topologySpreadConstraints", &SPREAD),
    messages(38, "schedulingGates", &NAMED),
    list(39, "resourceClaims", Kind::Present),
    message(40, "resources", &REQUIREMENTS),
]);

static VOLUME: Message = Message(&[one(2, "volumeSource", Kind::Inline(&VOLUME_SOURCE))]);

static VOLUME_SOURCE: Message =
    Message(&[one(10, "persistentVolumeClaim", Kind::Present), one(29, "ephemeral", Kind::Present)]);

static CONTAINER: Message = Message(&[
    text(1, "name"),
    messages(6, "ports", &PORT),
    message(8, "resources", &REQUIREMENTS),
    text(24, "restartPolicy"),
]);

static PORT: Message = Message(&[one(2, "hostPort", Kind::Integer)]);

static REQUIREMENTS: Message =
    Message(&[map(1, "limits", Kind::Quantity), map(2, "requests", Kind::Quantity)]);

static AFFINITY: Message = Message(&[
    message(1, "nodeAffinity", &NODE_AFFINITY),
    message(2, "podAffinity", &POD_AFFINITY),
    message(3, "podAntiAffinity", &POD_AFFINITY),
]);

/// Name of what is required, of nodes and of pods.
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

static NODE_AFFINITY: Message = Message(&[message(1, REQUIRED, &NODE_SELECTOR)]);

static POD_AFFINITY: Message = Message(&[list(1, REQUIRED, Kind::Present)]);

static NODE_SELECTOR: Message = Message(&[messages(1, "nodeSelectorTerms", &NODE_SELECTOR_TERM)]);

static NODE_SELECTOR_TERM: Message =
    Message(&[messages(1, "matchExpressions", &REQUIREMENT), messages(2, "matchFields", &REQUIREMENT)]);

static REQUIREMENT: Message = Message(&[text(1, "key"), text(2, "operator"), list(3, "values", Kind::Text)]);

static TOLERATION: Message =
    Message(&[text(1, "key"), text(2, "operator"), text(3, "value"), text(4, "effect")]);

static SPREAD: Message = Message(&[text(3, "whenUnsatisfiable")]);

static NAMED: Message = Message(&[text(1, "name")]);

static POD_STATUS: Message =
    Message(&[text(1, "phase"), messages(2, "conditions", &POD_CONDITION), text(11, "nominatedNodeName")]);

static POD_CONDITION: Message = Message(&[
    text(1, "type"),
    text(2, "status"),
    one(4, "lastTransitionTime", Kind::Time),
    text(5, "reason"),
    text(6, "message"),
]);
