//! Query parameters as the Kubernetes API decodes them: the first value of a name counts, lists keep their order.

/// A decoded query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes; what is not valid is taken literally, as browsers do.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value of `name`.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Every value of `name`, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }

    /// A boolean of the API: present means true, unless it is `false` or `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.first(name).is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// A boolean of the streaming requests: only `1` is true.
    pub(crate) fn is_one(&self, name: &str) -> bool {
        self.first(name) == Some("1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_order_and_content() {
        let query = Query::parse(Some("command=sh&command=-c&command=echo+%22a%20%20b%22+%26%26+true&tty=1"));
        assert_eq!(query.all("command"), ["sh", "-c", "echo \"a  b\" && true"]);
        assert!(query.is_one("tty"));
        assert!(!query.is_one("input"));
        assert_eq!(Query::parse(None).all("command"), Vec::<String>::new());
    }
}
