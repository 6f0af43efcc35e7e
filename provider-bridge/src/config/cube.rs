//! Settings of provider `cube`: UCloud's account, zone and network.
//!
//! What the file does not say, the variables of the vendor's own tools may.

use std::path::PathBuf;
use std::time::Duration;

use policies::quantity::Quantity;
use policies::shape::{Size, cube};
use secrecy::SecretString;
use serde::Deserialize;

/// Pods of a virtual node whose configuration does not say how many. Source: the vendor's page of virtual nodes.
pub(super) const PODS: u32 = 200;
/// Virtual nodes of a cluster whose configuration does not say how many. Source: the same page.
const NODES: usize = 8;

/// UCloud account, zone and network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CubeConfig {
    /// Region (`cn-bj2`), also the node's region label.
    pub region: Option<String>,
    /// Zone (`cn-bj2-05`): a virtual node is in one.
    pub available_zone: Option<String>,
    /// Project (`org-xyz`).
    pub project_id: Option<String>,
    /// VPC of the pods.
    pub vpc_id: Option<String>,
    /// Subnet of the pods: that of the cluster's master nodes, as a rule.
    pub subnet_id: Option<String>,
    /// Base URL; the vendor's own if absent.
    pub endpoint: Option<String>,
    /// Cluster id in the pods' metadata; the UID of the kube-system namespace if absent.
    pub cluster_id: Option<String>,
    /// Size of pods that ask for nothing.
    pub default_size: Option<CubeSizeConfig>,
    /// Pods may reach this cluster's Services: on unless it says `false`.
    pub cluster_ip: Option<bool>,
    /// Address of this cluster's DNS.
    pub cluster_dns: Option<String>,
    /// Domain of this cluster.
    pub cluster_domain: Option<String>,
    /// File with the public key.
    pub public_key_file: Option<PathBuf>,
    /// File with the private key.
    pub private_key_file: Option<PathBuf>,
    /// File with the security token of temporary keys.
    pub security_token_file: Option<PathBuf>,
    /// CA bundle of the endpoint, PEM; the system's roots if absent.
    pub ca_file: Option<PathBuf>,
    /// Time between two lists while nothing is under way (`3s`).
    pub poll: Option<String>,
    /// Most virtual nodes of the cluster, where UCloud granted more than 8.
    pub nodes_max: Option<usize>,
    /// What the vendor calls the metrics of `kubectl top`; not asked for without.
    pub metrics: Option<CubeMetricsConfig>,
    /// Keys from the environment.
    #[serde(skip)]
    pub keys: Option<(String, SecretString, Option<SecretString>)>,
}

/// Names of metrics of GetCubeMetrics, which no public page lists; their values are percents of the container's limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CubeMetricsConfig {
    /// CPU in use.
    pub cpu: String,
    /// Memory in use.
    pub memory: String,
}

/// A size as Kubernetes quantities.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CubeSizeConfig {
    /// Cores (`500m`).
    pub cpu: String,
    /// Memory (`1Gi`).
    pub memory: String,
}

