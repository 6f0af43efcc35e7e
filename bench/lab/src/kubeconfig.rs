//! Kubeconfig files, as text.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::ca::Issued;

/// How a client of the API server says who it is.
#[derive(Debug)]
pub(crate) enum Credential<'a> {
    /// A client certificate.
    Certificate(&'a Issued),
    /// A bearer token.
    Token(&'a str),
}

/// Writes a kubeconfig with everything embedded, so that the file can be used from anywhere.
pub(crate) fn write(path: &Path, server: &str, ca_cert: &Path, credential: &Credential<'_>) -> Result<()> {
    let user = match credential {
        Credential::Certificate(issued) => json!({
            "client-certificate-data": encoded(&issued.cert)?,
            "client-key-data": encoded(&issued.key)?,
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    // JSON is YAML: kubeconfig readers take it as it is.
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": encoded(ca_cert)?}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "user"}}],
        "current-context": "lab",
    });
    Ok(std::fs::write(path, serde_json::to_vec_pretty(&config)?)?)
}

fn encoded(path: &Path) -> Result<String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    Ok(STANDARD.encode(std::fs::read(path)?))
}
