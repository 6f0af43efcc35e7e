//! Reads a kubeconfig as far as it can be used unattended: an address, a CA, a token or a client certificate.
//!
//! What would run programs, skip verification or go through a proxy is refused in words. Secrets are handed on, never
//! printed.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use secrecy::{ExposeSecret as _, SecretString};

use crate::cloud::CloudError;

/// What a context of a kubeconfig says.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) server: String,
    pub(super) ca_pem: Option<Vec<u8>>,
    pub(super) token: Option<SecretString>,
    /// A client certificate and its key, PEM.
    pub(super) certificate: Option<SecretString>,
}

/// Reads a context; the error names the file and the field.
pub(super) fn read(file: &Path, context: Option<&str>) -> Result<Entry, CloudError> {
    let wrong =
        |why: &dyn std::fmt::Display| CloudError::Invalid(format!("kubeconfig {}: {why}", file.display()));
    // The reader's own words could quote a secret.
    let config = Kubeconfig::read_from(file).map_err(|error| match error {
        kube::config::KubeconfigError::ReadConfig(error, _) => {
            CloudError::Auth(format!("cannot read the kubeconfig {}: {error}", file.display()))
        }
        _ => wrong(&"it is no kubeconfig, or a file that it names cannot be read"),
    })?;
    let name = context.map(str::to_owned).or(config.current_context).unwrap_or_default();
    let found = config.contexts.into_iter().find(|known| known.name == name).and_then(|known| known.context);
    let found =
        found.ok_or_else(|| wrong(&format!("it has no context {name:?}; name one with `context`")))?;
    let cluster = config.clusters.into_iter().find(|known| known.name == found.cluster);
    let cluster = cluster
        .and_then(|known| known.cluster)
        .ok_or_else(|| wrong(&format!("context {name:?} names no cluster")))?;
    let user = found.user.unwrap_or_default();
    let user =
        config.auth_infos.into_iter().find(|known| known.name == user).and_then(|known| known.auth_info);
    entry(&cluster, &user.unwrap_or_default()).map_err(|why| wrong(&format!("context {name:?}: {why}")))
}

fn entry(cluster: &Cluster, user: &AuthInfo) -> Result<Entry, String> {
    let refused = [
        (
            cluster.insecure_skip_tls_verify == Some(true),
            "insecure-skip-tls-verify: give the cluster's CA instead",
        ),
        (cluster.proxy_url.is_some(), "proxy-url: burst connects directly"),
        (cluster.tls_server_name.is_some(), "tls-server-name: use a server name that the certificate has"),
        (user.exec.is_some(), "exec: burst runs no plugins; use a token or a client certificate"),
        (user.auth_provider.is_some(), "auth-provider: use a token or a client certificate"),
        (
            user.username.is_some(),
            "username: API servers take no passwords; use a token or a client certificate",
        ),
        (user.impersonate.is_some(), "as: log in as the user itself"),
    ];
    if let Some((_, why)) = refused.into_iter().find(|(there, _)| *there) {
        return Err(why.to_owned());
    }
    let server =
        cluster.server.clone().filter(|server| !server.is_empty()).ok_or("the cluster has no server")?;
    let ca_pem = data(
        "certificate-authority",
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
    )?;
    let certificate = data(
        "client-certificate",
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref(),
    )?;
    let key = user.client_key_data.as_ref().map(|key| key.expose_secret().to_owned());
    let key = data("client-key", key.as_deref(), user.client_key.as_deref())?;
    let certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let both = [certificate, vec![b'\n'], key].concat();
            Some(SecretString::from(String::from_utf8(both).map_err(|_| "the client certificate is no PEM")?))
        }
        (None, None) => None,
        _ => return Err("client-certificate and client-key go together; one is missing".to_owned()),
    };
    let token = match (&user.token, &user.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("tokenFile {file}: {error}"))?;
            Some(SecretString::from(text.trim()))
        }
        (None, None) => None,
    };
    if token.is_none() && certificate.is_none() {
        return Err("the user has neither a token nor a client certificate".to_owned());
    }
    Ok(Entry { server, ca_pem, token, certificate })
}

/// A field as base64 in the file, or else as a path.
fn data(name: &str, base64: Option<&str>, path: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    match (base64, path) {
        (Some(base64), _) => {
            STANDARD.decode(base64.trim()).map(Some).map_err(|_| format!("{name}-data is no base64"))
        }
        (None, Some(path)) => {
            std::fs::read(path).map(Some).map_err(|error| format!("{name} {path}: {error}"))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(cluster: &Value, user: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "east",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "east", "context": {"cluster": "c", "user": "u"}}],
        })
    }

    fn ask(config: &Value, context: Option<&str>) -> Result<Entry, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kubeconfig");
        std::fs::write(&file, config.to_string()).unwrap();
        read(&file, context).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_and_a_ca() {
        let cluster =
            json!({"server": "https://east:6443", "certificate-authority-data": STANDARD.encode("PEM")});
        let entry = ask(&config(&cluster, &json!({"token": "opensesame"})), None).unwrap();
        assert_eq!(
            (entry.server.as_str(), entry.ca_pem.as_deref()),
            ("https://east:6443", Some(&b"PEM"[..]))
        );
        assert_eq!(entry.token.as_ref().unwrap().expose_secret(), "opensesame");
        assert!(!format!("{entry:?}").contains("opensesame"));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let (cluster, user) = (json!({"server": "https://east:6443"}), json!({"token": "opensesame"}));
        let cases = [
            (
                json!({"server": "https://e", "insecure-skip-tls-verify": true}),
                user.clone(),
                "insecure-skip-tls-verify",
            ),
            (json!({"server": "https://e", "proxy-url": "http://p"}), user.clone(), "proxy-url"),
            (json!({}), user.clone(), "no server"),
            (cluster.clone(), json!({}), "neither a token nor"),
            (cluster.clone(), json!({"exec": {"command": "gcloud"}}), "burst runs no plugins"),
            (cluster.clone(), json!({"username": "u", "password": "opensesame"}), "no passwords"),
            (cluster.clone(), json!({"client-certificate-data": "eA=="}), "one is missing"),
            (cluster.clone(), json!({"client-certificate-data": "?", "token": "opensesame"}), "no base64"),
        ];
        for (cluster, user, expected) in cases {
            let error = ask(&config(&cluster, &user), None).unwrap_err();
            assert!(error.contains(expected) && !error.contains("opensesame"), "{error}");
        }
        let error = ask(&config(&cluster, &user), Some("west")).unwrap_err();
        assert!(error.contains("no context \"west\""), "{error}");
        assert!(ask(&json!("text"), None).unwrap_err().contains("no kubeconfig"));
        assert!(read(Path::new("nowhere"), None).unwrap_err().to_string().contains("nowhere"));
    }
}