/// Key and reason of the first problem.
type Problem = (&'static str, String);

const DEFAULT_POLL: Duration = Duration::from_secs(3);

impl CubeConfig {
    /// Fills in what the file does not say.
    pub(super) fn fill(&mut self, env: impl Fn(&str) -> Option<String>) {
        let get = |name: &str| env(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let texts = [(&mut self.region, "UCLOUD_REGION"), (&mut self.project_id, "UCLOUD_PROJECT_ID")];
        for (field, variable) in texts {
            *field = field.take().or_else(|| get(variable));
        }
        if self.public_key_file.is_none()
            && self.private_key_file.is_none()
            && let (Some(public), Some(private)) = (get("UCLOUD_PUBLIC_KEY"), get("UCLOUD_PRIVATE_KEY"))
        {
            self.keys = Some((public, private.into(), get("UCLOUD_SECURITY_TOKEN").map(SecretString::from)));
        }
    }

    /// Time between two looks.
    pub(crate) fn poll(&self) -> Result<Duration, Problem> {
        let Some(text) = &self.poll else { return Ok(DEFAULT_POLL) };
        let read = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        read.filter(|poll| (Duration::from_millis(100)..=Duration::from_secs(60)).contains(poll))
            .ok_or_else(|| ("poll", format!("{text:?} is not a time of 100ms to 60s; write for example 3s")))
    }

    /// Size of pods that ask for nothing.
    pub(crate) fn default_size(&self) -> Result<Size, Problem> {
        let Some(own) = &self.default_size else { return Ok(cube::default_size()) };
        let read = |text: &str, unit: fn(&Quantity) -> i64| {
            let quantity = Quantity::parse(text)
                .map_err(|error| ("defaultSize", format!("{error}; write for example 500m and 1Gi")))?;
            Ok(u64::try_from(unit(&quantity)).unwrap_or_default())
        };
        let size = Size {
            cpu_milli: read(&own.cpu, Quantity::to_milli_ceil)?,
            memory_bytes: read(&own.memory, Quantity::to_value_ceil)?,
        };
        if cube::sizes().any(|sold| sold == size) {
            return Ok(size);
        }
        let text = format!(
            "{} / {} is not a size of Cube; write one of docs/providers/cube.md, for example 1 / 2Gi",
            own.cpu, own.memory
        );
        Err(("defaultSize", text))
    }

    /// Whether a cluster may have as many virtual nodes of Cube as there are; each comes with the entry that it is from. An
    /// error is the entry of the last one, the key and the reason.
    pub(super) fn check_count(all: &[(usize, &Self)]) -> Result<(), (usize, &'static str, String)> {
        let most = all.iter().filter_map(|(_, one)| one.nodes_max).fold(NODES, usize::max);
        let Some((entry, _)) = all.last().filter(|_| all.len() > most) else { return Ok(()) };
        let text = format!(
            "there are {} virtual nodes of Cube, and a cluster may have {most}: raise capacity.pods of fewer ones, or write \
             here how many UCloud granted",
            all.len()
        );
        Err((*entry, "nodesMax", text))
    }

    /// What is missing or contradicts itself.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let refuse = |key, text: &str| Err((key, text.to_owned()));
        let needed = [
            ("region", &self.region, "is missing; write for example cn-bj2, or set UCLOUD_REGION"),
            ("availableZone", &self.available_zone, "is missing; write for example cn-bj2-05"),
            (
                "projectId",
                &self.project_id,
                "is missing; write for example org-xyz, or set UCLOUD_PROJECT_ID",
            ),
            ("vpcId", &self.vpc_id, "is missing; name the VPC of the pods, for example uvnet-1"),
            ("subnetId", &self.subnet_id, "is missing; name the subnet of the pods, for example subnet-1"),
        ];
        for (key, value, reason) in needed {
            if value.as_deref().unwrap_or_default().is_empty() {
                return refuse(key, reason);
            }
        }
        if let Some(dns) = self.cluster_dns.as_deref()
            && dns.parse::<std::net::IpAddr>().is_err()
        {
            let text = format!("{dns:?} is not an address; write that of the DNS Service");
            return refuse("clusterDns", &text);
        }
        if self.metrics.as_ref().is_some_and(|names| names.cpu.is_empty() || names.memory.is_empty()) {
            return refuse(
                "metrics",
                "has an empty name; write what the vendor calls the metric, or leave metrics out",
            );
        }
        self.default_size()?;
        self.poll()?;
        match (&self.public_key_file, &self.private_key_file) {
            (Some(_), Some(_)) => Ok(()),
            (Some(_), None) => refuse("privateKeyFile", "is missing beside publicKeyFile; set both"),
            (None, Some(_)) => refuse("publicKeyFile", "is missing beside privateKeyFile; set both"),
            (None, None) if self.keys.is_some() => Ok(()),
            (None, None) => refuse(
                "publicKeyFile",
                "is missing; set publicKeyFile and privateKeyFile, or UCLOUD_PUBLIC_KEY and UCLOUD_PRIVATE_KEY",
            ),
        }
    }
}
