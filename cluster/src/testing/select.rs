//! Label and field selectors.

use serde_json::Value;

/// Both selectors of a list or watch; empty selects everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selectors {
    /// Reads both; an unreadable one is an error text.
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Self, String> {
        let labels = split(labels).into_iter().map(requirement).collect::<Option<Vec<_>>>();
        let fields = split(fields).into_iter().map(field).collect::<Option<Vec<_>>>();
        Ok(Self {
            labels: labels.ok_or("unable to parse requirement of the label selector")?,
            fields: fields.ok_or("unable to parse the field selector")?,
        })
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let label =
            |key: &str| object.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str);
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|v| values.iter().any(|x| x == v)),
            Requirement::NotIn(key, values) => label(key).is_none_or(|v| values.iter().all(|x| x != v)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
        });
        labels
            && self.fields.iter().all(|(path, equal, value)| (field_value(object, path) == *value) == *equal)
    }
}

fn field_value(object: &Value, path: &str) -> String {
    match path.split('.').try_fold(object, |value, part| value.get(part)) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Splits at commas outside parentheses.
fn split(selector: &str) -> Vec<&str> {
    let mut depth = 0i32;
    let parts = selector.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn requirement(text: &str) -> Option<Requirement> {
    let owned = |s: &str| s.trim().to_owned();
    if let Some((key, values)) = text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        let values = values.split(',').map(owned).collect();
        let mut words = key.split_whitespace();
        return match (words.next()?, words.next()?) {
            (key, "in") => Some(Requirement::In(key.to_owned(), values)),
            (key, "notin") => Some(Requirement::NotIn(key.to_owned(), values)),
            _ => None,
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Requirement::NotIn(owned(key), vec![owned(value)]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Requirement::In(owned(key), vec![owned(value)]));
    }
    match text.strip_prefix('!') {
        Some(key) => Some(Requirement::Missing(owned(key))),
        None if text.contains(char::is_whitespace) => None,
        None => Some(Requirement::Exists(owned(text))),
    }
}

fn field(text: &str) -> Option<(String, bool, String)> {
    if let Some((path, value)) = text.split_once("!=") {
        return Some((path.to_owned(), false, value.to_owned()));
    }
    let (path, value) = text.split_once("==").or_else(|| text.split_once('='))?;
    Some((path.to_owned(), true, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors() {
        let pod = json!({"metadata": {"name": "p", "labels": {"a": "1", "b": ""}}, "spec": {"nodeName": "n", "x": true}});
        let check = |labels: &str, fields: &str, want: bool| {
            let selectors = Selectors::parse(labels, fields).expect("parses");
            assert_eq!(selectors.matches(&pod), want, "labels {labels:?} fields {fields:?}");
        };
        check("", "", true);
        check("a=1,b", "", true);
        check("a==2", "", false);
        check("a!=1", "", false);
        check("c!=1", "", true);
        check("a in (1, 2),c notin (x,y),!c", "", true);
        check("a notin (1)", "", false);
        check("!a", "", false);
        check("", "spec.nodeName=n,metadata.name==p", true);
        check("", "spec.nodeName!=n", false);
        check("", "status.phase=", true);
        check("", "spec.x=true", true);
        assert!(Selectors::parse("a b", "").is_err());
        assert!(Selectors::parse("", "spec.nodeName").is_err());
    }
}
