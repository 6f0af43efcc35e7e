//! Pull secrets as ECI's registry credentials.
//!
//! Facts: `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`; ECI wants a server without scheme or path.

use serde_json::{Value, json};

use crate::cloud::translate::json::{list, text};
use crate::cloud::translate::{Notice, Problem, Resolved, pull_secrets};

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
            Some(Some(object)) => credentials_of(object),
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

/// What ECI is told of each registry to which the Secret logs in.
fn credentials_of(secret: &Value) -> Vec<(String, Value)> {
    let told = |(server, entry): (String, Value)| {
        let (user, password) = pull_secrets::login(&entry)?;
        let server = pull_secrets::host(&server).to_owned();
        let credential = json!({"Server": server, "UserName": user, "Password": password});
        Some((server, credential))
    };
    pull_secrets::entries(secret).into_iter().filter_map(told).collect()
}
