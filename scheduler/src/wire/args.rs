//! `ExtenderArgs`, split into raw parts.
//!
//! Go decodes keys in any case and so do we; of a key that comes twice the last one counts, as in Go.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess};
use serde_json::value::RawValue;

use super::fields::{self, FromFields, Text};
use super::{NameList, NodeItems, WireError, quoted, text};

/// The parts of a filter or prioritize request, each still the text that was sent.
#[derive(Debug, Default)]
pub struct ExtenderArgs<'a> {
    /// The pod.
    pub pod: Option<&'a RawValue>,
    /// The `NodeList`, sent when `nodeCacheCapable` is false.
    pub nodes: Option<&'a RawValue>,
    /// The node names, sent when `nodeCacheCapable` is true.
    pub names: Option<&'a RawValue>,
    /// `NodeNames` where the text needed no closer look.
    plain: Option<NameList<'a>>,
}

/// The nodes of a request, in the form in which they were sent.
#[derive(Debug)]
pub enum Sent<'a> {
    /// Names only (`nodeCacheCapable: true`).
    Names(NameList<'a>),
    /// Whole objects (`nodeCacheCapable: false`).
    Nodes(NodeItems<'a>),
}

impl Sent<'_> {
    /// How many nodes were sent.
    pub fn len(&self) -> usize {
        match self {
            Self::Names(names) => names.len(),
            Self::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Names(names) => names.is_empty(),
            Self::Nodes(nodes) => nodes.is_empty(),
        }
    }

    /// Every name in JSON text, with its quotes, in the order sent.
    pub fn quoted(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        match self {
            Self::Names(names) => Box::new(names.iter().map(|(name, _)| Cow::Borrowed(name))),
            Self::Nodes(nodes) => Box::new(nodes.names().map(|name| Cow::Owned(quoted(name)))),
        }
    }

    /// Whether a node was sent.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Names(names) => names.contains(&quoted(name)),
            Self::Nodes(nodes) => nodes.names().any(|sent| sent == name),
        }
    }
}

impl<'a> ExtenderArgs<'a> {
    /// Splits a request body. The whole body is checked to be JSON; the parts are not looked into.
    ///
    /// # Errors
    /// [`WireError::NotUtf8`] and [`WireError::Json`].
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let body = text(body)?;
        match Self::as_go_writes(body) {
            Some(args) => Ok(args),
            None => Ok(serde_json::from_str(body)?),
        }
    }

    /// Go writes the pod first and the names last. The names are most of the text, and that they are nothing but names
    /// is told faster than by reading JSON; none where anything is different.
    fn as_go_writes(body: &'a str) -> Option<Self> {
        let body = body.strip_prefix(r#"{"Pod":"#)?;
        let mut reader = serde_json::Deserializer::from_str(body).into_iter::<&RawValue>();
        let pod = reader.next()?.ok().filter(|pod| pod.get() != "null")?;
        let behind = body.get(reader.byte_offset()..)?;
        let names = behind.strip_prefix(r#","Nodes":null,"NodeNames":"#)?.trim_end().strip_suffix('}')?;
        Some(Self { pod: Some(pod), plain: Some(NameList::as_go_writes(names)?), ..Self::default() })
    }

    /// The text of the pod.
    ///
    /// # Errors
    /// [`WireError::NoPod`] if it is missing or `null`.
    pub fn pod(&self) -> Result<&'a str, WireError> {
        self.pod.map(RawValue::get).ok_or(WireError::NoPod)
    }

    /// The nodes. If both forms are present, the names count: they are what the reply must answer.
    ///
    /// # Errors
    /// [`WireError::NoNodes`] if neither is there, or the error of the form that is.
    pub fn sent(&self) -> Result<Sent<'a>, WireError> {
        if let Some(plain) = &self.plain {
            return Ok(Sent::Names(plain.clone()));
        }
        match (self.names, self.nodes) {
            (Some(names), _) => NameList::new(names.get()).map(Sent::Names),
            (None, Some(nodes)) => NodeItems::new(nodes.get()).map(Sent::Nodes),
            (None, None) => Err(WireError::NoNodes),
        }
    }
}

impl<'de> Deserialize<'de> for ExtenderArgs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fields::read(deserializer)
    }
}

