//! Puts the parts together: clients, providers, and per virtual node its object, lease, pods and kubelet port.
//!
//! Everything that can be wrong in the configuration or on this machine is found before the first task starts; what is
//! wrong elsewhere (API server, cloud) is retried, because it may be right in a minute.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::client::AccessError;
use cluster::daemons::{self, KeptDaemon};
use cluster::kept::Kept;
use cluster::{Access, PolicyObjects, Recorder, lease, ledgers, reports};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use policies::ledger::NodeReport;
use tokio::sync::watch;

use crate::account::{self, AccountError};
use crate::cloud::{CloudError, Provider};
use crate::config::{BridgeConfig, KubeletConfig, NodeConfig};
use crate::gc::Limits;
use crate::http::{self, Readiness};
use crate::kubelet::{
    Auth, KubeReviewer, KubeletServer, KubeletTls, ServingCertificate, TlsError, TlsOptions,
};
use crate::metrics::Measured;
use crate::node::{KeeperSettings, keep};
use crate::pods::ground::Sources;
use crate::pods::table::Settings;
use crate::pods::{Driver, Ground, Handle, KubeResolve, NodeBackend, Wish};
use crate::registry;
use crate::supervisor::Supervisor;

/// Our name on events.
const CONTROLLER: &str = "burst.io/bridge";
/// How long tasks get to end.
const STOPPING: Duration = Duration::from_secs(20);
/// How long a deletion may exceed its grace period before the cloud is asked again.
const DELETION_PATIENCE: Duration = Duration::from_secs(10);
/// Pause between tries to reach the API server at start.
const API_PAUSE: Duration = Duration::from_secs(2);

