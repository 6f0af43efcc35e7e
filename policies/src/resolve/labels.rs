//! What the labels of one object say about the policy.

use std::collections::BTreeMap;

use super::ResolveError;
use crate::{keys, policy::Policy};

/// Whose labels they are; the ECI family has its own keys on pods and on namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A pod or a pod template.
    Pod,
    /// A workload that owns pods.
    Workload,
    /// A namespace.
    Namespace,
}

/// What an object's labels say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The policy.
    pub policy: Policy,
    /// The label key that says it.
    pub key: &'static str,
    /// The only provider allowed, where the key belongs to one cloud.
    pub provider: Option<&'static str>,
}

/// Reads the policy out of an object's labels. `object` is how messages name it, for example `Deployment/web`.
///
/// # Errors
/// [`ResolveError::UnknownValue`] and [`ResolveError::Contradiction`].
pub fn read(
    scope: Scope,
    object: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Option<Said>, ResolveError> {
    let mut first: Option<(Said, &str)> = None;
    for (key, value) in known(scope, labels) {
        let Some(said) = meaning(object, key, value)? else { continue };
        match first {
            None => first = Some((said, value)),
            Some((before, _)) if only_off_eci(before, said) => {}
            Some((before, before_value)) if before.policy != said.policy => {
                return Err(ResolveError::Contradiction {
                    object: object.to_owned(),
                    one: format!("label {}={before_value}", before.key),
                    other: format!("label {key}={value}"),
                });
            }
            Some((before, value)) => {
                let provider = before.provider.or(said.provider);
                first = Some((Said { provider, ..before }, value));
            }
        }
    }
    Ok(first.map(|(said, _)| said))
}

/// `eci=false` speaks of one cloud: beside a key that means every cloud it takes nothing back.
fn only_off_eci(before: Said, said: Said) -> bool {
    keys::POLICY.contains(&before.key) && keys::ECI_POD.contains(&said.key) && said.policy == Policy::Off
}

fn known(scope: Scope, labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&'static str, &str)> {
    let vendor: &[&'static str] = match scope {
        Scope::Pod => &keys::ECI_POD,
        Scope::Workload => &[],
        Scope::Namespace => &[keys::ECI_NAMESPACE],
    };
    let keys = keys::POLICY.iter().chain(vendor).copied();
    keys.filter_map(|key| labels.get(key).map(|value| (key, value.as_str())))
}

fn meaning(object: &str, key: &'static str, value: &str) -> Result<Option<Said>, ResolveError> {
    let unknown =
        |legal| ResolveError::UnknownValue { object: object.to_owned(), key, value: value.to_owned(), legal };
    let provider = Some(keys::PROVIDER_ALIBABA);
    let eci = |policy| Some(Said { policy, key, provider: provider.filter(|_| policy == Policy::Enforce) });
    if key == keys::ECI_NAMESPACE {
        return Ok((value == keys::ECI_NAMESPACE_ENABLED).then(|| eci(Policy::Enforce)).flatten());
    }
    if keys::ECI_POD.contains(&key) {
        return match value {
            "true" => Ok(eci(Policy::Enforce)),
            "false" => Ok(eci(Policy::Off)),
            // `eci` alone is a word that other software may use as a label too.
            _ if !key.contains('/') => Ok(None),
            _ => Err(unknown("true, false".to_owned())),
        };
    }
    let policy = Policy::parse(value).ok_or_else(|| unknown(legal_policies()))?;
    Ok(Some(Said { policy, key, provider: None }))
}

fn legal_policies() -> String {
    Policy::ALL.map(Policy::as_str).join(", ")
}
