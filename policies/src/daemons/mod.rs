//! DaemonSets replaced in the cloud: a virtual node runs none, so the containers of those that ask for it
//! ([`keys::REPLACE_IN_CLOUD`]) run beside every burst pod, in its own instance.
//!
//! Admission and the bridge ask the same functions: what a DaemonSet adds, why it adds nothing ([`Refused`]), and what of
//! it was written on the pod ([`record`]). The DaemonSet's own selector, affinity and tolerations do not matter: the
//! annotation is the choice. What is changed on the DaemonSet holds for new instances.

mod forge;
mod names;
pub mod objects;
pub mod record;
mod refuse;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    keys,
    resources::Resources,
    support::{self, Unsupported},
};

pub use forge::{Added, added};
pub use record::Beside;

/// A DaemonSet that asks to be replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Daemon {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.template.spec`.
    pub spec: Value,
}

impl Daemon {
    /// `logging/shipper`, as [`keys::DAEMONSETS`] spells it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Why a DaemonSet is not replaced beside a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The field at fault, from the DaemonSet down: `spec.template.spec.volumes[0].hostPath`.
    pub field: String,
    /// Why, and what to do instead.
    pub sentence: String,
}

impl Refused {
    fn at(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { field: field.into(), sentence: sentence.into() }
    }

    /// As an event tells it.
    pub fn text(&self, daemon: &str) -> String {
        format!("DaemonSet {daemon} is not replaced in the cloud: {}: {}", self.field, self.sentence)
    }
}

/// What an annotation says that is neither `true` nor `false`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {key} is {value:?}, which is neither \"true\" nor \"false\": it is ignored", key = keys::REPLACE_IN_CLOUD)]
pub struct BadWish {
    /// What it says.
    pub value: String,
}

/// Whether a DaemonSet with this annotation is to be replaced.
///
/// # Errors
/// [`BadWish`] when it says something else than true or false.
pub fn wish(annotation: Option<&str>) -> Result<bool, BadWish> {
    match annotation {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(BadWish { value: other.to_owned() }),
    }
}

/// A pod with the containers of DaemonSets beside its own.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The pod as the instance runs it. Only `spec` differs.
    pub pod: Value,
    /// Names of the containers that were added: nobody who looks at the pod sees them.
    pub hidden: Vec<String>,
    /// Whose they are, and what they ask for.
    pub beside: Beside,
    /// The instance gets one container more, for network interop.
    pub interop: bool,
    namespace: String,
}

impl Joined {
    /// The pod alone. `namespace`: its own, which may not stand in it yet.
    pub fn alone(pod: &Value, namespace: &str) -> Self {
        Self {
            pod: pod.clone(),
            hidden: Vec::new(),
            beside: Beside::default(),
            interop: false,
            namespace: namespace.to_owned(),
        }
    }

    /// Adds a DaemonSet, if one of these providers can run its containers beside what is there. Without a provider any
    /// may. `room`: what all of them together may ask for.
    ///
    /// # Errors
    /// [`Refused`]: nothing was added then.
    pub fn add(
        &mut self,
        daemon: &Daemon,
        providers: &[&str],
        room: Option<Resources>,
    ) -> Result<(), Refused> {
        let added = self.look(daemon, providers)?;
        let requests = self.beside.requests.plus(added.requests);
        if room.is_some_and(|room| !requests.fits(room)) {
            return Err(Refused::at(
                "spec.template.spec.containers",
                "it asks for more than when the pod was admitted, and only that was counted: make the pod anew",
            ));
        }
        self.beside.sizes.extend(&added.sizes);
        let names = added.containers.iter().filter_map(|c| c.get("name")?.as_str());
        self.hidden.extend(names.map(str::to_owned));
        put(&mut self.pod, added);
        self.beside.names.push(daemon.key());
        self.beside.names.sort();
        self.beside.requests = requests;
        Ok(())
    }

    /// What a DaemonSet would add.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn look(&self, daemon: &Daemon, providers: &[&str]) -> Result<Added, Refused> {
        let taken = names::taken(&self.pod);
        let added = added(daemon, &self.namespace, &taken)?;
        let mut refused = None;
        for provider in providers {
            match self.runs(provider, &added) {
                Ok(()) => return Ok(added),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        refused.map_or(Ok(added), Err)
    }

    /// Whether a provider can run what is added, by itself and together with the rest.
    fn runs(&self, provider: &str, added: &Added) -> Result<(), Refused> {
        let own = json!({"spec": {"containers": added.containers, "volumes": added.volumes}});
        let of_template =
            |found: Unsupported| Refused::at(format!("spec.template.{}", found.field), found.sentence);
        if let Some(found) = support::check(provider, &own).into_iter().next() {
            return Err(of_template(found));
        }
        if !support::check_on(provider, self.interop, &self.pod).is_empty() {
            // It will not run there anyway, and the pod's owner is told why.
            return Ok(());
        }
        let mut whole = self.pod.clone();
        put(&mut whole, added.clone());
        match support::check_on(provider, self.interop, &whole).into_iter().next() {
            Some(found) => Err(Refused::at(
                "spec.template.spec.containers",
                format!("the pod and what is beside it are too much together: {}", found.sentence),
            )),
            None => Ok(()),
        }
    }
}

/// Appends to the lists of a pod's spec. A pull secret that is there already is not named twice.
fn put(pod: &mut Value, added: Added) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let lists = [
        ("containers", added.containers),
        ("volumes", added.volumes),
        ("imagePullSecrets", added.pull_secrets),
    ];
    for (field, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
        let list = spec.entry(field).or_insert_with(|| json!([]));
        if list.is_null() {
            *list = json!([]);
        }
        let Some(list) = list.as_array_mut() else { continue };
        for item in items {
            if field != "imagePullSecrets" || !list.contains(&item) {
                list.push(item);
            }
        }
    }
}

/// The DaemonSets that a pod which may burst gets beside it: in the order of their names, each that can run on one of the
/// providers. Nothing is copied where nothing is asked for.
pub fn beside<'d>(
    pod: &Value,
    namespace: &str,
    daemons: impl IntoIterator<Item = &'d Daemon>,
    providers: &BTreeSet<String>,
) -> Beside {
    let mut daemons = daemons.into_iter().peekable();
    if daemons.peek().is_none() {
        return Beside::default();
    }
    let mut all: Vec<&Daemon> = daemons.collect();
    all.sort_by_key(|daemon| daemon.key());
    let providers: Vec<&str> = providers.iter().map(String::as_str).collect();
    let mut joined = Joined::alone(pod, namespace);
    for daemon in all {
        // Who is left out is named by the bridge, beside the pod that runs without it.
        let _refused = joined.add(daemon, &providers, None);
    }
    joined.beside
}
