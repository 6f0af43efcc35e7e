//! The kubelet port of a virtual node: what the API server dials for logs, exec and lists of pods.
//!
//! One port per virtual node, because requests do not name the node. HTTPS only, HTTP/1.1 only (SPDY and WebSocket are
//! upgrades of it), closed by default: a request is served when its sender is known and a SubjectAccessReview allows it.

mod backend;

pub use backend::{Backend, NotFound, Target};
