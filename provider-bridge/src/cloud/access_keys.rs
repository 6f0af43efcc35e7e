//! Access keys of clouds that sign with an id and a secret, lasting or temporary: where they come from, and how changed or
//! expiring ones are noticed. UCloud calls the two public and private key.
//!
//! The secret never leaves this module except to sign, and nothing here prints it. Facts: temporary keys come with a
//! security token and an expiry, as STS and the instance metadata answer them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::cloud::CloudError;
use crate::cloud::encoding::sha256_hex;

/// How old keys read from files may get before the files are read again.
const REREAD_AFTER: Duration = Duration::from_secs(5);

/// Where the keys come from.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Given once: from the environment.
    Fixed {
        /// AccessKey id: an identifier, not a secret.
        access_key: String,
        /// AccessKey secret.
        secret_key: SecretString,
        /// Security token of temporary keys.
        token: Option<SecretString>,
    },
    /// Read from files, again when they change. Blanks and line ends around the values are ignored.
    Files {
        /// File with the AccessKey id.
        access_key: PathBuf,
        /// File with the AccessKey secret.
        secret_key: PathBuf,
        /// File with the security token of temporary keys.
        token: Option<PathBuf>,
    },
    /// Temporary keys in one file as STS answers them: `AccessKeyId`, `AccessKeySecret`, `SecurityToken`, `Expiration`.
    /// Whoever renews them replaces the file.
    Sts(PathBuf),
}

impl Credentials {
    /// Tells one account's lasting key from another's, in eight digits. `None` for temporary keys, whose ids change all
    /// the time, and for what cannot be read.
    pub(in crate::cloud) fn fingerprint(&self) -> Option<String> {
        let id = match self {
            Self::Fixed { access_key, token: None, .. } => access_key.clone(),
            Self::Files { access_key, token: None, .. } => std::fs::read_to_string(access_key).ok()?,
            _ => return None,
        };
        Some(sha256_hex(id.trim().as_bytes()).chars().take(8).collect())
    }
}

/// Keys ready to sign with.
pub(in crate::cloud) struct KeyPair {
    pub(in crate::cloud) access_key: String,
    secret: SecretString,
    token: Option<SecretString>,
    expires: Option<Timestamp>,
    read_at: Instant,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl KeyPair {
    fn new(access_key: &str, secret: SecretString, token: Option<SecretString>) -> Self {
        Self { access_key: access_key.to_owned(), secret, token, expires: None, read_at: Instant::now() }
    }

    /// What signatures are made with.
    pub(in crate::cloud) fn secret(&self) -> &[u8] {
        self.secret.expose_secret().as_bytes()
    }

    /// The token that goes with temporary keys.
    pub(in crate::cloud) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.expose_secret())
    }

    /// Whether the other keys sign differently.
    pub(in crate::cloud) fn differs_from(&self, other: &Self) -> bool {
        self.access_key != other.access_key
            || self.secret() != other.secret()
            || self.token() != other.token()
    }

    /// What a refusal may come from, in words; `None` for keys that have not expired.
    pub(in crate::cloud) fn expired(&self, now: Timestamp) -> Option<String> {
        let at = self.expires.filter(|at| *at <= now)?;
        Some(format!("the temporary keys expired at {at}: renew the file that they are read from"))
    }
}

/// The current keys and their source.
#[derive(Debug)]
pub(in crate::cloud) struct Keys {
    source: Credentials,
    current: ArcSwap<KeyPair>,
}

impl Keys {
    /// Reads the keys for the first time; the error names the file.
    pub(in crate::cloud) fn load(source: Credentials) -> Result<Self, CloudError> {
        let pair = read(&source)?;
        Ok(Self { source, current: ArcSwap::from_pointee(pair) })
    }

    /// The keys to sign with now. A file that cannot be read keeps the last ones and is reported in the log.
    pub(in crate::cloud) fn current(&self) -> Arc<KeyPair> {
        let pair = self.current.load_full();
        if matches!(self.source, Credentials::Fixed { .. }) || pair.read_at.elapsed() < REREAD_AFTER {
            return pair;
        }
        self.reread().unwrap_or(pair)
    }

