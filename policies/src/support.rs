//! What a provider can run, as data: one table per provider, read by admission, Filter, the bridge and the manual.
//!
//! A field that a provider cannot honour is refused with a sentence for the user, before binding, and never dropped
//! in silence; so is a pod field that the table does not know, and a size that the provider does not sell.

pub mod annotations;
pub mod cci;
pub mod cci2;
pub mod cube;
pub mod eci;
pub mod huawei;
pub mod kubernetes;
pub mod mock;
pub mod page;
mod rows;
mod rules;
mod size;
mod walk;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{pod::view::PodView, providers};
pub(crate) use huawei::INTEROP;
use walk::{Path, Walk};

/// Field of a claim in a pod that is judged: the CSI driver of the volume behind it, where admission knows it; empty for
/// volumes of any other kind. No pod has it by itself.
pub const CLAIM_DRIVER: &str = "driver";

/// What happens to a pod field on its way to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// Sent as it is.
    Passed,
    /// Not sent; burst or Kubernetes makes it true (or it means nothing off the node) as the sentence says.
    Emulated,
    /// The pod is refused.
    Refused,
}

/// When a row applies to the value found at its field.
#[derive(Clone, Copy)]
pub enum When {
    /// The field is there (null, empty lists and empty objects count as absent).
    Present,
    /// The field is there and equals this text, boolean or number as JSON writes it, without quotes.
    Is(&'static str),
    /// The field is there and is none of these.
    IsNot(&'static [&'static str]),
    /// Something that one value cannot tell: gets the pod and the field's path, answers the paths at fault.
    Rule(fn(&Value) -> Vec<String>),
}

/// One row of a support matrix.
#[derive(Clone, Copy)]
pub struct Row {
    /// Pod field; `[]` stands for every element, `anyContainers` for containers and init containers, `~` for a dot
    /// inside a key, and `*` for every key that no other row of the same parent names.
    pub field: &'static str,
    /// When the row applies.
    pub when: When,
    /// What happens then.
    pub treatment: Treatment,
    /// One sentence for the user; empty only for fields that are simply passed.
    pub sentence: &'static str,
}

/// A field of a pod that the provider cannot honour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsupported {
    /// Where, for example `spec.volumes[2].hostPath`.
    pub field: String,
    /// Why, and what to do instead.
    pub sentence: String,
}

/// A field of a pod that is honoured by other means than sending it.
pub type Note = Unsupported;

/// Value of the provider taint on virtual nodes of CCI 1.0.
pub const HUAWEI: &str = "huawei";

/// Value of the provider taint on virtual nodes of CCI 2.0, which sells other sizes and takes other fields.
pub const HUAWEI_2: &str = "huawei-cci2";

/// Value of the provider taint on the virtual nodes of the mock provider.
pub const MOCK: &str = "mock";

/// Value of the provider taint on virtual nodes whose pods run in another Kubernetes cluster.
pub const KUBERNETES: &str = "kubernetes";

/// The table of a provider, named by the value of its taint; none where nothing is known of it.
#[must_use]
pub fn table(provider: &str) -> Option<&'static [Row]> {
    providers::of(provider).map(|known| known.table)
}

/// What of this pod the provider cannot run, in the table's order, then annotations with values that it does not know,
/// then what is too large; empty when it can run all of it, or nothing is known of the provider. `pod` is a Pod as JSON; a
/// pod template works as well, because only `spec` and annotations are looked at.
#[must_use]
pub fn check(provider: &str, pod: &Value) -> Vec<Unsupported> {
    let Some(known) = providers::of(provider) else { return Vec::new() };
    let mut all = found(pod, known.table, Treatment::Refused);
    all.extend(annotations::check(known.annotations, pod));
    if let Some(rules) = known.shape
        && let Ok(view) = PodView::deserialize(pod)
    {
        all.extend(size::too_large(&rules, &view));
    }
    all
}

/// The same on a virtual node of it, with or without network interop ([`crate::keys::NETWORK_INTEROP`]).
#[must_use]
pub fn check_on(provider: &str, interop: bool, pod: &Value) -> Vec<Unsupported> {
    let mut all = check(provider, pod);
    if interop && let Some(known) = providers::of(provider) {
        all.extend(found(pod, known.interop, Treatment::Refused));
    }
    all
}

/// What of this pod is honoured by other means, for `explain` and for the pod's events.
#[must_use]
pub fn notes(provider: &str, pod: &Value) -> Vec<Note> {
    found(pod, table(provider).unwrap_or_default(), Treatment::Emulated)
}

/// All of it as one text.
#[must_use]
pub fn sentences(unsupported: &[Unsupported]) -> String {
    unsupported.iter().map(|u| format!("{}: {}", u.field, u.sentence)).collect::<Vec<_>>().join("; ")
}

fn found(pod: &Value, table: &[Row], treatment: Treatment) -> Vec<Unsupported> {
    let rows = table.iter().filter(|row| row.treatment == treatment);
    rows.flat_map(|row| {
        let paths = row.at(pod, table);
        paths.into_iter().map(|field| Unsupported { field, sentence: row.sentence.to_owned() })
    })
    .collect()
}

impl Row {
    /// The concrete paths of the pod to which this row applies.
    fn at(&self, pod: &Value, table: &[Self]) -> Vec<String> {
        if let When::Rule(rule) = self.when {
            return rule(pod);
        }
        let mut paths = Vec::new();
        let named = walk::named_beside(self.field, table);
        let found = |path: &Path<'_>, value: &Value| {
            if self.applies(value) {
                paths.push(path.to_string());
            }
        };
        Walk { named: &named, found }.pod(pod, self.field);
        paths
    }

    fn applies(&self, value: &Value) -> bool {
        match self.when {
            When::Present | When::Rule(_) => true,
            When::Is(text) => walk::is(value, text),
            When::IsNot(texts) => !texts.iter().any(|text| walk::is(value, text)),
        }
    }
}

#[cfg(test)]
mod tests;
