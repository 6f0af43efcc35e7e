//! What the end-to-end cases share: one lab with burst running in it, and questions to ask of it.

mod bills;
mod runner;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use lab::{CloudRuntime, Lab, LabOptions, SchedulerChoice, Stack, StackOptions, Workload, eventually_within};
use serde_json::{Value, json};
use tokio::{process::Command, sync::Mutex};

pub use runner::{Case, main};

/// A lab with three real nodes of 4 cores and burst running, shared by the cases of one program.
#[derive(Debug)]
pub struct World {
    /// The control plane.
    pub lab: Lab,
    /// burst's processes; cases that kill one hold the lock.
    pub stack: Mutex<Stack>,
    /// Instances of CCI 1.0 are real process trees.
    pub real: bool,
}

/// Everything that makes pods, owners before what they own, and the pods.
const WORKLOADS: &str = "deployments,replicasets,statefulsets,daemonsets,jobs,pods";
/// Real nodes of a [`World`].
pub const REAL_NODES: usize = 3;
/// Cores of each real node.
pub const CORES: usize = 4;
/// What the operator's price book asks for one vCPU and second in the cloud, in CNY; memory is free.
pub const VCPU_SECOND: &str = "0.001";

impl World {
    /// Starts the lab and burst with the KubeSchedulerConfiguration of `deploy/`, unchanged.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn start(name: &str, runtime: CloudRuntime) -> Result<Arc<Self>> {
        let options =
            LabOptions { name: name.to_owned(), scheduler: Self::scheduler()?, ..LabOptions::default() };
        let lab = Lab::start(options).await?;
        lab.add_real_nodes(REAL_NODES, &CORES.to_string(), "16Gi", 110).await?;
        let prices = Some(json!({"prices": [{
            "provider": "huawei", "currency": "CNY", "vcpuSecond": VCPU_SECOND, "gibSecond": "0",
            "source": "the end-to-end cases", "date": "made up",
        }]}));
        let real = matches!(runtime, CloudRuntime::Process);
        let options = StackOptions { runtime, virtual_nodes: 2, prices, ..StackOptions::default() };
        let stack = Stack::start(&lab, options).await?;
        Ok(Arc::new(Self { lab, stack: Mutex::new(stack), real }))
    }

    /// The kube-scheduler of every world.
    ///
    /// # Errors
    /// When the repository is not found.
    pub fn scheduler() -> Result<SchedulerChoice> {
        let config = lab::repository_root()?.join("deploy/scheduler/kube-scheduler-config.yaml");
        Ok(SchedulerChoice::Configured(config))
    }

    /// Makes a namespace for one case and waits until pods can be made in it.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        self.lab.kubectl(&["create", "namespace", name]).await?;
        eventually_within(Duration::from_secs(20), "the namespace's ServiceAccount", || async {
            self.lab.kubectl(&["get", "serviceaccount", "default", "-n", name]).await.map(drop)
        })
        .await
    }

    /// Removes a case's namespace and waits until its pods are gone and the cloud holds no instance.
    ///
    /// The workloads go first: the namespace controller lets 5 s pass before it deletes anything.
    ///
    /// # Errors
    /// When something is left after three minutes: the text says what.
    pub async fn clean(&self, namespace: &str) -> Result<()> {
        self.lab.kubectl(&["delete", WORKLOADS, "--all", "-n", namespace, "--wait=false"]).await?;
        self.lab.kubectl(&["delete", "namespace", namespace, "--wait=false"]).await?;
        eventually_within(Duration::from_secs(180), "every pod and instance is gone", || async {
            let pods = self.pods(namespace).await?;
            ensure!(pods.is_empty(), "pods left: {}", names(&pods));
            let open = self.instances_of(namespace).await?;
            ensure!(open.is_empty(), "instances left: {}", Value::from(open));
            Ok(())
        })
        .await
    }

    /// Namespaces and policies of the whole cluster that are there now, as kubectl names them.
    pub(crate) async fn left_by_cases(&self) -> Result<BTreeSet<String>> {
        let all = self.lab.kubectl(&["get", "namespaces,clusterburstpolicies", "-o", "name"]).await?;
        Ok(all.lines().map(str::to_owned).collect())
    }

    /// Removes one of them, a namespace with all that is in it.
    pub(crate) async fn remove(&self, left: &str) -> Result<()> {
        match left.strip_prefix("namespace/") {
            Some(namespace) => self.clean(namespace).await,
            None => self.lab.kubectl(&["delete", left]).await.map(drop),
        }
    }

    /// Waits until admission knows the policy object of a namespace: until a pod with these labels that asks for a core
    /// comes out of it governed.
    ///
    /// # Errors
    /// When it does not within 20 s; the text is the pod as admission leaves it.
    pub async fn governs(&self, namespace: &str, labels: &[(&str, &str)]) -> Result<()> {
        let probe =
            labels.iter().fold(Workload::pod(namespace, "probe"), |pod, (key, value)| pod.label(key, value));
        let (probe, dry) = (probe.text(), ["apply", "--dry-run=server", "-o", "json", "-f", "-"]);
        eventually_within(Duration::from_secs(20), "the policy object governs new pods", || async {
            let pod: Value = serde_json::from_str(&self.lab.kubectl_stdin(&dry, &probe).await?)?;
            ensure!(pod["metadata"]["labels"]["burst.io/governed"] == "true", "{pod}");
            Ok(())
        })
        .await
    }

    /// What kubectl tells whoever applies this, its warnings among it; nothing is applied.
    ///
    /// # Errors
    /// When it is refused; the text is why.
    pub async fn told_of(&self, manifest: &Value) -> Result<String> {
        let file = self.lab.dir().join("told-of.json");
        std::fs::write(&file, manifest.to_string())?;
        let path = file.to_str().context("the lab's folder")?;
        let output = self.lab.kubectl_output(&["apply", "--dry-run=server", "-f", path]).await?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{text}");
        Ok(text)
    }

    /// burst-scheduler's metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// When its page does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let address = format!("http://{}/metrics", Stack::page());
        let output = Command::new("curl").args(["-sS", "--max-time", "10", &address]).output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// All pods of a namespace.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn pods(&self, namespace: &str) -> Result<Vec<Value>> {
        let text = self.lab.kubectl(&["get", "pods", "-n", namespace, "-o", "json"]).await?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// One pod.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Value> {
        let text = self.lab.kubectl(&["get", "pod", name, "-n", namespace, "-o", "json"]).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until exactly `count` pods exist in the namespace and all are Running; returns (on real, on virtual) nodes.
    ///
    /// # Errors
    /// When that does not come true within a minute; the text shows the pods.
    pub async fn running(&self, namespace: &str, count: usize) -> Result<Placement> {
        eventually_within(
            Duration::from_secs(60),
            &format!("{count} pods Running in {namespace}"),
            || async {
                let pods: Vec<_> = self
                    .pods(namespace)
                    .await?
                    .into_iter()
                    .filter(|p| p["metadata"]["deletionTimestamp"].is_null())
                    .collect();
                let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
                ensure!(
                    pods.len() == count && running == count,
                    "{running} of {} Running: {}",
                    pods.len(),
                    names(&pods)
                );
                Ok(Placement::of(&pods))
            },
        )
        .await
    }

    /// The cloud's instances that were made for pods of a namespace, as the simulator reports them.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn instances_of(&self, namespace: &str) -> Result<Vec<Value>> {
        let all = self.stack.lock().await.cloud_get(&self.lab, "instances").await?;
        let items = all.as_array().or_else(|| all["items"].as_array()).context("no list of instances")?;
        Ok(items.iter().filter(|i| i.to_string().contains(&format!("\"{namespace}\""))).cloned().collect())
    }
}