/// Why the bridge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No usable way to the API server.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The cluster has no id.
    #[error(
        "cluster id: reading namespace kube-system: {0}; allow `get` on it, or set clusterId for every node"
    )]
    ClusterId(Box<kube::Error>),
    /// The provider's settings can never work.
    #[error("virtual node {node}: {error}")]
    Provider {
        /// Which node.
        node: String,
        /// What the provider says.
        error: CloudError,
    },
    /// Its instances are in another account.
    #[error(transparent)]
    Account(Box<AccountError>),
    /// Certificates of the kubelet ports.
    #[error("kubelet ports: {0}")]
    Tls(#[from] TlsError),
    /// The metrics port.
    #[error("http.bind {address}: {error}; is another process using it?")]
    Http {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Runs until `stop` resolves, then ends everything in an orderly way.
///
/// # Errors
/// [`StartError`] when it cannot start; nothing runs then.
pub async fn run(config: BridgeConfig, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    let access = Access::load(config.kubeconfig.as_deref()).await?;
    let own = access.client()?;
    let tls = Arc::new(KubeletTls::load(&tls_options(&config))?);
    let listener = http::listen(config.http.bind)
        .await
        .map_err(|error| StartError::Http { address: config.http.bind, error })?;
    tokio::pin!(stop);
    let cluster_id = tokio::select! {
        id = cluster_id(&config, &own) => id?,
        () = &mut stop => return Ok(()),
    };
    let config = Arc::new(config);
    let providers = open_all(&config, &cluster_id)?;
    for (node, provider) in config.nodes.iter().zip(&providers) {
        let as_node = client_of(&access, &config, node)?;
        tokio::select! {
            same = same_account((&own, &as_node), node, &**provider) => same?,
            () = &mut stop => return Ok(()),
        }
    }
    let supervisor = Supervisor::new();
    let daemons = daemons::watch(&own, supervisor.token().clone(), supervisor.tracker());
    let mut parts = Parts {
        recorder: Recorder::start(
            own.clone(),
            CONTROLLER,
            &instance_name(),
            supervisor.token().clone(),
            supervisor.tracker(),
        ),
        auth: Arc::new(Auth::new(Some(Arc::new(KubeReviewer::new(own.clone()))))),
        config: config.clone(),
        supervisor,
        access,
        own,
        tls,
        readiness: Readiness::default(),
        ground: watch::channel(Arc::default()).1,
        daemons,
    };
    parts.start_ground();
    for (node, provider) in config.nodes.iter().zip(providers) {
        parts.start_node(node, provider)?;
    }
    let (readiness, listener) = (parts.readiness.clone(), Arc::new(listener));
    parts.supervisor.keep("http".to_owned(), move |cancel| {
        let (readiness, listener) = (readiness.clone(), listener.clone());
        async move { http::serve(&listener, readiness, cancel).await }
    });
    stop.await;
    tracing::info!("stopping");
    if !parts.supervisor.stop(STOPPING).await {
        tracing::warn!("some tasks did not end in time; what they did is found again at the next start");
    }
    Ok(())
}

/// What all nodes share.
struct Parts {
    config: Arc<BridgeConfig>,
    access: Access,
    own: Client,
    recorder: Recorder,
    tls: Arc<KubeletTls>,
    auth: Arc<Auth>,
    supervisor: Supervisor,
    readiness: Readiness,
    ground: watch::Receiver<Arc<Ground>>,
    daemons: Kept<KeptDaemon>,
}

impl Parts {
    /// Grants, policy objects and the reports of all virtual nodes: one picture for every node of this process.
    fn start_ground(&mut self) {
        let (cancel, tracker) = (self.supervisor.token().clone(), self.supervisor.tracker());
        let sources = Sources {
            ledgers: ledgers::watch(&self.own, &self.config.namespace, cancel.clone(), tracker),
            policies: PolicyObjects::start(&self.own, &cancel, tracker),
            reports: reports::watch(&self.own, cancel.clone(), tracker),
        };
        let (sender, receiver) = watch::channel(Arc::default());
        let sender = Arc::new(sender);
        self.ground = receiver;
        self.supervisor.keep("grants and policies".to_owned(), move |cancel| {
            sources.clone().follow(sender.clone(), cancel)
        });
    }

    fn start_report(&self, node: &NodeConfig) -> watch::Sender<Option<NodeReport>> {
        let (sender, receiver) = watch::channel(None);
        let (client, name) = (self.own.clone(), node.name.clone());
        self.supervisor.keep(format!("report of node {name}"), move |cancel| {
            crate::report::keep(client.clone(), name.clone(), receiver.clone(), cancel)
        });
        sender
    }

    fn start_node(&mut self, node: &NodeConfig, provider: Arc<dyn Provider>) -> Result<(), StartError> {
        let provider = Arc::new(Measured::new(provider));
        let pods = self.start_pods(node, provider.clone())?;
        self.start_object(node, provider.clone())?;
        self.start_port(node, provider, pods);
        Ok(())
    }

    fn start_pods(&mut self, node: &NodeConfig, provider: Arc<dyn Provider>) -> Result<Handle, StartError> {
        let client = client_of(&self.access, &self.config, node)?;
        let (handle, queries) = Handle::channel();
        let (synced, is_synced) = watch::channel(false);
        let recorder = self.recorder.clone();
        let driver = Arc::new(Driver {
            settings: table_settings(&self.config, node),
            resolve: Arc::new(KubeResolve::new(client.clone())),
            client,
            provider,
            record: Arc::new(move |event| recorder.record(event)),
            sweep_every: Duration::from_secs(self.config.gc.interval_seconds),
            call_timeout: Duration::from_secs(self.config.pods.call_timeout_seconds),
            synced,
            own: self.own.clone(),
            ground: self.ground.clone(),
            daemons: self.daemons.clone(),
            report: self.start_report(node),
            queries,
        });
        self.readiness.add(format!("pods of node {}", node.name), move || *is_synced.borrow());
        self.supervisor.keep(format!("pods of node {}", node.name), move |cancel| {
            let driver = driver.clone();
            async move { driver.run(cancel).await }
        });
        Ok(handle)
    }

    fn start_object(&mut self, node: &NodeConfig, provider: Arc<Measured>) -> Result<(), StartError> {
        let (uid, known) = watch::channel(None);
        let (uid, settings) =
            (Arc::new(uid), KeeperSettings { config: node.clone(), address: self.config.address, provider });
        let registered = known.clone();
        self.readiness.add(format!("object of node {}", node.name), move || registered.borrow().is_some());
        let client = self.own.clone();
        self.supervisor.keep(format!("object of node {}", node.name), move |cancel| {
            let (client, settings, uid) = (client.clone(), settings.clone(), uid.clone());
            async move { keep(client, &settings, &uid, cancel).await }
        });
        // A client of its own: pod traffic must never delay the heartbeat.
        let (client, name) = (client_of(&self.access, &self.config, node)?, node.name.clone());
        self.supervisor.keep(format!("lease of node {}", node.name), move |cancel| {
            lease::heartbeat(client.clone(), name.clone(), known.clone(), cancel)
        });
        Ok(())
    }

    fn start_port(&self, node: &NodeConfig, provider: Arc<dyn Provider>, pods: Handle) {
        let address = SocketAddr::new(self.config.address, node.port);
        let (name, tls, auth) = (node.name.clone(), self.tls.clone(), self.auth.clone());
        let backend = Arc::new(NodeBackend::new(pods, provider, name.clone()));
        self.supervisor.keep(format!("kubelet port of node {}", node.name), move |cancel| {
            let server = KubeletServer {
                node: name.clone(),
                address,
                tls: tls.clone(),
                auth: auth.clone(),
                backend: backend.clone(),
            };
            async move {
                if let Err(error) = server.run(cancel).await {
                    tracing::error!(%error, "kubelet port");
                }
            }
        });
    }
}

/// A client with the identity of the virtual node, and connections of its own.
fn client_of(access: &Access, config: &BridgeConfig, node: &NodeConfig) -> Result<Client, AccessError> {
    if config.impersonate_nodes { access.client_as_node(&node.name) } else { access.client() }
}

fn open_all(config: &BridgeConfig, cluster_id: &str) -> Result<Vec<Arc<dyn Provider>>, StartError> {
    let open = |node: &NodeConfig| {
        registry::open(node, cluster_id)
            .map_err(|error| StartError::Provider { node: node.name.clone(), error })
    };
    config.nodes.iter().map(open).collect()
}

/// Nothing of a virtual node starts before it is certain that its instances are where it will look for them.
async fn same_account(
    clients: (&Client, &Client),
    node: &NodeConfig,
    provider: &dyn Provider,
) -> Result<(), StartError> {
    loop {
        match account::check(clients, &node.name, provider.account().as_deref(), provider.list()).await {
            Err(AccountError::Read(name, error)) if may_pass(&error) => {
                tracing::warn!(node = name, %error, "the API server is not ready; trying again");
            }
            done => return done.map_err(|error| StartError::Account(Box::new(error))),
        }
        tokio::time::sleep(API_PAUSE).await;
    }
}

/// Whether an error of the API server may be none in a minute.
fn may_pass(error: &kube::Error) -> bool {
    !matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404))
}

