//! Other products' scheduling objects as BurstPolicy objects, field by field: what maps, what is approximated and how,
//! what is refused and why. No field is dropped without a word.
//!
//! Facts: `scheduling.md` 4.1. Alibaba's ResourcePolicy and eci-profile Selector and Baidu's ScheduleProfile follow their
//! published schemas; the fields of Huawei's ScheduleProfile are recalled from the vendor's page, and the table says so.

mod alibaba;
mod profile;
mod reading;
#[cfg(test)]
mod tests;

use serde_json::Value;
use thiserror::Error;

use crate::burst_policy::{
    BurstPolicySpec, GROUP, PolicyKind, PolicyObject, Surroundings, VERSION, check_object,
};
use reading::Reading;

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Burst does the same.
    Maps,
    /// Burst does something near; the note says how it differs.
    Approximated,
    /// Not taken over; the note says why, and what to do.
    Refused,
}

impl Fate {
    /// As the table shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Maps => "maps",
            Self::Approximated => "approximated",
            Self::Refused => "refused",
        }
    }
}

/// One field of the object that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands, for example `spec.units[1].max`.
    pub field: String,
    /// What became of it.
    pub fate: Fate,
    /// The field of ours, or how it differs, or why not.
    pub note: String,
}

/// An object converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What was read, for example `ResourcePolicy shop/web (Alibaba ACK)`.
    pub title: String,
    /// The object of ours.
    pub object: PolicyObject,
    /// Every field that was read.
    pub rows: Vec<Row>,
    /// What still contradicts itself in the result, in words.
    pub problems: Vec<String>,
}

/// Why an object cannot be converted at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Not one of the kinds that are read.
    #[error(
        "{api_version} {kind} is none of the objects that can be imported: ScheduleProfile (Huawei CCE, Baidu BCI), \
         ResourcePolicy (scheduling.alibabacloud.com), Selector (eci.aliyun.com)"
    )]
    UnknownKind {
        /// `apiVersion`.
        api_version: String,
        /// `kind`.
        kind: String,
    },
    /// A field does not have the type that its schema gives it.
    #[error("{field}: {found} is not {wanted}")]
    BadField {
        /// Where.
        field: String,
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
    },
    /// It has no name.
    #[error("metadata.name is missing: the policy is named like the object")]
    NoName,
}

/// Converts one object.
///
/// # Errors
/// [`ImportError`] for objects of other kinds and for fields that cannot be read.
pub fn convert(object: &Value) -> Result<Imported, ImportError> {
    let word = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (word("apiVersion"), word("kind"));
    let group = api_version.split('/').next().unwrap_or_default();
    let mut reading = Reading::new(object);
    let (product, made) = match (group, kind) {
        ("scheduling.alibabacloud.com", "ResourcePolicy") => {
            ("Alibaba ACK", alibaba::resource_policy(&mut reading)?)
        }
        ("eci.aliyun.com", "Selector") => ("eci-profile", alibaba::selector(&mut reading)?),
        ("scheduling.bci.cloud.baidu.com", "ScheduleProfile") => ("Baidu BCI", profile::baidu(&mut reading)?),
        (_, "ScheduleProfile") => ("Huawei CCE", profile::huawei(&mut reading)?),
        _ => {
            let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
            return Err(ImportError::UnknownKind { api_version, kind });
        }
    };
    let (name, namespace) = reading.identity(made.kind)?;
    let place = namespace.as_ref().map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
    let title = format!("{kind} {place} ({product})");
    let object = PolicyObject::new(namespace.as_deref(), &name, made.spec);
    let around = Surroundings { objects: &[], usage: &[], priced: &|_| true };
    let problems = check_object(&object, &around);
    let problems = problems.into_iter().map(|p| format!("{}: {}", p.field, p.text)).collect();
    Ok(Imported { title, object, rows: reading.finish(), problems })
}

/// What a converter makes.
struct Made {
    kind: PolicyKind,
    spec: BurstPolicySpec,
}

impl Imported {
    /// Our object, as it is applied.
    pub fn manifest(&self) -> Value {
        let mut metadata = serde_json::Map::new();
        metadata.insert("name".to_owned(), self.object.name.clone().into());
        if !self.object.namespace.is_empty() {
            metadata.insert("namespace".to_owned(), self.object.namespace.clone().into());
        }
        let mut spec = serde_json::to_value(&self.object.spec).unwrap_or_default();
        without_empty(&mut spec);
        serde_json::json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": self.object.kind.as_str(),
            "metadata": metadata,
            "spec": spec,
        })
    }
}

/// Takes out what says nothing: empty objects and what is the default anyway.
fn without_empty(value: &mut Value) {
    let Some(fields) = value.as_object_mut() else { return };
    for field in fields.values_mut() {
        without_empty(field);
        field.as_array_mut().into_iter().flatten().for_each(without_empty);
    }
    fields.retain(|key, value| {
        let default = matches!(
            (key.as_str(), &*value),
            ("priority", v) if *v == 0
        ) || matches!(
            (key.as_str(), value.as_str()),
            ("fallback", Some("NextTier")) | ("scaleIn", Some("CloudFirst"))
        ) || matches!(
            (key.as_str(), value.as_bool()),
            ("preemptBeforeBurst" | "rewriteTopology", Some(false))
        );
        !default && !value.as_object().is_some_and(serde_json::Map::is_empty)
    });
}
