//! The port itself: TCP, TLS, HTTP/1.1, and the tasks of one virtual node. Everything it starts ends with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::{Auth, User, user_of_certificate};
use super::backend::Backend;
use super::dispatch::handle;
use super::tls::KubeletTls;

/// A client has this long to finish its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection without a request is closed after this (the kubelet's idle timeout).
const HTTP_IDLE: Duration = Duration::from_secs(90);
/// A log or exec session without a byte is closed after this (the kubelet's streamingConnectionIdleTimeout).
const STREAMING_IDLE: Duration = Duration::from_secs(4 * 3600);
/// How long sessions get to say goodbye when the port closes.
const CLOSING: Duration = Duration::from_secs(10);
/// Pause when the system refuses a connection (no descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the port of a virtual node is not open.
#[derive(Debug, thiserror::Error)]
#[error("kubelet port of virtual node {node} on {address}: {error}; is the port taken by another node?")]
pub struct BindError {
    /// The virtual node.
    pub node: String,
    /// Where it should listen.
    pub address: SocketAddr,
    /// What the system said.
    pub error: std::io::Error,
}

/// The kubelet port of one virtual node.
pub struct KubeletServer {
    /// Name of the Node object; permissions are asked for it.
    pub node: String,
    /// Where to listen.
    pub address: SocketAddr,
    /// Certificates; may be shared with other ports.
    pub tls: Arc<KubeletTls>,
    /// Who may come in; may be shared with other ports.
    pub auth: Arc<Auth>,
    /// The node's pods.
    pub backend: Arc<dyn Backend>,
}

/// A port that is open and does not answer yet.
pub struct ListeningKubelet {
    listener: TcpListener,
    server: KubeletServer,
}

/// What the requests of one port share.
pub(crate) struct Context {
    pub(crate) node: String,
    pub(crate) auth: Arc<Auth>,
    pub(crate) backend: Arc<dyn Backend>,
    /// Upgraded connections, which HTTP no longer knows.
    pub(crate) sessions: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    pub(crate) idle: Duration,
}

impl KubeletServer {
    /// Opens the port, so that its number can be published before the first request is served.
    pub async fn bind(self) -> Result<ListeningKubelet, BindError> {
        match TcpListener::bind(self.address).await {
            Ok(listener) => Ok(ListeningKubelet { listener, server: self }),
            Err(error) => Err(BindError { node: self.node, address: self.address, error }),
        }
    }

    /// Opens the port and serves until cancelled.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), BindError> {
        self.bind().await?.run(cancel).await;
        Ok(())
    }
}

impl ListeningKubelet {
    /// Where it listens; tells the port that the system chose for port 0.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until cancelled, then lets sessions end for a moment. Certificates are kept fresh meanwhile.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { listener, server: KubeletServer { node, tls, auth, backend, .. } } = self;
        let sessions = TaskTracker::new();
        let shutdown = cancel.child_token();
        // Also when this future is dropped.
        let _ended = shutdown.clone().drop_guard();
        let context = Arc::new(Context {
            node,
            auth,
            backend,
            sessions,
            shutdown: shutdown.clone(),
            idle: STREAMING_IDLE,
        });
        let acceptor = TlsAcceptor::from(tls.config());
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tls.keep_fresh(&shutdown) => {}
            () = accept(&listener, &acceptor, &context) => {}
        }
        drop(listener);
        context.sessions.close();
        if tokio::time::timeout(CLOSING, context.sessions.wait()).await.is_err() {
            tracing::warn!(node = context.node, open = context.sessions.len(), "sessions were cut off");
        }
    }
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor, context: &Arc<Context>) {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                context.sessions.spawn(connection(stream, acceptor.clone(), Arc::clone(context)));
            }
            Err(error) => {
                tracing::warn!(%error, node = context.node, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, context: Arc<Context>) {
    // Keystrokes of a terminal must not wait for each other; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let tls = tokio::select! {
        tls = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => tls,
        () = context.shutdown.cancelled() => return,
    };
    match tls {
        Ok(Ok(tls)) => http(tls, &context).await,
        Ok(Err(error)) => tracing::debug!(%error, node = context.node, "TLS handshake failed"),
        Err(_) => tracing::debug!(node = context.node, "TLS handshake took too long"),
    }
}

async fn http(tls: TlsStream<TcpStream>, context: &Arc<Context>) {
    let user = Arc::new(certified_user(&tls));
    let service = service_fn(|request| handle(Arc::clone(context), Arc::clone(&user), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_IDLE)
        .serve_connection(TokioIo::new(tls), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = context.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, node = context.node, "connection ended early");
    }
}

fn certified_user(tls: &TlsStream<TcpStream>) -> Option<User> {
    let (_, session) = tls.get_ref();
    user_of_certificate(session.peer_certificates()?.first()?)
}
