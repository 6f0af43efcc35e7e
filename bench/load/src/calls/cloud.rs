//! The cloud: a simulator of its own for each provider, or another cluster.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lab::{Authority, Process, built_binary, eventually_within};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{LIMIT, Provider, cluster_cloud::ClusterCloud};

/// Keys of the simulated accounts.
pub(super) const ACCESS_KEY: &str = "BENCHACCESSKEY";
pub(super) const SECRET_KEY: &str = "bench-secret-key";

/// Calls of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) answered: u64,
    /// With a status of 400 or more, or not at all.
    pub(super) refused: u64,
}

/// By kind of call.
pub(super) type Counts = BTreeMap<String, Count>;

/// A running one.
pub(super) enum Cloud {
    Simulated(Box<Simulator>),
    Cluster(ClusterCloud),
}

/// A simulator.
pub(super) struct Simulator {
    provider: Provider,
    address: SocketAddr,
    ca: PathBuf,
    _process: Process,
}

impl Cloud {
    pub(super) async fn start(provider: Provider, dir: &Path) -> Result<Self> {
        if provider == Provider::Kubernetes {
            return Ok(Self::Cluster(ClusterCloud::start().await?));
        }
        Ok(Self::Simulated(Box::new(Simulator::start(provider, dir).await?)))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        match self {
            Self::Simulated(simulator) => simulator.address,
            Self::Cluster(cluster) => cluster.address,
        }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("https://{}", self.address())
    }

    /// Begins to count anew.
    pub(super) async fn reset(&self) -> Result<()> {
        match self {
            Self::Simulated(simulator) => simulator.ask("requests", &["-X", "DELETE"]).await.map(drop),
            Self::Cluster(cluster) => {
                cluster.reset();
                Ok(())
            }
        }
    }

    pub(super) async fn counts(&self) -> Result<Counts> {
        let simulator = match self {
            Self::Simulated(simulator) => simulator,
            Self::Cluster(cluster) => return Ok(cluster.counts()),
        };
        let answer = simulator.ask("requests", &[]).await?;
        let mut counts = Counts::new();
        for row in answer["counts"].as_array().context("counts")? {
            let (method, route) = (row["method"].as_str(), row["route"].as_str());
            let (method, route) = (method.context("a method")?, route.context("a route")?);
            let name = match simulator.provider {
                // The API's root says nothing.
                Provider::Cci | Provider::Cci2 => {
                    format!("{method} {}", route.rsplit_once("namespaces").unwrap_or(("", route)).1)
                }
                _ => route.to_owned(),
            };
            let count = counts.entry(name.trim_end().to_owned()).or_default();
            let number = row["count"].as_u64().unwrap_or_default();
            if (1..400).contains(&row["status"].as_u64().unwrap_or_default()) {
                count.answered += number;
            } else {
                count.refused += number;
            }
        }
        Ok(counts)
    }

    /// Waits until it holds nothing.
    pub(super) async fn empty(&self) -> Result<()> {
        eventually_within(LIMIT, "the cloud holds nothing", || async {
            let left = self.accepted().await?.len();
            ensure!(left == 0, "{left} instances");
            Ok(())
        })
        .await
    }

    /// What exists: when each was taken (microseconds since 1970), by the pod's UID.
    pub(super) async fn accepted(&self) -> Result<HashMap<String, f64>> {
        let simulator = match self {
            Self::Simulated(simulator) => simulator,
            Self::Cluster(cluster) => return Ok(cluster.accepted()),
        };
        let all = simulator.ask("instances", &[]).await?;
        let mut found = HashMap::new();
        for instance in all.as_array().context("a list of instances")? {
            let uid = own_uid(instance).with_context(|| format!("no pod UID in {instance}"))?;
            let at = instance["acceptedMicros"].as_f64().with_context(|| format!("no time in {instance}"))?;
            found.insert(uid, at);
        }
        Ok(found)
    }

    /// Takes more calls than its vendor publishes, where one does; says whether that changed anything.
    pub(super) async fn raise(&self) -> Result<bool> {
        let Self::Simulated(simulator) = self else { return Ok(false) };
        if simulator.provider != Provider::Eci {
            return Ok(false);
        }
        let limits =
            json!({"CreateContainerGroup": 1_000_000, "DescribeContainerGroups": 1_000_000}).to_string();
        simulator.ask("limits", &["-X", "POST", "-d", &limits]).await?;
        Ok(true)
    }
}

/// The UID of the pod that an instance was made for, wherever the cloud keeps it.
fn own_uid(instance: &Value) -> Option<String> {
    let key = policies::keys::tag::POD_UID;
    let kept = [&instance["labels"], &instance["annotations"]].into_iter();
    kept.filter_map(|all| all[key].as_str()).map(str::to_owned).next()
}

impl Simulator {
    async fn start(provider: Provider, dir: &Path) -> Result<Self> {
        let (api, more): (&str, &[&str]) = match provider {
            Provider::Eci => ("eci", &["--zones", "cn-hangzhou-h", "--subnet-zone", "vsw-a=cn-hangzhou-h"]),
            Provider::Cube => ("cube", &["--zones", "cn-bj2-05", "--subnet-zone", "subnet-a=cn-bj2-05"]),
            Provider::Cci2 => ("cci2", &[]),
            _ => ("cci1", &[]),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 9440 + provider as u16));
        let authority = Authority::create(&dir.join("pki"))?;
        let serving = authority.issue(&format!("{api}.simulated.cloud"), &[], &["127.0.0.1"])?;
        let mut command = Command::new(built_binary("cloud-sim")?);
        command
            .args(["--api", api, "--listen", &address.to_string(), "--project-id", "project"])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY, "--subnet", "10.16.0.0/14"])
            .arg("--tls-cert")
            .arg(&serving.cert)
            .arg("--tls-key")
            .arg(&serving.key)
            .arg("--state-dir")
            .arg(dir.join("cloud"))
            .args(more);
        let process = Process::start("cloud-sim", command, dir)?;
        let simulator = Self { provider, address, ca: authority.ca_cert(), _process: process };
        eventually_within(LIMIT, "the simulator answers", || async { simulator.ask("healthz", &[]).await })
            .await?;
        Ok(simulator)
    }

    async fn ask(&self, path: &str, arguments: &[&str]) -> Result<Value> {
        let url = format!("https://{}/_sim/{path}", self.address);
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--cacert"]).arg(&self.ca).args(arguments).arg(&url);
        let output = command.output().await?;
        ensure!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{url}: {}", String::from_utf8_lossy(&output.stdout)))
    }
}
