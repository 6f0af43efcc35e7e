//! burst itself in the lab: the cloud simulator, burst-scheduler and burst-bridge as processes, with the manifests of
//! `deploy/` applied and the rights that these give.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    ADDRESS, AnotherCloud, BRIDGE, BRIDGE_SUBNET, CloudApi, Lab, Process, ServiceProxy,
    binaries::{built_binary, repository_root},
    wait::eventually,
};

mod beside;
mod cci2;
mod cube;
mod eci;
mod interop;

pub use cci2::name as cci2_node;
pub use cube::{CubeNodes, name as cube_node};
pub use eci::name as eci_node;

/// How the simulated cloud runs instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CloudRuntime {
    /// States on a clock.
    #[default]
    Script,
    /// Real process trees.
    Process,
}

impl CloudRuntime {
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Process => "process",
        }
    }
}

/// How the decisions of burst-scheduler reach the cluster's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Driver {
    /// The scheduler calls it.
    #[default]
    Extender,
    /// Pods get their toleration when they may burst.
    Toleration,
}

impl Driver {
    const fn word(self) -> &'static str {
        match self {
            Self::Extender => "extender",
            Self::Toleration => "toleration",
        }
    }

    /// The file that only this driver needs, as seen from `deploy/manifests`.
    const fn manifest(self) -> &'static str {
        match self {
            Self::Extender => "admission-marker.yaml",
            Self::Toleration => "../scheduler/toleration-driver.yaml",
        }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// How instances run.
    pub runtime: CloudRuntime,
    /// How many virtual nodes, called `burst-cci-0`, `burst-cci-1`, …; their kubelet ports count up from 10250.
    pub virtual_nodes: usize,
    /// How many virtual nodes of CCI 2.0, called `bursting-node-0`, ….
    pub cci2_nodes: usize,
    /// Their project, if it is another one than the simulator's.
    pub cci2_project: Option<String>,
    /// How many virtual nodes of the provider `eci`, called `virtual-node-eci-0`, ….
    pub eci_nodes: usize,
    /// Virtual nodes of the provider `cube`, called `uk8s-lab1lab1-vk-node0`, ….
    pub cube_nodes: CubeNodes,
    /// How many virtual nodes of the provider `mock`, called `burst-mock-0`, …, each with eight GPUs.
    pub mock_nodes: usize,
    /// A kubeconfig of another cluster, whose virtual node is `burst-other-0`.
    pub other_cluster: Option<PathBuf>,
    /// Further arguments of the simulator.
    pub cloud_arguments: Vec<String>,
    /// The kubeconfig of CCI's network interop, where it is on ([`Stack::set_interop`]).
    pub interop: Option<PathBuf>,
    /// Whether pods that need a call are marked for the extender.
    pub marker: bool,
    /// Whether auto pods go without a call while its answer is known, as shipped.
    pub spare_calls: bool,
    /// The operator's price book; without it burst-scheduler has the one that it is shipped with.
    pub prices: Option<Value>,
    /// How decisions reach the scheduler.
    pub driver: Driver,
    /// Whether burst-scheduler takes part in the election of the leader that grants.
    pub leader: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            runtime: CloudRuntime::Script,
            virtual_nodes: 1,
            cci2_nodes: 0,
            cci2_project: None,
            eci_nodes: 0,
            cube_nodes: CubeNodes::default(),
            mock_nodes: 0,
            other_cluster: None,
            cloud_arguments: Vec::new(),
            interop: None,
            marker: true,
            spare_calls: true,
            prices: None,
            driver: Driver::default(),
            leader: true,
        }
    }
}

impl StackOptions {
    /// Names of the virtual nodes that are not those of CCI 1.0.
    fn further_nodes(&self) -> Vec<String> {
        let cci2 = (0..self.cci2_nodes).map(cci2_node);
        let eci = (0..self.eci_nodes).map(eci_node);
        let cube = (0..self.cube_nodes.count).map(cube_node);
        let mocks = (0..self.mock_nodes).map(|i| format!("burst-mock-{i}"));
        let other = self.other_cluster.as_ref().map(|_| OTHER.to_owned());
        cci2.chain(eci).chain(cube).chain(mocks).chain(other).collect()
    }
}

