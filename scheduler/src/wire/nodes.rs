//! `Nodes` of a request with `nodeCacheCapable: false`: whole Node objects, megabytes of them.
//!
//! The scheduler builds its view of a returned node from what we send back, so items are copied byte for byte and
//! never re-written from our own types.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::WireError;
use super::fields::Text;

/// The items of a `NodeList`, each still the text that was sent.
#[derive(Debug)]
pub struct NodeItems<'a> {
    whole: &'a str,
    items: Vec<Item<'a>>,
}

#[derive(Debug)]
struct Item<'a> {
    name: Cow<'a, str>,
    text: &'a str,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, default, alias = "Items")]
    items: Option<Vec<&'a RawValue>>,
}

impl<'a> NodeItems<'a> {
    /// Splits the text of a `NodeList`.
    ///
    /// # Errors
    /// [`WireError::Json`] if it is no list of objects, [`WireError::NamelessNode`].
    pub fn new(whole: &'a str) -> Result<Self, WireError> {
        let list: List<'a> = serde_json::from_str(whole)?;
        let items = list.items.unwrap_or_default();
        let named = items.into_iter().enumerate().map(|(at, raw)| {
            let name = node_name(raw.get()).ok_or(WireError::NamelessNode(at))?;
            Ok(Item { name, text: raw.get() })
        });
        Ok(Self { whole, items: named.collect::<Result<_, WireError>>()? })
    }

    /// The whole list as sent.
    pub const fn text(&self) -> &'a str {
        self.whole
    }

    /// How many nodes there are.
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no node at all.
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The names, in the order sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|i| &*i.name)
    }

    /// Appends a `NodeList` of the items whose name `keep` accepts.
    pub fn copy_where(&self, keep: impl Fn(&str) -> bool, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"metadata":{},"items":["#);
        let mut first = true;
        for item in self.items.iter().filter(|i| keep(&i.name)) {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(item.text.as_bytes());
        }
        out.extend_from_slice(b"]}");
    }
}

/// `metadata.name` of an object. Reading stops at the name, which Go writes first: a node has kilobytes behind it.
fn node_name(text: &str) -> Option<Cow<'_, str>> {
    let found = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Find { path: &["metadata", "name"], found: &found };
    // The error of stopping early is how the walk ends; what counts is whether the name was found.
    drop(seed.deserialize(&mut reader));
    found.into_inner().filter(|name| !name.is_empty())
}

struct Find<'p, 'f, 'de> {
    path: &'p [&'p str],
    found: &'f Cell<Option<Cow<'de, str>>>,
}

impl<'de> DeserializeSeed<'de> for Find<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            deserializer.deserialize_str(self)
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for Find<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with metadata.name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<(), E> {
        self.found.set(Some(Cow::Borrowed(name)));
        Err(E::custom("found"))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<(), E> {
        self.found.set(Some(Cow::Owned(name.to_owned())));
        Err(E::custom("found"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((head, rest)) = self.path.split_first() else { return Err(A::Error::custom("not a name")) };
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == *head {
                map.next_value_seed(Find { path: rest, found: self.found })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_wherever_it_stands() {
        let check = |text: &str, want: Option<&str>| assert_eq!(node_name(text).as_deref(), want, "{text}");
        check(r#"{"metadata":{"name":"n1","uid":"x"},"spec":{}}"#, Some("n1"));
        check(r#"{"spec":{"name":"no"},"metadata":{"labels":{"name":"no"},"name":"n1"}}"#, Some("n1"));
        check(r#"{"metadata":{"name":"n\u0031"}}"#, Some("n1"));
        check(r#"{"metadata":{"name":""}}"#, None);
        check(r#"{"metadata":{"name":7}}"#, None);
        check(r#"{"spec":{}}"#, None);
        check("[]", None);
    }

    #[test]
    fn kept_items_are_the_bytes_that_came() {
        let one = r#"{"metadata":{"name":"n1"},"unknown": { "kept":  1.0 }}"#;
        let two = r#"{"metadata":{"name":"n2"}}"#;
        let whole = format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{one}, {two}]}}"#);
        let list = NodeItems::new(&whole).expect("a NodeList");
        assert_eq!(list.names().collect::<Vec<_>>(), ["n1", "n2"]);
        let mut out = Vec::new();
        list.copy_where(|n| n == "n1", &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), format!(r#"{{"metadata":{{}},"items":[{one}]}}"#));
    }

    #[test]
    fn a_list_without_items_is_empty() {
        for text in [r#"{"metadata":{},"items":null}"#, r#"{"metadata":{}}"#, r#"{"items":[]}"#] {
            assert!(NodeItems::new(text).expect(text).is_empty(), "{text}");
        }
    }
}
