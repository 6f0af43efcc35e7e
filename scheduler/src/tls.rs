//! The serving certificate, exchanged while running when its files change.
//!
//! Files in a mounted Secret change by a symlink swap, which file watches miss, so their content is polled. A pair
//! that does not fit together (half written, wrong key) never replaces a working one.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
pub const POLL: Duration = Duration::from_secs(2);

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds no usable PEM block.
    #[error("{file} holds no usable {what}: {reason}")]
    Pem {
        /// The file.
        file: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why it was not found. It never holds key material.
        reason: String,
    },
    /// Certificate and key do not belong together, or the key's kind is unknown.
    #[error("{cert} and {key} do not make a serving certificate: {source}")]
    Pair {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// rustls refuses the whole configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// `install_default` was not called first.
    #[error("no TLS crypto provider is installed; main must install aws-lc-rs first")]
    NoProvider,
}

/// A certificate that follows its files.
#[derive(Debug)]
pub struct Certificate {
    cert_file: PathBuf,
    key_file: PathBuf,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    content: u64,
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsError`], with the file in its text.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Arc<Self>, TlsError> {
        let provider = CryptoProvider::get_default().ok_or(TlsError::NoProvider)?.clone();
        let pair = Pair::read(cert_file, key_file)?;
        let loaded = Loaded { content: pair.content(), key: pair.certified(cert_file, key_file, &provider)? };
        Ok(Arc::new(Self {
            cert_file: cert_file.to_path_buf(),
            key_file: key_file.to_path_buf(),
            provider,
            current: ArcSwap::from_pointee(loaded),
        }))
    }

    /// Looks at the files again; true if a new certificate is served from now on.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use stays.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let pair = Pair::read(&self.cert_file, &self.key_file)?;
        let content = pair.content();
        if content == self.current.load().content {
            return Ok(false);
        }
        let key = pair.certified(&self.cert_file, &self.key_file, &self.provider)?;
        self.current.store(Arc::new(Loaded { content, key }));
        Ok(true)
    }

    /// Refreshes until cancelled and tells `report` of every change and every failure.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken, report: impl Fn(Result<(), TlsError>)) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.refresh() {
                Ok(true) => report(Ok(())),
                Ok(false) => {}
                Err(error) => report(Err(error)),
            }
        }
    }

    /// A server configuration that always presents the current certificate.
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone());
        let config = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(config.with_cert_resolver(self.clone()))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }
}

struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    fn read(cert_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let read = |file: &Path| {
            std::fs::read(file).map_err(|source| TlsError::Read { file: file.to_path_buf(), source })
        };
        Ok(Self { cert: read(cert_file)?, key: read(key_file)? })
    }

    fn content(&self) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one((&self.cert, &self.key))
    }

    fn certified(
        &self,
        cert_file: &Path,
        key_file: &Path,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, TlsError> {
        let pem =
            |file: &Path, what, reason: String| TlsError::Pem { file: file.to_path_buf(), what, reason };
        let chain = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| pem(cert_file, "certificate", e.to_string()))?;
        if chain.is_empty() {
            return Err(pem(cert_file, "certificate", "no CERTIFICATE block".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|e| pem(key_file, "private key", e.to_string()))?;
        CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(|source| TlsError::Pair {
            cert: cert_file.to_path_buf(),
            key: key_file.to_path_buf(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        _dir: tempfile::TempDir,
        cert: PathBuf,
        key: PathBuf,
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn files(cert: &str, key: &str) -> Files {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let dir = tempfile::tempdir().expect("a folder");
        let files = Files { cert: dir.path().join("tls.crt"), key: dir.path().join("tls.key"), _dir: dir };
        std::fs::write(&files.cert, cert).expect("written");
        std::fs::write(&files.key, key).expect("written");
        files
    }

    #[test]
    fn a_new_pair_is_taken_and_a_half_pair_is_not() {
        let (cert, key) = pair();
        let files = files(&cert, &key);
        let served = Certificate::load(&files.cert, &files.key).expect("a good pair");
        let first = served.current.load().key.clone();
        assert!(!served.refresh().expect("nothing changed"));

        let (cert, key) = pair();
        std::fs::write(&files.cert, cert).expect("written");
        let half = served.refresh().expect_err("the key is the old one").to_string();
        assert!(half.contains("tls.crt") && half.contains("tls.key"), "{half}");
        assert!(Arc::ptr_eq(&first, &served.current.load().key), "the working pair stays");

        std::fs::write(&files.key, key).expect("written");
        assert!(served.refresh().expect("a good pair again"));
        assert!(!Arc::ptr_eq(&first, &served.current.load().key));
    }

    #[test]
    fn bad_files_are_named() {
        let (cert, key) = pair();
        let check = |cert: &str, key: &str, part: &str| {
            let files = files(cert, key);
            let text = Certificate::load(&files.cert, &files.key).expect_err(part).to_string();
            assert!(text.contains(part), "{text} does not say {part}");
            assert!(!text.contains("PRIVATE KEY"), "{text}");
        };
        check("nothing", &key, "tls.crt holds no usable certificate");
        check(&cert, "nothing", "tls.key holds no usable private key");
        check(&cert, &pair().1, "do not make a serving certificate");
        let missing = Certificate::load(Path::new("/nonexistent/c"), Path::new("/nonexistent/k"));
        assert!(missing.expect_err("no file").to_string().contains("/nonexistent/c"));
    }
}
