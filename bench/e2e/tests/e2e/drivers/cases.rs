//! The one table: a pod, and what is wanted of every driver.

use serde_json::{Value, json};

use super::outcome::Class;

/// A pod, and what is wanted of every driver.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Value of `burst-to-cci`; none for no label.
    pub(super) policy: Option<&'static str>,
    /// Whether every core of the real nodes is taken.
    pub(super) full: bool,
    /// The spec of a BurstPolicy in its namespace; null for none.
    pub(super) limits: fn() -> Value,
    /// Whether a pod of the same kind has gone to the cloud before.
    pub(super) ahead: bool,
    pub(super) change: fn(&mut Value),
    /// The pod claims a volume that only nodes with this label can reach.
    pub(super) volume: Option<(&'static str, &'static str)>,
    pub(super) class: Class,
    /// Part of the reason: a code of the engine, or what the user is told.
    pub(super) reason: &'static str,
}

const fn as_it_is(_: &mut Value) {}

const fn no_limits() -> Value {
    Value::Null
}

/// A pod of one core without a label, with room for it.
const PLAIN: Case = Case {
    name: "no-label",
    policy: None,
    full: false,
    limits: no_limits,
    ahead: false,
    change: as_it_is,
    volume: None,
    class: Class::Local,
    reason: "",
};

/// A disk in the zone of a real node.
const HERE: Option<(&str, &str)> = Some(("topology.kubernetes.io/zone", "zone-0"));
/// A disk in the zone of a virtual node.
const THERE: Option<(&str, &str)> = Some(("burst.io/zone", "cn-north-4a"));

/// What the user of a claim is told.
const CLAIMS: &str = "CCI mounts claims of SFS";

/// The same, with every core taken.
const FULL: Case =
    Case { name: "no-label-full", full: true, class: Class::Wait, reason: "Unschedulable", ..PLAIN };

/// A localPrefer pod with every core taken.
const PREFER: Case = Case {
    name: "prefer-full",
    policy: Some("localPrefer"),
    class: Class::Cloud,
    reason: "ShortOfCpu",
    ..FULL
};

fn host_path(spec: &mut Value) {
    spec["volumes"] = json!([{"name": "host", "hostPath": {"path": "/var/lib"}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "host", "mountPath": "/host"}]);
}

fn large(spec: &mut Value) {
    spec["containers"][0]["resources"]["requests"] = json!({"cpu": "64", "memory": "128Gi"});
}

fn one_pod() -> Value {
    json!({"max": {"cloud": {"pods": 1}}})
}

/// One core costs 3.60 an hour.
fn per_hour(amount: &str) -> Value {
    json!({"budget": {"currency": "CNY", "perHour": amount}})
}

fn money_for_one() -> Value {
    per_hour("5")
}

fn money_for_none() -> Value {
    per_hour("3")
}

pub(super) const CASES: [Case; 22] = [
    PLAIN,
    FULL,
    Case { name: "off", policy: Some("off"), ..PLAIN },
    Case { name: "off-full", policy: Some("off"), ..FULL },
    Case { name: "enforce", policy: Some("enforce"), class: Class::Cloud, reason: "PolicyEnforce", ..PLAIN },
    Case { name: "prefer-room", policy: Some("localPrefer"), reason: "RealNodeHadRoom", ..PLAIN },
    PREFER,
    Case { name: "auto-room", policy: Some("auto"), reason: "RealNodeHadRoom", ..PLAIN },
    Case { name: "auto-full", policy: Some("auto"), ..PREFER },
    Case {
        name: "unsupported",
        policy: Some("enforce"),
        change: host_path,
        class: Class::Reject,
        reason: "hostPath",
        ..PLAIN
    },
    Case {
        name: "unsupported-prefer",
        change: host_path,
        class: Class::Wait,
        reason: "CCI has no host whose files could be mounted",
        ..PREFER
    },
    Case { name: "too-large", change: large, class: Class::Wait, reason: "64 core / 128Gi", ..PREFER },
    Case {
        name: "unknown-value",
        policy: Some("perhaps"),
        class: Class::Reject,
        reason: "localPrefer",
        ..PLAIN
    },
    Case {
        name: "volume-room",
        volume: HERE,
        policy: Some("localPrefer"),
        reason: "RealNodeHadRoom",
        ..PLAIN
    },
    Case { name: "volume-full", volume: HERE, class: Class::Wait, reason: CLAIMS, ..PREFER },
    Case { name: "volume-there", volume: THERE, full: false, class: Class::Wait, reason: CLAIMS, ..PREFER },
    Case { name: "ceiling-room", limits: one_pod, ..PREFER },
    Case {
        name: "ceiling-reached",
        limits: one_pod,
        ahead: true,
        class: Class::Wait,
        reason: "CloudLimit",
        ..PREFER
    },
    Case {
        name: "ceiling-auto",
        policy: Some("auto"),
        limits: one_pod,
        ahead: true,
        class: Class::Wait,
        reason: "CloudLimit",
        ..PREFER
    },
    Case { name: "budget-room", limits: money_for_one, ..PREFER },
    Case {
        name: "budget-reached",
        limits: money_for_one,
        ahead: true,
        class: Class::Wait,
        reason: "BudgetReached",
        ..PREFER
    },
    Case {
        name: "budget-of-none",
        limits: money_for_none,
        class: Class::Wait,
        reason: "BudgetReached",
        ..PREFER
    },
];
