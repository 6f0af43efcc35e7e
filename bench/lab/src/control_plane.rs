//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok as real processes with a CA of their own, RBAC on.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::process::Command;

use crate::{
    ADDRESS, Authority, HostPorts, Process, Tools,
    binaries::{ensure_tools, repository_root},
    eventually,
    kubeconfig::{self, Credential},
    ports::Ports,
    wait::eventually_within,
};

/// Which scheduler runs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SchedulerChoice {
    /// The stock one, without a configuration file.
    #[default]
    Stock,
    /// The genuine kube-scheduler with this KubeSchedulerConfiguration, unchanged.
    Configured(PathBuf),
    /// None; the caller starts it.
    None,
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct LabOptions {
    /// Name of the folder for logs under `target/lab`.
    pub name: String,
    /// Which scheduler.
    pub scheduler: SchedulerChoice,
    /// Only etcd and kube-apiserver: no controllers, no kwok, no scheduler.
    pub api_only: bool,
    /// A second control plane, on ports of its own, with a stock scheduler; kwok's nodes serve logs, exec, attach and
    /// port-forward there ([`Lab::dir`] with `kwok.log` is what every container has said, and port 80 of every pod is
    /// port 10480 of the lab).
    pub beside: bool,
}

/// A running control plane; dropped, its processes are killed.
#[derive(Debug)]
pub struct Lab {
    tools: Tools,
    dir: PathBuf,
    logs: PathBuf,
    authority: Authority,
    ports: Ports,
    processes: Mutex<Vec<Process>>,
}

/// Name of the kube-scheduler's log.
const SCHEDULER: &str = "kube-scheduler";

impl Lab {
    /// Starts the control plane and waits until it serves.
    ///
    /// # Errors
    /// When a process does not come up; the text ends with the end of its log.
    pub async fn start(options: LabOptions) -> Result<Self> {
        let tools = ensure_tools().await?;
        let root = repository_root()?.join("target/lab").join(&options.name);
        if root.exists() {
            std::fs::remove_dir_all(&root).with_context(|| format!("clearing {}", root.display()))?;
        }
        let dir = root.join("run");
        std::fs::create_dir_all(&dir)?;
        let authority = Authority::create(&dir.join("pki"))?;
        let ports = if options.beside { Ports::SECOND } else { Ports::FIRST };
        let lab = Self { tools, logs: root.join("logs"), dir, authority, ports, processes: Mutex::default() };
        lab.etcd().await?;
        lab.apiserver().await?;
        if !options.beside {
            lab.publish_standard_files()?;
        }
        if options.api_only {
            return Ok(lab);
        }
        lab.controller_manager()?;
        lab.kwok()?;
        lab.scheduler(&options.scheduler)?;
        lab.wait_for_service_accounts().await?;
        Ok(lab)
    }

