//! Further kube-schedulers beside the lab's own: any configuration, and burst's second scheduler (driver c) as its
//! manifest has it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{Lab, Process, binaries::repository_root, wait::eventually_within};

/// A configuration for one more kube-scheduler, to be changed before it starts.
#[derive(Clone, Debug)]
pub struct AnotherScheduler {
    /// Names its configuration file and its log.
    pub name: String,
    /// The KubeSchedulerConfiguration.
    pub config: Value,
    kubeconfig: PathBuf,
}

impl AnotherScheduler {
    /// With the rights of the lab's own scheduler; no lease is held, so that any number can run.
    pub fn new(name: &str, config: Value) -> Self {
        let kubeconfig = PathBuf::from("/etc/kubernetes/scheduler.conf");
        Self { name: name.to_owned(), config, kubeconfig }.prepared(false)
    }

    /// burst's second scheduler: the configuration of `deploy/scheduler/second-scheduler.yaml` under the ServiceAccount,
    /// roles and lease of that manifest, which is applied without its Deployment.
    ///
    /// # Errors
    /// When the manifest cannot be read or applied.
    pub async fn second(lab: &Lab, name: &str) -> Result<Self> {
        let mut config = Value::Null;
        for object in yaml("deploy/scheduler/second-scheduler.yaml")? {
            if object["kind"] == "ConfigMap" {
                let text = object["data"]["config.yaml"].as_str().context("config.yaml of the ConfigMap")?;
                config = serde_saphyr::from_str(text)?;
            }
            if object["kind"] != "Deployment" && object["kind"] != "PodDisruptionBudget" {
                lab.apply(&object.to_string()).await?;
            }
        }
        ensure!(!config.is_null(), "the manifest has no ConfigMap");
        let kubeconfig = lab.service_account_kubeconfig("burst-system", "burst-kube-scheduler").await?;
        config["extenders"][0]["urlPrefix"] = json!("https://127.0.0.1:10260/v1");
        config["extenders"][0]["tlsConfig"]["caFile"] = json!(lab.authority().ca_cert());
        Ok(Self { name: name.to_owned(), config, kubeconfig }.prepared(true))
    }

    fn prepared(mut self, lease: bool) -> Self {
        self.config["clientConnection"]["kubeconfig"] = json!(self.kubeconfig);
        if !lease {
            self.config["leaderElection"] = json!({"leaderElect": false});
        }
        self
    }

    /// The configuration as a file of the lab.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, lab: &Lab) -> Result<PathBuf> {
        let path = lab.dir().join(format!("{}.json", self.name));
        std::fs::write(&path, serde_json::to_vec_pretty(&self.config)?)?;
        Ok(path)
    }

    /// Starts it; it serves on `port`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, lab: &Lab, port: u16) -> Result<Process> {
        let mut command = Command::new(lab.tools().kube_scheduler());
        let kubeconfig = self.kubeconfig.display();
        command.args([
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            format!("--config={}", self.write(lab)?.display()),
            "-v=2".to_owned(),
        ]);
        lab.spawn(&self.name, command)
    }

    /// Starts it and waits until it has its caches and, with a lease, holds it.
    ///
    /// # Errors
    /// When it does not come up; the text ends with the end of its log.
    pub async fn start(&self, lab: &Lab, port: u16) -> Result<Process> {
        let mut process = self.spawn(lab, port)?;
        let ready = eventually_within(Duration::from_secs(60), "the scheduler is ready", || async {
            scheduler_get(lab, port, "/readyz").await?;
            // Anybody may ask for the former; this one is refused until the scheduler has read who its clients are.
            scheduler_get(lab, port, "/configz").await.map(drop)
        })
        .await;
        process.check_running()?;
        ready.with_context(|| process.log_tail(20))?;
        if self.config["leaderElection"]["leaderElect"] == true {
            let text = || std::fs::read_to_string(process.log()).unwrap_or_default();
            eventually_within(Duration::from_secs(60), "the scheduler holds its lease", || async {
                ensure!(text().contains("uccessfully acquired lease"), "not yet");
                Ok(())
            })
            .await?;
        }
        Ok(process)
    }
}

/// GET of a path from the secure port of a kube-scheduler, as an administrator.
///
/// # Errors
/// When it does not answer with success.
pub async fn scheduler_get(lab: &Lab, port: u16, path: &str) -> Result<String> {
    let admin = lab.dir().join("pki/admin");
    let output = Command::new("curl")
        .args(["-sSfk", "--max-time", "10", "--cert"])
        .arg(admin.with_extension("crt"))
        .arg("--key")
        .arg(admin.with_extension("key"))
        .arg(format!("https://127.0.0.1:{port}{path}"))
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The documents of a YAML file of the repository.
///
/// # Errors
/// When it cannot be read.
pub fn yaml(file: impl AsRef<Path>) -> Result<Vec<Value>> {
    let path = repository_root()?.join(file);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())
}
