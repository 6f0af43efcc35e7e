//! Reads one chain of owners, link by link, through the cache.

use std::collections::BTreeMap;
use std::sync::Mutex;

use kube::Client;
use serde::Deserialize;
use smol_str::SmolStr;
use tokio::time::Instant;

use super::cache::{Cache, DEPTH, Link};
use super::kinds::{Kinds, is_built_in};
use super::{Owner, OwnerError, Wanted, lock};
use crate::read::{METADATA, get};
use crate::slim::OwnerRef;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    uid: SmolStr,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<Reference>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    api_version: SmolStr,
    kind: SmolStr,
    name: SmolStr,
    uid: SmolStr,
    controller: Option<bool>,
}

/// The chain that begins at `first`. Above an owner that has to be read, nothing is taken from the cache: a controller that is
/// not known may be the work of a change above it, as the ReplicaSet of a rollout after the Deployment was relabelled.
pub(super) async fn read(
    client: &Client,
    cache: &Mutex<Cache>,
    kinds: &Kinds,
    first: Wanted,
) -> Result<Vec<Owner>, OwnerError> {
    let mut chain = Vec::new();
    let mut next = Some(first);
    let mut known = true;
    while let Some(wanted) = next.take().filter(|_| chain.len() < DEPTH) {
        let cached = lock(cache).link(&wanted.owner.uid, Instant::now()).filter(|_| known).cloned();
        let link = match cached {
            Some(link) => link,
            None => match live(client, kinds, &wanted).await? {
                None => break,
                Some(link) => {
                    known = false;
                    lock(cache).insert(wanted.owner.uid.clone(), link.clone(), Instant::now());
                    link
                }
            },
        };
        chain.push(link.owner);
        next = link.next.map(|owner| Wanted { owner, namespace: wanted.namespace });
    }
    Ok(chain)
}

/// Reads one owner; none if it is gone, or another object has its name.
async fn live(client: &Client, kinds: &Kinds, wanted: &Wanted) -> Result<Option<Link>, OwnerError> {
    let failed = |message| OwnerError::Read { owner: wanted.words(), message };
    let Some(path) = kinds.path(client, wanted).await.map_err(failed)? else { return Ok(None) };
    let object = match get::<Object>(client, &path, METADATA).await {
        // RBAC names the built-in kinds. An owner of another kind that may not be read has nothing to say; were it an error,
        // no pod of such an owner could be admitted where the webhook must answer.
        Err(message) if !is_built_in(wanted) && forbidden(&message) => return Ok(None),
        read => read.map_err(failed)?,
    };
    let Some(metadata) = object.map(|object| object.metadata).filter(|m| m.uid == wanted.owner.uid) else {
        return Ok(None);
    };
    let references = metadata.owner_references.unwrap_or_default();
    let controller = references.into_iter().find(|reference| reference.controller == Some(true));
    Ok(Some(Link {
        owner: Owner {
            kind: wanted.owner.kind.to_string(),
            name: wanted.owner.name.to_string(),
            labels: metadata.labels.unwrap_or_default(),
        },
        next: controller.map(|r| OwnerRef {
            api_version: r.api_version,
            kind: r.kind,
            name: r.name,
            uid: r.uid,
        }),
    }))
}

/// Whether an error of [`get`] is about rights.
fn forbidden(message: &str) -> bool {
    message.starts_with("401 ") || message.starts_with("403 ")
}