/// The running parts; each can be killed and started again on its own.
#[derive(Debug)]
pub struct Stack {
    /// The cloud simulator.
    pub cloud: Process,
    /// burst-scheduler.
    pub scheduler: Process,
    /// burst-bridge.
    pub bridge: Process,
    /// Further simulated clouds, where there are virtual nodes of them.
    beside: beside::Clouds,
    options: StackOptions,
}

/// Keys and project of every simulated cloud.
pub(crate) const ACCESS_KEY: &str = "LABACCESSKEY";
pub(crate) const SECRET_KEY: &str = "lab-secret-key";
pub(crate) const PROJECT: &str = "lab-project";
/// The simulator's address.
const CLOUD: &str = "198.18.0.1:7443";
/// The capacity page, metrics and the plain-text extender.
const PAGE: &str = "127.0.0.1:10261";

impl Stack {
    /// Starts everything and waits until the virtual nodes are Ready.
    ///
    /// # Errors
    /// When a part does not come up; the text ends with the end of its log.
    pub async fn start(lab: &Lab, options: StackOptions) -> Result<Self> {
        apply_manifests(lab, &["crds.yaml", "namespace.yaml", "rbac.yaml", "admission-policies.yaml"])
            .await?;
        if options.marker || options.driver == Driver::Toleration {
            apply_manifests(lab, &[options.driver.manifest()]).await?;
        }
        write_credentials(lab)?;
        let cloud = start_cloud(lab, &options)?;
        let mut beside = beside::Clouds::default();
        beside.fit(lab, &options).await?;
        let scheduler = start_scheduler(lab, &options).await?;
        apply_webhooks(lab).await?;
        allow_nodes(lab, options.further_nodes().into_iter()).await?;
        let bridge = start_bridge(lab, &options).await?;
        let mut stack = Self { cloud, scheduler, bridge, beside, options };
        stack.wait_ready(lab).await?;
        Ok(stack)
    }

