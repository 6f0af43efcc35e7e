//! Prices, stock, quota and regions.

use serde_json::{Value, json};

use super::super::Front;
use super::super::sales::Want;
use super::Eci;
use super::create::used_cores;
use super::error::EciError;
use super::size::{self, Asked, cores_and_gib};
use super::tree::Tree;

/// The vCPU quota of an account that has none of its own.
const QUOTA: f64 = 10_000.0;
/// What spot instances cost of the list price.
const SPOT_SHARE: f64 = 0.2;
/// CNY per GiB and hour of storage beyond the free 30 GiB.
const STORAGE_PRICE: f64 = 0.001_4;

/// DescribeContainerGroupPrice: per hour.
pub(super) fn price(front: &Front, eci: &Eci, tree: &Tree) -> Result<Value, EciError> {
    let spot = matches!(tree.word("SpotStrategy"), "SpotWithPriceLimit" | "SpotAsPriceGo");
    let machine = tree.text("InstanceType");
    let size = match machine {
        Some(name) => size::machine(name).ok_or_else(|| {
            EciError::new(
                400,
                "InvalidInstanceTypeForEciBuy",
                format!("The specified instance type {name} is not supported by ECI."),
            )
        })?,
        None => {
            let needed = |path: &str| tree.number(path)?.ok_or_else(|| EciError::missing(path));
            let asked = Asked { cpu: needed("Cpu")?, memory: needed("Memory")? };
            size::round(asked, &front.cloud.region, spot, eci.variants().exact_sizes)?
        }
    };
    let hour = size::per_second(size, tree.word("ComputeCategory") == "economy") * 3600.0;
    let extra = tree.number("EphemeralStorage")?.unwrap_or(0.0) * STORAGE_PRICE;
    let trade = if spot { hour * SPOT_SHARE } else { hour } + extra;
    let detail = |resource: &str, original: f64, trade: f64| json!({"Resource": resource, "OriginalPrice": original, "DiscountPrice": original - trade, "TradePrice": trade, "Rules": {"Rule": []}});
    let zones = eci.zones.iter().filter(|zone| tree.text("ZoneId").is_none_or(|wanted| wanted == *zone));
    let spots: Vec<Value> = zones
        .filter(|_| spot)
        .map(|zone| json!({"InstanceType": machine.unwrap_or("eci"), "ZoneId": zone, "SpotPrice": hour * SPOT_SHARE, "OriginPrice": hour}))
        .collect();
    Ok(json!({"PriceInfo": {
        "Price": {
            "Currency": "CNY", "OriginalPrice": hour + extra, "DiscountPrice": hour + extra - trade, "TradePrice": trade,
            "DetailInfos": {"DetailInfo": [
                detail("instance", hour, trade - extra), detail("storage", extra, extra),
            ]},
        },
        "SpotPrices": {"SpotPrice": spots}, "Rules": {"Rule": []},
    }}))
}

/// DescribeAvailableResource.
pub(super) fn stock(front: &Front, eci: &Eci, tree: &Tree) -> Result<Value, EciError> {
    let category = tree.text("DestinationResource.Category").unwrap_or("InstanceType");
    if !matches!(category, "InstanceType" | "InstanceTypeFamily") {
        return Err(EciError::parameter(
            "DestinationResource.Category",
            "it is not InstanceType or InstanceTypeFamily",
        ));
    }
    let spot = matches!(tree.word("SpotResource.SpotStrategy"), "SpotWithPriceLimit" | "SpotAsPriceGo");
    let value = tree.text("DestinationResource.Value");
    let cores = tree.number("DestinationResource.Cores")?;
    let memory = tree.number("DestinationResource.Memory")?;
    let size = value.and_then(size::machine).map(cores_and_gib);
    let zones = eci.zones.iter().filter(|zone| tree.text("ZoneId").is_none_or(|wanted| wanted == *zone));
    let zones: Vec<Value> = zones
        .map(|zone| {
            let want = Want {
                zone,
                subnet: "",
                cpu: cores.or_else(|| size.map(|s| s.cpu)).unwrap_or_default(),
                memory: memory.or_else(|| size.map(|s| s.memory)).unwrap_or_default(),
                instance_type: value.unwrap_or_default(),
                spot,
            };
            let gone = front.sales.missing(&want, front.cloud.clock.now()).is_some();
            let status = if gone { "WithoutStock" } else { "WithStock" };
            let shown = value.map_or_else(|| format!("{}-{}Gi", want.cpu, want.memory), str::to_owned);
            json!({
                "RegionId": front.cloud.region, "ZoneId": zone,
                "AvailableResources": {"AvailableResource": [
                    {"Type": category, "SupportedResources": {"SupportedResource": [{"Value": shown, "StatusCategory": status}]}},
                ]},
            })
        })
        .collect();
    Ok(json!({"AvailableZones": {"AvailableZone": zones}}))
}

/// ListUsage.
pub(super) fn usage(front: &Front, eci: &Eci) -> Value {
    let most = front.sales.standing().max_cpu.unwrap_or(QUOTA);
    let caches = eci.image_caches.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len();
    json!({"Attributes": {
        "MaxCpu": most, "UsedCpu": used_cores(front), "MaxImageCacheCount": 100, "UsedImageCacheCount": caches,
        "MaxAutoImageCacheCount": 100, "UsedAutoImageCacheCount": 0, "MaxDataCacheCount": 100, "UsedDataCacheCount": 0,
    }})
}

/// DescribeRegions.
pub(super) fn regions(front: &Front, eci: &Eci) -> Value {
    let region = &front.cloud.region;
    json!({"Regions": [{
        "RegionId": region, "RegionEndpoint": format!("eci.{region}.aliyuncs.com"), "Zones": eci.zones,
        "RecommendZones": eci.zones.iter().take(1).collect::<Vec<_>>(),
    }]})
}
