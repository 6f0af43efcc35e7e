//! Parameters of a call: a tree in ECI's own names, flattened to pairs as the wire has them.
//!
//! Lists count from 1 (`Container.1.Port.1.Port=80`), nulls and empty lists are left out, an empty text is kept. Pure.
//! Facts: the request model of ECI's 2018-08-08 API.

use serde_json::{Map, Value};

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
            (1..).zip(list).for_each(|(at, value): (u32, _)| add(&format!("{path}.{at}"), value, pairs));
        }
        Value::String(text) => pairs.push((path.to_owned(), text.clone())),
        other => pairs.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_count_from_one_and_nothing_is_sent_for_nothing() {
        let tree = json!({
            "Container": [{"Name": "a", "Port": [{"Port": 80}, {"Port": 81}], "Tty": true, "Arg": []}, {"Name": "b"}],
            "Cpu": 2.0, "Memory": 0.5, "Limit": 20, "Empty": "", "Nothing": null,
            "DnsConfig": {"NameServer": ["10.0.0.10"]},
        });
        let tree = tree.as_object().cloned().unwrap();
        let mut pairs: Vec<_> = flatten(&tree).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.sort();
        assert_eq!(
            pairs,
            [
                "Container.1.Name=a",
                "Container.1.Port.1.Port=80",
                "Container.1.Port.2.Port=81",
                "Container.1.Tty=true",
                "Container.2.Name=b",
                "Cpu=2.0",
                "DnsConfig.NameServer.1=10.0.0.10",
                "Empty=",
                "Limit=20",
                "Memory=0.5",
            ]
        );
    }
}
