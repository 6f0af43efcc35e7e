//! Networks: without an Active one, a namespace's pods stay Pending.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Front;
use crate::core::kind::Kind;
use crate::core::store::{Key, Verdict};
use crate::error::{ApiError, FieldError};

const ANNOTATIONS: [&str; 3] = [
    "network.alpha.kubernetes.io/default-security-group",
    "network.alpha.kubernetes.io/domain-id",
    "network.alpha.kubernetes.io/project-id",
];
const FIELDS: [&str; 5] = ["attachedVPC", "cidr", "networkID", "networkType", "subnetID"];

/// Checks a Network to be created and gives it its first status.
pub(super) fn admit(name: &str, value: &mut Value) -> Result<(), ApiError> {
    let errors = wrong_fields(value);
    if !errors.is_empty() {
        return Err(ApiError::invalid("Network", name, &errors).code("CCI.01.400201"));
    }
    if let Some(value) = value.as_object_mut() {
        value.insert("status".into(), json!({"state": "Initializing"}));
    }
    Ok(())
}

fn wrong_fields(value: &Value) -> Vec<FieldError> {
    let annotations = value.pointer("/metadata/annotations");
    let missing = |map: Option<&Value>, name: &str| {
        map.and_then(|map| map.get(name)).and_then(Value::as_str).is_none_or(str::is_empty)
    };
    let mut errors = Vec::new();
    for name in ANNOTATIONS.iter().filter(|name| missing(annotations, name)) {
        errors.push(FieldError::new(format!("metadata.annotations[{name}]"), "Required value"));
    }
    let spec = value.get("spec");
    for name in FIELDS.iter().filter(|name| missing(spec, name)) {
        errors.push(FieldError::new(format!("spec.{name}"), "Required value"));
    }
    let kind = value.pointer("/spec/networkType").and_then(Value::as_str).unwrap_or("underlay_neutron");
    if kind != "underlay_neutron" {
        errors.push(FieldError::new(
            "spec.networkType",
            format!("Unsupported value: {kind:?}: underlay_neutron"),
        ));
    }
    let cidr = value.pointer("/spec/cidr").and_then(Value::as_str).unwrap_or("0.0.0.0/0");
    let good = cidr.split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<std::net::Ipv4Addr>().is_ok() && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= 32)
    });
    if !good {
        errors.push(FieldError::new("spec.cidr", format!("Invalid value: {cidr:?}: not a CIDR")));
    }
    errors
}

/// The Network becomes Active after a while.
pub(super) fn activate_later(front: &Arc<Front>, key: &Key) {
    let (cloud, key) = (front.cloud.clone(), key.clone());
    front.cloud.spawn(async move {
        cloud.clock.sleep(cloud.timing.network).await;
        let _ = cloud.store.update::<()>(Kind::Network, &key, |value, _| {
            if let Some(value) = value.as_object_mut() {
                value.insert("status".into(), json!({"state": "Active"}));
            }
            Ok(Verdict::Write)
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_need_all_their_fields() {
        let mut network = json!({
            "metadata": {"annotations": {
                "network.alpha.kubernetes.io/default-security-group": "sg",
                "network.alpha.kubernetes.io/domain-id": "d",
                "network.alpha.kubernetes.io/project-id": "p",
            }},
            "spec": {"attachedVPC": "v", "cidr": "10.0.0.0/16", "networkID": "n", "networkType": "underlay_neutron", "subnetID": "s"},
        });
        assert_eq!(wrong_fields(&network), []);
        network["spec"]["cidr"] = json!("10.0.0.0");
        network["spec"]["networkType"] = json!("overlay");
        network["metadata"]["annotations"] = json!({});
        let fields: Vec<String> = wrong_fields(&network).into_iter().map(|error| error.field).collect();
        assert_eq!(fields.len(), 5, "{fields:?}");
    }
}
