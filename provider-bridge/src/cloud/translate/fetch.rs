//! Fetches everything that a pod refers to, concurrently.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::Value;

use crate::cloud::{CloudError, Resolve};

use super::references::{References, Resolved};

/// What the references lead to in the pod's namespace, and the Services for its variables.
pub(in crate::cloud) async fn fetch(
    references: References,
    namespace: &str,
    resolve: &dyn Resolve,
) -> Result<Resolved, CloudError> {
    let config_maps = references.config_maps.into_iter().map(|name| async move {
        let object = resolve.config_map(namespace, &name).await?;
        Ok::<_, CloudError>((name, object))
    });
    let secrets = references.secrets.into_iter().map(|name| async move {
        let object = resolve.secret(namespace, &name).await?;
        Ok::<_, CloudError>((name, object))
    });
    let claims = references.claims.into_iter().map(|name| async move {
        let claim = resolve.claim(namespace, &name).await?;
        Ok::<_, CloudError>((name, claim))
    });
    let (config_maps, secrets, services, claims) = futures::try_join!(
        try_join_all(config_maps),
        try_join_all(secrets),
        resolve.services(namespace),
        try_join_all(claims)
    )?;
    let collect = |pairs: Vec<(String, Option<Value>)>| pairs.into_iter().collect::<BTreeMap<_, _>>();
    let claims = claims.into_iter().collect();
    Ok(Resolved { config_maps: collect(config_maps), secrets: collect(secrets), services, claims })
}
