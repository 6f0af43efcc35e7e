//! The configuration file of `burst-scheduler`, with overrides of scalars from the environment.
//!
//! An unknown key is an error that names it: a misspelt key that is silently ignored is found in an incident.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policies::policy::Policy;
use serde::Deserialize;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// Path of a kubeconfig; without it the in-cluster ServiceAccount, or else `$KUBECONFIG`, is used.
    pub kubeconfig: Option<PathBuf>,
    /// Plain HTTP: extender verbs, metrics, probes, capacity page.
    pub http: Http,
    /// HTTPS: extender verbs and admission webhooks.
    pub https: Https,
    /// Policy of a pod that nothing else decides for.
    #[serde(deserialize_with = "policy")]
    pub default_policy: Policy,
    /// Whether admission puts the marker resources `burst.io/managed` and `burst.io/checked` on pods that need an
    /// extender call. Only where the scheduler's configuration declares both under `managedResources`.
    pub marker: bool,
    /// Whether `auto` pods go without a call while real nodes have so much room that its answer is known. Only where
    /// the scheduler has the score weights of the shipped profile.
    pub spare_calls: bool,
    /// Namespaces whose pods and workloads are admitted untouched.
    pub namespace_exempt: Vec<String>,
    /// Namespace of burst: ledgers and the leader's Lease are in it.
    pub namespace: String,
    /// The leader that grants.
    pub leader: LeaderOptions,
    /// How a decision reaches the scheduler.
    #[serde(deserialize_with = "driver")]
    pub driver: Driver,
    /// A file with prices (YAML), instead of the published ones.
    pub price_book: Option<PathBuf>,
    /// Reading the cluster.
    pub cache: Cache,
    /// Stopping.
    pub shutdown: Shutdown,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            http: Http::default(),
            https: Https::default(),
            default_policy: Policy::default(),
            marker: false,
            spare_calls: false,
            namespace_exempt: Vec::new(),
            namespace: "burst-system".to_owned(),
            leader: LeaderOptions::default(),
            driver: Driver::default(),
            price_book: None,
            cache: Cache::default(),
            shutdown: Shutdown::default(),
        }
    }
}

/// Taking part in the election of the one replica that grants.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct LeaderOptions {
    /// Whether this replica takes part. Where none does, governed pods wait for ever.
    pub enabled: bool,
    /// Name of the Lease; the shipped rights are for `burst-leader`.
    pub lease: String,
    /// Seconds for which real nodes must have had room for a pod before it is moved home (`repatriation`).
    pub room_seconds: u64,
}

impl Default for LeaderOptions {
    fn default() -> Self {
        Self { enabled: true, lease: "burst-leader".to_owned(), room_seconds: 30 }
    }
}

/// How a decision reaches the scheduler (DESIGN 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The scheduler calls us.
    #[default]
    Extender,
    /// The scheduler cannot be configured: pods get their toleration when they may burst.
    Toleration,
}

/// The plain HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Http {
    /// Address and port; a socket on this machine unless configured otherwise.
    pub bind: SocketAddr,
    /// Seconds within which the body of a request must end, on both listeners.
    pub body_timeout_seconds: u64,
    /// MiB that the bodies of all requests may hold together, on both listeners; at least 96, the largest body.
    pub body_budget_mib: usize,
}

/// The largest request body in bytes that is looked at: whole Node objects of a large cluster.
pub const LARGEST_BODY: usize = 96 << 20;

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 10261)),
            body_timeout_seconds: 10,
            body_budget_mib: 512,
        }
    }
}

/// The HTTPS listener. It is served when both files are named.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Https {
    /// Address and port.
    pub bind: SocketAddr,
    /// PEM file with the serving certificate and its chain; read again when it changes.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the private key; read again when it changes.
    pub key_file: Option<PathBuf>,
}

impl Default for Https {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([0, 0, 0, 0], 10260)), cert_file: None, key_file: None }
    }
}

/// How old the picture of the cluster may get.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Cache {
    /// Seconds without a word from the API server after which calls are failed rather than guessed.
    pub stale_after_seconds: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { stale_after_seconds: 120 }
    }
}

impl Cache {
    /// [`Self::stale_after_seconds`] as a duration.
    pub const fn stale_after(&self) -> Duration {
        Duration::from_secs(self.stale_after_seconds)
    }
}

