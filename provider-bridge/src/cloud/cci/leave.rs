//! The end of an account's use: the cluster's CCI namespace is deleted, with everything in it.
//!
//! Facts: Huawei's manual of the add-on (uninstalling it removes what is at CCI; a namespace `cce-burst-<cluster id>` that is
//! left behind goes on costing money).

use http::Method;

use crate::cloud::CloudError;
use crate::cloud::kubelike::{Api, Call, Named, Operation, Page, Refusal, Verb, clear_claims};

use super::settings::Generation;

/// Deletes the namespace. One in which a pod is left belongs to a virtual node of another bridge and stays.
pub(super) async fn run(api: &Api, generation: Generation, namespace: &str) -> Result<(), CloudError> {
    let path = format!("{}/namespaces/{namespace}", generation.root());
    let operation = |verb| Operation::new(super::CLOUD, verb, namespace);
    let list = Call::new(operation(Verb::ListPods), Method::GET, format!("{path}/pods"));
    let left = match api.client.json::<Page<Named>>(&list).await {
        Ok(page) => page.items.len(),
        Err(Refusal::Cloud(CloudError::Gone(_))) => return Ok(()),
        Err(other) => return Err(other.into()),
    };
    if left > 0 {
        return Err(CloudError::Invalid(format!(
            "CCI namespace {namespace} still holds {left} pods of other virtual nodes: uninstall their bridge first"
        )));
    }
    // At CCI 1.0 file systems would go with claims that are left in it.
    clear_claims(api, namespace).await?;
    match api.client.accept(&Call::new(operation(Verb::DeleteNamespace), Method::DELETE, path)).await {
        Ok(()) | Err(Refusal::Cloud(CloudError::Gone(_))) => Ok(()),
        Err(other) => Err(other.into()),
    }
}