    /// The programs that it runs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Its working folder, for files that live as long as it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder with every process's log; it stays after the end.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Its certificate authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The administrator's kubeconfig, for use inside the lab.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// Starts a process of the lab.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        Process::start(name, command, &self.logs)
    }

    /// A kube client with the administrator's rights.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<kube::Client> {
        let kubeconfig = kube::config::Kubeconfig::read_from(self.kubeconfig())?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default())
                .await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Opens the API server on host socket `index` and writes a kubeconfig that works from a normal shell.
    ///
    /// # Errors
    /// When there is no such socket.
    pub fn expose(&self, ports: &mut HostPorts, index: usize) -> Result<PathBuf> {
        let address = ports.forward(index, format!("{ADDRESS}:{}", self.ports.api).parse()?)?;
        let path = self.dir.join("host.kubeconfig");
        self.write_kubeconfig(&path, &format!("https://{address}"), "host-admin", &["system:masters"])?;
        Ok(path)
    }

    /// Makes `count` real (kwok) nodes called `node-0`, `node-1`, … of the given size.
    ///
    /// # Errors
    /// When the API server refuses them, or they do not become Ready.
    pub async fn add_real_nodes(&self, count: usize, cpu: &str, memory: &str, pods: u32) -> Result<()> {
        let size = json!({"cpu": cpu, "memory": memory, "pods": pods.to_string()});
        let nodes: Vec<_> = (0..count)
            .map(|i| {
                let name = format!("node-{i}");
                json!({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": {
                        "name": name,
                        "annotations": {"kwok.x-k8s.io/node": "fake"},
                        "labels": {
                            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                            "topology.kubernetes.io/zone": format!("zone-{}", i % 3),
                        },
                    },
                    "status": {"allocatable": size, "capacity": size},
                })
            })
            .collect();
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string()).await?;
        eventually("the real nodes are Ready", || async {
            let text = self.kubectl(&["get", "nodes", "-l", "type!=virtual-kubelet", "--no-headers"]).await?;
            let ready = text.lines().filter(|line| line.contains(" Ready ")).count();
            anyhow::ensure!(ready >= count, "{ready} of {count}: {text}");
            Ok(())
        })
        .await
    }

    /// A kubeconfig of a ServiceAccount, by token.
    ///
    /// # Errors
    /// When the ServiceAccount does not exist.
    pub async fn service_account_kubeconfig(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", account, "-n", namespace, "--duration=24h"]).await?;
        let path = self.dir.join(format!("{account}.kubeconfig"));
        kubeconfig::write(
            &path,
            &self.ports.server(),
            &self.authority.ca_cert(),
            &Credential::Token(token.trim()),
        )?;
        Ok(path)
    }

    async fn etcd(&self) -> Result<()> {
        let mut command = Command::new(self.tools.etcd());
        let clients = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peers = format!("http://127.0.0.1:{}", self.ports.peers);
        command
            .args([format!("--listen-client-urls={clients}"), format!("--advertise-client-urls={clients}")])
            .args([format!("--listen-peer-urls={peers}"), format!("--initial-advertise-peer-urls={peers}")])
            .args([&format!("--initial-cluster=default={peers}"), "--unsafe-no-fsync", "--log-level=warn"])
            .arg(format!("--data-dir={}", self.dir.join("etcd").display()));
        self.keep(self.spawn("etcd", command)?);
        Ok(())
    }

    async fn apiserver(&self) -> Result<()> {
        let pki = &self.authority;
        let serving = pki.issue(
            "kube-apiserver",
            &[],
            &["127.0.0.1", ADDRESS, "10.96.0.1", "localhost", "kubernetes", "kubernetes.default.svc"],
        )?;
        let kubelet = pki.issue("kube-apiserver-kubelet-client", &[], &[])?;
        let (public, private) = pki.service_account_key()?;
        let ca = pki.ca_cert();
        let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let mut command = Command::new(self.tools.kube_apiserver());
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd))
            .args(["--bind-address=0.0.0.0", &format!("--secure-port={}", self.ports.api)])
            .args([&format!("--advertise-address={ADDRESS}"), "--service-cluster-ip-range=10.96.0.0/16"])
            .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
            .args([
                "--kubelet-preferred-address-types=InternalIP",
                "--allow-privileged=true",
                "--profiling=false",
            ])
            .args(["--service-account-issuer=https://kubernetes.default.svc.cluster.local"])
            .args([file("tls-cert-file", &serving.cert), file("tls-private-key-file", &serving.key)])
            .args([file("client-ca-file", &ca), file("kubelet-certificate-authority", &ca)])
            .args([
                file("kubelet-client-certificate", &kubelet.cert),
                file("kubelet-client-key", &kubelet.key),
            ])
            .args([
                file("service-account-key-file", &public),
                file("service-account-signing-key-file", &private),
            ]);
        let mut process = self.spawn("kube-apiserver", command)?;
        self.write_kubeconfig(&self.kubeconfig(), &self.ports.server(), "admin", &["system:masters"])?;
        for _ in 0..600 {
            if self.kubectl(&["get", "--raw", "/readyz"]).await.is_ok() {
                self.keep(process);
                // The role with the kubelet API's rights exists; who may use it is the cluster's own choice.
                self.kubectl(&[
                    "create",
                    "clusterrolebinding",
                    "kubelet-api",
                    "--clusterrole=system:kubelet-api-admin",
                    "--user=kube-apiserver-kubelet-client",
                ])
                .await?;
                return Ok(());
            }
            process.check_running()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("kube-apiserver is not ready after a minute:\n{}", process.log_tail(30))
    }

    fn controller_manager(&self) -> Result<()> {
        let kubeconfig = self.component_kubeconfig("system:kube-controller-manager")?;
        let pki = &self.authority;
        let mut command = Command::new(self.tools.kube_controller_manager());
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--authentication-kubeconfig={}", kubeconfig.display()))
            .arg(format!("--authorization-kubeconfig={}", kubeconfig.display()))
            .arg(format!("--service-account-private-key-file={}", self.dir.join("pki/sa.key").display()))
            .arg(format!("--root-ca-file={}", pki.ca_cert().display()))
            .arg(format!("--cluster-signing-cert-file={}", pki.ca_cert().display()))
            .arg(format!("--cluster-signing-key-file={}", pki.ca_key().display()))
            .args([
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
            ])
            .arg(format!("--secure-port={}", self.ports.controllers))
            .args(["--kube-api-qps=300", "--kube-api-burst=600", "--concurrent-gc-syncs=5"]);
        self.keep(self.spawn("kube-controller-manager", command)?);
        Ok(())
    }

    fn kwok(&self) -> Result<()> {
        let kubeconfig = self.dir.join("kwok.kubeconfig");
        self.write_kubeconfig(&kubeconfig, &self.ports.server(), "kwok", &["system:masters"])?;
        let mut command = Command::new(self.tools.kwok());
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--config={}", self.tools.kwok_stages().display()))
            .arg("--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake")
            .arg(format!("--cidr={}", self.ports.pods))
            .args(["--node-ip", ADDRESS, "--node-lease-duration-seconds=40"])
            .env("HOME", &self.dir);
        if let Some(port) = self.ports.kubelets {
            let serving = self.authority.issue("kwok", &[], &[ADDRESS])?;
            command
                .arg(format!("--config={}", self.kwok_streams()?.display()))
                .arg(format!("--node-port={port}"))
                .arg(format!("--tls-cert-file={}", serving.cert.display()))
                .arg(format!("--tls-private-key-file={}", serving.key.display()));
        }
        self.keep(self.spawn("kwok", command)?);
        Ok(())
    }

    /// What containers on kwok's nodes say and do: one log for all, commands that run where kwok runs, one server.
    fn kwok_streams(&self) -> Result<PathBuf> {
        let log = self.dir.join("kwok.log");
        std::fs::write(&log, "")?;
        let object = |kind: &str, spec: serde_json::Value| json!({"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": {"name": "all"}, "spec": spec});
        let objects = [
            object("ClusterLogs", json!({"logs": [{"logsFile": log, "follow": true}]})),
            object("ClusterAttach", json!({"attaches": [{"logsFile": log}]})),
            object("ClusterExec", json!({"execs": [{"local": {}}]})),
            object(
                "ClusterPortForward",
                json!({"forwards": [{"ports": [80], "target": {"address": "127.0.0.1", "port": 10480}}]}),
            ),
        ];
        let path = self.dir.join("kwok-streams.yaml");
        std::fs::write(&path, objects.map(|object| object.to_string()).join("\n---\n"))?;
        Ok(path)
    }

    /// Puts the files that a KubeSchedulerConfiguration names where a kubeadm cluster has them.
    fn publish_standard_files(&self) -> Result<()> {
        let scheduler = self.component_kubeconfig("system:kube-scheduler")?;
        std::fs::create_dir_all("/etc/kubernetes/pki")?;
        std::fs::copy(scheduler, "/etc/kubernetes/scheduler.conf")?;
        std::fs::copy(self.authority.ca_cert(), "/etc/kubernetes/pki/burst-ca.crt")?;
        Ok(())
    }

    /// Starts the kube-scheduler and keeps it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn scheduler(&self, choice: &SchedulerChoice) -> Result<()> {
        if *choice != SchedulerChoice::None {
            self.keep(self.spawn_scheduler(SCHEDULER, choice)?);
        }
        Ok(())
    }

    /// Ends the lab's own kube-scheduler, which gives up its lease, so that another can take its place.
    ///
    /// # Errors
    /// When there is none, or it cannot be ended.
    pub async fn end_scheduler(&self) -> Result<()> {
        let ours = {
            let mut kept = self.processes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            kept.iter().position(|process| process.name() == SCHEDULER).map(|at| kept.remove(at))
        };
        ours.context("the lab runs no kube-scheduler")?.stop(Duration::from_secs(10)).await?;
        Ok(())
    }

    /// Starts a kube-scheduler that the caller holds.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_scheduler(&self, name: &str, choice: &SchedulerChoice) -> Result<Process> {
        let standard = match self.ports.kubelets {
            None => "/etc/kubernetes/scheduler.conf".to_owned(),
            Some(_) => self.component_kubeconfig("system:kube-scheduler")?.display().to_string(),
        };
        let mut command = Command::new(self.tools.kube_scheduler());
        command.args(["--bind-address=127.0.0.1", &format!("--secure-port={}", self.ports.scheduler)]);
        command.args([
            format!("--authentication-kubeconfig={standard}"),
            format!("--authorization-kubeconfig={standard}"),
        ]);
        match choice {
            SchedulerChoice::Configured(file) => command.arg(format!("--config={}", file.display())),
            _ => command.args([&format!("--kubeconfig={standard}"), "--leader-elect=false"]),
        };
        self.spawn(name, command)
    }

    async fn wait_for_service_accounts(&self) -> Result<()> {
        eventually_within(Duration::from_secs(90), "the default ServiceAccount exists", || async {
            self.kubectl(&["get", "serviceaccount", "default", "-n", "default"]).await.map(drop)
        })
        .await
    }

    fn component_kubeconfig(&self, user: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{}.kubeconfig", user.replace(':', "-")));
        self.write_kubeconfig(&path, &self.ports.server(), user, &[])?;
        Ok(path)
    }

    fn write_kubeconfig(&self, path: &Path, server: &str, user: &str, groups: &[&str]) -> Result<()> {
        let issued = self.authority.issue(user, groups, &[])?;
        kubeconfig::write(path, server, &self.authority.ca_cert(), &Credential::Certificate(&issued))
    }

    fn keep(&self, process: Process) {
        self.processes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(process);
    }
}
