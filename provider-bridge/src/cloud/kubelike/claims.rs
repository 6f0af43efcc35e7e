//! Claims in the cloud that instances share: made before the first instance that mounts one, removed after the last.
//!
//! Which instance uses which claim stands in an annotation of the instance, so a restart forgets nothing. A claim is
//! removed only after a complete list of the namespace has no instance that uses it, and never while an instance that
//! uses it is being created here ([`Uses`]). What is called for a removal, and that the files stay, is the provider's
//! business ([`Removal`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::Value;

use crate::cloud::CloudError;

use super::api::Api;
use super::call::Call;
use super::companions::SWEEP_AGE;
use super::operation::Verb;
use super::refusal::Refusal;
use super::wire::{CloudPod, Named};

/// The collection of claims in a namespace.
const PLURAL: &str = "persistentvolumeclaims";
/// How often it is looked whether claims are gone when everything is removed, and how long it is waited between.
const LOOKS: (usize, Duration) = (20, Duration::from_millis(500));

/// A claim that instances share, as it is made: the path of a collection and the object that is posted there, in order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cloud) struct SharedClaim {
    /// Name of the claim in the instances' namespace; follows from what is behind it.
    pub(in crate::cloud) name: String,
    pub(in crate::cloud) objects: Vec<(String, Value)>,
}

/// One DELETE of a removal: path and query.
pub(in crate::cloud) type Removal = (String, Vec<(&'static str, String)>);

/// What takes a claim of burst's away and leaves the files, by namespace and name of the claim, in order; `None` for a claim
/// that is not burst's.
pub(in crate::cloud) type Removals = fn(&str, &str) -> Option<Vec<Removal>>;

/// What is being done with claims at this moment.
#[derive(Debug, Default)]
pub(in crate::cloud) struct Uses {
    doing: Mutex<BTreeMap<String, Doing>>,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    /// So many instances that use it are being created.
    Creating(usize),
    Removing,
}

/// Ends what was begun when dropped.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    uses: &'a Uses,
    names: Vec<String>,
}

impl Uses {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Doing>> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds off removals until an instance with these claims is created.
    pub(super) fn creating<'a>(&'a self, claims: &[SharedClaim]) -> Result<Begun<'a>, CloudError> {
        let names: Vec<String> = claims.iter().map(|claim| claim.name.clone()).collect();
        let mut doing = self.lock();
        if let Some(name) = names.iter().find(|name| matches!(doing.get(*name), Some(Doing::Removing))) {
            return Err(CloudError::Retryable(format!(
                "claim {name} is being removed; it is made again after that"
            )));
        }
        for name in &names {
            match doing.entry(name.clone()).or_insert(Doing::Creating(0)) {
                Doing::Creating(count) => *count = count.saturating_add(1),
                Doing::Removing => {}
            }
        }
        drop(doing);
        Ok(Begun { uses: self, names })
    }

    /// Those of the claims of which no instance is being created; no creation begins with them until this is dropped.
    fn removing<'a>(&'a self, names: &[String]) -> Begun<'a> {
        let mut doing = self.lock();
        let free: Vec<String> = names.iter().filter(|name| !doing.contains_key(*name)).cloned().collect();
        doing.extend(free.iter().map(|name| (name.clone(), Doing::Removing)));
        drop(doing);
        Begun { uses: self, names: free }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut doing = self.uses.lock();
        for name in &self.names {
            match doing.get_mut(name) {
                Some(Doing::Creating(count)) if *count > 1 => *count = count.saturating_sub(1),
                _ => drop(doing.remove(name)),
            }
        }
    }
}

/// Which instances use which claims, as far as a watch has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    by_pod: HashMap<String, Vec<String>>,
}

impl Seen {
    /// Forgets everything: a list begins.
    pub(super) fn restart(&mut self) {
        self.by_pod.clear();
    }

    pub(super) fn changed(&mut self, pod: &CloudPod) {
        let claims: Vec<String> = pod.claims().map(str::to_owned).collect();
        if !claims.is_empty() {
            self.by_pod.insert(pod.metadata.name.clone(), claims);
        }
    }

    /// The claims that nobody uses any more now that this one is gone.
    pub(super) fn gone(&mut self, pod: &CloudPod) -> Vec<String> {
        self.by_pod.remove(&pod.metadata.name);
        let used: HashSet<&String> = self.by_pod.values().flatten().collect();
        pod.claims().map(str::to_owned).filter(|claim| !used.contains(claim)).collect()
    }
}

