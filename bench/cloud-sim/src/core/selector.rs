//! Label and field selectors as the Kubernetes API reads them. Pure.

use std::collections::BTreeMap;

/// What of an object selectors can see, cut out once when the object is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// `metadata.labels`.
    pub(crate) labels: BTreeMap<String, String>,
    /// Selectable fields and their values.
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// A parsed `labelSelector` plus `fieldSelector`; empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Reads both parameters; the error is the API's own kind of sentence.
    pub(crate) fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, String> {
        let labels = split_top(labels.unwrap_or_default()).map(requirement).collect::<Result<_, _>>()?;
        let fields = split_top(fields.unwrap_or_default()).map(field_term).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The first field it names that objects with this index do not offer.
    pub(crate) fn unknown_field(&self, offered: &[&str]) -> Option<&str> {
        self.fields.iter().map(|(name, _, _)| name.as_str()).find(|name| !offered.contains(name))
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, index: &Index) -> bool {
        self.labels.iter().all(|requirement| requirement.holds(&index.labels))
            && self.fields.iter().all(|(name, equal, want)| {
                let have =
                    index.fields.iter().find(|(field, _)| field == name).map_or("", |(_, v)| v.as_str());
                (have == want) == *equal
            })
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
        }
    }
}

/// Splits at commas that are not inside parentheses; blank terms are skipped.
fn split_top(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
}

fn requirement(term: &str) -> Result<Requirement, String> {
    if let Some((key, values)) = set_term(term, " notin ") {
        return Ok(Requirement::NotIn(label_key(key)?, set_values(values, term)?));
    }
    if let Some((key, values)) = set_term(term, " in ") {
        return Ok(Requirement::In(label_key(key)?, set_values(values, term)?));
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(label_key(key)?, vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Requirement::In(label_key(key)?, vec![value.trim().to_owned()]));
    }
    match term.strip_prefix('!') {
        Some(key) => Ok(Requirement::Absent(label_key(key)?)),
        None => Ok(Requirement::Exists(label_key(term)?)),
    }
}

/// `key <operator> (…)` in two halves; the operator may touch the parenthesis.
fn set_term<'a>(term: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let (key, rest) = term.split_once(operator.trim_end())?;
    rest.trim_start().starts_with('(').then_some((key, rest.trim_start()))
}

fn set_values(values: &str, term: &str) -> Result<Vec<String>, String> {
    let inner = values.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let inner =
        inner.ok_or_else(|| format!("unable to parse requirement: {term:?} lacks a closing parenthesis"))?;
    // The vendor's own vector separates with a blank; the API separates with commas. Both are read.
    Ok(inner.split([',', ' ']).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect())
}

fn label_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if key.is_empty() || !key.chars().all(legal) {
        return Err(format!("unable to parse requirement: {key:?} is not a label key"));
    }
    Ok(key.to_owned())
}

fn field_term(term: &str) -> Result<(String, bool, String), String> {
    let found = (term.split_once("!=").map(|(k, v)| (k, false, v)))
        .or_else(|| term.split_once("==").or_else(|| term.split_once('=')).map(|(k, v)| (k, true, v)));
    let (key, equal, value) = found.ok_or_else(|| format!("invalid field selector: {term:?}"))?;
    Ok((key.trim().to_owned(), equal, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &str, fields: &str, expected: bool) {
        let selector = Selector::parse(Some(labels), Some(fields)).expect("a selector");
        let index = Index {
            labels: [("app", "web"), ("burst.io/cluster-id", "c1")].map(|(k, v)| (k.into(), v.into())).into(),
            fields: vec![("status.phase", "Running".into()), ("metadata.name", "web-1".into())],
        };
        assert_eq!(selector.matches(&index), expected, "{labels:?} {fields:?}");
    }

    #[test]
    fn selectors_read_like_the_api() {
        check("", "", true);
        check("app=web", "", true);
        check("app==web,burst.io/cluster-id=c1", "", true);
        check("app=web,burst.io/cluster-id=c2", "", false);
        check("app!=web", "", false);
        check("tier!=x", "", true);
        check("app in (a,web)", "", true);
        check("app in (a web)", "", true);
        check("app notin (web)", "", false);
        check("tier notin (web)", "", true);
        check("app", "", true);
        check("!app", "", false);
        check("!tier", "", true);
        check("", "status.phase=Running", true);
        check("", "status.phase!=Running,metadata.name=web-1", false);
        check("app=web", "metadata.name==web-2", false);
    }

    #[test]
    fn nonsense_is_refused() {
        for (labels, fields) in [("a b=c", ""), ("a in (b", ""), ("=x", ""), ("", "phase")] {
            assert!(Selector::parse(Some(labels), Some(fields)).is_err(), "{labels:?} {fields:?}");
        }
    }
}
