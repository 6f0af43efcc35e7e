//! TagResources, UntagResources and ListTagResources, for groups.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Front;
use super::admit;
use super::change::find;
use super::error::EciError;
use super::tree::Tree;
use crate::core::kind::Kind;
use crate::core::store::{Key, Verdict};

const TAGS_MAX: usize = 20;

fn groups(tree: &Tree) -> Result<Vec<String>, EciError> {
    let kind = tree.required("ResourceType")?;
    if !kind.eq_ignore_ascii_case("containergroup") {
        return Err(EciError::parameter(
            "ResourceType",
            &format!("{kind:?} is not played: only ContainerGroup is"),
        ));
    }
    Ok(tree.texts("ResourceId"))
}

fn change(front: &Front, id: &str, work: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), EciError> {
    let changed =
        front.cloud.store.update(Kind::Pod, &Key::new(&front.cloud.region, id), |object, stored| {
            let mut tags = stored.index.labels.clone();
            work(&mut tags);
            if tags.len() > TAGS_MAX {
                return Err(EciError::parameter("Tag", "at most 20 are allowed"));
            }
            let shown: Vec<Value> =
                tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("labels".into(), json!(tags));
            }
            if let Some(known) = object.pointer_mut("/eci/shown").and_then(Value::as_object_mut) {
                known.insert("Tags".into(), json!(shown));
            }
            Ok(Verdict::Write)
        })?;
    changed.map(|_| ()).ok_or_else(|| EciError::no_group(id))
}

/// TagResources.
pub(super) fn add(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let (ids, new) = (groups(tree)?, admit::tags(tree)?);
    if ids.is_empty() {
        return Err(EciError::missing("ResourceId.1"));
    }
    if new.is_empty() {
        return Err(EciError::missing("Tag.1.Key"));
    }
    for id in ids {
        change(front, &id, |tags| tags.extend(new.iter().cloned()))?;
    }
    Ok(json!({}))
}

/// UntagResources.
pub(super) fn remove(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let (ids, keys, all) = (groups(tree)?, tree.texts("TagKey"), tree.flag("All")?);
    for id in ids {
        change(front, &id, |tags| tags.retain(|key, _| !all && !keys.contains(key)))?;
    }
    Ok(json!({}))
}

/// ListTagResources.
pub(super) fn list(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let mut found = Vec::new();
    let wanted: Vec<(&str, Option<&str>)> =
        tree.list("Tag").into_iter().map(|t| (t.word("Key"), t.text("Value"))).collect();
    let ids = groups(tree)?;
    let ids = if ids.is_empty() {
        front
            .cloud
            .store
            .list(Kind::Pod, Some(&front.cloud.region))
            .items
            .iter()
            .map(|stored| stored.uid.clone())
            .collect()
    } else {
        ids
    };
    for id in ids {
        let Ok(stored) = find(front, &id) else { continue };
        let labels = &stored.index.labels;
        let asked = wanted
            .iter()
            .all(|(key, value)| labels.get(*key).is_some_and(|have| value.is_none_or(|v| v == have)));
        let tags = labels.iter().filter(|_| asked);
        found.extend(tags.map(|(key, value)| json!({"ResourceId": id, "ResourceType": "CONTAINERGROUP", "TagKey": key, "TagValue": value})));
    }
    Ok(json!({"TagResources": found, "NextToken": ""}))
}
