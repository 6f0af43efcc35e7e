//! Pull secrets as Cube takes them: objects in the pod itself, in three forms.
//!
//! Facts: the vendor's pages on the pod format and on registries of one's own. UHub in the same account needs nothing.

use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{list, text};
use crate::cloud::translate::pull_secrets::{entries, host, login};
use crate::cloud::translate::{Notice, Resolved};

/// How the vendor's own registry ends.
const UHUB: &str = ".service.ucloud.cn";

/// One entry per registry. A missing secret does not stop the pod, as on a real node.
pub(super) fn secrets(spec: &Value, resolved: &Resolved, notices: &mut Vec<Notice>) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    let mut tell = |message: String| {
        notices.push(Notice { reason: "FailedToRetrieveImagePullSecret", message });
    };
    for name in list(spec, "imagePullSecrets").iter().filter_map(|secret| text(secret, "name")) {
        let Some(Some(object)) = resolved.secrets.get(name) else {
            tell(format!("Secret {name:?} of imagePullSecrets does not exist; images are pulled without it"));
            continue;
        };
        for (server, entry) in entries(object) {
            match secret(&server, &entry) {
                Some(secret) if !found.contains(&secret) => found.push(secret),
                Some(_) => {}
                None if host(&server).ends_with(UHUB) => {}
                None => tell(format!(
                    "Secret {name:?} of imagePullSecrets: the entry {server:?} has neither user name and password nor \
                     registryaddr and vpcid"
                )),
            }
        }
    }
    found
}

/// The form of one entry; none where nothing is needed or nothing is there.
fn secret(server: &str, entry: &Value) -> Option<Value> {
    let filled = |field: &str| text(entry, field).filter(|text| !text.is_empty());
    let login = login(entry);
    if let (Some(address), Some(vpc)) = (filled("registryaddr"), filled("vpcid").or_else(|| filled("vpcId")))
    {
        let mut out = Map::from_iter([
            ("registryServer".to_owned(), host(server).into()),
            ("registryaddr".to_owned(), address.into()),
            ("vpcId".to_owned(), vpc.into()),
        ]);
        if let Some((user, password)) = login {
            out.insert("username".to_owned(), user.into());
            out.insert("password".to_owned(), password.into());
        }
        return Some(Value::Object(out));
    }
    if host(server).ends_with(UHUB) {
        return None;
    }
    let (user, password) = login?;
    Some(json!({"registry_type": "external", "username": user, "password": password}))
}
