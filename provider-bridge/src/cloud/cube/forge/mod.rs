//! From a local pod and the objects it refers to, to the parameters of CreateCubePod.
//!
//! Pure: nothing is fetched or sent here. What Cube cannot run is refused first, by the same table that admission reads;
//! what only shows once ConfigMaps and Secrets are there (the 16 KB of a pod) is refused here with the number. Facts: the
//! vendor's page on the pod format.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policies::keys;
use policies::pod::view::PodView;
use policies::shape::{self, Size, cube};
use policies::support::cube::annotations as known;
use policies::support::cube::{POD_BYTES_MAX, POD_PARAMETER_MAX};
use policies::support::{self, annotations as legal};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::cloud::CreateRequest;
use crate::cloud::translate::json::{list, only, text};
use crate::cloud::translate::{self, Claims, Notice, Problem, Resolved, Sizes, Sources, service_env};

use super::address::{self, Wanted};
use super::names;
use super::settings::CubeSettings;

mod containers;
mod dns;
mod registries;
#[cfg(test)]
pub(in crate::cloud::cube) mod tests;
mod volumes;

/// The cloud's name in messages.
const CLOUD: &str = "Cube";
/// Fields of a pod that mean the same at Cube.
const FIELDS: [&str; 3] = ["hostAliases", "restartPolicy", "terminationGracePeriodSeconds"];

/// The result of a translation. Holds secrets.
pub(super) struct Forged {
    /// Name of the Cube pod.
    pub(super) name: String,
    /// The parameters.
    pub(super) parameters: Value,
    /// What is billed.
    pub(super) size: Size,
    /// Paid in advance.
    pub(super) prepaid: bool,
    /// The elastic address that it is to have.
    pub(super) address: Option<Wanted>,
    /// What the pod's owner should be told.
    pub(super) notices: Vec<Notice>,
}

/// Translates a pod.
pub(super) fn forge(
    settings: &CubeSettings,
    request: &CreateRequest,
    resolved: &Resolved,
    claims: &Claims,
) -> Result<Forged, Problem> {
    let pod = &*request.object;
    let annotations = request.all_annotations();
    refuse(pod, &annotations)?;
    let address = address::wanted(&annotations)?;
    let view =
        PodView::deserialize(pod).map_err(|e| Problem::Invalid(format!("the pod cannot be read: {e}")))?;
    let asks = shape::asks(&view);
    let sold = cube::round(cube::sum(&asks), settings.default_size)
        .map_err(|too_large| Problem::Invalid(too_large.to_string()))?;
    let mut notices: Vec<Notice> = Vec::new();
    let limits = cube::split(&asks, sold.size);
    let spec = spec(settings, request, (resolved, claims), (&asks, &limits, sold.size), &mut notices)?;
    let releases = address.as_ref().map(|wanted| wanted.releases);
    let document = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": names::metadata(&settings.cluster_id, request, releases), "spec": spec,
    });
    let charge = annotations.get(known::CHARGE_TYPE).map_or("postpay", |text| text.trim());
    let charge = match charge {
        "year" => "Year",
        "month" => "Month",
        _ => "Postpay",
    };
    let name = names::cube(&request.pod);
    let mut parameters = json!({
        "Zone": settings.zone, "VPCId": settings.vpc_id, "SubnetId": settings.subnet_id,
        "Name": name, "ChargeType": charge, "Pod": encoded(&document)?,
    });
    if let Some(tag) = annotations.get(known::TAG) {
        parameters["Tag"] = tag.trim().into();
    }
    let prepaid = charge != "Postpay";
    if prepaid {
        let quantity = annotations.get(known::QUANTITY).map_or("1", |text| text.trim());
        parameters["Quantity"] = quantity.into();
    }
    Ok(Forged { name, parameters, size: sold.size, prepaid, address, notices })
}

fn refuse(pod: &Value, annotations: &BTreeMap<String, String>) -> Result<(), Problem> {
    let mut unsupported = support::check(keys::PROVIDER_UCLOUD, pod);
    // Those of the policy may have other values than the pod's.
    unsupported.retain(|problem| !problem.field.starts_with("metadata.annotations"));
    let texts = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    unsupported.extend(legal::problems(support::cube::ANNOTATIONS, texts));
    if unsupported.is_empty() { Ok(()) } else { Err(Problem::Invalid(support::sentences(&unsupported))) }
}

fn spec(
    settings: &CubeSettings,
    request: &CreateRequest,
    (resolved, claims): (&Resolved, &Claims),
    (asks, limits, whole): (&[shape::Ask], &[Size], Size),
    notices: &mut Vec<Notice>,
) -> Result<Map<String, Value>, Problem> {
    let pod = &*request.object;
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let shown = shown(asks, limits, whole);
    let links = spec.get("enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    let services =
        service_env::variables(&resolved.services, &request.pod.namespace, links && settings.cluster_ip);
    let sources = Sources {
        pod,
        node: &request.node,
        cloud: CLOUD,
        resolved,
        sizes: Some(&shown),
        services: &services,
        plain: true,
    };
    let mut out = only(spec, &FIELDS);
    out.retain(|_, value| !value.is_null());
    out.extend(containers::translate(&sources, limits, notices)?);
    insert_list(&mut out, "volumes", volumes::translate(&sources, claims, notices)?);
    insert_list(&mut out, "imagePullSecrets", registries::secrets(spec, resolved, notices));
    dns::fields(settings, request, spec, &mut out);
    if let Some(name) = hostname(spec, &request.pod.name) {
        out.insert("hostname".into(), name.into());
    }
    Ok(out)
}

/// What containers see of sizes: what they are sold.
fn shown(asks: &[shape::Ask], limits: &[Size], whole: Size) -> Sizes {
    let size = |size: Size| translate::Size { cpu_milli: size.cpu_milli, memory_bytes: size.memory_bytes };
    let apps =
        asks.iter().filter(|ask| !ask.init).zip(limits).map(|(ask, limit)| (ask.name.clone(), size(*limit)));
    let init = asks.iter().filter(|ask| ask.init).map(|ask| (ask.name.clone(), size(whole)));
    Sizes { containers: apps.chain(init).collect(), pod: size(whole), disk_bytes: 10 * shape::GI }
}

/// The host name that the pod would have at home, as far as it has no dots.
fn hostname(spec: &Value, pod_name: &str) -> Option<String> {
    let own = text(spec, "hostname").filter(|hostname| !hostname.is_empty()).unwrap_or(pod_name);
    let short: String = own.chars().take(63).collect();
    let short = short.trim_end_matches(['-', '.']);
    (!short.contains('.')).then(|| short.to_owned())
}

/// The document as the parameter has it.
fn encoded(document: &Value) -> Result<String, Problem> {
    let yaml = serde_saphyr::to_string(document)
        .map_err(|error| Problem::Invalid(format!("the pod cannot be written as YAML: {error}")))?;
    let encoded = STANDARD.encode(&yaml);
    if encoded.len() > POD_PARAMETER_MAX {
        return Err(Problem::Invalid(format!(
            "the pod with its variables and the files of its ConfigMaps and Secrets is {} bytes of YAML, and the API of Cube \
             takes {POD_BYTES_MAX} (16 KB of base64): mount fewer keys with items, or put files into the image or on nfs",
            yaml.len()
        )));
    }
    Ok(encoded)
}

fn insert_list(out: &mut Map<String, Value>, field: &str, values: Vec<Value>) {
    if !values.is_empty() {
        out.insert(field.to_owned(), Value::Array(values));
    }
}

fn texts(object: &Value, field: &str) -> Vec<String> {
    list(object, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