impl<'de> FromFields<'de> for ExtenderArgs<'de> {
    const WHAT: &'static str = "an ExtenderArgs object with Pod and Nodes or NodeNames";

    fn field<A: MapAccess<'de>>(&mut self, key: &Text<'de>, map: &mut A) -> Result<bool, A::Error> {
        let place = match () {
            () if key.is("Pod") => &mut self.pod,
            () if key.is("Nodes") => &mut self.nodes,
            () if key.is("NodeNames") => &mut self.names,
            () => return Ok(false),
        };
        *place = map.next_value()?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_any_case_are_read() {
        for body in [
            r#"{"Pod":{"a":1},"Nodes":null,"NodeNames":["n1"]}"#,
            r#"{"pod":{"a":1},"nodes":null,"nodenames":["n1"]}"#,
            r#"{"POD":{"a":1},"NODES":null,"nodeNames":["n1"]}"#,
            r#"{"extra":[1,{"x":2}],"Pod":null,"pod":{"a":1},"NodeNames":["n1"]}"#,
        ] {
            let args = ExtenderArgs::parse(body.as_bytes()).expect(body);
            assert_eq!(args.pod().expect(body), r#"{"a":1}"#);
            let Ok(Sent::Names(names)) = args.sent() else { panic!("{body}") };
            assert_eq!(names.text(), r#"["n1"]"#, "{body}");
            assert!(args.nodes.is_none(), "{body}");
        }
    }

    #[test]
    fn what_go_writes_is_read_the_short_way_and_means_the_same() {
        let check = |body: &str, short: bool| {
            let args = ExtenderArgs::parse(body.as_bytes()).expect(body);
            assert_eq!(args.plain.is_some(), short, "{body}");
            let long: ExtenderArgs<'_> = serde_json::from_str(body).expect(body);
            let both = [args, long].map(|args| {
                let names = args.sent().map(|sent| sent.quoted().map(Cow::into_owned).collect::<Vec<_>>());
                (args.pod().map(str::to_owned).map_err(|e| e.to_string()), names.map_err(|e| e.to_string()))
            });
            assert_eq!(both[0], both[1], "{body}");
        };
        check(r#"{"Pod":{"a":"}"},"Nodes":null,"NodeNames":["n1","n2"]}"#, true);
        check("{\"Pod\":{},\"Nodes\":null,\"NodeNames\":[\"n[1\"]}\n", true);
        check(r#"{"Pod":null,"Nodes":null,"NodeNames":["n1"]}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":[]}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["n\u0031"]}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["n1", "n2"]}"#, false);
        check(r#"{"Pod":{},"Nodes":null,"NodeNames":["n1"],"NodeNames":["n2"]}"#, false);
        check(r#"{"Pod":{},"Nodes":{"items":[]},"NodeNames":["n1"]}"#, false);
    }

    #[test]
    fn bad_bodies_are_refused_with_a_reason() {
        let check = |body: &[u8], part: &str| {
            let text = match ExtenderArgs::parse(body) {
                Err(e) => e.to_string(),
                Ok(args) => match (args.pod(), args.sent()) {
                    (Err(e), _) | (_, Err(e)) => e.to_string(),
                    _ => "accepted".to_owned(),
                },
            };
            assert!(text.starts_with("burst: ") && text.contains(part), "{text} does not say {part}");
        };
        check(b"", "not valid JSON");
        check(b"[]", "ExtenderArgs");
        check(b"null", "ExtenderArgs");
        check(br#"{"Pod":{},"NodeNames":["a","b""#, "not valid JSON");
        check(br#"{"Pod":{},"NodeNames":["a"]} trailing"#, "not valid JSON");
        check(br#"{"Pod":{},"Nodes":null,"NodeNames":["a","b]}"#, "not valid JSON");
        check(br#"{"Pod":{},"Nodes":null,"NodeNames":["a""b"]}"#, "not valid JSON");
        check(br#"{"Pod":{},"Nodes":null,"NodeNames":["a",,"b"]}"#, "not valid JSON");
        check(br#"{"Pod":{},"Nodes":null,"NodeNames":["a"b,"c"]}"#, "not valid JSON");
        check(b"{\"Pod\":{},\"Nodes\":null,\"NodeNames\":[\"a\nb\"]}", "not valid JSON");
        check(br#"{"Pod":{},"NodeNames":"a"}"#, "NodeNames is not a list");
        check(br#"{"Pod":{},"NodeNames":[1]}"#, "NodeNames is not a list");
        check(br#"{"Pod":{},"NodeNames":["a",["b"]]}"#, "NodeNames is not a list");
        check(br#"{"Pod":{},"NodeNames":{"a":1}}"#, "NodeNames is not a list");
        check(br#"{"NodeNames":["a"]}"#, "no Pod");
        check(br#"{"Pod":{}}"#, "neither Nodes nor NodeNames");
        check(br#"{"Pod":{},"Nodes":{"items":[{"metadata":{}}]}}"#, "item 0");
        check(b"{\"Pod\":\"\xff\"}", "not UTF-8");
    }
}
