//! The environment variables of Services (`WEB_SERVICE_HOST`, `WEB_PORT_80_TCP_ADDR`, …).
//!
//! Pure. Facts: the kubelet's `envvars.FromServices` and `getServiceEnvVarMap`; `default/kubernetes` is always included,
//! the pod's own namespace only with service links on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{list, text};

/// Every variable, by name.
pub(in crate::cloud) fn variables(
    services: &[Value],
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<&str, &Value> = BTreeMap::new();
    for service in services {
        let metadata = service.get("metadata").unwrap_or(&Value::Null);
        let (Some(name), Some(home)) = (text(metadata, "name"), text(metadata, "namespace")) else {
            continue;
        };
        if links && home == namespace {
            chosen.insert(name, service);
        } else if home == "default" && name == "kubernetes" {
            chosen.entry(name).or_insert(service);
        }
    }
    let mut variables = BTreeMap::new();
    for (name, service) in chosen {
        add(name, service.get("spec").unwrap_or(&Value::Null), &mut variables);
    }
    variables
}

fn add(name: &str, spec: &Value, variables: &mut BTreeMap<String, String>) {
    let ip = text(spec, "clusterIP").unwrap_or_default();
    let ports = list(spec, "ports");
    let Some(first) = ports.first() else { return };
    if ip.is_empty() || ip == "None" {
        return;
    }
    let name = upper(name);
    variables.insert(format!("{name}_SERVICE_HOST"), ip.to_owned());
    variables.insert(format!("{name}_SERVICE_PORT"), number(first));
    for port in ports {
        if let Some(port_name) = text(port, "name").filter(|port_name| !port_name.is_empty()) {
            variables.insert(format!("{name}_SERVICE_PORT_{}", upper(port_name)), number(port));
        }
    }
    variables.insert(format!("{name}_PORT"), url(ip, first));
    for port in ports {
        let protocol = protocol(port);
        let prefix = format!("{name}_PORT_{}_{}", number(port), protocol.to_uppercase());
        variables.insert(prefix.clone(), url(ip, port));
        variables.insert(format!("{prefix}_PROTO"), protocol);
        variables.insert(format!("{prefix}_PORT"), number(port));
        variables.insert(format!("{prefix}_ADDR"), ip.to_owned());
    }
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn number(port: &Value) -> String {
    port.get("port").and_then(Value::as_u64).unwrap_or_default().to_string()
}

fn protocol(port: &Value) -> String {
    text(port, "protocol").unwrap_or("TCP").to_lowercase()
}

fn url(ip: &str, port: &Value) -> String {
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    format!("{}://{host}:{}", protocol(port), number(port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, ip: &str, ports: &Value) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports}})
    }

    #[test]
    fn one_service_spelled_out() {
        let services = [service(
            "shop",
            "web-api",
            "10.0.0.9",
            &json!([{"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"}]),
        )];
        let lines: Vec<_> =
            variables(&services, "shop", true).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            lines,
            [
                "WEB_API_PORT=tcp://10.0.0.9:80",
                "WEB_API_PORT_53_UDP=udp://10.0.0.9:53",
                "WEB_API_PORT_53_UDP_ADDR=10.0.0.9",
                "WEB_API_PORT_53_UDP_PORT=53",
                "WEB_API_PORT_53_UDP_PROTO=udp",
                "WEB_API_PORT_80_TCP=tcp://10.0.0.9:80",
                "WEB_API_PORT_80_TCP_ADDR=10.0.0.9",
                "WEB_API_PORT_80_TCP_PORT=80",
                "WEB_API_PORT_80_TCP_PROTO=tcp",
                "WEB_API_SERVICE_HOST=10.0.0.9",
                "WEB_API_SERVICE_PORT=80",
                "WEB_API_SERVICE_PORT_HTTP=80",
            ]
        );
    }

    #[test]
    fn which_services_count() {
        let port = json!([{"port": 443}]);
        let services = [
            service("default", "kubernetes", "10.0.0.1", &port),
            service("default", "other", "10.0.0.2", &port),
            service("shop", "web", "fd00::1", &port),
            service("shop", "headless", "None", &port),
            service("shop", "external", "", &port),
        ];
        let hosts = |links| -> Vec<String> {
            let all = variables(&services, "shop", links);
            all.into_keys().filter(|k| k.ends_with("_SERVICE_HOST")).collect()
        };
        assert_eq!(hosts(true), ["KUBERNETES_SERVICE_HOST", "WEB_SERVICE_HOST"]);
        assert_eq!(hosts(false), ["KUBERNETES_SERVICE_HOST"]);
        assert_eq!(variables(&services, "shop", true)["WEB_PORT"], "tcp://[fd00::1]:443");
    }
}