fn table_settings(config: &BridgeConfig, node: &NodeConfig) -> Settings {
    Settings {
        node: node.name.clone(),
        host_ip: config.address,
        cordoned: node.cordon,
        cloud_calls: config.pods.cloud_calls,
        api_calls: config.pods.api_calls,
        finished_ttl: config.pods.finished_ttl(),
        max_backoff: Duration::from_secs(config.pods.max_backoff_seconds),
        settle: Duration::from_secs(config.pods.settle_seconds),
        deletion_patience: DELETION_PATIENCE,
        place_patience: Duration::from_secs(config.pods.place_patience_seconds),
        zone: node.cloud_zone().to_owned(),
        deletion_cost: if config.pods.restore_deletion_cost { Wish::Original } else { Wish::CloudFirst },
        limits: Limits {
            min_age: Duration::from_secs(config.gc.min_age_seconds),
            max_percent: config.gc.max_percent,
            always_allowed: config.gc.always_allowed,
        },
        seed: random(),
    }
}

/// Spread for back-offs: the standard library seeds every hasher anew.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// Unique per process, for events.
fn instance_name() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "burst-bridge".to_owned());
    format!("{host}-{}", std::process::id())
}

fn tls_options(config: &BridgeConfig) -> TlsOptions {
    let KubeletConfig { cert_file, key_file, client_ca_file, .. } = &config.kubelet;
    let serving = match (cert_file, key_file) {
        (Some(certificate), Some(key)) => {
            ServingCertificate::Files { certificate: certificate.clone(), key: key.clone() }
        }
        // The configuration was checked: without files it is self-signed.
        _ => ServingCertificate::SelfSigned { names: self_signed_names(config) },
    };
    TlsOptions { serving, client_ca: client_ca_file.clone() }
}

fn self_signed_names(config: &BridgeConfig) -> Vec<String> {
    let nodes = config.nodes.iter().map(|node| node.name.clone());
    std::iter::once(config.address.to_string()).chain(nodes).collect()
}

/// The UID of kube-system, which scopes everything we own in a cloud account; not read if every node names its own
/// or has no account.
pub(crate) async fn cluster_id(config: &BridgeConfig, client: &Client) -> Result<String, StartError> {
    if config.nodes.iter().all(NodeConfig::names_its_cluster) {
        return Ok(String::new());
    }
    loop {
        match Api::<Namespace>::all(client.clone()).get("kube-system").await {
            Ok(namespace) => return Ok(namespace.metadata.uid.unwrap_or_default()),
            Err(error) if may_pass(&error) => {
                tracing::warn!(%error, "the API server is not ready or cannot be reached; trying again");
            }
            Err(error) => return Err(StartError::ClusterId(Box::new(error))),
        }
        tokio::time::sleep(API_PAUSE).await;
    }
}
