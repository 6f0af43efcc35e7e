//! Lenient pieces shared by the slim types: null is a default, maps keep only the wanted keys, and an object that does
//! not fit falls back to a JSON value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Deserializes `null` like an absent field.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a string map and keeps the keys that `keep` accepts; values that are not strings are skipped.
pub(crate) fn kept<'de, D: Deserializer<'de>>(
    deserializer: D,
    keep: fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, D::Error> {
    deserializer.deserialize_any(Kept(keep))
}

struct Kept(fn(&str) -> bool);

impl<'de> Visitor<'de> for Kept {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut out = BTreeMap::new();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if (self.0)(&key) {
                out.insert(key.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(out)
    }
}

/// Decodes an object from its text: the whole of it, else whatever a JSON value gives.
pub(crate) fn decode<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    full: fn(&str) -> Result<T, serde_json::Error>,
    partial: fn(&Value) -> T,
) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    full(raw.get()).or_else(|error| {
        let value = serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
        let (namespace, name) = (text(&value, "/metadata/namespace"), text(&value, "/metadata/name"));
        tracing::warn!(%error, namespace, name, "an object could not be decoded completely");
        Ok(partial(&value))
    })
}

/// A string at a JSON pointer, empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The identity part of `metadata`, for kube's watcher.
pub(crate) fn identity(name: String, namespace: String, uid: String, version: String) -> ObjectMeta {
    let some = |s: String| (!s.is_empty()).then_some(s);
    ObjectMeta {
        name: some(name),
        namespace: some(namespace),
        uid: some(uid),
        resource_version: some(version),
        ..ObjectMeta::default()
    }
}

/// The identity part of `metadata` of an object that could not be decoded.
pub(crate) fn identity_of(value: &Value) -> ObjectMeta {
    let get = |p: &str| text(value, p).to_owned();
    identity(
        get("/metadata/name"),
        get("/metadata/namespace"),
        get("/metadata/uid"),
        get("/metadata/resourceVersion"),
    )
}
