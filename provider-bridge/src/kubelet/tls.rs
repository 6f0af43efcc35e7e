//! TLS of the kubelet port: HTTP/1.1 only, client certificates verified when offered, files read again when they change.
//!
//! Sessions are never resumed, so that a CA that was replaced is asked again on every connection. A file that is broken
//! after a change leaves the last good state in use and says so.

mod client_ca;
mod serving;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use tokio_util::sync::CancellationToken;

use self::client_ca::ClientCa;
use self::serving::Serving;

/// How often files are looked at.
const POLL: Duration = Duration::from_secs(10);

/// Where the serving certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServingCertificate {
    /// PEM files; the certificate file holds the chain.
    Files {
        /// Certificate chain.
        certificate: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// Made at start and again before it expires. API servers that were given a kubelet CA refuse it.
    SelfSigned {
        /// DNS names and IP addresses.
        names: Vec<String>,
    },
}

/// Files of the kubelet port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// What we show.
    pub serving: ServingCertificate,
    /// PEM file of the authorities whose client certificates are believed. Without it only tokens authenticate.
    pub client_ca: Option<PathBuf>,
}

/// Why the port cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {error}; name a readable PEM file in the kubelet section of the configuration")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A self-signed certificate cannot be made for these names.
    #[error("no self-signed certificate for {names:?}: {reason}")]
    SelfSigned {
        /// The names asked for.
        names: Vec<String>,
        /// Why.
        reason: String,
    },
    /// rustls refuses the settings.
    #[error("TLS settings: {0}")]
    Settings(#[from] rustls::Error),
}

/// Certificates of the kubelet port; shared by the ports of all virtual nodes of a process.
pub struct KubeletTls {
    serving: Arc<Serving>,
    client_ca: Option<Arc<ClientCa>>,
    config: Arc<ServerConfig>,
}

impl KubeletTls {
    /// Reads the files once. Errors name the file.
    pub fn load(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let serving = Arc::new(Serving::load(&options.serving, Arc::clone(&provider))?);
        let client_ca = match &options.client_ca {
            Some(path) => Some(Arc::new(ClientCa::load(path, Arc::clone(&provider))?)),
            None => None,
        };
        let config = Arc::new(config(provider, Arc::clone(&serving), client_ca.clone())?);
        Ok(Self { serving, client_ca, config })
    }

    /// Reads files that have changed, and renews a self-signed certificate. True when something is new.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let serving = self.serving.refresh()?;
        let client_ca = self.client_ca.as_ref().map_or(Ok(false), |ca| ca.refresh())?;
        Ok(serving || client_ca)
    }

    /// Refreshes until cancelled.
    pub(crate) async fn keep_fresh(&self, cancel: &CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            match self.refresh() {
                Ok(true) => tracing::info!("certificates of the kubelet port have been read again"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "the last good certificates of the kubelet port stay in use");
                }
            }
        }
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    serving: Arc<Serving>,
    client_ca: Option<Arc<ClientCa>>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(serving);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

type ContentHash = [u8; 32];

/// Remembers what was read last, so that only changes cause work.
#[derive(Debug, Default)]
struct Seen(Mutex<ContentHash>);

impl Seen {
    /// True when `contents` differ from the last time.
    fn is_new(&self, contents: &[&[u8]]) -> bool {
        let mut joined = Vec::new();
        for content in contents {
            joined.extend_from_slice(digest(&SHA256, content).as_ref());
        }
        let hash = ContentHash::try_from(digest(&SHA256, &joined).as_ref()).unwrap_or_default();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last, hash) != hash
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

fn content(path: &Path, reason: &impl ToString) -> TlsError {
    TlsError::Content { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
