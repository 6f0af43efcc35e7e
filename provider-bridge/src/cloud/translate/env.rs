//! The environment of one container, resolved as the kubelet would and in the declared order.
//!
//! Pure. Values of ConfigMaps, fields and Services become plain values; values of Secrets stay secret: a Kubernetes-style
//! cloud gets them in one Secret per instance, refers to them by key and expands references to them. Facts: the kubelet's
//! `makeEnvironmentVariables`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::expand::{Expanded, Lookup, expand, protect};
use super::fields::{self, Field, Sizes};
use super::json::{flag, list, pairs, text};
use super::problem::{Kind, Notice, Problem};
use super::references::Resolved;

/// One variable.
#[derive(Clone, PartialEq)]
enum Variable {
    /// Final value.
    Text(String),
    /// Expanded by the cloud.
    Template(String),
    /// `valueFrom` that only the cloud can answer: a `fieldRef` or a `resourceFieldRef`.
    Field(Value),
    /// Base64 of a secret value.
    Secret(String),
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Template(_) => "Template",
            Self::Field(_) => "Field",
            Self::Secret(_) => "Secret",
        })
    }
}

/// Everything that a container's environment depends on.
pub(in crate::cloud) struct Sources<'a> {
    pub(in crate::cloud) pod: &'a Value,
    /// Virtual node.
    pub(in crate::cloud) node: &'a str,
    /// The cloud's name in messages.
    pub(in crate::cloud) cloud: &'static str,
    pub(in crate::cloud) resolved: &'a Resolved,
    /// `None` leaves every `resourceFieldRef` to the cloud.
    pub(in crate::cloud) sizes: Option<&'a Sizes>,
    pub(in crate::cloud) services: &'a BTreeMap<String, String>,
    /// The cloud has no Secrets and expands nothing: values of Secrets become plain ones as well.
    pub(in crate::cloud) plain: bool,
}