/// How a stop is spread over time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Shutdown {
    /// Seconds between failing readiness and closing the listeners, so that endpoints drop us first.
    pub drain_seconds: u64,
    /// Seconds that requests in flight get to finish.
    pub grace_seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_seconds: 3, grace_seconds: 10 }
    }
}

fn policy<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Policy, D::Error> {
    let value = String::deserialize(deserializer)?;
    Policy::parse(&value).ok_or_else(|| {
        let legal = Policy::ALL.map(Policy::as_str).join(", ");
        serde::de::Error::custom(format!("{value:?} is not a policy; legal values are {legal}"))
    })
}

fn driver<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Driver, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "extender" => Ok(Driver::Extender),
        "toleration" => Ok(Driver::Toleration),
        other => Err(serde::de::Error::custom(format!(
            "driver: {other:?} is not a driver; legal values are extender, toleration"
        ))),
    }
}

/// Environment variables that override a scalar of the file, and the key that each one sets.
pub const ENVIRONMENT: [(&str, &str); 12] = [
    ("BURST_KUBECONFIG", "kubeconfig"),
    ("BURST_HTTP_BIND", "http.bind"),
    ("BURST_HTTPS_BIND", "https.bind"),
    ("BURST_HTTPS_CERT_FILE", "https.certFile"),
    ("BURST_HTTPS_KEY_FILE", "https.keyFile"),
    ("BURST_DEFAULT_POLICY", "defaultPolicy"),
    ("BURST_MARKER", "marker"),
    ("BURST_SPARE_CALLS", "spareCalls"),
    ("BURST_NAMESPACE", "namespace"),
    ("BURST_LEADER_ENABLED", "leader.enabled"),
    ("BURST_DRIVER", "driver"),
    ("BURST_PRICE_BOOK", "priceBook"),
];

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing, is not YAML, holds an unknown key or a value of the wrong type.
    #[error("configuration {file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the reader says; it names the key.
        source: Box<config::ConfigError>,
    },
    /// Only one of the two certificate files is named.
    #[error("configuration {file}: https.certFile and https.keyFile go together; {missing} is not set")]
    HalfCertificate {
        /// The file.
        file: PathBuf,
        /// The key that is not set.
        missing: &'static str,
    },
    /// A number that cannot work.
    #[error("configuration {file}: {key} must be {wanted}, not {found}")]
    Number {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What would work.
        wanted: &'static str,
        /// What it is.
        found: u64,
    },
}

impl Config {
    /// Reads a YAML file and applies the overrides that `env` knows.
    ///
    /// # Errors
    /// [`ConfigError`], with the file and the key in its text.
    pub fn load(file: &Path, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = || -> Result<Self, config::ConfigError> {
            let source = config::File::from(file.to_path_buf()).format(config::FileFormat::Yaml);
            let mut builder = config::Config::builder().add_source(source);
            for (variable, key) in ENVIRONMENT {
                builder = builder.set_override_option(key, env(variable))?;
            }
            builder.build()?.try_deserialize()
        };
        let config =
            read().map_err(|e| ConfigError::Unreadable { file: file.to_path_buf(), source: Box::new(e) })?;
        config.check(file)
    }

