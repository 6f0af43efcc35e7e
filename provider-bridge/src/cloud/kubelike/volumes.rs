//! Volumes of a Kubernetes-style cloud: what is copied, what is rendered, what is taken over.
//!
//! Pure. Objects are copied beside the instance and their names rewritten, `items` and modes kept; downward files are
//! rendered from the local pod, because the cloud would show its own. Refusals of volume kinds are in `policies::support`.

use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{flag, list, only, text};
use crate::cloud::translate::{
    Kind, Notice, Problem, Rendered, Sources, bound, content, downward_file, is_injected_token, items,
    keep_keys,
};

use super::claims::SharedClaim;
use super::copies::Copies;
use super::forge::Share;

/// A downward source in parts.
struct Downward {
    /// A ConfigMap source with the files that were rendered here.
    rendered: Option<Map<String, Value>>,
    /// The items that only the cloud can answer.
    late: Vec<Value>,
}

/// Translates the volumes of one pod.
pub(super) struct Volumes<'a, 'c> {
    pub(super) sources: &'a Sources<'a>,
    /// Kinds that are taken over as they are.
    pub(super) passed: &'a [&'static str],
    /// How claims are carried.
    pub(super) share: Option<Share<'a>>,
    pub(super) copies: &'a mut Copies<'c>,
    pub(super) notices: &'a mut Vec<Notice>,
    /// The shared claims that were found.
    pub(super) claims: &'a mut Vec<SharedClaim>,
}

impl Volumes<'_, '_> {
    /// Every volume that the cloud gets.
    pub(super) fn translate(&mut self) -> Result<Vec<Value>, Problem> {
        let volumes = self.sources.pod.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
        volumes.iter().filter(|volume| !is_injected_token(volume)).map(|volume| self.volume(volume)).collect()
    }

    fn volume(&mut self, volume: &Value) -> Result<Value, Problem> {
        let name = text(volume, "name").unwrap_or_default();
        let user = format!("volume {name}");
        let mut out = json!({"name": name});
        if let Some(source) = volume.get("configMap") {
            out["configMap"] = self.object(Kind::ConfigMap, source, ("name", "name"), &user)?;
        } else if let Some(source) = volume.get("secret") {
            out["secret"] = self.object(Kind::Secret, source, ("secretName", "secretName"), &user)?;
        } else if let Some(source) = volume.get("downwardAPI") {
            match self.downward(source, &user)? {
                Downward { rendered: Some(rendered), late } if late.is_empty() => {
                    out["configMap"] = Value::Object(rendered);
                }
                downward => {
                    let mut projected = only(source, &["defaultMode"]);
                    projected.insert("sources".into(), Value::Array(downward_sources(downward)));
                    out["projected"] = Value::Object(projected);
                }
            }
        } else if let Some(source) = volume.get("projected") {
            out["projected"] = self.projected(source, &user)?;
        } else if let (Some(source), Some(share)) = (volume.get("persistentVolumeClaim"), self.share) {
            out["persistentVolumeClaim"] = self.claim(source, name, share)?;
        } else if let Some((kind, source)) = self.passed(volume) {
            out[kind] = source.clone();
        } else {
            // What comes past the support matrix all the same.
            return Err(Problem::Invalid(format!(
                "{user}: {} mounts configMap, secret, projected, downwardAPI and {} volumes only",
                self.sources.cloud,
                self.passed.join(", ")
            )));
        }
        Ok(out)
    }

    /// A claim under the name that what is behind it has in the cloud.
    fn claim(&mut self, source: &Value, volume: &str, share: Share<'_>) -> Result<Value, Problem> {
        let name = text(source, "claimName").unwrap_or_default();
        let (_, behind) = bound(&self.sources.resolved.claims, name, volume)?;
        let shared = share(name, behind)?;
        let mut out = only(source, &["readOnly"]);
        out.insert("claimName".into(), shared.name.as_str().into());
        if self.claims.iter().all(|known| known.name != shared.name) {
            self.claims.push(shared);
        }
        Ok(Value::Object(out))
    }

