//! The labels of a node, kept small: thousands of nodes have the same two dozen keys and mostly the same values.
//!
//! A sorted list of shared texts. To copy it copies nothing; [`Texts`] sees to it that equal texts of different nodes are
//! one.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

type Text = Arc<str>;

/// Labels of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLabels(Arc<[(Text, Text)]>);

impl NodeLabels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }

    /// Whether a label has this value.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.get(key) == Some(value)
    }

    /// Every label, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// A copy that can be changed.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Sets a label, or takes it away.
    pub fn change(&mut self, key: &str, value: Option<&str>) {
        let mut all = self.to_map();
        match value {
            Some(value) => drop(all.insert(key.to_owned(), value.to_owned())),
            None => drop(all.remove(key)),
        }
        *self = all.into();
    }
}

impl From<BTreeMap<String, String>> for NodeLabels {
    fn from(all: BTreeMap<String, String>) -> Self {
        Self(all.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl FromIterator<(String, String)> for NodeLabels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        all.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl Serialize for NodeLabels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for NodeLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

/// Texts that are stored once.
#[derive(Debug, Default)]
pub struct Texts {
    known: HashSet<Text>,
    /// From this many on, those that nobody uses are forgotten.
    enough: usize,
}

impl Texts {
    /// The same labels, of texts that are stored once.
    pub fn share(&mut self, labels: &NodeLabels) -> NodeLabels {
        let shared = labels.0.iter().map(|(key, value)| (self.one(key), self.one(value))).collect();
        if self.known.len() > self.enough {
            self.known.retain(|text| Arc::strong_count(text) > 1);
            self.enough = 2 * self.known.len() + 1024;
        }
        NodeLabels(shared)
    }

    fn one(&mut self, text: &Text) -> Text {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        self.known.insert(Arc::clone(text));
        Arc::clone(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[(&str, &str)]) -> NodeLabels {
        all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn found_changed_and_written_as_a_map() {
        let mut some = labels(&[("zone", "a"), ("arch", "amd64"), ("zone", "b")]);
        assert_eq!((some.get("zone"), some.get("arch"), some.get("os")), (Some("b"), Some("amd64"), None));
        assert!(some.has("zone", "b") && !some.has("zone", "a"));
        some.change("zone", None);
        some.change("os", Some("linux"));
        assert_eq!(some.iter().collect::<Vec<_>>(), [("arch", "amd64"), ("os", "linux")]);
        let text = serde_json::to_string(&some).expect("JSON");
        assert_eq!(text, r#"{"arch":"amd64","os":"linux"}"#);
        assert_eq!(serde_json::from_str::<NodeLabels>(&text).expect("labels"), some);
    }

    #[test]
    fn equal_texts_are_one_and_unused_ones_are_forgotten() {
        let mut texts = Texts::default();
        let node = |name: &str| labels(&[("host", name), ("zone", "a")]);
        let (a, b) = (texts.share(&node("a1")), texts.share(&node("b1")));
        assert!(Arc::ptr_eq(&a.0[0].0, &b.0[0].0) && Arc::ptr_eq(&a.0[1].1, &b.0[1].1));
        for index in 0..10_000 {
            drop(texts.share(&node(&index.to_string())));
        }
        assert!(texts.known.len() < 2_000, "{}", texts.known.len());
        assert_eq!((a, b), (node("a1"), node("b1")));
    }
}