    /// Base address of the page and `/metrics`, inside the lab.
    pub const fn page() -> &'static str {
        PAGE
    }

    /// Names of the virtual nodes, CCI's first.
    pub fn virtual_nodes(&self) -> Vec<String> {
        let cci = (0..self.options.virtual_nodes).map(|i| format!("burst-cci-{i}"));
        cci.chain(self.options.further_nodes()).collect()
    }

    /// The simulated cloud of further virtual nodes.
    ///
    /// # Errors
    /// When there are none.
    pub fn beside(&self, api: CloudApi) -> Result<&AnotherCloud> {
        self.beside.get(api)
    }

    /// Starts the bridge again after it was killed or stopped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn restart_bridge(&mut self, lab: &Lab) -> Result<()> {
        self.bridge = start_bridge(lab, &self.options).await?;
        Ok(())
    }

    /// Starts the bridge anew with so many virtual nodes of the provider `mock`, and waits until every virtual node is
    /// Ready. What a decommissioned one leaves in the API server is deleted.
    ///
    /// # Errors
    /// When the bridge does not end or does not come up.
    pub async fn set_mock_nodes(&mut self, lab: &Lab, count: usize) -> Result<()> {
        let before = std::mem::replace(&mut self.options.mock_nodes, count);
        self.redeclare(lab, (count..before).map(|i| format!("burst-mock-{i}")).collect()).await
    }

    /// Starts the bridge anew with or without the virtual node of another cluster, as [`Self::set_mock_nodes`] does.
    ///
    /// # Errors
    /// When the bridge does not end or does not come up.
    pub async fn set_other_cluster(&mut self, lab: &Lab, kubeconfig: Option<PathBuf>) -> Result<()> {
        let gone = if kubeconfig.is_none() { vec![OTHER.to_owned()] } else { Vec::new() };
        self.options.other_cluster = kubeconfig;
        self.redeclare(lab, gone).await
    }

    async fn redeclare(&mut self, lab: &Lab, gone: Vec<String>) -> Result<()> {
        self.bridge.stop(Duration::from_secs(20)).await?;
        for node in gone {
            for kind in ["node", "virtualnodereport"] {
                lab.kubectl(&["delete", kind, &node, "--ignore-not-found"]).await?;
            }
        }
        self.beside.fit(lab, &self.options).await?;
        allow_nodes(lab, self.options.further_nodes().into_iter()).await?;
        self.restart_bridge(lab).await?;
        self.wait_ready(lab).await
    }

    /// Starts burst-scheduler again after it was killed or stopped, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart_scheduler(&mut self, lab: &Lab) -> Result<()> {
        self.scheduler = start_scheduler(lab, &self.options).await?;
        Ok(())
    }

    /// Starts burst-scheduler anew with another driver, and its manifests in the place of those of the one before.
    ///
    /// # Errors
    /// When a manifest cannot be applied, or burst-scheduler does not come up.
    pub async fn set_driver(&mut self, lab: &Lab, driver: Driver) -> Result<()> {
        let delete = ["delete", "--ignore-not-found"];
        manifests(lab, &delete, &[self.options.driver.manifest()]).await?;
        self.options.driver = driver;
        self.options.marker = driver == Driver::Extender;
        apply_manifests(lab, &["admission-policies.yaml", driver.manifest()]).await?;
        // It gives up its Lease, so the next one leads at once.
        self.scheduler.stop(Duration::from_secs(20)).await?;
        self.restart_scheduler(lab).await
    }

    /// The simulator's control API: GET of a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn cloud_get(&self, lab: &Lab, path: &str) -> Result<Value> {
        curl(lab, &[&format!("https://{CLOUD}/_sim/{path}")]).await
    }

    /// The simulator's control API: POST of JSON to a path under `/_sim/`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn cloud_post(&self, lab: &Lab, path: &str, body: &Value) -> Result<Value> {
        curl(lab, &["-X", "POST", "-d", &body.to_string(), &format!("https://{CLOUD}/_sim/{path}")]).await
    }

    /// burst-scheduler's JSON API: GET of a path such as `/api/capacity`.
    ///
    /// # Errors
    /// When it does not answer with JSON.
    pub async fn page_get(&self, lab: &Lab, path: &str) -> Result<Value> {
        curl(lab, &[&format!("http://{PAGE}{path}")]).await
    }

    async fn wait_ready(&mut self, lab: &Lab) -> Result<()> {
        let wanted = self.options.virtual_nodes + self.options.further_nodes().len();
        for _ in 0..600 {
            self.bridge.check_running()?;
            self.cloud.check_running()?;
            let text = lab.kubectl(&["get", "nodes", "-l", "type=virtual-kubelet", "--no-headers"]).await?;
            // A cordoned node is `Ready,SchedulingDisabled`.
            let status = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
            let ready = |line: &&str| status(line).split(',').any(|word| word == "Ready");
            if text.lines().filter(ready).count() == wanted {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!(
            "the virtual nodes are not Ready after a minute; burst-bridge says:\n{}",
            self.bridge.log_tail(30)
        )
    }
}

/// What burst-scheduler needs in a cluster without a bridge: its manifests and webhooks. It does not run yet, so that pods
/// are refused where the webhook has to be asked.
///
/// # Errors
/// When the API server refuses them.
pub async fn prepare_deciding_side(lab: &Lab) -> Result<()> {
    let manifests =
        ["crds.yaml", "namespace.yaml", "rbac.yaml", "admission-policies.yaml", "admission-marker.yaml"];
    apply_manifests(lab, &manifests).await?;
    apply_webhooks(lab).await
}

/// burst-scheduler alone, ready to answer; it runs as long as it is held.
///
/// # Errors
/// When it does not come up; the text ends with the end of its log.
pub async fn start_deciding_side(lab: &Lab, options: &StackOptions) -> Result<Process> {
    start_scheduler(lab, options).await
}

async fn apply_manifests(lab: &Lab, files: &[&str]) -> Result<()> {
    manifests(lab, &["apply", "--server-side"], files).await
}

async fn manifests(lab: &Lab, verb: &[&str], files: &[&str]) -> Result<()> {
    let dir = repository_root()?.join("deploy/manifests");
    for file in files {
        let path = dir.join(file);
        let path = path.to_str().context("path of the manifests")?;
        lab.kubectl(&[verb, &["-f", path]].concat()).await?;
    }
    Ok(())
}

/// The rights of the bridge name its virtual nodes, as every operator has to write them: the last of the shipped names
/// become these.
async fn allow_nodes(lab: &Lab, names: impl Iterator<Item = String>) -> Result<()> {
    let path = repository_root()?.join("deploy/manifests/rbac.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let named = names.enumerate().fold(text, |text, (i, name)| {
        text.replace(&format!("burst-cci-{}", 3_usize.saturating_sub(i)), &name)
    });
    lab.kubectl_stdin(&["apply", "--server-side", "-f", "-"], &named).await.map(drop)
}

