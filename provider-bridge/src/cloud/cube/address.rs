//! Elastic addresses of pods: one that there is, or one that is bought for the pod.
//!
//! A purchase has no token either. What is bought is called like the Cube pod, which is different for every UID, and is
//! looked for by that name first; so a lost answer, or a restart, leads to the same address. One that is paid in advance is
//! ordered once, as the pod itself is.

use std::collections::BTreeMap;
use std::time::Duration;

use policies::keys::PREPAID_ADDRESS;
use policies::support::cube::annotations as keys;
use serde_json::{Value, json};

use crate::cloud::translate::Problem;
use crate::cloud::translate::json::{list, text};
use crate::cloud::{CloudError, Instance, PodIdentity, Resolve};

use super::action::Action;
use super::api::Api;
use super::fault::Refusal;
use super::names;

/// Addresses of one answer.
const PAGE: usize = 100;
/// How long to wait after trouble that passes.
const WAITS: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// Mbit/s of an address that says nothing.
const BANDWIDTH: &str = "2";

/// What a pod's annotations say of its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    source: Source,
    firewall: Option<String>,
    pub(super) releases: bool,
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// It is there, with this id.
    There(String),
    /// It is bought.
    Bought(Order),
}

/// What is bought.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    pay_mode: &'static str,
    share: Option<String>,
    bandwidth: String,
    charge: &'static str,
    quantity: String,
}

/// The address that a pod is to have, if any.
pub(super) fn wanted(annotations: &BTreeMap<String, String>) -> Result<Option<Wanted>, Problem> {
    let get = |key: &str| annotations.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    if get(keys::EIP) != Some("true") {
        return Ok(None);
    }
    let source = match get(keys::EIP_ID) {
        Some(id) => Source::There(id.to_owned()),
        None => Source::Bought(order(get)?),
    };
    Ok(Some(Wanted {
        source,
        firewall: get(keys::EIP_FIREWALL).map(str::to_owned),
        releases: get(keys::EIP_RELEASE) != Some("false"),
    }))
}

fn order<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Order, Problem> {
    let refuse = |key: &str, text: &str| Err(Problem::Invalid(format!("annotation {key}: {text}")));
    let pay_mode = match get(keys::EIP_PAY_MODE) {
        Some("traffic") => "Traffic",
        Some("sharebandwidth") => "ShareBandwidth",
        _ => "Bandwidth",
    };
    let shared = pay_mode == "ShareBandwidth";
    let share = get(keys::EIP_SHARE).filter(|_| shared);
    if shared && share.is_none() {
        return refuse(keys::EIP_PAY_MODE, &format!("sharebandwidth needs {}", keys::EIP_SHARE));
    }
    let bandwidth = get(keys::EIP_BANDWIDTH).unwrap_or(if shared { "0" } else { BANDWIDTH });
    if shared != (bandwidth == "0") {
        return refuse(keys::EIP_BANDWIDTH, "it is 0 with a shared bandwidth, and only then");
    }
    let charge = match get(keys::EIP_CHARGE_TYPE).or_else(|| get(keys::CHARGE_TYPE)) {
        Some("year") => "Year",
        Some("month") => "Month",
        _ => "Dynamic",
    };
    let quantity = get(keys::EIP_QUANTITY).or_else(|| get(keys::QUANTITY)).unwrap_or("1");
    let (share, bandwidth) = (share.map(str::to_owned), bandwidth.to_owned());
    Ok(Order { pay_mode, share, bandwidth, charge, quantity: quantity.to_owned() })
}

/// Binds it; safe to repeat. Nobody asks again once the instance is seen, so trouble that passes is waited out here. What
/// cannot be bound is told to the pod's owner, and the pod runs without.
pub(super) async fn bind(api: &Api, instance: &Instance, wanted: &Wanted, resolve: &dyn Resolve) {
    let mut waits = WAITS.into_iter();
    let error = loop {
        let error = match bound(api, instance, wanted, resolve).await {
            Ok(()) => return,
            Err(refusal) => CloudError::from(refusal),
        };
        match (&error, waits.next()) {
            (CloudError::Invalid(_) | CloudError::Account(_), _) | (_, None) => break error,
            (_, Some(wait)) => tokio::time::sleep(wait).await,
        }
    };
    resolve.notice(
        "AddressNotBound",
        &format!("{error}; the pod runs without its address: delete it to try again"),
    );
}

