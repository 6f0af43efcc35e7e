//! Parameters of a call: a tree, flattened to pairs as the wire has them.
//!
//! Lists count from 0 (`Backends.0`), nulls are left out, whole numbers have no fraction. Pure. Facts: the vendor's page on
//! signatures and its SDKs.

use serde_json::{Map, Number, Value};

/// Pairs in the order of the tree.
pub(super) type Pairs = Vec<(String, String)>;

/// The pairs of a tree.
pub(super) fn flatten(tree: &Map<String, Value>) -> Pairs {
    let mut pairs = Vec::new();
    for (name, value) in tree {
        add(name, value, &mut pairs);
    }
    pairs
}

fn add(path: &str, value: &Value, pairs: &mut Pairs) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| add(&format!("{path}.{name}"), value, pairs));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| add(&format!("{path}.{at}"), value, pairs));
        }
        Value::String(text) => pairs.push((path.to_owned(), text.clone())),
        Value::Bool(on) => pairs.push((path.to_owned(), on.to_string())),
        Value::Number(number) => pairs.push((path.to_owned(), decimal(number))),
    }
}

fn decimal(number: &Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}
