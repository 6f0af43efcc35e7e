//! Parameters of an RPC call as a tree: `Container.1.Port.2.Port=80` is `Container[0].Port[1].Port`. Pure.
//!
//! Arrays count from 1. Booleans come as `true`, `True` or `1`, numbers as `2` or `2.0`; an empty value is no value.

use std::collections::BTreeMap;

use super::error::EciError;

/// A node of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    value: Option<String>,
    below: BTreeMap<String, Self>,
}

static NONE: Tree = Tree { value: None, below: BTreeMap::new() };

impl Tree {
    /// The tree of these parameters; of a name that comes twice the last value counts.
    pub(super) fn read<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self::default();
        for (name, value) in parameters {
            let mut node = &mut tree;
            for part in name.split('.') {
                node = node.below.entry(part.to_owned()).or_default();
            }
            node.value = Some(value.to_owned());
        }
        tree
    }

    /// What is below a dotted name; an empty tree if nothing is.
    pub(super) fn at(&self, path: &str) -> &Self {
        let mut node = self;
        for part in path.split('.') {
            match node.below.get(part) {
                Some(next) => node = next,
                None => return &NONE,
            }
        }
        node
    }

    /// Whether nothing is here.
    pub(super) fn is_empty(&self) -> bool {
        self.value.is_none() && self.below.is_empty()
    }

    /// A text that is not empty.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.at(path).value.as_deref().filter(|text| !text.is_empty())
    }

    /// A text, empty if absent.
    pub(super) fn word(&self, path: &str) -> &str {
        self.text(path).unwrap_or_default()
    }

    /// The elements of a list, by number.
    pub(super) fn list(&self, path: &str) -> Vec<&Self> {
        let numbered =
            self.at(path).below.iter().filter_map(|(key, node)| Some((key.parse::<u32>().ok()?, node)));
        let mut all: Vec<(u32, &Self)> = numbered.filter(|(number, _)| *number > 0).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, node)| node).collect()
    }

    /// The elements of a list of texts; empty ones count.
    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        self.list(path).into_iter().filter_map(|node| node.value.clone()).collect()
    }

    /// A number.
    pub(super) fn number(&self, path: &str) -> Result<Option<f64>, EciError> {
        let Some(text) = self.text(path) else { return Ok(None) };
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        number.map(Some).ok_or_else(|| wrong(path, text, "a number"))
    }

    /// A whole number; `2.0` is one.
    pub(super) fn integer(&self, path: &str) -> Result<Option<i64>, EciError> {
        let Some(text) = self.text(path) else { return Ok(None) };
        let number = text.strip_suffix(".0").unwrap_or(text).parse::<i64>().ok();
        number.map(Some).ok_or_else(|| wrong(path, text, "a whole number"))
    }

    /// A switch; off if absent.
    pub(super) fn flag(&self, path: &str) -> Result<bool, EciError> {
        match self.text(path).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(wrong(path, other, "true or false")),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, path: &str) -> Result<&str, EciError> {
        self.text(path).ok_or_else(|| EciError::missing(path))
    }
}

fn wrong(path: &str, text: &str, wanted: &str) -> EciError {
    EciError::parameter(path, &format!("{text:?} is not {wanted}"))
}

/// A value as idempotency compares it: `True` is `true`, `2.0` is `2`.
pub(super) fn normal(value: &str) -> String {
    match value {
        "True" => "true".to_owned(),
        "False" => "false".to_owned(),
        _ => match value.split_once('.') {
            Some((whole, zeros))
                if !whole.is_empty()
                    && whole.bytes().all(|b| b.is_ascii_digit())
                    && !zeros.is_empty()
                    && zeros.bytes().all(|b| b == b'0') =>
            {
                whole.to_owned()
            }
            _ => value.to_owned(),
        },
    }
}

/// A parameter's name with its numbers as `N`.
pub(super) fn pattern(name: &str) -> String {
    let part = |part: &str| {
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            "N".to_owned()
        } else {
            part.to_owned()
        }
    };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_count_from_one_and_ten_comes_after_two() {
        let pairs = [
            ("C.10.Name", "ten"),
            ("C.2.Name", "two"),
            ("C.1.Port.1.Port", "80"),
            ("C.0.Name", "x"),
            ("A", ""),
        ];
        let tree = Tree::read(pairs.into_iter());
        let names: Vec<&str> = tree.list("C").into_iter().map(|c| c.word("Name")).collect();
        assert_eq!(names, ["", "two", "ten"]);
        let port = tree.list("C")[0].list("Port")[0].integer("Port");
        assert_eq!(port.ok(), Some(Some(80)));
        assert_eq!(tree.text("A"), None);
        assert!(tree.required("A").is_err_and(|e| e.code == "MissingParameter"));
        assert!(tree.at("D").is_empty());
    }

    #[test]
    fn booleans_and_numbers_come_in_every_sdks_spelling() {
        let tree =
            Tree::read([("a", "True"), ("b", "false"), ("c", "2.0"), ("d", "x"), ("e", "1.5")].into_iter());
        assert_eq!(
            (tree.flag("a").ok(), tree.flag("b").ok(), tree.flag("none").ok()),
            (Some(true), Some(false), Some(false))
        );
        assert_eq!((tree.integer("c").ok(), tree.number("c").ok()), (Some(Some(2)), Some(Some(2.0))));
        assert!(tree.flag("d").is_err() && tree.integer("e").is_err() && tree.number("d").is_err());
        assert_eq!(
            (normal("True"), normal("2.0"), normal("2.50"), normal("v1.0")),
            ("true".into(), "2".into(), "2.50".into(), "v1.0".into())
        );
        assert_eq!(pattern("Container.12.Port.3.Port"), "Container.N.Port.N.Port");
    }
}
