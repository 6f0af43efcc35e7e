//! Extenders of a KubeSchedulerConfiguration.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{GoDuration, nullable};

/// What `httpTimeout` is when it is not given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// An extender.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extender {
    /// Where it is.
    pub url_prefix: String,
    /// Verb of the filter call.
    #[serde(default)]
    pub filter_verb: String,
    /// Verb of the preempt call.
    #[serde(default)]
    pub preempt_verb: String,
    /// Verb of the prioritize call; empty means that the extender does not score.
    #[serde(default)]
    pub prioritize_verb: String,
    /// Verb of the bind call.
    #[serde(default)]
    pub bind_verb: String,
    /// Weight of its scores.
    #[serde(default)]
    pub weight: i64,
    /// Pods that request none of these are not sent to it. Empty: every pod is.
    #[serde(default, deserialize_with = "nullable")]
    pub managed_resources: Vec<ManagedResource>,
    /// Whether a failing Filter call is ignored. A failing Prioritize call always is.
    #[serde(default)]
    pub ignorable: bool,
    /// Whether node names are sent instead of nodes.
    #[serde(default)]
    pub node_cache_capable: bool,
    /// Whether TLS is set up. The scheme of `url_prefix` decides whether it is used.
    #[serde(default, rename = "enableHTTPS")]
    pub enable_https: bool,
    /// How the server is verified.
    #[serde(default, deserialize_with = "nullable")]
    pub tls_config: TlsConfig,
    /// Time for connect, request and reply of one call. 0 or absent: 5 s, see [`Extender::timeout`].
    #[serde(default, deserialize_with = "nullable")]
    pub http_timeout: GoDuration,
}

/// TLS of an extender.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsConfig {
    /// No verification.
    #[serde(default)]
    pub insecure: bool,
    /// File of the certificate authority.
    #[serde(default)]
    pub ca_file: String,
    /// The certificate authority itself.
    #[serde(default)]
    pub ca_data: Value,
    /// Not looked at.
    #[serde(default)]
    pub server_name: Value,
    /// Not looked at.
    #[serde(default)]
    pub cert_file: Value,
    /// Not looked at.
    #[serde(default)]
    pub key_file: Value,
    /// Not looked at.
    #[serde(default)]
    pub cert_data: Value,
    /// Not looked at.
    #[serde(default)]
    pub key_data: Value,
}

/// An extended resource that an extender manages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagedResource {
    /// Resource name.
    pub name: String,
    /// Whether NodeResourcesFit leaves it to the extender.
    #[serde(default)]
    pub ignored_by_scheduler: bool,
}

impl Extender {
    /// Whether the extender adds to scores at all.
    #[must_use]
    pub const fn scores(&self) -> bool {
        !self.prioritize_verb.is_empty() && self.weight != 0
    }

    /// Whether every pod is sent to it, whatever the pod requests.
    #[must_use]
    pub const fn for_every_pod(&self) -> bool {
        self.managed_resources.is_empty()
    }

    /// Whether only pods with `resource` are sent to it.
    #[must_use]
    pub fn only_for(&self, resource: &str) -> bool {
        !self.managed_resources.is_empty() && self.managed_resources.iter().all(|m| m.name == resource)
    }

    /// Whether pods with `resource` are sent to it by name of that resource.
    #[must_use]
    pub fn manages(&self, resource: &str) -> bool {
        self.managed_resources.iter().any(|m| m.name == resource)
    }

    /// How long one call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        if self.http_timeout.0.is_zero() { DEFAULT_TIMEOUT } else { self.http_timeout.0 }
    }

    /// Whether TLS is set up without verifying the server: `enableHTTPS` without a certificate authority.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        let authority = !self.tls_config.ca_file.is_empty() || !self.tls_config.ca_data.is_null();
        self.tls_config.insecure || (self.enable_https && !authority)
    }
}
