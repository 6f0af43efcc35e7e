//! Puts the process together and takes it apart: watches and the Kubernetes client on this runtime, requests on the
//! HTTP server's own threads.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use cluster::client::AccessError;
use cluster::policy_objects::PolicyObjects;
use cluster::{Access, ClusterWatch, Recorder};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Lookups;
use crate::app::{App, Settings};
use crate::config::Config;
use crate::decisions::Ring;
use crate::http::{self, Listeners};
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
    let access = Access::load(config.kubeconfig.as_deref()).await?;
    let client = access.client()?;
    let (tasks, tracker) = (CancellationToken::new(), TaskTracker::new());
    let policies = PolicyObjects::start(&client, &tasks, &tracker);
    let lookups = Lookups::start(&client, policies, &config.namespace_exempt, &tasks, &tracker);
    let cluster = ClusterWatch::start(access.client()?, tasks.clone(), &tracker);
    let decisions = Arc::new(Ring::default());
    let events = Recorder::start(client.clone(), CONTROLLER, &instance(), tasks.clone(), &tracker);
    let observer =
        Observer { cluster: cluster.clone(), decisions: decisions.clone(), metrics: metrics.clone(), events };
    observer.start(client, &tasks, &tracker);
    let app = Arc::new(App::new(cluster, lookups, Settings::from(&config), metrics.clone(), decisions));
    tracker.spawn(app.overview.clone().run(access.client()?, tasks.clone()));
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