    /// Reads the files again at once: after the cloud refused a signature.
    pub(in crate::cloud) fn reread(&self) -> Option<Arc<KeyPair>> {
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

/// Temporary keys as STS writes them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Temporary {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
    expiration: Option<String>,
}

fn read(source: &Credentials) -> Result<KeyPair, CloudError> {
    match source {
        Credentials::Fixed { access_key, secret_key, token } => {
            Ok(KeyPair::new(access_key, secret_key.clone(), token.clone()))
        }
        Credentials::Files { access_key, secret_key, token } => {
            let access = read_file(access_key)?;
            let secret = read_file(secret_key)?;
            let token = token.as_deref().map(read_file).transpose()?;
            Ok(KeyPair::new(access.expose_secret(), secret, token))
        }
        Credentials::Sts(path) => {
            let text = read_file(path)?;
            // The error of the parser may repeat what it read.
            let keys: Temporary = serde_json::from_str(text.expose_secret()).map_err(|_| {
                CloudError::Auth(format!(
                    "the credentials file {} is not JSON with AccessKeyId, AccessKeySecret and SecurityToken",
                    path.display()
                ))
            })?;
            let expires = keys.expiration.as_deref().and_then(|at| at.parse().ok());
            let (secret, token) =
                (keys.access_key_secret.into(), keys.security_token.map(SecretString::from));
            let pair = KeyPair::new(&keys.access_key_id, secret, token);
            Ok(KeyPair { expires, ..pair })
        }
    }
}

/// One part of the credentials, without blanks around it; the error names the file.
pub(in crate::cloud) fn read_file(path: &Path) -> Result<SecretString, CloudError> {
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
    fn nothing_prints_a_secret() {
        let fixed = Credentials::Fixed {
            access_key: "AK1".into(),
            secret_key: SecretString::from("topsecret"),
            token: Some(SecretString::from("toptoken")),
        };
        let keys = Keys::load(fixed.clone()).unwrap();
        let shown = format!("{fixed:?} {keys:?} {:?}", keys.current());
        assert!(!shown.contains("topsecret") && !shown.contains("toptoken"), "{shown}");
        assert!(shown.contains("AK1"), "{shown}");
        assert_eq!(keys.current().token(), Some("toptoken"));
    }

    #[test]
    fn renewed_temporary_keys_are_read_and_expired_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sts.json");
        let write = |key: &str, at: &str| {
            let text = format!(
                r#"{{"AccessKeyId":"{key}","AccessKeySecret":"s-{key}","SecurityToken":"t-{key}","Expiration":"{at}"}}"#
            );
            std::fs::write(&path, text).unwrap();
        };
        write("one", "2026-01-02T03:04:05Z");
        let keys = Keys::load(Credentials::Sts(path.clone())).unwrap();
        let before: Timestamp = "2026-01-02T03:04:00Z".parse().unwrap();
        let after: Timestamp = "2026-01-02T03:05:00Z".parse().unwrap();
        let first = keys.current();
        assert_eq!(
            (first.access_key.as_str(), first.secret(), first.token()),
            ("one", &b"s-one"[..], Some("t-one"))
        );
        assert_eq!(first.expired(before), None);
        assert!(first.expired(after).unwrap().contains("expired at 2026-01-02T03:04:05Z"));
        write("two", "2026-01-02T04:04:05Z");
        let second = keys.reread().unwrap();
        assert!(second.differs_from(&first) && second.expired(after).is_none());
        std::fs::write(&path, "{\"AccessKeySecret\": \"half").unwrap();
        assert!(keys.reread().is_none());
        assert_eq!(keys.current().access_key, "two");
        let error = Keys::load(Credentials::Sts(path)).unwrap_err().to_string();
        assert!(error.contains("sts.json") && !error.contains("half"), "{error}");
    }

    #[test]
    fn changed_files_are_read_again_and_a_missing_one_keeps_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        let [ak, sk, token] = ["ak", "sk", "token"].map(|name| dir.path().join(name));
        std::fs::write(&ak, "AK1\n").unwrap();
        std::fs::write(&sk, " secret1 \n").unwrap();
        let source =
            Credentials::Files { access_key: ak.clone(), secret_key: sk.clone(), token: Some(token.clone()) };
        assert!(Keys::load(source.clone()).unwrap_err().to_string().contains("/token"));
        let without = Credentials::Files {
            access_key: ak.clone(),
            secret_key: dir.path().join("private"),
            token: None,
        };
        assert!(Keys::load(without).unwrap_err().to_string().contains("/private"));
        std::fs::write(&token, "tok").unwrap();
        let keys = Keys::load(source).unwrap();
        let first = keys.current();
        assert_eq!((first.access_key.as_str(), first.secret()), ("AK1", &b"secret1"[..]));
        std::fs::write(&ak, "AK2").unwrap();
        let second = keys.reread().unwrap();
        assert!(second.differs_from(&first));
        assert_eq!(second.access_key, "AK2");
        std::fs::remove_file(&sk).unwrap();
        assert!(keys.reread().is_none());
        assert_eq!(keys.current().access_key, "AK2");
    }
}
