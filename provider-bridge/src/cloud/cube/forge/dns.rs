//! DNS of a pod. Cube knows no ClusterFirst: it is sent as what it means, where the node knows this cluster's DNS; else
//! names are the VPC's.

use serde_json::{Map, Value, json};

use crate::cloud::CreateRequest;
use crate::cloud::translate::json::{list, text};

use super::super::settings::CubeSettings;
use super::{insert_list, texts};

/// What the kubelet writes for ClusterFirst.
const NDOTS: &str = "5";

/// Adds `dnsPolicy` and `dnsConfig`, where they say anything.
pub(super) fn fields(
    settings: &CubeSettings,
    request: &CreateRequest,
    spec: &Value,
    out: &mut Map<String, Value>,
) {
    let own = spec.get("dnsConfig").unwrap_or(&Value::Null);
    let (mut servers, mut searches) = (texts(own, "nameservers"), texts(own, "searches"));
    let mut options: Vec<Value> = list(own, "options").to_vec();
    let policy = text(spec, "dnsPolicy").unwrap_or("ClusterFirst");
    let wanted = matches!(policy, "ClusterFirst" | "ClusterFirstWithHostNet");
    let here = wanted && settings.cluster_ip && !settings.cluster_dns.is_empty();
    if here {
        let (namespace, domain) = (&request.pod.namespace, &settings.cluster_domain);
        servers.insert(0, settings.cluster_dns.clone());
        let suffixes = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
        searches = suffixes.into_iter().chain(searches).collect();
        if !options.iter().any(|option| text(option, "name") == Some("ndots")) {
            options.push(json!({"name": "ndots", "value": NDOTS}));
        }
    }
    if here || policy == "None" {
        out.insert("dnsPolicy".into(), "None".into());
    }
    let mut config = Map::new();
    insert_list(&mut config, "nameservers", servers.into_iter().map(Value::from).collect());
    insert_list(&mut config, "searches", searches.into_iter().map(Value::from).collect());
    insert_list(&mut config, "options", options);
    if !config.is_empty() {
        out.insert("dnsConfig".into(), Value::Object(config));
    }
}
