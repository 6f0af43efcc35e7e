//! The objects that live and die with an instance on the cloud's side: created before it, deleted after it is gone.
//!
//! They cost nothing and hold what the pod may read anyway; still none is left behind: an instance names its own in an
//! annotation, and a sweep after a complete list finds those whose instance never came or is gone.

use std::collections::HashSet;
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};

use crate::cloud::CloudError;

use super::api::Api;
use super::call::Call;
use super::copies::Copied;
use super::operation::Verb;
use super::refusal::Refusal;
use super::wire::Named;

/// A copy without an instance is left alone this long: its instance may be about to be created.
pub(super) const SWEEP_AGE: SignedDuration = SignedDuration::from_mins(10);

/// How often a sweep is made at most.
pub(in crate::cloud) const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// Creates what an instance refers to. One that exists is the right one: its name carries its content's hash.
pub(super) async fn create(api: &Api, namespace: &str, copies: &[Copied]) -> Result<(), CloudError> {
    for copy in copies {
        let operation = api.operation(Verb::CreateCopy, format!("{}/{}", copy.plural, copy.name));
        let path = api.collection(namespace, copy.plural);
        let call = Call::new(operation, Method::POST, path).json(&copy.object);
        match api.client.accept(&call).await {
            Ok(()) | Err(Refusal::AlreadyExists(_)) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

/// Deletes the named copies (`plural/name`) of a namespace; what fails is left to the sweep.
pub(super) async fn delete(api: &Api, namespace: &str, copies: &[String]) {
    for copy in copies {
        let Some((plural @ ("configmaps" | "secrets"), name)) = copy.split_once('/') else { continue };
        let path = format!("{}/{name}", api.collection(namespace, plural));
        let call = Call::new(api.operation(Verb::DeleteCopy, copy.as_str()), Method::DELETE, path);
        match api.client.accept(&call).await {
            Ok(()) | Err(Refusal::Cloud(CloudError::Gone(_))) => {}
            Err(refusal) => tracing::debug!(error = %CloudError::from(refusal), "left to the sweep"),
        }
    }
}

/// Deletes copies whose pod has no instance; `alive` are the pod UIDs of a complete list taken before.
pub(super) async fn sweep(api: &Api, alive: &HashSet<String>, now: Timestamp) -> Result<(), CloudError> {
    for plural in ["configmaps", "secrets"] {
        let (found, _) = api.list::<Named>(&api.on_all(Verb::ListCopies), plural).await?;
        for object in found.iter().filter(|object| is_orphan(object, alive, now)) {
            let meta = &object.metadata;
            let namespace = api.scope.namespace.as_deref().unwrap_or(&meta.namespace);
            delete(api, namespace, &[format!("{plural}/{}", meta.name)]).await;
        }
    }
    Ok(())
}

fn is_orphan(object: &Named, alive: &HashSet<String>, now: Timestamp) -> bool {
    let meta = &object.metadata;
    let old = meta.age(now).is_some_and(|age| age > SWEEP_AGE);
    old && !meta.labels.pod_uid.is_empty() && !alive.contains(&meta.labels.pod_uid)
}

#[cfg(test)]
mod tests {
    use policies::keys::tag;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_old_tagged_copies_without_an_instance_are_orphans() {
        let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
        let alive = HashSet::from(["alive".to_owned()]);
        let cases = [
            ("dead", "2026-01-02T03:00:00Z", true),
            ("dead", "2026-01-02T03:55:00Z", false),
            ("dead", "nonsense", false),
            ("alive", "2026-01-02T03:00:00Z", false),
            ("", "2026-01-02T03:00:00Z", false),
        ];
        for (uid, created, expected) in cases {
            let object = json!({"metadata": {"name": "x", "creationTimestamp": created, "labels": {tag::POD_UID: uid}}});
            let object: Named = serde_json::from_value(object).unwrap();
            assert_eq!(is_orphan(&object, &alive, now), expected, "{uid} {created}");
        }
    }
}
