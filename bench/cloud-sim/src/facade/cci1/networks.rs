//! Networks: without an Active one, a namespace's pods stay Pending.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Front;
use crate::core::kind::{Generation, Kind};
use crate::core::store::{Key, Verdict};
use crate::error::{ApiError, FieldError};

const ANNOTATIONS: [&str; 3] = [
    "network.alpha.kubernetes.io/default-security-group",
    "network.alpha.kubernetes.io/domain-id",
    "network.alpha.kubernetes.io/project-id",
];
const FIELDS: [&str; 5] = ["attachedVPC", "cidr", "networkID", "networkType", "subnetID"];

/// Checks a Network to be created and gives it its first status.
pub(super) fn admit(generation: Generation, name: &str, value: &mut Value) -> Result<(), ApiError> {
    let errors = match generation {
        Generation::One => wrong_fields(value),
        Generation::Two => wrong_second(value),
    };
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

/// The same for 2.0: subnets in place of one network, security groups optional.
fn wrong_second(value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for name in ["yangtse.io/domain-id", "yangtse.io/project-id"] {
        let given =
            value.pointer("/metadata/annotations").and_then(|all| all.get(name)).and_then(Value::as_str);
        if given.is_none_or(str::is_empty) {
            errors.push(FieldError::new(format!("metadata.annotations[{name}]"), "Required value"));
        }
    }
    let kind = value.pointer("/spec/networkType").and_then(Value::as_str).unwrap_or("underlay_neutron");
    // The prose of the documentation writes a hyphen, its examples an underscore.
    if !matches!(kind, "underlay_neutron" | "underlay-neutron") {
        errors.push(FieldError::new(
            "spec.networkType",
            format!("Unsupported value: {kind:?}: underlay_neutron"),
        ));
    }
    let subnets = value.pointer("/spec/subnets").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let named =
        |subnet: &Value| subnet.get("subnetID").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
    if subnets.is_empty() || !subnets.iter().all(named) {
        errors.push(FieldError::new("spec.subnets[].subnetID", "Required value"));
    }
    errors
}

/// The status of a Network that works.
fn working(generation: Generation, network: &Value) -> Value {
    if generation == Generation::One {
        return json!({"state": "Active"});
    }
    let synced = |kind: &str| json!({"type": kind, "status": "True"});
    let subnets = network.pointer("/spec/subnets").and_then(Value::as_array).into_iter().flatten();
    let attributes: Vec<Value> = subnets
        .map(|subnet| json!({"networkID": subnet.get("subnetID"), "subnetV4ID": subnet.get("subnetID")}))
        .collect();
    json!({
        "status": "Ready", "subnetAttrs": attributes,
        "conditions": [synced("NetworkSynced"), synced("NetworkExternalDependenciesSynced")],
    })
}

/// The Network becomes Active after a while.
pub(super) fn activate_later(front: &Arc<Front>, key: &Key) {
    let (cloud, key) = (front.cloud.clone(), key.clone());
    front.cloud.spawn(async move {
        cloud.clock.sleep(cloud.timing.network).await;
        let _ = cloud.store.update::<()>(Kind::Network, &key, |value, _| {
            let status = working(cloud.store.generation, value);
            if let Some(value) = value.as_object_mut() {
                value.insert("status".into(), status);
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