async fn bound(
    api: &Api,
    instance: &Instance,
    wanted: &Wanted,
    resolve: &dyn Resolve,
) -> Result<(), Refusal> {
    let address = match &wanted.source {
        Source::There(id) => id.clone(),
        Source::Bought(order) => bought(api, &instance.pod, order, resolve).await?,
    };
    let bind = json!({"EIPId": address, "ResourceType": "cube", "ResourceId": instance.id});
    api.call(Action::BindAddress, &instance.id, bind).await?;
    if let Some(firewall) = &wanted.firewall {
        let grant = json!({"FWId": firewall, "ResourceType": "cube", "ResourceId": instance.id});
        api.call(Action::GrantFirewall, &instance.id, grant).await?;
    }
    Ok(())
}

/// The address that is called like the pod, else a new one.
async fn bought(
    api: &Api,
    pod: &PodIdentity,
    order: &Order,
    resolve: &dyn Resolve,
) -> Result<String, Refusal> {
    let (name, key) = (names::cube(pod), format!("{}/address", pod.uid));
    // One that is bound already is the pod's, whatever else there is.
    if let Some(found) = named(api, &name).await?.into_iter().min_by_key(|found| !found.bound) {
        api.answered(&key);
        return Ok(found.id);
    }
    let prepaid = order.charge != "Dynamic";
    let not_again = || {
        Refusal::Cloud(CloudError::Invalid(format!(
            "an address for {name}, which is paid in advance, was ordered, and none is seen: it is not ordered again; look into \
             the bills"
        )))
    };
    match api.sent(&key) {
        Some(sent) if sent.prepaid => return Err(not_again()),
        Some(sent) if sent.at.elapsed() < api.settings.lost_answer => {
            return Err(Refusal::Unknown(format!(
                "the answer to the order of an address for {name} was lost"
            )));
        }
        _ => {}
    }
    if prepaid {
        let mine = api.order(&key);
        let kept = resolve.keep_once(pod, PREPAID_ADDRESS, &mine).await.map_err(Refusal::Cloud)?;
        if kept.is_some_and(|other| other != mine) {
            return Err(not_again());
        }
    }
    api.sending(&key, prepaid);
    let answer = api.call(Action::BuyAddress, &name, parameters(api, order, &name)).await;
    match &answer {
        Err(Refusal::Unknown(_)) => api.ordered(&key),
        Err(Refusal::Cloud(_)) => {
            api.answered(&key);
            if prepaid {
                resolve.drop_kept(pod, PREPAID_ADDRESS).await.map_err(Refusal::Cloud)?;
            }
        }
        Ok(_) => {
            api.answered(&key);
            api.ordered(&key);
        }
    }
    let id = answer?.pointer("/EIPSet/0/EIPId").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| Refusal::Unknown(format!("buy an address for Cube pod {name}: the answer names none")))
}

fn parameters(api: &Api, order: &Order, name: &str) -> Value {
    // The lines of the mainland, and those of everywhere else.
    let operator = if api.settings.region.starts_with("cn-") { "Bgp" } else { "International" };
    json!({
        "OperatorName": operator, "Bandwidth": order.bandwidth, "PayMode": order.pay_mode,
        "ShareBandwidthId": order.share, "ChargeType": order.charge,
        "Quantity": (order.charge != "Dynamic").then_some(&order.quantity), "Name": name,
    })
}

/// An address of ours.
struct Named {
    id: String,
    bound: bool,
}

