//! The known providers: one line each, nothing else names them.

use std::sync::Arc;

use crate::cloud::{CloudError, Provider};
use crate::config::NodeConfig;

/// Names that `nodes[].provider` may have.
pub const NAMES: [&str; 1] = ["cci"];

/// Opens the provider of a node.
///
/// # Errors
/// What the provider says about its settings.
pub fn open(node: &NodeConfig, _cluster_id: &str) -> Result<Arc<dyn Provider>, CloudError> {
    match node.provider.as_str() {
        other => {
            Err(CloudError::Invalid(format!("{other:?} is not a provider; known: {}", NAMES.join(", "))))
        }
    }
}
