//! Annotations that are parameters of the create call, by the table of `policies::support::eci`.
//!
//! Their values were judged before; what cannot be read all the same is refused, never guessed.

use std::collections::BTreeMap;

use policies::support::annotations::{Sent, Values, items};
use policies::support::eci::ANNOTATIONS;
use serde_json::{Map, Value, json};

use crate::cloud::translate::Problem;

use super::bits;

/// Adds the parameters that annotations say.
pub(super) fn parameters(
    annotations: &BTreeMap<String, String>,
    tree: &mut Map<String, Value>,
) -> Result<(), Problem> {
    for row in ANNOTATIONS {
        let Some(text) = annotations.get(row.key).map(|text| text.trim()) else { continue };
        match row.sent {
            Sent::As(parameter) => {
                tree.insert(parameter.to_owned(), typed(row.values, text));
            }
            Sent::Each(parameter) => {
                tree.insert(parameter.to_owned(), items(text).map(Value::from).collect());
            }
            Sent::By(_) | Sent::Not(_) | Sent::Refused(_) => {}
        }
    }
    let get = |key: &str| annotations.get(key).map(String::as_str);
    if get("k8s.aliyun.com/eci-enable-ipv6") == Some("true") {
        tree.entry("Ipv6AddressCount").or_insert_with(|| 1.into());
    }
    let rates = [
        ("kubernetes.io/ingress-bandwidth", "IngressBandwidth"),
        ("kubernetes.io/egress-bandwidth", "EgressBandwidth"),
    ];
    for (key, parameter) in rates {
        if let Some(rate) = get(key).and_then(bits) {
            tree.insert(parameter.to_owned(), rate.into());
        }
    }
    if let Some(hosts) = get("k8s.aliyun.com/eci-custom-hosts") {
        tree.insert("HostAliase".to_owned(), custom_hosts(hosts)?);
    }
    registries(get, tree);
    Ok(())
}

fn typed(values: Values, text: &str) -> Value {
    match values {
        Values::Flag => (text == "true").into(),
        Values::Whole(..) => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        Values::Decimal => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
        // Lists as the API takes them in one parameter: without blanks.
        Values::List(_) | Values::ListOf(_) => items(text).collect::<Vec<_>>().join(",").into(),
        _ => text.into(),
    }
}

/// `[{"host": "name", "ip": "address"}]`, as the vendor's node reads it; also `hostname` or a list of them.
fn custom_hosts(text: &str) -> Result<Value, Problem> {
    let wrong = || {
        Problem::Invalid(
            "annotation k8s.aliyun.com/eci-custom-hosts: write [{\"host\": \"name\", \"ip\": \"address\"}]"
                .into(),
        )
    };
    let list: Vec<Map<String, Value>> = serde_json::from_str(text).map_err(|_| wrong())?;
    let aliases = list.iter().map(|entry| {
        let ip = entry.get("ip").and_then(Value::as_str).ok_or_else(wrong)?;
        let names =
            ["host", "hostname", "hostnames"].iter().find_map(|key| entry.get(*key)).ok_or_else(wrong)?;
        let names = names.as_array().cloned().unwrap_or_else(|| vec![names.clone()]);
        Ok(json!({"Ip": ip, "Hostname": names}))
    });
    Ok(Value::Array(aliases.collect::<Result<_, Problem>>()?))
}

/// Registries of the account (`cri-…`, or `region:cri-…`) with the roles for them.
fn registries<'a>(get: impl Fn(&str) -> Option<&'a str>, tree: &mut Map<String, Value>) {
    let ids = ["k8s.aliyun.com/acr-instance-ids", "k8s.aliyun.com/acr-instance-id"];
    let Some(ids) = ids.iter().find_map(|key| get(key)) else { return };
    let roles = |key: &str| items(get(key).unwrap_or_default()).map(str::to_owned).collect::<Vec<_>>();
    let (service, user) = (roles("k8s.aliyun.com/acr-service-arns"), roles("k8s.aliyun.com/acr-user-arns"));
    let infos = items(ids).enumerate().map(|(at, id)| {
        let (region, id) = id.split_once(':').unwrap_or(("", id));
        let mut info = Map::from_iter([("InstanceId".to_owned(), Value::from(id))]);
        let more = [
            ("RegionId", Some(region).filter(|region| !region.is_empty())),
            ("ArnService", service.get(at).map(String::as_str)),
            ("ArnUser", user.get(at).map(String::as_str)),
        ];
        info.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
        Value::Object(info)
    });
    tree.insert("AcrRegistryInfo".to_owned(), infos.collect());
}