/// The webhook manifests name Services; in the lab the scheduler is a process, so the client configuration becomes an URL.
async fn apply_webhooks(lab: &Lab) -> Result<()> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let path = repository_root()?.join("deploy/manifests/webhooks.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let ca = STANDARD.encode(std::fs::read(lab.authority().ca_cert())?);
    for document in serde_saphyr::from_multiple::<Value>(&text)? {
        let mut document = document;
        for webhook in document["webhooks"].as_array_mut().into_iter().flatten() {
            let service = &webhook["clientConfig"]["service"];
            let path = service["path"].as_str().context("a webhook without a path")?.to_owned();
            webhook["clientConfig"] =
                json!({"url": format!("https://{ADDRESS}:10260{path}"), "caBundle": ca});
        }
        lab.apply(&document.to_string()).await?;
    }
    Ok(())
}

fn start_cloud(lab: &Lab, options: &StackOptions) -> Result<Process> {
    let serving = lab.authority().issue("cci.simulated.cloud", &[], &[ADDRESS, "127.0.0.1"])?;
    let state = lab.dir().join("cloud");
    std::fs::create_dir_all(&state)?;
    let mut command = Command::new(built_binary("cloud-sim")?);
    command
        .args(["--listen", CLOUD, "--project-id", PROJECT, "--access-key", ACCESS_KEY])
        .args(["--secret-key", SECRET_KEY, "--runtime", options.runtime.flag(), "--bridge", BRIDGE])
        .args(["--subnet", BRIDGE_SUBNET])
        .arg("--tls-cert")
        .arg(&serving.cert)
        .arg("--tls-key")
        .arg(&serving.key)
        .arg("--state-dir")
        .arg(&state)
        .arg("--meter")
        .arg(lab.logs().join("billing-meter.jsonl"))
        .arg("--busybox")
        .arg(lab.tools().busybox())
        .args(images(options.runtime))
        .args(&options.cloud_arguments);
    lab.spawn("cloud-sim", command)
}

/// The simulator's argument about images: what was built of them, where instances are processes.
fn images(runtime: CloudRuntime) -> Vec<String> {
    let proxy = ServiceProxy::built().filter(|_| runtime == CloudRuntime::Process);
    let folder = proxy.map(|proxy| proxy.images().display().to_string());
    folder.map(|folder| vec!["--images".to_owned(), folder]).unwrap_or_default()
}

async fn start_scheduler(lab: &Lab, options: &StackOptions) -> Result<Process> {
    let kubeconfig = lab.service_account_kubeconfig("burst-system", "burst-scheduler").await?;
    let serving = lab.authority().issue(
        "burst-scheduler.burst-system.svc",
        &[],
        &["127.0.0.1", ADDRESS, "localhost"],
    )?;
    let config = lab.dir().join("burst-scheduler.yaml");
    let mut settings = json!({
        "kubeconfig": kubeconfig,
        "http": {"bind": PAGE},
        "https": {"bind": "0.0.0.0:10260", "certFile": serving.cert, "keyFile": serving.key},
        "marker": options.marker,
        "spareCalls": options.spare_calls,
        "driver": options.driver.word(),
        // Moves home are waited for.
        "leader": {"roomSeconds": 6, "enabled": options.leader},
    });
    if let Some(prices) = &options.prices {
        let book = lab.dir().join("prices.yaml");
        write_yaml(&book, prices)?;
        settings["priceBook"] = json!(book);
    }
    write_yaml(&config, &settings)?;
    let mut command = Command::new(built_binary("burst-scheduler")?);
    command.arg("--config").arg(&config);
    let mut process = lab.spawn("burst-scheduler", command)?;
    let ready = eventually("burst-scheduler is ready", || async { page_ready(PAGE).await }).await;
    process.check_running()?;
    ready.with_context(|| process.log_tail(30))?;
    Ok(process)
}