    fn check(self, file: &Path) -> Result<Self, ConfigError> {
        let number =
            |key, wanted, found| Err(ConfigError::Number { file: file.to_path_buf(), key, wanted, found });
        let mib = self.http.body_budget_mib;
        if !((LARGEST_BODY >> 20)..=(usize::MAX >> 20)).contains(&mib) {
            return number("http.bodyBudgetMib", "at least 96, the largest body", mib as u64);
        }
        if self.http.body_timeout_seconds == 0 {
            return number("http.bodyTimeoutSeconds", "at least 1", 0);
        }
        let missing = match (&self.https.cert_file, &self.https.key_file) {
            (Some(_), None) => "https.keyFile",
            (None, Some(_)) => "https.certFile",
            _ => return Ok(self),
        };
        Err(ConfigError::HalfCertificate { file: file.to_path_buf(), missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("scheduler.yaml");
        std::fs::write(&file, yaml).expect("a file");
        let env = |key: &str| env.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned());
        Config::load(&file, env).map_err(|e| e.to_string())
    }

    #[test]
    fn a_full_file_is_read() {
        let yaml = "
kubeconfig: /etc/burst/kubeconfig
http: {bind: '127.0.0.1:1', bodyTimeoutSeconds: 4, bodyBudgetMib: 128}
https: {bind: '0.0.0.0:2', certFile: /c, keyFile: /k}
defaultPolicy: localPrefer
marker: true
namespaceExempt: [kube-system, burst-system]
cache: {staleAfterSeconds: 9}
namespace: elsewhere
leader: {enabled: false, lease: mine, roomSeconds: 5}
driver: toleration
priceBook: /etc/burst/prices.yaml
shutdown: {drainSeconds: 0, graceSeconds: 1}
";
        let config = load(yaml, &[]).expect("a good file");
        assert_eq!(config.kubeconfig.as_deref(), Some(Path::new("/etc/burst/kubeconfig")));
        assert_eq!((config.http.bind.port(), config.https.bind.port()), (1, 2));
        assert_eq!((config.http.body_timeout_seconds, config.http.body_budget_mib), (4, 128));
        assert_eq!(config.https.cert_file.as_deref(), Some(Path::new("/c")));
        assert_eq!((config.default_policy, config.marker), (Policy::LocalPrefer, true));
        assert_eq!(config.namespace_exempt, ["kube-system", "burst-system"]);
        assert_eq!(config.cache.stale_after(), Duration::from_secs(9));
        let leader = LeaderOptions { enabled: false, lease: "mine".to_owned(), room_seconds: 5 };
        assert_eq!(config.leader, leader);
        assert_eq!((config.namespace.as_str(), config.driver), ("elsewhere", Driver::Toleration));
        assert_eq!(config.price_book.as_deref(), Some(Path::new("/etc/burst/prices.yaml")));
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = load("{}", &[]).expect("an empty map");
        assert_eq!(config, Config::default());
        assert_eq!(config.http.bind.to_string(), "127.0.0.1:10261");
        assert_eq!(config.https.bind.to_string(), "0.0.0.0:10260");
        assert_eq!(config.default_policy, Policy::Off);
        assert_eq!((config.namespace.as_str(), config.driver), ("burst-system", Driver::Extender));
        assert!(config.leader.enabled && config.price_book.is_none());
    }

    #[test]
    fn off_is_a_word_and_not_a_boolean() {
        assert_eq!(load("defaultPolicy: off", &[]).expect("a policy").default_policy, Policy::Off);
    }

    #[test]
    fn the_environment_overrides_scalars() {
        let env =
            [("BURST_HTTP_BIND", "127.0.0.1:7"), ("BURST_DEFAULT_POLICY", "auto"), ("BURST_MARKER", "true")];
        let config = load("http: {bind: '127.0.0.1:1'}", &env).expect("good values");
        assert_eq!((config.http.bind.port(), config.default_policy, config.marker), (7, Policy::Auto, true));
    }

    #[test]
    fn bad_files_are_refused_with_the_key() {
        let check = |yaml: &str, parts: &[&str]| {
            let text = load(yaml, &[]).expect_err(yaml);
            for part in parts {
                assert!(text.contains(part), "{text:?} does not say {part:?}");
            }
            assert!(text.contains("scheduler.yaml"), "{text}");
        };
        check("htpp: {bind: '127.0.0.1:1'}", &["unknown field", "htpp", "expected one of"]);
        check("http: {bnd: '127.0.0.1:1'}", &["unknown field", "bnd"]);
        check("https: {certfile: /c}", &["unknown field", "certfile", "certFile"]);
        check("http: {bind: 10261}", &["bind", "socket address"]);
        check("http: {bodyBudgetMib: 95}", &["http.bodyBudgetMib", "at least 96", "95"]);
        check("http: {bodyTimeoutSeconds: 0}", &["http.bodyTimeoutSeconds", "at least 1"]);
        check("marker: perhaps", &["marker", "boolean"]);
        check("defaultPolicy: Auto", &["defaultPolicy", "Auto", "localPrefer"]);
        check("namespaceExempt: kube-system", &["namespaceExempt", "sequence"]);
        check("cache: {staleAfterSeconds: -1}", &["staleAfterSeconds"]);
        check("driver: both", &["driver", "both", "toleration"]);
        check("leader: {enable: true}", &["unknown field", "enable", "lease"]);
        check("https: {certFile: /c}", &["https.keyFile is not set"]);
        check("https: {keyFile: /c}", &["https.certFile is not set"]);
        check("http: [", &["scheduler.yaml"]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing =
            Config::load(Path::new("/nonexistent/scheduler.yaml"), |_| None).expect_err("no such file");
        assert!(missing.to_string().contains("/nonexistent/scheduler.yaml"), "{missing}");
    }
}
