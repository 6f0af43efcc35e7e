//! Objects whose keys come in any case, as Go's decoder accepts them, and strings that borrow when they can.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// A type that is filled key by key.
pub(super) trait FromFields<'de>: Default {
    /// What the object is, for the error of somebody who sent something else.
    const WHAT: &'static str;

    /// Takes the value of `key` if it is a known one. Returns false, with the value untouched, if it is not.
    fn field<A: MapAccess<'de>>(&mut self, key: &Text<'de>, map: &mut A) -> Result<bool, A::Error>;
}

/// Reads an object into `T`, skipping what `T` does not know.
pub(super) fn read<'de, T: FromFields<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(FieldsVisitor(PhantomData))
}

struct FieldsVisitor<T>(PhantomData<T>);

impl<'de, T: FromFields<'de>> Visitor<'de> for FieldsVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut filled = T::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if !filled.field(&key, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(filled)
    }
}

/// A string that borrows from the request unless it holds escapes. (serde's own `Cow` never borrows here.)
#[derive(Debug)]
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

impl Text<'_> {
    /// Whether this is `key` in any case.
    pub(super) fn is(&self, key: &str) -> bool {
        self.0.eq_ignore_ascii_case(key)
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}
