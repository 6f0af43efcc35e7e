//! A JSON Patch (RFC 6902) that grows beside a working copy, so that every step sees what the earlier ones did.
//!
//! `add` creates a missing member and sets one that is there; missing parents are made first. `remove` takes back only
//! what burst itself wrote. Nothing outside the named path changes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOp {
    /// Creates or sets the value at the path; `-` as the last step appends to a list.
    Add {
        /// JSON Pointer (RFC 6901).
        path: String,
        /// The value.
        value: Value,
    },
    /// Removes the value at the path, which is there.
    Remove {
        /// JSON Pointer.
        path: String,
    },
}

/// A copy of the object with the operations that made it from the original.
pub(super) struct Draft {
    object: Value,
    ops: Vec<PatchOp>,
}

impl Draft {
    pub(super) fn of(object: &Value) -> Self {
        Self { object: object.clone(), ops: vec![] }
    }

    pub(super) fn into_ops(self) -> Vec<PatchOp> {
        self.ops
    }

    pub(super) const fn is_unchanged(&self) -> bool {
        self.ops.is_empty()
    }

    /// What is at the path now; `null` counts as nothing.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Value> {
        at(&self.object, path).filter(|v| !v.is_null())
    }

    /// Sets a member, making its parents, unless it is there with this value.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        if self.get(path) == Some(&value) {
            return;
        }
        if let Some((_, parent)) = path.split_last()
            && !parent.is_empty()
            && self.get(parent).is_none()
        {
            self.set(parent, Value::Object(Map::new()));
        }
        self.apply(path, value);
    }

    /// Appends to the list at the path, making it if it is not there.
    pub(super) fn push(&mut self, path: &[&str], value: Value) {
        if self.get(path).is_none() {
            self.set(path, Value::Array(vec![value]));
            return;
        }
        self.ops.push(PatchOp::Add { path: format!("{}/-", pointer(path)), value: value.clone() });
        if let Some(Value::Array(list)) = at_mut(&mut self.object, path) {
            list.push(value);
        }
    }

    /// Removes a member or an element, if it is there.
    pub(super) fn remove(&mut self, path: &[&str]) {
        let Some((last, parent)) = path.split_last() else { return };
        if at(&self.object, path).is_none() {
            return;
        }
        match at_mut(&mut self.object, parent) {
            Some(Value::Object(members)) => drop(members.remove(*last)),
            Some(Value::Array(list)) => {
                let Ok(index) = last.parse::<usize>() else { return };
                list.remove(index);
            }
            _ => return,
        }
        self.ops.push(PatchOp::Remove { path: pointer(path) });
    }

    fn apply(&mut self, path: &[&str], value: Value) {
        self.ops.push(PatchOp::Add { path: pointer(path), value: value.clone() });
        let Some((last, parent)) = path.split_last() else { return };
        if let Some(Value::Object(members)) = at_mut(&mut self.object, parent) {
            members.insert((*last).to_owned(), value);
        }
    }
}

/// What is at the path; an element of a list is named by its index.
fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Object(members) => members.get(*step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn at_mut<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Object(members) => members.get_mut(*step),
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The path as a JSON Pointer.
fn pointer(path: &[&str]) -> String {
    let mut whole = String::with_capacity(64);
    for step in path {
        whole.push('/');
        match step.contains(['~', '/']) {
            true => whole.push_str(&step.replace('~', "~0").replace('/', "~1")),
            false => whole.push_str(step),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parents_are_made_and_equal_values_left_alone() {
        let mut draft = Draft::of(&json!({"a": {"x": null}, "list": [1]}));
        draft.set(&["a", "x", "k/e~y"], json!("v"));
        draft.set(&["a", "x", "k/e~y"], json!("v"));
        draft.push(&["list"], json!(2));
        draft.push(&["new"], json!(3));
        assert_eq!(
            serde_json::to_value(draft.into_ops()).unwrap(),
            json!([
                {"op": "add", "path": "/a/x", "value": {}},
                {"op": "add", "path": "/a/x/k~1e~0y", "value": "v"},
                {"op": "add", "path": "/list/-", "value": 2},
                {"op": "add", "path": "/new", "value": [3]},
            ])
        );
    }

    #[test]
    fn only_what_is_there_is_removed() {
        let mut draft = Draft::of(&json!({"a": {"k/e~y": "v", "none": null}, "list": [1, 2, 3]}));
        draft.remove(&["a", "k/e~y"]);
        draft.remove(&["a", "k/e~y"]);
        draft.remove(&["missing", "member"]);
        draft.remove(&["list", "1"]);
        draft.remove(&["list", "2"]);
        draft.push(&["list"], json!(4));
        assert_eq!(
            serde_json::to_value(draft.into_ops()).unwrap(),
            json!([
                {"op": "remove", "path": "/a/k~1e~0y"},
                {"op": "remove", "path": "/list/1"},
                {"op": "add", "path": "/list/-", "value": 4},
            ])
        );
    }
}