/// Ensures that the claims are there.
pub(super) async fn ensure(api: &Api, namespace: &str, claims: &[SharedClaim]) -> Result<(), CloudError> {
    for claim in claims {
        let path = format!("{}/{}", api.collection(namespace, PLURAL), claim.name);
        let read = Call::new(api.operation(Verb::ReadClaim, &claim.name), Method::GET, path);
        match api.client.json::<Named>(&read).await {
            Ok(found) if found.metadata.deleting() => {
                return Err(CloudError::Retryable(format!(
                    "{} claim {} is still being removed; it is made again after that",
                    api.scope.dialect.cloud, claim.name
                )));
            }
            Ok(_) => {}
            Err(Refusal::Cloud(CloudError::Gone(_))) => make(api, claim).await?,
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

async fn make(api: &Api, claim: &SharedClaim) -> Result<(), CloudError> {
    for (path, object) in &claim.objects {
        let operation = api.operation(Verb::CreateClaim, &claim.name);
        match api.client.accept(&Call::new(operation, Method::POST, path.clone()).json(object)).await {
            // The name follows from what is behind it: it is the right one.
            Ok(()) | Err(Refusal::AlreadyExists(_)) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

/// Removes those of the claims that no instance of the namespace uses, whichever virtual node it is of.
pub(super) async fn remove_unused(api: &Api, namespace: &str, names: &[String]) -> Result<(), CloudError> {
    let begun = api.claims.removing(names);
    if begun.names.is_empty() {
        return Ok(());
    }
    let pods: Vec<CloudPod> = api.list_all(&api.on_all(Verb::ListPods), namespace, "pods").await?;
    let used: HashSet<&str> = pods.iter().flat_map(CloudPod::claims).collect();
    for name in begun.names.iter().filter(|name| !used.contains(name.as_str())) {
        remove(api, namespace, name).await?;
    }
    Ok(())
}

/// Takes a claim away; one that is not burst's is left alone.
async fn remove(api: &Api, namespace: &str, name: &str) -> Result<(), CloudError> {
    let removals = api.scope.dialect.claims.and_then(|removals| removals(namespace, name));
    for (path, query) in removals.unwrap_or_default() {
        let call = Call::new(api.operation(Verb::DeleteClaim, name), Method::DELETE, path).query(query);
        match api.client.accept(&call).await {
            Ok(()) | Err(Refusal::Cloud(CloudError::Gone(_))) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

/// Removes claims that were made for an instance that never came.
pub(super) async fn sweep(api: &Api, now: Timestamp) -> Result<(), CloudError> {
    let (Some(removals), Some(namespace)) = (api.scope.dialect.claims, &api.scope.namespace) else {
        return Ok(());
    };
    let found: Vec<Named> = api.list_all(&api.on_all(Verb::ListClaims), namespace, PLURAL).await?;
    let old = |claim: &&Named| claim.metadata.age(now).is_some_and(|age| age > SWEEP_AGE);
    let ours = found.iter().filter(old).map(|claim| claim.metadata.name.clone());
    let ours: Vec<String> = ours.filter(|name| removals(namespace, name).is_some()).collect();
    remove_unused(api, namespace, &ours).await
}

/// Removes every claim of a namespace that is about to go, because what goes with the namespace may take the files along.
///
/// # Errors
/// When a claim is left: then the namespace must not be deleted.
pub(in crate::cloud) async fn clear(api: &Api, namespace: &str) -> Result<(), CloudError> {
    let Some(removals) = api.scope.dialect.claims else { return Ok(()) };
    let cloud = api.scope.dialect.cloud;
    let mut left = Vec::new();
    for look in 0..LOOKS.0 {
        if look > 0 {
            tokio::time::sleep(LOOKS.1).await;
        }
        let found = match api.list_all::<Named>(&api.on_all(Verb::ListClaims), namespace, PLURAL).await {
            Ok(found) => found,
            Err(Refusal::Cloud(CloudError::Gone(_))) => return Ok(()),
            Err(refusal) => return Err(refusal.into()),
        };
        left = found.into_iter().map(|claim| claim.metadata.name).collect();
        let others: Vec<&str> =
            left.iter().map(String::as_str).filter(|name| removals(namespace, name).is_none()).collect();
        if !others.is_empty() {
            return Err(CloudError::Invalid(format!(
                "{cloud} namespace {namespace} holds claims that burst did not make ({}), and deleting it could delete \
                 their files: remove them first {}",
                others.join(", "),
                api.scope.dialect.console
            )));
        }
        if left.is_empty() {
            return Ok(());
        }
        for name in &left {
            remove(api, namespace, name).await?;
        }
    }
    Err(CloudError::Retryable(format!(
        "claims of {cloud} namespace {namespace} are still being removed ({}): try again",
        left.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(names: &[&str]) -> Vec<SharedClaim> {
        names.iter().map(|name| SharedClaim { name: (*name).to_owned(), objects: Vec::new() }).collect()
    }

    fn pod(name: &str, claims: &str) -> CloudPod {
        let annotations = json!({"burst.io/claims": claims});
        serde_json::from_value(json!({"metadata": {"name": name, "annotations": annotations}})).unwrap()
    }

    /// Guards running pods: a claim does not go while an instance that mounts it is being made, nor the other way round.
    #[test]
    fn a_removal_and_a_creation_exclude_each_other() {
        let uses = Uses::default();
        let names = ["a".to_owned(), "b".to_owned()];
        let first = uses.creating(&claims(&["a"])).unwrap();
        let second = uses.creating(&claims(&["a"])).unwrap();
        drop(first);
        let removing = uses.removing(&names);
        assert_eq!(removing.names, ["b"]);
        let refused = uses.creating(&claims(&["b"])).unwrap_err();
        assert!(matches!(&refused, CloudError::Retryable(text) if text.contains("claim b is being removed")));
        assert!(uses.removing(&names).names.is_empty());
        drop((second, removing));
        assert_eq!(uses.removing(&names).names, names);
        assert!(uses.creating(&claims(&["a", "b"])).is_ok());
        assert!(uses.lock().is_empty());
    }

    #[test]
    fn the_last_one_that_uses_a_claim_frees_it() {
        let mut seen = Seen::default();
        let (one, two, none) = (pod("one", "a,b"), pod("two", "a"), pod("none", ""));
        for pod in [&one, &two, &none] {
            seen.changed(pod);
        }
        assert_eq!(seen.gone(&none), [""; 0]);
        assert_eq!(seen.gone(&one), ["b"]);
        assert_eq!(seen.gone(&two), ["a"]);
        seen.changed(&one);
        seen.restart();
        assert_eq!(seen.gone(&one), ["a", "b"]);
    }
}
