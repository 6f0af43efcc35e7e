//! Image caches: made within a moment, shown with progress, usable when ready.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::Front;
use super::Eci;
use super::error::EciError;
use super::tree::Tree;
use crate::core::clock::k8s_time;
use crate::core::instances::new_uid;

/// How long making one takes.
const MAKING: SignedDuration = SignedDuration::from_secs(1);

/// One image cache.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    name: String,
    images: Vec<String>,
    gib: i64,
    made: Timestamp,
    snapshot: String,
    tags: Vec<(String, String)>,
    retention_days: Option<i64>,
}

fn lock(eci: &Eci) -> MutexGuard<'_, BTreeMap<String, Cache>> {
    eci.image_caches.lock().unwrap_or_else(PoisonError::into_inner)
}

/// CreateImageCache.
pub(super) fn create(front: &Front, eci: &Eci, tree: &Tree) -> Result<Value, EciError> {
    let name = tree.required("ImageCacheName")?.to_owned();
    let images = tree.texts("Image");
    if images.is_empty() {
        return Err(EciError::missing("Image.1"));
    }
    let short: String = new_uid().chars().filter(char::is_ascii_alphanumeric).take(17).collect();
    let id = format!("imc-bp1{short}");
    let cache = Cache {
        name,
        images,
        gib: tree.integer("ImageCacheSize")?.unwrap_or(20),
        made: front.cloud.clock.now(),
        snapshot: format!("s-bp1{short}"),
        tags: super::admit::tags(tree)?,
        retention_days: tree.integer("RetentionDays")?,
    };
    lock(eci).insert(id.clone(), cache);
    Ok(json!({"ImageCacheId": id, "ContainerGroupId": format!("eci-imc{short}")}))
}

/// DescribeImageCaches.
pub(super) fn describe(front: &Front, eci: &Eci, tree: &Tree) -> Result<Value, EciError> {
    let now = front.cloud.clock.now();
    let is = |path: &str, have: &str| tree.text(path).is_none_or(|wanted| wanted == have);
    let tags: Vec<(&str, &str)> =
        tree.list("Tag").into_iter().map(|t| (t.word("Key"), t.word("Value"))).collect();
    let caches = lock(eci);
    let found = caches.iter().filter(|(id, cache)| {
        is("ImageCacheId", id)
            && is("ImageCacheName", &cache.name)
            && is("SnapshotId", &cache.snapshot)
            && tree.text("Image").is_none_or(|image| cache.images.iter().any(|i| i == image))
            && tags.iter().all(|(k, v)| cache.tags.iter().any(|(key, value)| key == k && value == v))
    });
    let shown: Vec<Value> = found.map(|(id, cache)| cache.show(id, &front.cloud.region, now)).collect();
    Ok(json!({"ImageCaches": shown, "TotalCount": shown.len(), "NextToken": ""}))
}

impl Cache {
    fn ready(&self, now: Timestamp) -> bool {
        now.duration_since(self.made) >= MAKING
    }

    fn show(&self, id: &str, region: &str, now: Timestamp) -> Value {
        let ready = self.ready(now);
        let expires = self
            .retention_days
            .and_then(|days| self.made.checked_add(SignedDuration::from_hours(days * 24)).ok());
        let tags: Vec<Value> =
            self.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        json!({
            "ImageCacheId": id, "ImageCacheName": self.name, "RegionId": region, "Images": self.images,
            "Status": if ready { "Ready" } else { "Creating" }, "Progress": if ready { "100%" } else { "50%" },
            "SnapshotId": if ready { self.snapshot.as_str() } else { "" }, "ImageCacheSize": self.gib,
            "CreationTime": k8s_time(self.made), "ExpireDateTime": expires.map(k8s_time).unwrap_or_default(),
            "ContainerGroupId": "", "ResourceGroupId": "rg-default", "Tags": tags, "Events": [],
        })
    }
}

/// DeleteImageCache.
pub(super) fn delete(eci: &Eci, tree: &Tree) -> Result<Value, EciError> {
    let id = tree.required("ImageCacheId")?;
    match lock(eci).remove(id) {
        Some(_) => Ok(json!({})),
        None => Err(EciError::new(
            404,
            "ImageSnapshot.NotFound",
            format!("The specified image cache {id} does not exist."),
        )),
    }
}

/// Whether the cache that a group names can be used.
pub(super) fn usable(eci: &Eci, front: &Front, tree: &Tree) -> Result<(), EciError> {
    let Some(id) = tree.text("ImageSnapshotId") else { return Ok(()) };
    let caches = lock(eci);
    let found =
        caches.iter().find(|(known, cache)| *known == id || cache.snapshot == id).map(|(_, cache)| cache);
    match found {
        None => Err(EciError::new(
            404,
            "ImageSnapshot.NotFound",
            format!("The specified image cache {id} does not exist."),
        )),
        Some(cache) if !cache.ready(front.cloud.clock.now()) => Err(EciError::new(
            400,
            "ImageSnapshot.IncorrectStatus",
            format!("The image cache {id} is not ready."),
        )),
        Some(_) => Ok(()),
    }
}