/// Where a set of pods is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// On nodes that the cluster owns.
    pub local: usize,
    /// On virtual nodes.
    pub burst: usize,
}

impl Placement {
    /// Counts pods by the kind of their node.
    pub fn of(pods: &[Value]) -> Self {
        let burst = pods.iter().filter(|pod| on_virtual(pod)).count();
        Self { local: pods.iter().filter(|pod| !pod["spec"]["nodeName"].is_null()).count() - burst, burst }
    }
}

/// Whether a pod is bound to a virtual node of the stack.
pub fn on_virtual(pod: &Value) -> bool {
    pod["spec"]["nodeName"].as_str().is_some_and(|name| name.starts_with("burst-"))
}

/// Pods in words: name, node, phase and why they wait.
pub fn names(pods: &[Value]) -> String {
    let line = |pod: &Value| {
        format!(
            "{} on {} {} {}",
            pod["metadata"]["name"].as_str().unwrap_or("?"),
            pod["spec"]["nodeName"].as_str().unwrap_or("no node"),
            pod["status"]["phase"].as_str().unwrap_or("?"),
            pod["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|c| c["message"].as_str())
                .collect::<Vec<_>>()
                .join("; "),
        )
    };
    pods.iter().map(line).collect::<Vec<_>>().join("\n")
}
