//! DNS of a container group. ECI knows no ClusterFirst: it is sent as what it means, where the node knows this cluster's
//! DNS; else names are the VPC's (PrivateZone).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cloud::translate::Problem;
use crate::cloud::translate::json::{list, text};

use super::{Context, insert_list};

/// What the kubelet writes for ClusterFirst.
const NDOTS: &str = "5";

/// Adds `DnsPolicy` and `DnsConfig`.
pub(super) fn parameters(
    context: &Context<'_>,
    spec: &Value,
    annotations: &BTreeMap<String, String>,
    tree: &mut Map<String, Value>,
) -> Result<(), Problem> {
    let custom = match annotations.get("k8s.aliyun.com/eci-custom-dnsconfig") {
        None => None,
        Some(text) => {
            Some(serde_json::from_str::<Value>(text).ok().filter(Value::is_object).ok_or_else(|| {
                Problem::Invalid(
                    "annotation k8s.aliyun.com/eci-custom-dnsconfig: write a pod's dnsConfig as JSON".into(),
                )
            })?)
        }
    };
    let own = custom.as_ref().or_else(|| spec.get("dnsConfig")).unwrap_or(&Value::Null);
    let (mut servers, mut searches) = (texts(own, "nameservers"), texts(own, "searches"));
    let mut options: Vec<(String, Option<String>)> = list(own, "options")
        .iter()
        .filter_map(|option| {
            Some((text(option, "name")?.to_owned(), text(option, "value").map(str::to_owned)))
        })
        .collect();
    let policy = if custom.is_some() { "None" } else { text(spec, "dnsPolicy").unwrap_or("ClusterFirst") };
    let cluster = cluster_first(context, policy);
    if let Some((server, suffixes)) = &cluster {
        servers.insert(0, server.clone());
        searches = suffixes.iter().cloned().chain(searches).collect();
        if !options.iter().any(|(name, _)| name == "ndots") {
            options.push(("ndots".to_owned(), Some(NDOTS.to_owned())));
        }
    }
    if cluster.is_some() || policy == "None" {
        tree.insert("DnsPolicy".into(), "None".into());
    } else {
        tree.insert("DnsPolicy".into(), "Default".into());
    }
    let mut config = Map::new();
    insert_list(&mut config, "NameServer", unique(servers));
    insert_list(&mut config, "Search", unique(searches));
    let options = options.into_iter().map(|(name, value)| match value {
        Some(value) => json!({"Name": name, "Value": value}),
        None => json!({"Name": name}),
    });
    insert_list(&mut config, "Option", options.collect());
    if !config.is_empty() {
        tree.insert("DnsConfig".into(), Value::Object(config));
    }
    Ok(())
}

/// This cluster's DNS and search list, where pods may use it.
fn cluster_first(context: &Context<'_>, policy: &str) -> Option<(String, [String; 3])> {
    let settings = context.settings;
    let wanted = matches!(policy, "ClusterFirst" | "ClusterFirstWithHostNet");
    if !wanted || !settings.kube_proxy || settings.cluster_dns.is_empty() {
        return None;
    }
    let (namespace, domain) = (&context.request.pod.namespace, &settings.cluster_domain);
    let suffixes = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    Some((settings.cluster_dns.clone(), suffixes))
}

fn texts(object: &Value, field: &str) -> Vec<String> {
    list(object, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn unique(all: Vec<String>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for text in all {
        let value = Value::from(text);
        if !out.contains(&value) {
            out.push(value);
        }
    }
    out
}