/// The value of a variable at a cloud that expands nothing.
#[derive(PartialEq, Eq)]
pub(in crate::cloud) enum Plain<'a> {
    /// This; may be secret.
    Text(&'a str),
    /// A field of the pod that the cloud fills in.
    Field(&'a str),
}

/// A container's environment.
#[derive(Debug, Default)]
pub(in crate::cloud) struct Environment {
    /// Service variables first, then `envFrom`, then `env`; a name occurs twice only where an earlier value is still
    /// referred to.
    variables: Vec<(String, Variable)>,
}

impl Environment {
    /// Resolves `envFrom` and `env` of a container.
    pub(in crate::cloud) fn resolve(
        container: &Value,
        sources: &Sources<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, Problem> {
        let mut environment = Self::default();
        for (name, value) in sources.services {
            environment.set(name, Variable::Text(value.clone()));
        }
        let owner = format!("container {}", text(container, "name").unwrap_or_default());
        for source in list(container, "envFrom") {
            environment.add_all(source, sources, &owner, notices)?;
        }
        for variable in list(container, "env") {
            let Some(name) = text(variable, "name") else { continue };
            let user = format!("variable {name} of {owner}");
            if let Some(value) = environment.value(variable, container, sources, &user, notices)? {
                environment.set(name, value);
            }
        }
        Ok(environment)
    }

    /// Expands a command or argument with the finished environment.
    pub(in crate::cloud) fn expand(&self, input: &str) -> String {
        match expand(input, |name| self.lookup(name)) {
            Expanded::Text(text) => protect(text, |name| self.find(name).is_some()),
            Expanded::Template(template) => template,
        }
    }

    /// Expands a text that must be final; `None` if only the cloud could.
    pub(in crate::cloud) fn expand_here(&self, input: &str) -> Option<String> {
        match expand(input, |name| self.lookup(name)) {
            Expanded::Text(text) => Some(text),
            Expanded::Template(_) => None,
        }
    }

    /// Every variable with its final value, for clouds that expand nothing (`Sources::plain`).
    pub(in crate::cloud) fn plain(&self) -> Vec<(&str, Plain<'_>)> {
        let mut out: Vec<(&str, Plain<'_>)> = Vec::new();
        for (name, variable) in &self.variables {
            let value = match variable {
                Variable::Text(text) => Plain::Text(text),
                Variable::Field(reference) => {
                    let path = reference.pointer("/fieldRef/fieldPath").and_then(Value::as_str);
                    Plain::Field(path.unwrap_or("resourceFieldRef"))
                }
                // There are none where the sources are plain.
                Variable::Template(_) | Variable::Secret(_) => continue,
            };
            out.retain(|(other, _)| *other != name.as_str());
            out.push((name, value));
        }
        out
    }

    /// The secret values, by the key under which [`Self::entries`] refers to them.
    pub(in crate::cloud) fn secrets(&self, container: &str) -> impl Iterator<Item = (String, Value)> {
        let keyed = self.variables.iter().enumerate();
        keyed.filter_map(move |(index, (_, variable))| match variable {
            Variable::Secret(base64) => Some((secret_key(container, index), base64.as_str().into())),
            _ => None,
        })
    }

    /// The `env` list to send; secret values refer to keys of the Secret `secret`.
    pub(in crate::cloud) fn entries(&self, container: &str, secret: &str) -> Vec<Value> {
        let is_variable = |name: &str| self.find(name).is_some();
        let entry = |(index, (name, variable)): (usize, &(String, Variable))| match variable {
            Variable::Text(value) => json!({"name": name, "value": protect(value.clone(), is_variable)}),
            Variable::Template(template) => json!({"name": name, "value": template}),
            Variable::Field(reference) => json!({"name": name, "valueFrom": reference}),
            Variable::Secret(_) => {
                let key = secret_key(container, index);
                json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
            }
        };
        self.variables.iter().enumerate().map(entry).collect()
    }

    fn set(&mut self, name: &str, value: Variable) {
        // A final value was already put wherever it was referred to; one that the cloud expands must stay in its place.
        self.variables.retain(|(other, old)| other != name || !matches!(old, Variable::Text(_)));
        self.variables.push((name.to_owned(), value));
    }

    fn find(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn lookup(&self, name: &str) -> Lookup<'_> {
        match self.find(name) {
            Some(Variable::Text(value)) => Lookup::Text(value),
            Some(_) => Lookup::Late,
            None => Lookup::Unknown,
        }
    }

    fn add_all(
        &mut self,
        source: &Value,
        sources: &Sources<'_>,
        owner: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Problem> {
        let prefix = text(source, "prefix").unwrap_or_default();
        let (kind, reference) = match (source.get("configMapRef"), source.get("secretRef")) {
            (Some(reference), _) => (Kind::ConfigMap, reference),
            (None, Some(reference)) => (Kind::Secret, reference),
            (None, None) => return Ok(()),
        };
        let name = text(reference, "name").unwrap_or_default();
        let object = sources.resolved.object(
            kind,
            name,
            flag(reference, "optional"),
            &format!("envFrom of {owner}"),
            notices,
        )?;
        let Some(object) = object else { return Ok(()) };
        let (valid, invalid): (Vec<_>, Vec<_>) =
            pairs(object, "data").partition(|(key, _)| is_variable_name(&format!("{prefix}{key}")));
        for (key, value) in valid {
            let value = match kind {
                Kind::ConfigMap => Variable::Text(value.to_owned()),
                Kind::Secret => secret(value, sources, &format!("{prefix}{key}"), owner)?,
            };
            self.set(&format!("{prefix}{key}"), value);
        }
        if !invalid.is_empty() {
            let keys = invalid.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ");
            notices.push(Notice {
                reason: "InvalidEnvironmentVariableNames",
                message: format!(
                    "keys [{keys}] of {name:?} are not variable names and were left out of {owner}"
                ),
            });
        }
        Ok(())
    }

    /// `None` is an optional reference that leads nowhere: the variable is left out.
    fn value(
        &self,
        variable: &Value,
        container: &Value,
        sources: &Sources<'_>,
        user: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<Variable>, Problem> {
        let value = text(variable, "value").unwrap_or_default();
        let from = variable.get("valueFrom").filter(|from| value.is_empty() && !from.is_null());
        let Some(from) = from else {
            return Ok(Some(match expand(value, |name| self.lookup(name)) {
                Expanded::Text(text) => Variable::Text(text),
                Expanded::Template(_) if sources.plain => {
                    return Err(Problem::Invalid(format!(
                        "{user} refers to the pod's address, which {} only gives as a whole: use a variable of its own",
                        sources.cloud
                    )));
                }
                Expanded::Template(template) => Variable::Template(template),
            }));
        };
        if let Some(reference) = from.get("fieldRef") {
            let path = text(reference, "fieldPath").unwrap_or_default();
            return Ok(Some(match fields::field(sources.pod, sources.node, path)? {
                Field::Text(text) => Variable::Text(text),
                Field::Late => Variable::Field(json!({"fieldRef": {"fieldPath": path}})),
            }));
        }
        if let Some(reference) = from.get("resourceFieldRef") {
            let own = text(container, "name").unwrap_or_default();
            return Ok(Some(match sources.sizes {
                Some(sizes) => Variable::Text(fields::resource(sources.pod, sizes, own, reference)?),
                None => Variable::Field(json!({"resourceFieldRef": reference})),
            }));
        }
        let keyed = [(Kind::ConfigMap, "configMapKeyRef"), (Kind::Secret, "secretKeyRef")];
        for (kind, field) in keyed {
            if let Some(reference) = from.get(field) {
                return key_value(kind, reference, sources, user, notices);
            }
        }
        Err(Problem::Invalid(format!("{user} has a valueFrom that {} cannot provide", sources.cloud)))
    }
}

fn key_value(
    kind: Kind,
    reference: &Value,
    sources: &Sources<'_>,
    user: &str,
    notices: &mut Vec<Notice>,
) -> Result<Option<Variable>, Problem> {
    let name = text(reference, "name").unwrap_or_default();
    let key = text(reference, "key").unwrap_or_default();
    let optional = flag(reference, "optional");
    let Some(object) = sources.resolved.object(kind, name, optional, user, notices)? else {
        return Ok(None);
    };
    let value = pairs(object, "data").find(|(other, _)| *other == key).map(|(_, value)| value.to_owned());
    match value {
        Some(value) if kind == Kind::Secret => secret(&value, sources, key, user).map(Some),
        Some(value) => Ok(Some(Variable::Text(value))),
        None if optional => {
            notices.push(kind.key_not_found(true, name, key, user));
            Ok(None)
        }
        None => Err(Problem::Missing(kind.key_not_found(false, name, key, user))),
    }
}

/// A value of a Secret, decoded where the cloud must have it plain.
fn secret(base64: &str, sources: &Sources<'_>, key: &str, user: &str) -> Result<Variable, Problem> {
    if !sources.plain {
        return Ok(Variable::Secret(base64.to_owned()));
    }
    let text = STANDARD.decode(base64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Variable::Text).ok_or_else(|| {
        Problem::Invalid(format!(
            "key {key} of a Secret, which {user} refers to, is no text: mount it as a file"
        ))
    })
}

fn secret_key(container: &str, index: usize) -> String {
    format!("{container}.{index}")
}

/// The variable names that every Kubernetes version accepts.
fn is_variable_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(plain)
}
