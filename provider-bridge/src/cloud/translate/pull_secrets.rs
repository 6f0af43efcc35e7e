//! What `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg` Secrets hold: registries and who logs in there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::json::{pairs, text};

/// Registries as the Secret spells them, each with its first entry; none where nothing can be read.
pub(in crate::cloud) fn entries(secret: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, nested) in [(".dockerconfigjson", true), (".dockercfg", false)] {
        let Some((_, data)) = pairs(secret, "data").find(|(name, _)| *name == key) else { continue };
        let decoded =
            STANDARD.decode(data).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(config) = decoded else { continue };
        let servers = if nested { config.get("auths").cloned() } else { Some(config) };
        for (server, entry) in servers.as_ref().and_then(Value::as_object).into_iter().flatten() {
            out.entry(server).or_insert_with(|| entry.clone());
        }
    }
    out
}

/// `username` and `password`, else what `auth` holds.
pub(in crate::cloud) fn login(entry: &Value) -> Option<(String, String)> {
    if let (Some(user), Some(password)) = (text(entry, "username"), text(entry, "password"))
        && !user.is_empty()
    {
        return Some((user.to_owned(), password.to_owned()));
    }
    let auth = String::from_utf8(STANDARD.decode(text(entry, "auth")?.trim()).ok()?).ok()?;
    let (user, password) = auth.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The registry without scheme and path.
pub(in crate::cloud) fn host(server: &str) -> &str {
    let bare = server.split_once("://").map_or(server, |(_, rest)| rest);
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(key: &str, config: &Value) -> Value {
        json!({"data": {key: STANDARD.encode(config.to_string())}})
    }

    #[test]
    fn both_kinds_of_secrets_are_read_and_what_is_neither_is_empty() {
        let servers = json!({"https://hub.example/v1/": {"username": "u", "password": "p"}});
        assert_eq!(entries(&secret(".dockercfg", &servers)), *servers.as_object().expect("a map"));
        let nested = secret(".dockerconfigjson", &json!({"auths": servers}));
        assert_eq!(entries(&nested), *servers.as_object().expect("a map"));
        for nothing in [json!({}), json!({"data": {".dockercfg": "?"}}), secret(".dockercfg", &json!([1]))] {
            assert_eq!(entries(&nothing), Map::new(), "{nothing}");
        }
    }

    #[test]
    fn who_logs_in() {
        let both = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        let auth = STANDARD.encode("u:p:q");
        for (entry, expected) in [
            (json!({"username": "u", "password": "p"}), both("u", "p")),
            (json!({"username": "u", "password": "p", "auth": "?"}), both("u", "p")),
            (json!({"username": "", "password": "", "auth": auth}), both("u", "p:q")),
            (json!({"auth": format!(" {auth}\n")}), both("u", "p:q")),
            (json!({"auth": STANDARD.encode("nobody")}), None),
            (json!({"username": "u"}), None),
        ] {
            assert_eq!(login(&entry), expected, "{entry}");
        }
    }

    #[test]
    fn hosts() {
        for (server, expected) in
            [("https://index.example/v1/", "index.example"), ("hub.example:5000/team", "hub.example:5000")]
        {
            assert_eq!(host(server), expected);
        }
    }
}