async fn page_ready(address: &str) -> Result<()> {
    let output = Command::new("curl").args(["-sf", &format!("http://{address}/readyz")]).output().await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

async fn start_bridge(lab: &Lab, options: &StackOptions) -> Result<Process> {
    let kubeconfig = lab.service_account_kubeconfig("burst-system", "burst-bridge").await?;
    let serving = lab.authority().issue("burst-bridge", &[], &[ADDRESS])?;
    let secrets = credentials(lab);
    let with_interop =
        |node: Value, here: bool| interop::with(node, options.interop.as_ref().filter(|_| here));
    let cci = (0..options.virtual_nodes).map(|i| with_interop(virtual_node(lab, &secrets, i), i == 1));
    let cci2 = (0..options.cci2_nodes)
        .map(|i| with_interop(cci2::virtual_node(lab, options.cci2_project.as_deref(), i), true));
    let eci = (options.eci_nodes > 0).then(|| eci::virtual_nodes(lab, options.eci_nodes));
    let cube = (0..options.cube_nodes.count).map(|i| cube::virtual_node(lab, options.cube_nodes, i));
    let mocks = (0..options.mock_nodes).map(mock_node);
    let others = options.other_cluster.as_ref().map(other_node);
    let nodes: Vec<Value> = cci.chain(cci2).chain(eci).chain(cube).chain(mocks).chain(others).collect();
    let config = lab.dir().join("burst-bridge.yaml");
    write_yaml(
        &config,
        &json!({
            "kubeconfig": kubeconfig,
            "address": ADDRESS,
            "impersonateNodes": true,
            "kubelet": {"certFile": serving.cert, "keyFile": serving.key, "clientCaFile": lab.authority().ca_cert()},
            "nodes": nodes,
        }),
    )?;
    let mut command = Command::new(built_binary("burst-bridge")?);
    command.arg("--config").arg(&config);
    lab.spawn("burst-bridge", command)
}

/// Folder of the cloud credentials that the bridge reads: files `access-key` and `secret-key`.
fn credentials(lab: &Lab) -> PathBuf {
    lab.dir().join("cloud-credentials")
}

fn write_credentials(lab: &Lab) -> Result<()> {
    let secrets = credentials(lab);
    std::fs::create_dir_all(&secrets)?;
    std::fs::write(secrets.join("access-key"), ACCESS_KEY)?;
    Ok(std::fs::write(secrets.join("secret-key"), SECRET_KEY)?)
}

fn virtual_node(lab: &Lab, secrets: &std::path::Path, index: usize) -> Value {
    json!({
        "name": format!("burst-cci-{index}"),
        "provider": "cci",
        "port": 10250 + index,
        "capacity": {"cpu": "4000", "memory": "16Ti", "pods": "5000", "ephemeral-storage": "100Ti"},
        "cci": {
            "endpoint": format!("https://{CLOUD}"),
            "region": "cn-north-4",
            "projectId": PROJECT,
            "domainId": "lab-domain",
            "accessKeyFile": secrets.join("access-key"),
            "secretKeyFile": secrets.join("secret-key"),
            "caFile": lab.authority().ca_cert(),
            // Zones a, b, a, …: stock-outs are told by zone.
            "availableZone": format!("cn-north-4{}", if index.is_multiple_of(2) { 'a' } else { 'b' }),
            "network": {
                "vpcId": "lab-vpc", "networkId": "lab-network", "subnetId": "lab-subnet",
                "cidr": BRIDGE_SUBNET, "securityGroupId": "lab-security-group",
            },
        },
    })
}

/// Pods of the lab run in another cluster on this virtual node.
const OTHER: &str = "burst-other-0";

fn other_node(kubeconfig: &PathBuf) -> Value {
    json!({
        "name": OTHER,
        "provider": "kubernetes",
        "port": 10650,
        "capacity": {"cpu": "100", "memory": "400Gi", "pods": "500"},
        "labels": {"example.com/cluster": "other"},
        "kubernetes": {"kubeconfigFile": kubeconfig},
    })
}

fn mock_node(index: usize) -> Value {
    json!({
        "name": format!("burst-mock-{index}"),
        "provider": "mock",
        "port": 10350 + index,
        "capacity": {"cpu": "4000", "memory": "16Ti", "pods": "5000", "others": {"nvidia.com/gpu": "8"}},
        "mock": {"startDelay": "500ms", "stopDelay": "500ms", "availableZone": "mock-a"},
    })
}

/// JSON is YAML, and needs no writer of its own.
fn write_yaml(path: &PathBuf, value: &Value) -> Result<()> {
    Ok(std::fs::write(path, serde_json::to_vec_pretty(value)?)?)
}

pub(crate) async fn curl(lab: &Lab, args: &[&str]) -> Result<Value> {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "10", "--cacert"])
        .arg(lab.authority().ca_cert())
        .args(args)
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&output.stdout)))
}
