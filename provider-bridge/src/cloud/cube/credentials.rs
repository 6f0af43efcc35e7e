//! Public and private key, lasting or temporary: where they come from, and how changed ones are noticed.
//!
//! The private key never leaves this module except to sign, and nothing here prints it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret as _, SecretString};

use crate::cloud::CloudError;

/// How old keys read from files may get before the files are read again.
const REREAD_AFTER: Duration = Duration::from_secs(5);

/// Where the keys come from.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Given once: from the environment.
    Fixed {
        /// Public key: an identifier, not a secret.
        public_key: String,
        /// Private key.
        private_key: SecretString,
        /// Security token of temporary keys.
        token: Option<SecretString>,
    },
    /// Read from files, again when they change. Blanks and line ends around the values are ignored.
    Files {
        /// File with the public key.
        public_key: PathBuf,
        /// File with the private key.
        private_key: PathBuf,
        /// File with the security token of temporary keys; whoever renews them replaces the files.
        token: Option<PathBuf>,
    },
}

/// Keys ready to sign with.
pub(super) struct KeyPair {
    pub(super) public: String,
    private: SecretString,
    token: Option<SecretString>,
    read_at: Instant,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// What signatures are made with.
    pub(super) fn private(&self) -> &str {
        self.private.expose_secret()
    }

    /// The token that goes with temporary keys.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.expose_secret())
    }

    /// Whether the other keys sign differently.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        self.public != other.public || self.private() != other.private() || self.token() != other.token()
    }
}

/// The current keys and their source.
#[derive(Debug)]
pub(super) struct Keys {
    source: Credentials,
    current: ArcSwap<KeyPair>,
}

impl Keys {
    /// Reads the keys for the first time; the error names the file.
    pub(super) fn load(source: Credentials) -> Result<Self, CloudError> {
        let pair = read(&source)?;
        Ok(Self { source, current: ArcSwap::from_pointee(pair) })
    }

    /// The keys to sign with now. A file that cannot be read keeps the last ones and is reported in the log.
    pub(super) fn current(&self) -> Arc<KeyPair> {
        let pair = self.current.load_full();
        if matches!(self.source, Credentials::Fixed { .. }) || pair.read_at.elapsed() < REREAD_AFTER {
            return pair;
        }
        self.reread().unwrap_or(pair)
    }

    /// Reads the files again at once: after the cloud refused a signature.
    pub(super) fn reread(&self) -> Option<Arc<KeyPair>> {
        match read(&self.source) {
            Ok(pair) => {
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
    let pair = |public: &str, private: SecretString, token: Option<SecretString>| KeyPair {
        public: public.to_owned(),
        private,
        token,
        read_at: Instant::now(),
    };
    match source {
        Credentials::Fixed { public_key, private_key, token } => {
            Ok(pair(public_key, private_key.clone(), token.clone()))
        }
        Credentials::Files { public_key, private_key, token } => {
            let public = read_file(public_key)?;
            let token = token.as_deref().map(read_file).transpose()?;
            Ok(pair(public.expose_secret(), read_file(private_key)?, token))
        }
    }
}

fn read_file(path: &Path) -> Result<SecretString, CloudError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CloudError::Auth(format!("cannot read the credentials file {}: {error}", path.display()))
    })?;
    let value = SecretString::from(text.trim());
    if value.expose_secret().is_empty() {
        return Err(CloudError::Auth(format!("the credentials file {} is empty", path.display())));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_private_key() {
        let fixed = Credentials::Fixed {
            public_key: "pub1".into(),
            private_key: SecretString::from("topsecret"),
            token: Some(SecretString::from("toptoken")),
        };
        let keys = Keys::load(fixed.clone()).unwrap();
        let shown = format!("{fixed:?} {keys:?} {:?}", keys.current());
        assert!(!shown.contains("topsecret") && !shown.contains("toptoken"), "{shown}");
        assert!(shown.contains("pub1"), "{shown}");
    }

    #[test]
    fn changed_files_are_read_again_and_a_missing_one_keeps_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        let [public, private] = ["public", "private"].map(|name| dir.path().join(name));
        std::fs::write(&public, "pub1\n").unwrap();
        let source =
            Credentials::Files { public_key: public.clone(), private_key: private.clone(), token: None };
        assert!(Keys::load(source.clone()).unwrap_err().to_string().contains("/private"));
        std::fs::write(&private, " secret1 \n").unwrap();
        let keys = Keys::load(source).unwrap();
        let first = keys.current();
        assert_eq!((first.public.as_str(), first.private()), ("pub1", "secret1"));
        std::fs::write(&public, "pub2").unwrap();
        assert!(keys.reread().unwrap().differs_from(&first));
        std::fs::remove_file(&private).unwrap();
        assert!(keys.reread().is_none());
        assert_eq!(keys.current().public, "pub2");
    }
}
