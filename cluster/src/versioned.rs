//! Objects of our own kinds, read and written whole under the version that was read: of several writers one wins.
//!
//! A write that got no answer may have been done. Sending it again is safe, for its version is used up then and it
//! conflicts; so after anything but [`Put::Written`] the object is read again before the next decision.

use std::fmt::Debug;
use std::time::Duration;

use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use policies::burst_policy::{GROUP, VERSION};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use smol_str::SmolStr;

use crate::patch::{Answer, Write, WriteError, exchange_write};
use crate::read::get;

/// What an object of ours holds under `spec`.
pub trait Spec: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// `kind`.
    const KIND: &'static str;
    /// The plural of the path.
    const PLURAL: &'static str;
}

/// An object as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<T> {
    /// Name, namespace, UID and resource version only.
    pub metadata: ObjectMeta,
    /// The content; an error if it cannot be read, which must never be taken for an empty one.
    pub spec: Result<T, String>,
}

impl<T> Stored<T> {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// `metadata.resourceVersion`.
    pub fn version(&self) -> SmolStr {
        self.metadata.resource_version.as_deref().unwrap_or_default().into()
    }
}

impl<'de, T: Spec> Deserialize<'de> for Stored<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        let metadata = crate::slim::identity_of(&object);
        let spec = object.get_mut("spec").map(Value::take).filter(|spec| !spec.is_null());
        let spec = spec.ok_or_else(|| "spec is missing".to_owned());
        let spec = spec.and_then(|spec| serde_json::from_value(spec).map_err(|error| error.to_string()));
        if let Err(error) = &spec {
            tracing::warn!(kind = T::KIND, name = metadata.name, error, "an object cannot be read");
        }
        Ok(Self { metadata, spec })
    }
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// Written; the version that the next write names.
    Written(SmolStr),
    /// Somebody else wrote, created or deleted it: read again.
    Conflict,
    /// Not now, or no answer: read again after this time, for it may have been done.
    Retry(Duration),
}

/// Where an object of ours is.
pub(crate) fn path<T: Spec>(namespace: Option<&str>, name: &str) -> String {
    let place = namespace.map_or_else(String::new, |namespace| format!("/namespaces/{namespace}"));
    let name = if name.is_empty() { String::new() } else { format!("/{name}") };
    format!("/apis/{GROUP}/{VERSION}{place}/{}{name}", T::PLURAL)
}

/// Reads it live; none if it does not exist. The error is for people.
pub(crate) async fn read<T: Spec>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Stored<T>>, String> {
    get(client, &path::<T>(namespace, name), "application/json").await
}

/// Writes it: created if `version` is none, else replaced only if it still has that version.
pub(crate) async fn put<T: Spec>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
    version: Option<&str>,
    spec: &T,
) -> Result<Put, WriteError> {
    let mut metadata = json!({"name": name});
    if let Some(fields) = metadata.as_object_mut() {
        let given = [("namespace", namespace), ("resourceVersion", version)];
        fields.extend(given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))));
    }
    let body = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": T::KIND, "metadata": metadata, "spec": spec,
    });
    let words = format!("{} {name}", T::KIND);
    let write = match version {
        None => Write::new(Method::POST, "create", words, path::<T>(namespace, ""), body),
        Some(_) => Write::new(Method::PUT, "replace", words, path::<T>(namespace, name), body),
    };
    let replaced = version.is_some();
    match exchange_write(client, &write).await? {
        Answer::None(after) => Ok(Put::Retry(after)),
        Answer::Got { code: 200..=299, body } => Ok(written(&body)),
        // 404 on a replace: it was deleted; on a create: namespace or definition is missing, which stays an error.
        Answer::Got { code: 409, .. } => Ok(Put::Conflict),
        Answer::Got { code: 404, .. } if replaced => Ok(Put::Conflict),
        Answer::Got { code, body } => write.judged(code, &body).map(|outcome| match outcome {
            crate::patch::Outcome::Retry(after) => Put::Retry(after),
            _ => Put::Conflict,
        }),
    }
}

/// An answer without a version is as good as none.
fn written(body: &[u8]) -> Put {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    match object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
        Some(version) => Put::Written(version.into()),
        None => Put::Retry(Duration::ZERO),
    }
}

/// Implements what kube's watcher asks of a [`Stored`].
macro_rules! stored {
    ($spec:ty, $kind:literal, $plural:literal, $scope:ty) => {
        impl crate::versioned::Spec for $spec {
            const KIND: &'static str = $kind;
            const PLURAL: &'static str = $plural;
        }

        impl kube::Resource for crate::versioned::Stored<$spec> {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> std::borrow::Cow<'_, str> {
                policies::burst_policy::GROUP.into()
            }
            fn version((): &()) -> std::borrow::Cow<'_, str> {
                policies::burst_policy::VERSION.into()
            }
            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }

        impl crate::kept::Keyed for crate::versioned::Stored<$spec> {
            const OPTIONAL: bool = true;

            fn key(&self) -> smol_str::SmolStr {
                self.name().into()
            }
        }
    };
}

pub(crate) use stored;
