//! Who calls the other cluster: a bearer token, read again when its file changes, or a client certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::cloud::CloudError;
use crate::cloud::kubelike::{Account, Answer, Call, Endpoint, Refusal, Signed, Verb, header_value};

use super::kubeconfig;
use super::settings::Login;

/// How old a token may get before its file is read again: bound tokens are renewed by the hour.
const REREAD_AFTER: Duration = Duration::from_secs(30);

/// Where a token comes from.
#[derive(Debug)]
enum Source {
    File(PathBuf),
    Kubeconfig { file: PathBuf, context: Option<String> },
}

/// A token, or none where a certificate speaks.
#[derive(Debug)]
struct Token {
    text: Option<SecretString>,
    generation: u64,
    read_at: Instant,
}

/// One identity in the other cluster.
#[derive(Debug)]
pub(super) struct ClusterAccount {
    source: Source,
    current: ArcSwap<Token>,
}

/// Reads the login for the first time.
pub(super) fn open(login: &Login) -> Result<(Endpoint, ClusterAccount), CloudError> {
    match login {
        Login::Kubeconfig { file, context } => {
            let entry = kubeconfig::read(file, context.as_deref())?;
            let identity = entry.certificate.map(|pem| identity(&pem, file)).transpose()?;
            let place = format!("the kubeconfig {}", file.display());
            let endpoint = Endpoint { url: entry.server, ca_pem: entry.ca_pem, place, identity };
            let source = Source::Kubeconfig { file: file.clone(), context: context.clone() };
            Ok((endpoint, ClusterAccount::new(source, entry.token)))
        }
        Login::Token { server, token, ca } => {
            let read = |path: &PathBuf| {
                std::fs::read(path).map_err(|error| {
                    let path = path.display();
                    CloudError::Invalid(format!(
                        "kubernetes.caFile {path}: {error}; give a readable PEM file"
                    ))
                })
            };
            let ca_pem = ca.as_ref().map(read).transpose()?;
            let endpoint = Endpoint {
                url: server.clone(),
                ca_pem,
                place: "kubernetes.caFile".to_owned(),
                identity: None,
            };
            let text = read_token(token)?;
            Ok((endpoint, ClusterAccount::new(Source::File(token.clone()), Some(text))))
        }
    }
}

/// The library's words could quote the key.
fn identity(pem: &SecretString, file: &Path) -> Result<reqwest::Identity, CloudError> {
    reqwest::Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| {
        CloudError::Invalid(format!(
            "kubeconfig {}: the client certificate and its key are not usable PEM",
            file.display()
        ))
    })
}

fn read_token(file: &Path) -> Result<SecretString, CloudError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        CloudError::Auth(format!("cannot read the token file {}: {error}", file.display()))
    })?;
    match text.trim() {
        "" => Err(CloudError::Auth(format!("the token file {} is empty", file.display()))),
        text => Ok(SecretString::from(text)),
    }
}

impl ClusterAccount {
    fn new(source: Source, text: Option<SecretString>) -> Self {
        let token = Token { text, generation: 0, read_at: Instant::now() };
        Self { source, current: ArcSwap::from_pointee(token) }
    }

    /// The token to send now. A file that cannot be read keeps the last one and is reported in the log.
    fn token(&self) -> Arc<Token> {
        let token = self.current.load_full();
        if token.text.is_none() || token.read_at.elapsed() < REREAD_AFTER {
            return token;
        }
        self.read_again().unwrap_or(token)
    }

    fn read_again(&self) -> Option<Arc<Token>> {
        let read = match &self.source {
            Source::File(file) => read_token(file).map(Some),
            Source::Kubeconfig { file, context } => {
                kubeconfig::read(file, context.as_deref()).map(|entry| entry.token)
            }
        };
        let text = match read {
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(%error, "keeping the token read before");
                return None;
            }
        };
        let before = self.current.load_full();
        let shown = |text: &Option<SecretString>| text.as_ref().map(|text| text.expose_secret().to_owned());
        let changed = shown(&text) != shown(&before.text);
        let token =
            Token { text, generation: before.generation + u64::from(changed), read_at: Instant::now() };
        let token = Arc::new(token);
        self.current.store(Arc::clone(&token));
        Some(token)
    }
}

