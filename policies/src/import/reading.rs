//! An object that is read field by field: whoever takes a field says what becomes of it, and what nobody takes is
//! reported at the end.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Fate, ImportError, Row};
use crate::burst_policy::{LabelSelector, Operator, PolicyKind, Requirement};

/// Fields of every object that the API server writes, or that name it.
const SERVERS: [&str; 8] = [
    "apiVersion",
    "kind",
    "metadata.uid",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.creationTimestamp",
    "metadata.managedFields",
    "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
];

pub(super) struct Reading<'a> {
    object: &'a Value,
    taken: Vec<String>,
    rows: Vec<Row>,
}

type Result<T> = std::result::Result<T, ImportError>;

impl<'a> Reading<'a> {
    pub(super) fn new(object: &'a Value) -> Self {
        Self { object, taken: SERVERS.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Writes a row of the table about a field.
    pub(super) fn row(&mut self, field: &str, fate: Fate, note: impl Into<String>) {
        self.taken.push(field.to_owned());
        self.rows.push(Row { field: field.to_owned(), fate, note: note.into() });
    }

    pub(super) fn maps(&mut self, field: &str, note: impl Into<String>) {
        self.row(field, Fate::Maps, note);
    }

    /// A row about a field with content of its own, which is still to be taken.
    pub(super) fn note_policy(&mut self, field: &str, policy: &str) {
        let note = format!("spec.policy: {policy}");
        self.rows.push(Row { field: field.to_owned(), fate: Fate::Maps, note });
    }

    pub(super) fn approximated(&mut self, field: &str, note: impl Into<String>) {
        self.row(field, Fate::Approximated, note);
    }

    pub(super) fn refused(&mut self, field: &str, note: impl Into<String>) {
        self.row(field, Fate::Refused, note);
    }

    /// A field by its path (`spec.units[0].max`); null counts as absent.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        let mut here = self.object;
        for step in field.split('.') {
            let (name, index) = match step.split_once('[') {
                Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
                None => (step, None),
            };
            here = here.get(name)?;
            if let Some(index) = index {
                here = here.get(index)?;
            }
        }
        Some(here).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>> {
        self.read(field, "a text", Value::as_str)
    }

    pub(super) fn number(&self, field: &str) -> Result<Option<u64>> {
        self.read(field, "a whole number of at least 0", Value::as_u64)
    }

    pub(super) fn signed(&self, field: &str) -> Result<Option<i64>> {
        self.read(field, "a whole number", Value::as_i64)
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>> {
        self.read(field, "true or false", Value::as_bool)
    }

    pub(super) fn length(&self, field: &str) -> Result<usize> {
        Ok(self.read(field, "a list", |v| v.as_array().map(Vec::len))?.unwrap_or(0))
    }

    /// A map of texts; empty if absent.
    pub(super) fn map(&self, field: &str) -> Result<BTreeMap<String, String>> {
        let entries = |value: &Value| {
            let pair = |(k, v): (&String, &Value)| Some((k.clone(), v.as_str()?.to_owned()));
            value.as_object()?.iter().map(pair).collect()
        };
        Ok(self.read(field, "a map of texts", entries)?.unwrap_or_default())
    }

    /// A quantity, written as text or as a number.
    pub(super) fn quantity(&self, field: &str) -> Result<Option<String>> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.read(field, "a quantity", text)
    }

    fn read<T>(
        &self,
        field: &str,
        wanted: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let bad = || ImportError::BadField { field: field.to_owned(), found: value.to_string(), wanted };
        read(value).map(Some).ok_or_else(bad)
    }

    /// A label selector (`matchLabels`, `matchExpressions`), written as `to` of ours.
    pub(super) fn selector(&mut self, field: &str, to: &str) -> Result<LabelSelector> {
        let labels = format!("{field}.matchLabels");
        let match_labels = self.map(&labels)?;
        if !match_labels.is_empty() {
            self.maps(&labels, format!("{to}.matchLabels"));
        }
        let match_expressions = self.requirements(&format!("{field}.matchExpressions"), to)?;
        Ok(LabelSelector { match_labels, match_expressions })
    }

    /// A list of label requirements.
    pub(super) fn requirements(&mut self, field: &str, to: &str) -> Result<Vec<Requirement>> {
        let mut all = Vec::new();
        for i in 0..self.length(field)? {
            let at = format!("{field}[{i}]");
            let key = self.text(&format!("{at}.key"))?.unwrap_or_default().to_owned();
            let word = self.text(&format!("{at}.operator"))?.unwrap_or_default();
            let operator = match word {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    let (field, found) = (format!("{at}.operator"), format!("{other:?}"));
                    return Err(ImportError::BadField {
                        field,
                        found,
                        wanted: "In, NotIn, Exists or DoesNotExist",
                    });
                }
            };
            let values = self.get(&format!("{at}.values")).and_then(Value::as_array);
            let values = values.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect();
            all.push(Requirement { key, operator, values });
            self.maps(&at, format!("{to}.matchExpressions[{i}]"));
        }
        Ok(all)
    }

    /// Name, and namespace where our kind has one.
    pub(super) fn identity(&mut self, kind: PolicyKind) -> Result<(String, Option<String>)> {
        let name = self.text("metadata.name")?.ok_or(ImportError::NoName)?.to_owned();
        let namespace = self.text("metadata.namespace")?.map(str::to_owned);
        self.maps("metadata.name", "metadata.name");
        match (kind, namespace) {
            (PolicyKind::BurstPolicy, None) => {
                self.approximated(
                    "metadata.namespace",
                    "absent: the policy is written for namespace default",
                );
                Ok((name, Some("default".to_owned())))
            }
            (PolicyKind::BurstPolicy, Some(namespace)) => {
                self.maps("metadata.namespace", "metadata.namespace");
                Ok((name, Some(namespace)))
            }
            (PolicyKind::ClusterBurstPolicy, Some(_)) => {
                self.refused(
                    "metadata.namespace",
                    "a ClusterBurstPolicy has none: namespaces are selected by label",
                );
                Ok((name, None))
            }
            (PolicyKind::ClusterBurstPolicy, None) => Ok((name, None)),
        }
    }

    /// The table, complete: fields that nobody took are refused.
    pub(super) fn finish(mut self) -> Vec<Row> {
        let mut leaves = Vec::new();
        collect("", self.object, &mut leaves);
        for leaf in leaves {
            let taken = self.taken.iter().any(|t| leaf == *t || within(&leaf, t));
            if taken {
                continue;
            }
            let note = match leaf.split(['.', '[']).next() {
                Some("status") => "what the other product observed: burst writes a status of its own",
                Some("metadata") => {
                    "labels and annotations of the object are not taken over: add those that you use"
                }
                _ => {
                    "burst does not know this field: read what it does, and say it in the policy's own words"
                }
            };
            self.rows.push(Row { field: leaf, fate: Fate::Refused, note: note.to_owned() });
        }
        self.rows
    }
}

fn within(leaf: &str, taken: &str) -> bool {
    leaf.strip_prefix(taken).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Paths of all values that are no containers, and of containers without content.
fn collect(path: &str, value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(&path, value, leaves);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (i, value) in items.iter().enumerate() {
                collect(&format!("{path}[{i}]"), value, leaves);
            }
        }
        Value::Null => {}
        _ => leaves.push(path.to_owned()),
    }
}
