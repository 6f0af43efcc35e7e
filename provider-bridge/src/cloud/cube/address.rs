//! Elastic addresses of pods: burst binds one that there is, and buys none. A purchase whose answer is lost could not be
//! found again, and would be paid for by nobody's order.

use std::collections::BTreeMap;

use policies::support::cube::annotations as keys;
use serde_json::json;

use crate::cloud::translate::Problem;
use crate::cloud::{CloudError, Instance, Resolve};

use super::action::{Action, Operation};
use super::api::Api;
use super::fault::Refusal;
use super::parameters::flatten;

/// What a pod's annotations say of its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    id: String,
    firewall: Option<String>,
    pub(super) releases: bool,
}

/// The address that a pod is to have, if any.
pub(super) fn wanted(annotations: &BTreeMap<String, String>) -> Result<Option<Wanted>, Problem> {
    let get = |key: &str| annotations.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    if get(keys::EIP) != Some("true") {
        return Ok(None);
    }
    let id = get(keys::EIP_ID).ok_or_else(|| {
        Problem::Invalid(format!(
            "annotation {}: burst buys no elastic addresses: name one that there is in {}",
            keys::EIP,
            keys::EIP_ID
        ))
    })?;
    Ok(Some(Wanted {
        id: id.to_owned(),
        firewall: get(keys::EIP_FIREWALL).map(str::to_owned),
        releases: get(keys::EIP_RELEASE) != Some("false"),
    }))
}

/// Binds it; safe to repeat. What cannot be bound is told to the pod's owner, and the pod runs without.
pub(super) async fn bind(
    api: &Api,
    instance: &Instance,
    wanted: &Wanted,
    resolve: &dyn Resolve,
) -> Result<(), CloudError> {
    let bind = json!({"EIPId": wanted.id, "ResourceType": "cube", "ResourceId": instance.id});
    let mut calls = vec![(Action::BindAddress, bind)];
    if let Some(firewall) = &wanted.firewall {
        let grant = json!({"FWId": firewall, "ResourceType": "cube", "ResourceId": instance.id});
        calls.push((Action::GrantFirewall, grant));
    }
    for (action, parameters) in calls {
        let operation = Operation::new(action, &instance.id);
        let parameters = parameters.as_object().map(flatten).unwrap_or_default();
        match api.client.call(&operation, parameters).await {
            Ok(_) => {}
            Err(Refusal::Cloud(CloudError::Invalid(text) | CloudError::Account(text))) => {
                resolve.notice(
                    "AddressNotBound",
                    &format!("{text}; the pod runs without address {}", wanted.id),
                );
                return Ok(());
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_there_are() {
        let of = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            wanted(&all)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[(keys::EIP, "false"), (keys::EIP_ID, "eip-1")]), Ok(None));
        let bound = of(&[(keys::EIP, "true"), (keys::EIP_ID, "eip-1")]).unwrap().unwrap();
        assert!(bound.releases && bound.firewall.is_none());
        let kept = of(&[(keys::EIP, "true"), (keys::EIP_ID, "eip-1"), (keys::EIP_RELEASE, "false")]);
        assert!(!kept.unwrap().unwrap().releases);
        match of(&[(keys::EIP, "true")]) {
            Err(Problem::Invalid(text)) => assert!(text.contains(keys::EIP_ID), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