impl Account for ClusterAccount {
    fn sign(&self, call: &Call, _at: Timestamp) -> Result<Signed, Refusal> {
        let token = self.token();
        let mut headers = HeaderMap::new();
        if let Some(text) = &token.text {
            let mut value = header_value(&call.operation, &format!("Bearer {}", text.expose_secret()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(body) = &call.body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(body.content_type));
        }
        Ok(Signed { headers, generation: token.generation })
    }

    fn reread(&self) -> Option<u64> {
        Some(self.read_again()?.generation)
    }

    fn classify(&self, answer: &Answer<'_>) -> Refusal {
        let fault = answer.fault();
        let message = fault.message.as_deref().unwrap_or_default();
        let creates = matches!(answer.operation.verb, Verb::CreatePod | Verb::CreateCopy);
        // 403 is the answer of every admission plugin, not only of RBAC.
        if answer.status.as_u16() == 403 && creates {
            let text = answer.describe(&fault);
            if message.contains("serviceaccount") && message.contains("not found") {
                return Refusal::Cloud(CloudError::Retryable(text));
            }
            let known = ["exceeded quota", "being terminated", " cannot "];
            if !message.is_empty() && !known.iter().any(|known| message.contains(known)) {
                return Refusal::Cloud(CloudError::Invalid(text));
            }
        }
        answer.by_status(&fault)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::cloud::kubelike::Operation;

    fn ask(verb: Verb, status: u16, message: &str) -> CloudError {
        let account = ClusterAccount::new(Source::File(PathBuf::new()), None);
        let body = json!({"kind": "Status", "message": message}).to_string();
        CloudError::from(account.classify(&Answer {
            operation: &Operation::new("remote", verb, "burst-shop/web"),
            status: StatusCode::from_u16(status).unwrap(),
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            sent_at: Timestamp::UNIX_EPOCH,
        }))
    }

    #[test]
    fn what_forbidden_means() {
        let cases = [
            (
                Verb::CreatePod,
                "pods \"web\" is forbidden: User \"b\" cannot create resource \"pods\"",
                "our credentials",
            ),
            (Verb::CreatePod, "pods \"web\" is forbidden: exceeded quota: q", "no capacity"),
            (
                Verb::CreatePod,
                "error looking up service account a/default: serviceaccount \"default\" not found",
                "retried",
            ),
            (Verb::CreatePod, "violates PodSecurity \"restricted:latest\"", "refuses this pod"),
            (Verb::CreatePod, "maximum cpu usage per Container is 2, but limit is 4", "refuses this pod"),
            (Verb::CreatePod, "", "our credentials"),
            (Verb::ListPods, "pods is forbidden: something", "our credentials"),
        ];
        for (verb, message, expected) in cases {
            let error = ask(verb, 403, message).to_string();
            assert!(error.contains(expected), "{message}: {error}");
        }
        assert!(matches!(ask(Verb::CreatePod, 404, "namespaces \"x\" not found"), CloudError::Account(_)));
        assert!(matches!(ask(Verb::CreatePod, 422, "bad"), CloudError::Invalid(_)));
    }

    #[test]
    fn changed_tokens_are_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let login = Login::Token { server: "https://e".into(), token: file.clone(), ca: None };
        let (_, account) = open(&login).unwrap();
        let call = Call::new(Operation::new("remote", Verb::ListPods, "*"), http::Method::GET, "/".into());
        let sent = |account: &ClusterAccount| {
            let signed = account.sign(&call, Timestamp::UNIX_EPOCH).ok().unwrap();
            (signed.headers["authorization"].to_str().unwrap().to_owned(), signed.generation)
        };
        assert_eq!(sent(&account), ("Bearer one".to_owned(), 0));
        assert_eq!(account.reread(), Some(0), "the same");
        std::fs::write(&file, "two").unwrap();
        assert_eq!(account.reread(), Some(1));
        assert_eq!(sent(&account), ("Bearer two".to_owned(), 1));
        std::fs::write(&file, "").unwrap();
        assert_eq!(account.reread(), None);
        assert_eq!(sent(&account).0, "Bearer two");
        assert!(!format!("{account:?}").contains("two"));
    }
}
