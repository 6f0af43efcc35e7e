//! One request to a Kubernetes-style API, before anybody proves who sends it.

use bytes::Bytes;
use http::{HeaderName, Method};

use super::operation::Operation;

/// One request.
#[derive(Debug)]
pub(in crate::cloud) struct Call {
    pub(in crate::cloud) operation: Operation,
    pub(in crate::cloud) method: Method,
    pub(in crate::cloud) path: String,
    pub(in crate::cloud) query: Vec<(&'static str, String)>,
    pub(in crate::cloud) body: Option<Body>,
    /// Headers that are sent but in no signature (WebSocket upgrade).
    pub(in crate::cloud) unsigned_headers: Vec<(HeaderName, String)>,
    pub(in crate::cloud) limit: Limit,
}

/// What of a call must be done within the time that a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cloud) enum Limit {
    /// All of it.
    Whole,
    /// The beginning of the answer; the rest is a stream.
    Beginning,
    /// Nothing: a followed log may begin with the first line, hours later.
    Nothing,
}

/// A request body and what it is.
pub(in crate::cloud) struct Body {
    pub(in crate::cloud) content_type: &'static str,
    pub(in crate::cloud) bytes: Bytes,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of {}", self.bytes.len(), self.content_type)
    }
}

impl Call {
    /// A call without query or body.
    pub(in crate::cloud) const fn new(operation: Operation, method: Method, path: String) -> Self {
        Self {
            operation,
            method,
            path,
            query: Vec::new(),
            body: None,
            unsigned_headers: Vec::new(),
            limit: Limit::Whole,
        }
    }

    /// Adds query parameters, sent in this order.
    pub(in crate::cloud) fn query(mut self, pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.query.extend(pairs);
        self
    }

    /// Sends `value` as JSON.
    pub(in crate::cloud) fn json(mut self, value: &serde_json::Value) -> Self {
        self.body = Some(Body { content_type: "application/json", bytes: value.to_string().into() });
        self
    }

    /// Sets what the time limit covers.
    pub(in crate::cloud) const fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }
}
