//! The custom resource definitions of burst, generated from the types: what `deploy/manifests/crds.yaml` holds.
//!
//! A policy's spec is checked by the API server with the rules of [`rules`]; ledgers and reports are written by programs
//! only, so their fields have types but no rules, and fields of a newer version are kept.

mod rules;
mod schema;

use serde_json::{Value, json};

use crate::burst_policy::{BurstPolicySpec, BurstPolicyStatus, GROUP, PolicyKind, VERSION};
use crate::ledger::{Ledger, NodeReport};

/// All four definitions, complete enough to be applied.
pub fn all() -> Vec<Value> {
    vec![
        policy(PolicyKind::BurstPolicy, "burstpolicy", "bp"),
        policy(PolicyKind::ClusterBurstPolicy, "clusterburstpolicy", "cbp"),
        BURST_LEDGER.definition(
            schema::of::<Ledger>(),
            "The grants of one policy: which pods may be in the cloud, and what they have cost. Written by burst-scheduler; do not edit.",
        ),
        VIRTUAL_NODE_REPORT.definition(
            schema::of::<NodeReport>(),
            "What a bridge knows of one virtual node. Written by burst-bridge; do not edit.",
        ),
    ]
}

/// Names and columns of a kind.
struct Kind<'a> {
    kind: &'a str,
    plural: &'a str,
    singular: &'a str,
    short: &'a str,
    scope: &'a str,
    columns: &'a [Column],
}

/// A printed column: name, type, path, what it says.
type Column = (&'static str, &'static str, &'static str, &'static str);

const AGE: Column = ("Age", "date", ".metadata.creationTimestamp", "Time since its creation");

const POLICY_COLUMNS: [Column; 7] = [
    ("Policy", "string", ".spec.policy", "Policy of pods that say nothing themselves"),
    ("Cloud used", "integer", ".status.pods.cloud", "Pods in the cloud, or granted"),
    ("Cloud max", "integer", ".spec.max.cloud.pods", "Most pods in the cloud"),
    ("Waiting", "integer", ".status.pods.waiting", "Pods held back"),
    ("Spent", "string", ".status.spend[0].spent", "Money spent in the shortest window of the budget"),
    ("Ready", "string", r#".status.conditions[?(@.type=="Ready")].status"#, "Whether the policy is in force"),
    AGE,
];

const BURST_LEDGER: Kind<'_> = Kind {
    kind: "BurstLedger",
    plural: "burstledgers",
    singular: "burstledger",
    short: "bled",
    scope: "Namespaced",
    columns: &[("Policy", "string", ".spec.policy", "The policy whose grants these are"), AGE],
};

const VIRTUAL_NODE_REPORT: Kind<'_> = Kind {
    kind: "VirtualNodeReport",
    plural: "virtualnodereports",
    singular: "virtualnodereport",
    short: "vnr",
    scope: "Cluster",
    columns: &[
        ("Provider", "string", ".spec.provider", "Value of the provider taint"),
        ("Zone", "string", ".spec.zone", "The cloud's zone"),
        ("Instances", "integer", ".spec.instances", "Instances that exist"),
        ("Sold out", "string", ".spec.stockOuts[*].class", "Size classes that the cloud has no room for"),
        ("Version", "string", ".spec.version", "Version of the bridge"),
        AGE,
    ],
};

fn policy(kind: PolicyKind, singular: &str, short: &str) -> Value {
    let scope = match kind {
        PolicyKind::BurstPolicy => "Namespaced",
        PolicyKind::ClusterBurstPolicy => "Cluster",
    };
    let names =
        Kind { kind: kind.as_str(), plural: kind.plural(), singular, short, scope, columns: &POLICY_COLUMNS };
    let mut spec = schema::of::<BurstPolicySpec>();
    rules::add(kind, &mut spec);
    let mut status = schema::of::<BurstPolicyStatus>();
    schema::without_defaults(&mut status);
    let description = match kind {
        PolicyKind::BurstPolicy => {
            "How pods of its namespace burst: where they go in which order, how many, at what cost, and when."
        }
        PolicyKind::ClusterBurstPolicy => {
            "How pods of the namespaces that it selects burst: where they go in which order, how many, at what cost, and when."
        }
    };
    let mut version = names.version(description, &json!({"spec": spec, "status": status}));
    if let Some(version) = version.as_object_mut() {
        version.insert("subresources".to_owned(), json!({"status": {}}));
    }
    names.around(&version)
}

impl Kind<'_> {
    /// The definition of a kind whose spec only programs write.
    fn definition(&self, mut spec: Value, description: &str) -> Value {
        schema::without_defaults(&mut spec);
        schema::open(&mut spec);
        self.around(&self.version(description, &json!({"spec": spec})))
    }

    fn version(&self, description: &str, properties: &Value) -> Value {
        let column = |(name, kind, path, description): &Column| json!({"name": name, "type": kind, "jsonPath": path, "description": description});
        let columns: Vec<Value> = self.columns.iter().map(column).collect();
        json!({
            "name": VERSION,
            "served": true,
            "storage": true,
            "schema": {"openAPIV3Schema": {
                "type": "object", "description": description, "required": ["spec"], "properties": properties,
            }},
            "additionalPrinterColumns": columns,
        })
    }

    fn around(&self, version: &Value) -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{}.{GROUP}", self.plural),
                "labels": {"app.kubernetes.io/part-of": "burst"},
            },
            "spec": {
                "group": GROUP,
                "scope": self.scope,
                "names": {
                    "kind": self.kind,
                    "listKind": format!("{}List", self.kind),
                    "plural": self.plural,
                    "singular": self.singular,
                    "shortNames": [self.short],
                    "categories": ["burst"],
                },
                "versions": [version],
            },
        })
    }
}

#[cfg(test)]
mod tests;
