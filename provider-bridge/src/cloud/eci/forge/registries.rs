//! Pull secrets as ECI's registry credentials.
//!
//! Facts: `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`; ECI wants a server without scheme or path.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{list, pairs, text};
use crate::cloud::translate::{Notice, Problem, Resolved};

/// Most credentials of one container group.
const CREDENTIALS_MAX: usize = 20;

/// One entry per registry; the first secret that names a registry counts. A missing secret does not stop the pod, as on a
/// real node.
pub(super) fn credentials(
    spec: &Value,
    resolved: &Resolved,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Value>, Problem> {
    let mut found: Vec<(String, Value)> = Vec::new();
    for name in list(spec, "imagePullSecrets").iter().filter_map(|secret| text(secret, "name")) {
        let entries = match resolved.secrets.get(name) {
            Some(Some(object)) => entries(object),
            _ => {
                let message = format!(
                    "Secret {name:?} of imagePullSecrets does not exist; images are pulled without it"
                );
                notices.push(Notice { reason: "FailedToRetrieveImagePullSecret", message });
                continue;
            }
        };
        if entries.is_empty() {
            let message = format!("Secret {name:?} of imagePullSecrets holds no user name and password");
            notices.push(Notice { reason: "FailedToRetrieveImagePullSecret", message });
        }
        for (server, credential) in entries {
            if !found.iter().any(|(known, _)| *known == server) {
                found.push((server, credential));
            }
        }
    }
    if found.len() > CREDENTIALS_MAX {
        return Err(Problem::Invalid(format!(
            "the pull secrets name {} registries, and ECI takes {CREDENTIALS_MAX}: name fewer of them",
            found.len()
        )));
    }
    Ok(found.into_iter().map(|(_, credential)| credential).collect())
}

fn entries(secret: &Value) -> Vec<(String, Value)> {
    let keys = [(".dockerconfigjson", true), (".dockercfg", false)];
    let mut out = Vec::new();
    for (key, nested) in keys {
        let Some((_, data)) = pairs(secret, "data").find(|(name, _)| *name == key) else { continue };
        let decoded =
            STANDARD.decode(data).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(config) = decoded else { continue };
        let servers = if nested { config.get("auths").cloned() } else { Some(config) };
        let empty = Map::new();
        for (server, entry) in servers.as_ref().and_then(Value::as_object).unwrap_or(&empty) {
            if let Some((user, password)) = login(entry) {
                let server = host(server);
                let value = json!({"Server": server, "UserName": user, "Password": password});
                out.push((server, value));
            }
        }
    }
    out
}

/// `username` and `password`, else what `auth` holds.
fn login(entry: &Value) -> Option<(String, String)> {
    if let (Some(user), Some(password)) = (text(entry, "username"), text(entry, "password"))
        && !user.is_empty()
    {
        return Some((user.to_owned(), password.to_owned()));
    }
    let auth = String::from_utf8(STANDARD.decode(text(entry, "auth")?.trim()).ok()?).ok()?;
    let (user, password) = auth.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn host(server: &str) -> String {
    let bare = server.split_once("://").map_or(server, |(_, rest)| rest);
    bare.split('/').next().unwrap_or(bare).to_owned()
}
