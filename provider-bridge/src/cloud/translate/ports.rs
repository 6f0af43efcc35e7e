//! Ports that probes and hooks name.

use serde_json::Value;

use super::Problem;
use super::json::{list, text};

/// The `port` of a probe's or hook's action: a number, or what the container calls so. `who` is what names it, for the
/// error's text.
pub(in crate::cloud) fn port(action: &Value, container: &Value, who: &str) -> Result<i64, Problem> {
    let port = action.get("port").unwrap_or(&Value::Null);
    let named = |name: &str| {
        let found = list(container, "ports").iter().find(|port| text(port, "name") == Some(name));
        found.and_then(|port| port.get("containerPort")?.as_i64())
    };
    let text_number = || port.as_str().and_then(|name| name.parse().ok().or_else(|| named(name)));
    port.as_i64().or_else(text_number).ok_or_else(|| {
        let name = text(container, "name").unwrap_or_default();
        Problem::Invalid(format!("container {name} has no port {port}, which {who} names"))
    })
}
