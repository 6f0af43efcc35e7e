//! The ConfigMaps and Secrets that DaemonSets beside a pod refer to, read before anything is made: a pod waits for its own
//! objects, and never for those of an agent.
//!
//! The Node authorizer lets a virtual node read what its pods refer to, and no pod refers to these. They are read with the
//! bridge's own rights, which has none unless somebody gives it a Role for them (docs/daemonsets.md).

use std::collections::BTreeMap;

use cluster::daemons::KeptDaemon;
use cluster::kept::Objects;
use policies::daemons::objects::{Kind, Object, objects};
use policies::daemons::{Refused, record};
use serde_json::Value;

use super::super::KubeResolve;
use super::annotation;
use crate::cloud::{CloudError, CreateRequest, Resolve};

/// What was read. Its Debug output shows names only.
#[derive(Default)]
pub(in crate::pods) struct Read {
    pub(in crate::pods) config_maps: BTreeMap<String, Value>,
    pub(in crate::pods) secrets: BTreeMap<String, Value>,
    /// DaemonSets of which an object is missing or may not be read.
    pub(in crate::pods) refused: BTreeMap<String, Refused>,
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read")
            .field("config_maps", &self.config_maps.keys())
            .field("secrets", &self.secrets.keys())
            .field("refused", &self.refused)
            .finish()
    }
}

/// Reads the objects of every DaemonSet that is written on the pod and in its namespace; elsewhere none is carried.
///
/// # Errors
/// When the API server does not answer: whether an object exists is not known then.
pub(in crate::pods) async fn read(
    resolve: &KubeResolve,
    request: &CreateRequest,
    daemons: &Objects<KeptDaemon>,
) -> Result<Read, CloudError> {
    let namespace = request.pod.namespace.as_str();
    let mut all = Read::default();
    for name in annotation(&request.object).map(record::names).into_iter().flatten() {
        let Some(daemon) = daemons.get(name).and_then(|kept| kept.daemon.as_ref()) else { continue };
        for object in objects(daemon).into_iter().filter(|_| daemon.namespace == namespace) {
            if let Err(refused) = all.take(resolve, namespace, object).await? {
                all.refused.insert(name.to_owned(), refused);
                break;
            }
        }
    }
    Ok(all)
}

impl Read {
    async fn take(
        &mut self,
        resolve: &KubeResolve,
        namespace: &str,
        object: Object,
    ) -> Result<Result<(), Refused>, CloudError> {
        let found = match object.kind {
            Kind::ConfigMap => resolve.config_map(namespace, &object.name).await,
            Kind::Secret => resolve.secret(namespace, &object.name).await,
            // The provider's own table speaks about tokens.
            Kind::Token => return Ok(Ok(())),
        };
        let (kind, name) = (object.kind.text(), &object.name);
        let refused = |sentence: String| Ok(Err(Refused { field: object.field.clone(), sentence }));
        let value = match found {
            Ok(None) if object.optional => return Ok(Ok(())),
            Ok(None) => return refused(format!("{kind} {name:?} does not exist")),
            Err(CloudError::Auth(_)) => {
                return refused(format!(
                    "burst-bridge may not read {kind} {name:?}: give it a Role with get on this object"
                ));
            }
            Err(other) => return Err(other),
            Ok(Some(value)) => value,
        };
        let has = |key: &String| {
            ["data", "binaryData"].iter().any(|map| value.get(map).is_some_and(|m| m.get(key).is_some()))
        };
        if let Some(key) = object.keys.iter().find(|key| !object.optional && !has(key)) {
            return refused(format!("{kind} {name:?} has no key {key:?}"));
        }
        let map = if object.kind == Kind::Secret { &mut self.secrets } else { &mut self.config_maps };
        map.insert(object.name, value);
        Ok(Ok(()))
    }
}
