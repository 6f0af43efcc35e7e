//! Finds the values of a pod that a field pattern names, with their concrete paths.
//!
//! A table is some hundred patterns, and nearly all of them name nothing of a pod: nothing is allocated until something
//! is found.

use std::{borrow::Cow, fmt};

use serde_json::Value;

use super::Row;

/// Spelling of "containers and init containers" in a pattern.
const ANY: &str = "anyContainers";
/// What it stands for, in the order of messages.
const KINDS: [&str; 2] = ["initContainers", "containers"];

/// Where a value is, from the pod down; a link per step, each on the stack of the walk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    Pod,
    Key(&'p Self, &'p str),
    Element(&'p Self, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => Ok(()),
            Self::Key(Self::Pod, key) => f.write_str(key),
            Self::Key(parent, key) if key.contains(['.', '/']) => write!(f, "{parent}['{key}']"),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Tells of every present value at a pattern.
pub(super) struct Walk<'w, F> {
    /// Keys that a trailing `*` leaves to other rows.
    pub(super) named: &'w [&'w str],
    /// Who is told.
    pub(super) found: F,
}

impl<F: FnMut(&Path<'_>, &Value)> Walk<'_, F> {
    /// Looks at the whole pod.
    pub(super) fn pod(&mut self, pod: &Value, pattern: &str) {
        self.below(pod, &Path::Pod, pattern);
    }

    fn below(&mut self, value: &Value, path: &Path<'_>, pattern: &str) {
        if pattern.is_empty() {
            if !is_empty(value) {
                (self.found)(path, value);
            }
            return;
        }
        let Value::Object(map) = value else { return };
        let (segment, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
        let (key, each) = segment.strip_suffix("[]").map_or((segment, false), |key| (key, true));
        match key {
            "*" => {
                for (key, value) in map.iter().filter(|(key, _)| !self.named.iter().any(|n| same(n, key))) {
                    self.member(value, &Path::Key(path, key), each, rest);
                }
            }
            ANY => {
                for kind in KINDS {
                    map.get(kind)
                        .into_iter()
                        .for_each(|v| self.member(v, &Path::Key(path, kind), each, rest));
                }
            }
            // Label and resource names hold dots, so a pattern spells them with `~` for `.`.
            key => {
                let key =
                    if key.contains('~') { Cow::Owned(key.replace('~', ".")) } else { Cow::Borrowed(key) };
                map.get(&*key).into_iter().for_each(|v| self.member(v, &Path::Key(path, &key), each, rest));
            }
        }
    }

    fn member(&mut self, value: &Value, path: &Path<'_>, each: bool, rest: &str) {
        if !each {
            return self.below(value, path, rest);
        }
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            self.below(element, &Path::Element(path, index), rest);
        }
    }
}

/// The last keys of the table's other rows with the same parent as `pattern`, when `pattern` ends in `*`.
pub(super) fn named_beside<'t>(pattern: &str, table: &'t [Row]) -> Vec<&'t str> {
    let Some(parent) = pattern.strip_suffix(".*") else { return Vec::new() };
    let rest = table.iter().filter_map(|row| row.field.strip_prefix(parent)?.strip_prefix('.'));
    rest.filter_map(|rest| rest.split(['.', '[']).next()).filter(|key| *key != "*").collect()
}

/// Whether a scalar is this text as JSON writes it, without quotes.
pub(super) fn is(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Bool(own) => text == if *own { "true" } else { "false" },
        other => {
            let own = other.to_string();
            own == text
        }
    }
}

/// Whether a pattern's key spells this key.
fn same(pattern: &str, key: &str) -> bool {
    let dot = |b: u8| if b == b'~' { b'.' } else { b };
    pattern.len() == key.len() && pattern.bytes().map(dot).eq(key.bytes())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