    fn passed<'v>(&self, volume: &'v Value) -> Option<(&'static str, &'v Value)> {
        self.passed.iter().find_map(|kind| Some((*kind, volume.get(kind)?)))
    }

    /// A ConfigMap or Secret source under its copied name; missing keys are as the kubelet treats them.
    fn object(
        &mut self,
        kind: Kind,
        source: &Value,
        (read, written): (&str, &str),
        user: &str,
    ) -> Result<Value, Problem> {
        let name = text(source, read).unwrap_or_default();
        let optional = flag(source, "optional");
        let object = self.sources.resolved.object(kind, name, optional, user, self.notices)?;
        let mut content = object.map(|object| content(kind, object)).unwrap_or_default();
        let mut out = only(source, &["defaultMode"]);
        if !list(source, "items").is_empty() {
            let items = items(kind, source, &content, (name, user), self.notices)?;
            // Only what is mounted is copied. An empty list would mean every key, so it is not sent.
            keep_keys(&mut content, &items);
            if !items.is_empty() {
                out.insert("items".into(), Value::Array(items));
            }
        }
        let copy = match kind {
            Kind::ConfigMap => self.copies.config_map(name, content),
            Kind::Secret => self.copies.secret(name, content),
        };
        out.insert(written.into(), copy.into());
        Ok(Value::Object(out))
    }

    fn downward(&mut self, source: &Value, user: &str) -> Result<Downward, Problem> {
        let (mut data, mut items, mut late) = (Map::new(), Vec::new(), Vec::new());
        for (index, item) in list(source, "items").iter().enumerate() {
            let key = format!("file-{index}");
            match downward_file(item, self.sources, user)? {
                Rendered::Text(text) => data.insert(key.clone(), text.into()),
                Rendered::Late => {
                    late.push(item.clone());
                    continue;
                }
            };
            let mut out = only(item, &["path", "mode"]);
            out.insert("key".into(), key.into());
            items.push(Value::Object(out));
        }
        if items.is_empty() && !late.is_empty() {
            return Ok(Downward { rendered: None, late });
        }
        let mut content = Map::new();
        content.insert("data".into(), Value::Object(data));
        let name = self.copies.config_map("downwardAPI", content);
        let mut out = if late.is_empty() { only(source, &["defaultMode"]) } else { Map::new() };
        out.insert("name".into(), name.into());
        out.insert("items".into(), Value::Array(items));
        Ok(Downward { rendered: Some(out), late })
    }

    fn projected(&mut self, projected: &Value, user: &str) -> Result<Value, Problem> {
        let mut sources = Vec::new();
        for source in list(projected, "sources") {
            if let Some(config_map) = source.get("configMap") {
                sources.push(
                    json!({"configMap": self.object(Kind::ConfigMap, config_map, ("name", "name"), user)?}),
                );
            } else if let Some(secret) = source.get("secret") {
                sources.push(json!({"secret": self.object(Kind::Secret, secret, ("name", "name"), user)?}));
            } else if let Some(downward) = source.get("downwardAPI") {
                sources.extend(downward_sources(self.downward(downward, user)?));
            } else {
                return Err(Problem::Invalid(format!(
                    "{user}: {} projects configMap, secret and downwardAPI only",
                    self.sources.cloud
                )));
            }
        }
        let mut out = only(projected, &["defaultMode"]);
        out.insert("sources".into(), Value::Array(sources));
        Ok(Value::Object(out))
    }
}

/// Projected sources for the rendered files and those that the cloud renders.
fn downward_sources(downward: Downward) -> Vec<Value> {
    let rendered = downward.rendered.map(|source| json!({"configMap": source}));
    let late = downward.late;
    let late = (!late.is_empty()).then(|| json!({"downwardAPI": {"items": late}}));
    rendered.into_iter().chain(late).collect()
}
