//! The listeners, and stopping them in an order in which no request is lost.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::{Data, PayloadConfig};
use actix_web::{App as Actix, HttpServer};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::Shutdown;
use crate::metrics::Metric;

/// kube-scheduler keeps an idle connection for 90 s; closing it first would fail a call now and then.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// Requests are decided on these threads and nothing else is.
const WORKERS: usize = 2;

/// Bound sockets. The TLS one is served when it has a configuration.
#[derive(Debug)]
pub struct Listeners {
    /// Plain HTTP.
    pub http: TcpListener,
    /// HTTPS.
    pub https: Option<(TcpListener, rustls::ServerConfig)>,
}

/// Servers that were started.
#[derive(Debug)]
pub struct Running {
    /// Address of the plain listener.
    pub http: SocketAddr,
    /// Address of the TLS listener.
    pub https: Option<SocketAddr>,
    app: Arc<App>,
    handles: Vec<ServerHandle>,
    tasks: Vec<JoinHandle<std::io::Result<()>>>,
}

/// Starts serving; returns at once.
///
/// # Errors
/// What the system says about a socket or a thread.
pub fn serve(app: &Arc<App>, listeners: Listeners, shutdown: &Shutdown) -> std::io::Result<Running> {
    let http = listeners.http.local_addr()?;
    let mut servers = vec![plain(app, listeners.http, shutdown)?];
    let mut https = None;
    if let Some((socket, tls)) = listeners.https {
        https = Some(socket.local_addr()?);
        servers.push(secure(app, socket, tls, shutdown)?);
    }
    let handles = servers.iter().map(Server::handle).collect();
    let tasks = servers.into_iter().map(tokio::spawn).collect();
    Ok(Running { http, https, app: app.clone(), handles, tasks })
}

impl Running {
    /// Fails readiness, waits until nobody new comes, stops accepting, lets requests in flight finish.
    pub async fn stop(self, drain: Duration) {
        self.app.drain();
        tokio::time::sleep(drain).await;
        for handle in &self.handles {
            handle.stop(true).await;
        }
        for task in self.tasks {
            if let Ok(Err(error)) = task.await {
                tracing::warn!(%error, "a listener ended with an error");
            }
        }
    }
}

macro_rules! server {
    ($app:expr, $name:literal, $routes:path, $shutdown:expr) => {{
        let app = Data::from($app.clone());
        let metrics = $app.metrics.clone();
        HttpServer::new(move || {
            Actix::new()
                .app_data(app.clone())
                .app_data(PayloadConfig::new(super::body::LIMIT))
                .configure($routes)
        })
        .workers(WORKERS)
        .worker_max_blocking_threads(2)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .disable_signals()
        .shutdown_timeout($shutdown.grace_seconds)
        .on_connect(move |_, _| metrics.count(Metric::ExtenderConnections, [("listener", $name)]))
    }};
}

fn plain(app: &Arc<App>, socket: TcpListener, shutdown: &Shutdown) -> std::io::Result<Server> {
    Ok(server!(app, "http", super::plain, shutdown).listen(socket)?.run())
}

fn secure(
    app: &Arc<App>,
    socket: TcpListener,
    tls: rustls::ServerConfig,
    shutdown: &Shutdown,
) -> std::io::Result<Server> {
    Ok(server!(app, "https", super::secure, shutdown).listen_rustls_0_23(socket, tls)?.run())
}
