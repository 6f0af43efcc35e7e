//! Puts the process together and takes it apart: watches and the Kubernetes client on this runtime, requests on the
//! HTTP server's own threads.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::client::AccessError;
use cluster::{Access, ClusterWatch, PolicyObjects, Recorder, governed, ledgers, reports};
use jiff::Timestamp;
use kube::Client;
use policies::price::PriceBook;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Lookups;
use crate::app::{App, Settings};
use crate::config::{Config, Driver};
use crate::decisions::Ring;
use crate::http::{self, Listeners};
use crate::leader::Leader;
use crate::metrics::{Metric, Metrics};
use crate::observer::Observer;
use crate::tls::{Certificate, TlsError};

/// How often the histograms' buffers are emptied.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long tasks get to end.
const TASKS_END: Duration = Duration::from_secs(5);

/// The reporting controller of our events.
const CONTROLLER: &str = "burst.io/scheduler";

/// Why the process cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The API server's address or credentials cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The serving certificate cannot be used.
    #[error("https: {0}")]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("{key}: cannot listen on {address}: {source}")]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The price book cannot be used.
    #[error("priceBook {file}: {why}")]
    Prices {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The servers cannot be started.
    #[error("cannot start serving: {0}")]
    Serve(std::io::Error),
}

/// Runs until `stop` is cancelled, then stops in order: readiness, listeners, requests in flight, tasks.
///
/// # Errors
/// [`RunError`].
pub async fn run(config: Config, metrics: Arc<Metrics>, stop: CancellationToken) -> Result<(), RunError> {
    let certificate = certificate(&config)?;
    let prices = Arc::new(prices(&config)?);
    let access = Access::load(config.kubeconfig.as_deref()).await?;
    let client = access.client()?;
    let (tasks, tracker) = (CancellationToken::new(), TaskTracker::new());
    let objects = PolicyObjects::start(&client, &tasks, &tracker);
    let (ledgers, exempt) = (&config.namespace, &config.namespace_exempt);
    let lookups = Lookups::start(&client, objects.clone(), ledgers, exempt, &tasks, &tracker);
    let (cluster, bindings) = ClusterWatch::with_bindings(access.client()?, tasks.clone(), &tracker);
    let decisions = Arc::new(Ring::default());
    let events = Recorder::start(client.clone(), CONTROLLER, &instance(), tasks.clone(), &tracker);
    let observer =
        Observer { cluster: cluster.clone(), decisions: decisions.clone(), metrics: metrics.clone(), events };
    let recorder = observer.events.clone();
    observer.start(bindings, &tasks, &tracker);
    let settings = Settings::of(&config, prices.clone());
    let app = Arc::new(App::new(cluster, lookups, settings, metrics.clone(), decisions));
    tracker.spawn(app.overview.clone().run(access.client()?, tasks.clone()));
    app.reports.get_or_init(|| reports::watch(&client, tasks.clone(), &tracker));
    if config.leader.enabled {
        let parts = Parts { client, objects, events: recorder, prices };
        leader(&config, &app, parts, &tasks, &tracker).start(&tasks, &tracker);
    }
    tracker.spawn(upkeep(metrics.clone(), tasks.clone()));
    if let Some(certificate) = &certificate {
        tracker.spawn(certificate.clone().follow(tasks.clone(), move |result| reloaded(&metrics, result)));
    }
    let listeners = listeners(&config, certificate.as_ref())?;
    let running = http::serve(&app, listeners, &config.shutdown).map_err(RunError::Serve)?;
    tracing::info!(http = %running.http, https = ?running.https, api_server = access.server(), "serving");
    stop.cancelled().await;
    running.stop(Duration::from_secs(config.shutdown.drain_seconds)).await;
    tasks.cancel();
    tracker.close();
    if tokio::time::timeout(TASKS_END, tracker.wait()).await.is_err() {
        tracing::warn!(tasks = tracker.len(), "some tasks did not end in time");
    }
    Ok(())
}

/// What the leader shares with the rest of the process, or takes over.
struct Parts {
    client: Client,
    objects: PolicyObjects,
    events: Recorder,
    prices: Arc<PriceBook>,
}

/// The leader's part of this replica, with the watches that only it needs.
fn leader(
    config: &Config,
    app: &App,
    parts: Parts,
    tasks: &CancellationToken,
    tracker: &TaskTracker,
) -> Leader {
    let Parts { client, objects, events, prices } = parts;
    Leader {
        namespace: config.namespace.clone(),
        lease: config.leader.lease.clone(),
        // Host names are shared by copies on one host network; a restarted copy is another one too.
        identity: format!("{}-{}-{:x}", instance(), std::process::id(), Timestamp::now().as_nanosecond()),
        cluster: app.cluster.clone(),
        objects,
        pods: governed::watch(&client, tasks.clone(), tracker),
        reports: app.reports.get_or_init(|| reports::watch(&client, tasks.clone(), tracker)).clone(),
        ledgers: ledgers::watch(&client, &config.namespace, tasks.clone(), tracker),
        prices,
        planner: match config.driver {
            Driver::Extender => policies::ledger::plan,
            Driver::Toleration => policies::ledger::plan_real_first,
        },
        stale_after: config.cache.stale_after(),
        room_seconds: config.leader.room_seconds,
        events,
        decisions: app.decisions.clone(),
        metrics: app.metrics.clone(),
        view: app.leader.clone(),
        client,
    }
}

/// The operator's prices, else the published ones.
///
/// # Errors
/// [`RunError::Prices`].
pub fn prices(config: &Config) -> Result<PriceBook, RunError> {
    let Some(file) = &config.price_book else { return Ok(PriceBook::shipped()) };
    let wrong = |why: String| RunError::Prices { file: file.clone(), why };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    PriceBook::read(&text).map_err(|error| wrong(error.to_string()))
}

/// The serving certificate, if HTTPS is configured.
///
/// # Errors
/// [`RunError::Tls`].
pub fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>, RunError> {
    let files = config.https.cert_file.as_deref().zip(config.https.key_file.as_deref());
    Ok(files.map(|(cert, key)| Certificate::load(cert, key)).transpose()?)
}

fn listeners(config: &Config, certificate: Option<&Arc<Certificate>>) -> Result<Listeners, RunError> {
    let bind = |key, address: SocketAddr| {
        TcpListener::bind(address).map_err(|source| RunError::Bind { key, address, source })
    };
    let http = bind("http.bind", config.http.bind)?;
    let https = match certificate {
        Some(certificate) => Some((bind("https.bind", config.https.bind)?, certificate.server_config()?)),
        None => {
            tracing::warn!("https.certFile is not set: the admission webhook is not served");
            None
        }
    };
    Ok(Listeners { http, https })
}

fn reloaded(metrics: &Metrics, result: Result<(), TlsError>) {
    match result {
        Ok(()) => {
            metrics.count(Metric::CertificateReloads, [("result", "loaded")]);
            tracing::info!("the serving certificate was exchanged");
        }
        Err(error) => {
            metrics.count(Metric::CertificateReloads, [("result", "failed")]);
            tracing::warn!(%error, "the serving certificate could not be read again; the old one stays in use");
        }
    }
}

/// Names this process in events: the pod's name, which is its host name.
fn instance() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| "burst-scheduler".to_owned())
}

async fn upkeep(metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        metrics.upkeep();
    }
}
