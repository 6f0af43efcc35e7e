//! Answers of TokenReview and SubjectAccessReview.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

/// Who a token belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUser {
    /// User name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// One question of a SubjectAccessReview; empty where not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessQuery {
    /// User name.
    pub user: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Verb.
    pub verb: String,
    /// Resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Object name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Path of a non-resource request.
    pub path: String,
}

type Rule = Arc<dyn Fn(&AccessQuery) -> bool + Send + Sync>;

#[derive(Default)]
pub(super) struct Access {
    tokens: HashMap<String, TokenUser>,
    rule: Option<Rule>,
}

impl Access {
    pub(super) fn set_token(&mut self, token: &str, user: TokenUser) {
        self.tokens.insert(token.to_owned(), user);
    }

    pub(super) fn set_rule(&mut self, rule: Rule) {
        self.rule = Some(rule);
    }

    /// Answers a review posted to `plural`, or none if it is not a review.
    pub(super) fn review(&self, plural: &str, mut review: Value, user: Option<&str>) -> Option<Value> {
        let status = match plural {
            "tokenreviews" => self.token(&review),
            "subjectaccessreviews" | "localsubjectaccessreviews" | "selfsubjectaccessreviews" => {
                let mut query = query(&review);
                if plural == "selfsubjectaccessreviews" {
                    query.user = user.unwrap_or_default().to_owned();
                }
                let allowed = self.rule.as_ref().is_some_and(|rule| rule(&query));
                json!({"allowed": allowed})
            }
            _ => return None,
        };
        review.as_object_mut()?.insert("status".to_owned(), status);
        Some(review)
    }

    fn token(&self, review: &Value) -> Value {
        let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
        match self.tokens.get(token) {
            Some(user) => {
                json!({"authenticated": true, "user": {"username": user.name, "groups": user.groups}})
            }
            None => json!({"authenticated": false, "error": "token is not known"}),
        }
    }
}

fn query(review: &Value) -> AccessQuery {
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let groups = review.pointer("/spec/groups").and_then(Value::as_array);
    let attribute = |name: &str| text(&format!("/spec/resourceAttributes/{name}"));
    let path = text("/spec/nonResourceAttributes/path");
    AccessQuery {
        user: text("/spec/user"),
        groups: groups.into_iter().flatten().filter_map(|g| g.as_str().map(str::to_owned)).collect(),
        verb: if path.is_empty() { attribute("verb") } else { text("/spec/nonResourceAttributes/verb") },
        resource: attribute("resource"),
        subresource: attribute("subresource"),
        name: attribute("name"),
        namespace: attribute("namespace"),
        path,
    }
}
