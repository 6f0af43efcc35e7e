//! The scheduler extender protocol on the wire: requests read lazily and borrowed, replies written by hand.
//!
//! Facts: Kubernetes `k8s.io/kube-scheduler/extender/v1` (types without JSON tags: PascalCase keys, decoded in any
//! case, nil pointers sent as `null`) and `pkg/scheduler/extender.go`. Nothing here decides anything, and nothing
//! here builds one string per node name.

mod args;
mod fields;
mod names;
mod nodes;
mod preemption;
mod reply;

pub use args::{ExtenderArgs, Sent};
pub use names::NameList;
pub use nodes::NodeItems;
pub use preemption::{PreemptionArgs, Victims};
pub use reply::{FilterReply, Rejected, filter_error, meta_victims, no_victims, priority_list, quoted};

/// Why a request could not be read. Every text is shown to the person who reads kube-scheduler's log.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The body is not text.
    #[error("burst: the request body is not UTF-8 (first bad byte at {0})")]
    NotUtf8(usize),
    /// The body is not the JSON that the verb expects.
    #[error("burst: the request body is not valid JSON for this verb: {0}")]
    Json(#[from] serde_json::Error),
    /// No pod in the request.
    #[error("burst: the request has no Pod")]
    NoPod,
    /// Neither `Nodes` nor `NodeNames`.
    #[error("burst: the request has neither Nodes nor NodeNames")]
    NoNodes,
    /// `NodeNames` is not a list of strings.
    #[error("burst: NodeNames is not a list of strings: {0}")]
    Names(serde_json::Error),
    /// A node in `Nodes` has no name.
    #[error("burst: item {0} of Nodes has no metadata.name")]
    NamelessNode(usize),
    /// Neither `NodeNameToVictims` nor `NodeNameToMetaVictims`.
    #[error("burst: the request has neither NodeNameToVictims nor NodeNameToMetaVictims")]
    NoVictims,
}

/// Checks the body once, so that every later slice of it is known to be text.
///
/// # Errors
/// [`WireError::NotUtf8`].
pub fn text(body: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(body).map_err(|e| WireError::NotUtf8(e.valid_up_to()))
}
