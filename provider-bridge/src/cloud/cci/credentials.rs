//! Access key and secret key: where they come from and how changed files are noticed.
//!
//! The secret never leaves this module except as an HMAC key, and nothing here prints it. Facts: a mounted Secret is
//! replaced as a whole when it is rotated, so both files are read together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use secrecy::{ExposeSecret as _, SecretString};

use crate::cloud::CloudError;
use crate::cloud::access_keys::read_file;

/// How old a key pair read from files may get before the files are read again.
const REREAD_AFTER: Duration = Duration::from_secs(5);

/// Where the key pair comes from.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Given once.
    Fixed {
        /// Access key (AK): an identifier, not a secret.
        access_key: String,
        /// Secret key (SK).
        secret_key: SecretString,
    },
    /// Read from files, again when they change. Blanks and line ends around the values are ignored.
    Files {
        /// File with the access key.
        access_key: PathBuf,
        /// File with the secret key.
        secret_key: PathBuf,
    },
}

/// A key pair ready to sign with.
pub(super) struct KeyPair {
    pub(super) access_key: String,
    pub(super) key: hmac::Key,
    /// Counts the changes: another number signs differently.
    pub(super) generation: u64,
    /// Tells two keys apart without keeping them.
    fingerprint: Vec<u8>,
    read_at: Instant,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl KeyPair {
    pub(super) fn new(access_key: &str, secret_key: &SecretString) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.expose_secret().as_bytes());
        let fingerprint = hmac::sign(&key, b"fingerprint").as_ref().to_vec();
        Self { access_key: access_key.to_owned(), key, generation: 0, fingerprint, read_at: Instant::now() }
    }

    /// Whether the other pair signs differently.
    fn differs_from(&self, other: &Self) -> bool {
        self.access_key != other.access_key || self.fingerprint != other.fingerprint
    }
}

/// The current key pair and its source.
#[derive(Debug)]
pub(super) struct Keys {
    source: Credentials,
    current: ArcSwap<KeyPair>,
}

impl Keys {
    /// Reads the key pair for the first time; the error names the file.
    pub(super) fn load(source: Credentials) -> Result<Self, CloudError> {
        let pair = read(&source)?;
        Ok(Self { source, current: ArcSwap::from_pointee(pair) })
    }

    /// The key pair to sign with now. A file that cannot be read keeps the last pair and is reported in the log.
    pub(super) fn current(&self) -> Arc<KeyPair> {
        let pair = self.current.load_full();
        if !matches!(self.source, Credentials::Files { .. }) || pair.read_at.elapsed() < REREAD_AFTER {
            return pair;
        }
        self.reread().unwrap_or(pair)
    }

    /// Reads the files again at once: after the cloud refused a signature.
    pub(super) fn reread(&self) -> Option<Arc<KeyPair>> {
        match read(&self.source) {
            Ok(mut pair) => {
                let before = self.current.load();
                pair.generation = before.generation + u64::from(pair.differs_from(&before));
                let pair = Arc::new(pair);
                self.current.store(Arc::clone(&pair));
                Some(pair)
            }
            Err(error) => {
                tracing::warn!(%error, "keeping the credentials read before");
                None
            }
        }
    }
}

fn read(source: &Credentials) -> Result<KeyPair, CloudError> {
    match source {
        Credentials::Fixed { access_key, secret_key } => Ok(KeyPair::new(access_key, secret_key)),
        Credentials::Files { access_key, secret_key } => {
            let access = read_file(access_key)?;
            let secret = read_file(secret_key)?;
            Ok(KeyPair::new(access.expose_secret(), &secret))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_the_secret() {
        let fixed =
            Credentials::Fixed { access_key: "AK1".into(), secret_key: SecretString::from("topsecret") };
        let keys = Keys::load(fixed.clone()).unwrap();
        let shown = format!("{fixed:?} {keys:?} {:?}", keys.current());
        assert!(!shown.contains("topsecret"), "{shown}");
        assert!(shown.contains("AK1"), "{shown}");
    }

    #[test]
    fn changed_files_are_read_again_and_a_missing_one_keeps_the_pair() {
        let dir = tempfile::tempdir().unwrap();
        let (ak, sk) = (dir.path().join("ak"), dir.path().join("sk"));
        std::fs::write(&ak, "AK1\n").unwrap();
        std::fs::write(&sk, " secret1 \n").unwrap();
        let keys = Keys::load(Credentials::Files { access_key: ak.clone(), secret_key: sk.clone() }).unwrap();
        assert_eq!(keys.current().access_key, "AK1");
        std::fs::write(&ak, "AK2").unwrap();
        std::fs::write(&sk, "secret2").unwrap();
        assert_eq!(keys.reread().unwrap().access_key, "AK2");
        assert_eq!(keys.reread().unwrap().generation, 1, "read again and found the same");
        std::fs::remove_file(&sk).unwrap();
        assert!(keys.reread().is_none());
        assert_eq!(keys.current().access_key, "AK2");
    }

    #[test]
    fn an_unreadable_or_empty_file_is_named_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let (ak, sk) = (dir.path().join("ak"), dir.path().join("sk"));
        std::fs::write(&ak, "AK1").unwrap();
        let source = Credentials::Files { access_key: ak, secret_key: sk.clone() };
        assert!(Keys::load(source.clone()).unwrap_err().to_string().contains("/sk"));
        std::fs::write(&sk, "\n").unwrap();
        assert!(Keys::load(source).unwrap_err().to_string().contains("is empty"));
    }
}