/// The addresses of this name. There is no filter: all are looked at.
async fn named(api: &Api, name: &str) -> Result<Vec<Named>, Refusal> {
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let tree = json!({"Offset": offset, "Limit": PAGE});
        let answer = api.call(Action::ListAddresses, name, tree).await?;
        let page = list(&answer, "EIPSet");
        let ours = page.iter().filter(|address| text(address, "Name") == Some(name));
        found.extend(ours.filter_map(|address| {
            let bound = text(address, "Status") == Some("used");
            Some(Named { id: text(address, "EIPId")?.to_owned(), bound })
        }));
        offset += page.len();
        let total = answer.get("TotalCount").and_then(Value::as_u64).unwrap_or_default();
        if page.is_empty() || offset as u64 >= total {
            return Ok(found);
        }
    }
}

/// What was bought for a pod and is not bound: it would be billed for nobody. What is bound goes with its Cube pod. An
/// account that may not look is left alone.
pub(super) async fn release_unbound(api: &Api, pod: &PodIdentity) -> Result<(), Refusal> {
    let name = names::cube(pod);
    let found = match named(api, &name).await {
        Err(Refusal::Cloud(
            error @ (CloudError::Invalid(_) | CloudError::Account(_) | CloudError::Auth(_)),
        )) => {
            tracing::warn!(name, %error, "whether an address was left over cannot be seen");
            return Ok(());
        }
        found => found?,
    };
    for address in found.into_iter().filter(|address| !address.bound) {
        match api.call(Action::ReleaseAddress, &address.id, json!({"EIPId": address.id})).await {
            // It is gone already.
            Ok(_) | Err(Refusal::Cloud(CloudError::Invalid(_))) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Option<Wanted>, Problem> {
        let all = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        wanted(&all)
    }

    #[test]
    fn an_address_that_there_is() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[(keys::EIP, "false"), (keys::EIP_ID, "eip-1")]), Ok(None));
        let bound = of(&[(keys::EIP, "true"), (keys::EIP_ID, "eip-1")]).unwrap().unwrap();
        assert!(bound.releases && bound.firewall.is_none());
        assert_eq!(bound.source, Source::There("eip-1".into()));
        let kept = of(&[(keys::EIP, "true"), (keys::EIP_ID, "eip-1"), (keys::EIP_RELEASE, "false")]);
        assert!(!kept.unwrap().unwrap().releases);
    }

    /// The vendor's defaults, and what follows from the pod's own way to pay.
    #[test]
    fn an_address_that_is_bought() {
        let check = |more: &[(&str, &str)], wanted: &str| {
            let pairs = [&[(keys::EIP, "true")][..], more].concat();
            let said = match of(&pairs) {
                Ok(Some(Wanted { source: Source::Bought(order), .. })) => format!(
                    "{} {} {} {} {}",
                    order.pay_mode,
                    order.bandwidth,
                    order.share.unwrap_or_default(),
                    order.charge,
                    order.quantity
                ),
                other => format!("{other:?}"),
            };
            assert!(said.contains(wanted), "{more:?}: {said}");
        };
        check(&[], "Bandwidth 2  Dynamic 1");
        check(&[(keys::EIP_PAY_MODE, "traffic"), (keys::EIP_BANDWIDTH, "10")], "Traffic 10  Dynamic 1");
        check(&[(keys::CHARGE_TYPE, "month"), (keys::QUANTITY, "3")], "Bandwidth 2  Month 3");
        check(&[(keys::CHARGE_TYPE, "month"), (keys::EIP_CHARGE_TYPE, "dynamic")], "Dynamic");
        check(&[(keys::EIP_CHARGE_TYPE, "year"), (keys::EIP_QUANTITY, "2")], "Year 2");
        let shared = [(keys::EIP_PAY_MODE, "sharebandwidth"), (keys::EIP_SHARE, "bwshare-1")];
        check(&shared, "ShareBandwidth 0 bwshare-1");
        check(&shared[..1], "needs cube.ucloud.cn/cube-eip-share-bandwidth-id");
        check(&[shared[0], shared[1], (keys::EIP_BANDWIDTH, "5")], "it is 0 with a shared bandwidth");
        check(&[(keys::EIP_BANDWIDTH, "0")], "it is 0 with a shared bandwidth");
    }
}
