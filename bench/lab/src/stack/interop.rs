//! Virtual nodes of CCI with the vendor's network interop.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use super::Stack;
use crate::{Lab, ServiceProxy};

impl Stack {
    /// Starts the bridge anew with network interop, by this kubeconfig, on virtual node 1 of CCI 1.0 and on every one of
    /// CCI 2.0, or without it, and waits until every virtual node is Ready.
    ///
    /// # Errors
    /// When the bridge does not end or does not come up.
    pub async fn set_interop(&mut self, lab: &Lab, kubeconfig: Option<PathBuf>) -> Result<()> {
        self.options.interop = kubeconfig;
        self.redeclare(lab, Vec::new()).await
    }
}

/// A node's entry with the option.
pub(super) fn with(mut node: Value, kubeconfig: Option<&PathBuf>) -> Value {
    if let Some(kubeconfig) = kubeconfig {
        node["cci"]["networkInterop"] = json!({"image": ServiceProxy::IMAGE, "kubeconfigFile": kubeconfig});
    }
    node
}
