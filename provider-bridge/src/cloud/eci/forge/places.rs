//! Which sizes, vSwitches and ways of paying to try for one pod, in order.

use std::collections::BTreeMap;

use policies::keys::ECI_USE_SPECS;
use policies::pod::view::PodView;
use policies::shape::{self, GI, eci};
use policies::support::annotations::items;
use serde_json::{Map, Value};

use crate::cloud::translate::Problem;

use super::{Attempt, Context};

/// A size to buy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sized {
    /// What is billed, where no type of machine says it.
    pub(super) size: shape::Size,
    /// Types of machines, with commas between; empty for a size of vCPUs and memory.
    types: String,
}

/// What to buy, in order: what the annotation says, else what the containers ask for, rounded.
pub(super) fn sizes(
    view: &PodView<'_>,
    annotations: &BTreeMap<String, String>,
    context: &Context<'_>,
) -> Result<Vec<Sized>, Problem> {
    let spot =
        annotations.get("k8s.aliyun.com/eci-spot-strategy").is_some_and(|strategy| strategy != "NoSpot");
    let extended = eci::extended_region(&context.settings.region) && !spot;
    let asked = eci::sum(&shape::asks(view), None);
    let round = |size| eci::round(size, extended).map_err(|refusal| Problem::Invalid(refusal.to_string()));
    let Some(specs) = annotations.get(ECI_USE_SPECS) else {
        return Ok(vec![Sized { size: round(asked)?.size, types: String::new() }]);
    };
    let mut sizes: Vec<Sized> = Vec::new();
    for spec in items(specs) {
        match (eci::stated(spec), sizes.last_mut()) {
            (Some(size), _) => sizes.push(Sized { size: round(size)?.size, types: String::new() }),
            // Types that stand together are one call: ECI tries them in their order.
            (None, Some(last)) if !last.types.is_empty() => {
                last.types.push(',');
                last.types.push_str(spec);
            }
            (None, _) => {
                let size = eci::round(asked, extended).map(|sold| sold.size).unwrap_or(asked);
                sizes.push(Sized { size, types: spec.to_owned() });
            }
        }
    }
    Ok(sizes)
}

/// Every size in every vSwitch, first at the spot price where that is asked for.
pub(super) fn attempts(
    context: &Context<'_>,
    annotations: &BTreeMap<String, String>,
    sizes: &[Sized],
    tree: &Map<String, Value>,
) -> Vec<Attempt> {
    let own = annotations.get("k8s.aliyun.com/eci-vswitch");
    let mut vswitches: Vec<String> =
        own.map_or_else(|| context.settings.vswitches.clone(), |own| items(own).map(str::to_owned).collect());
    // Who says how ECI is to choose among them leaves the choice to ECI.
    if tree.contains_key("ScheduleStrategy") {
        vswitches = vec![vswitches.join(",")];
    }
    let strategy = tree.get("SpotStrategy").and_then(Value::as_str);
    let spot = strategy.is_some_and(|strategy| strategy != "NoSpot");
    let fallback = annotations.get("k8s.aliyun.com/eci-spot-fallback").is_some_and(|value| value == "true");
    let ways: &[bool] = match (spot, fallback) {
        (true, true) => &[true, false],
        (true, false) => &[true],
        (false, _) => &[false],
    };
    let mut all = Vec::new();
    for way in ways {
        for sized in sizes {
            for vswitch in &vswitches {
                all.push(attempt(context, sized, vswitch, *way, spot));
            }
        }
    }
    all
}

fn attempt(context: &Context<'_>, sized: &Sized, vswitch: &str, spot: bool, wanted_spot: bool) -> Attempt {
    let mut fields = Map::from_iter([("VSwitchId".to_owned(), Value::from(vswitch))]);
    if !context.settings.zone.is_empty() {
        fields.insert("ZoneId".to_owned(), context.settings.zone.as_str().into());
    }
    let (cores, gib) = (sized.size.cpu_milli as f64 / 1000.0, sized.size.memory_bytes as f64 / GI as f64);
    if sized.types.is_empty() {
        fields.insert("Cpu".to_owned(), cores.into());
        fields.insert("Memory".to_owned(), gib.into());
    } else {
        fields.insert("InstanceType".to_owned(), sized.types.as_str().into());
    }
    if wanted_spot && !spot {
        fields.insert("SpotStrategy".to_owned(), "NoSpot".into());
        fields.insert("SpotPriceLimit".to_owned(), Value::Null);
        fields.insert("SpotDuration".to_owned(), Value::Null);
    }
    let what = if sized.types.is_empty() { format!("{cores}-{gib}Gi") } else { sized.types.clone() };
    let way = if spot { "spot" } else { "on-demand" };
    Attempt {
        label: format!("{what}/{vswitch}/{way}"),
        vswitch: vswitch.to_owned(),
        spot,
        size: sized.size,
        fields,
    }
}
