//! The kubelet port of a virtual node: what the API server dials for logs, exec and lists of pods.
//!
//! One port per virtual node, because requests do not name the node. HTTPS only, HTTP/1.1 only (SPDY and WebSocket are
//! upgrades of it), closed by default: a request is served when its sender is known and a SubjectAccessReview allows it.
//! `backend` is what the rest of the bridge has to provide, `server` is the entry.

mod auth;
mod backend;
mod channels;
mod dispatch;
mod idle;
mod negotiate;
mod portforward;
mod query;
mod remotecommand;
mod reply;
mod routes;
mod server;
mod spdy;
mod tls;
mod verbs;

pub use auth::{Access, Auth, KubeReviewer, ReviewError, Reviewer, User};
pub use backend::{Backend, NotFound, Target};
pub use server::{BindError, KubeletServer, ListeningKubelet};
pub use tls::{KubeletTls, ServingCertificate, TlsError, TlsOptions};
