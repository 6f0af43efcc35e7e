//! When each of a number of pods was first seen in some state, and when the first grant was seen, by one watch.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{WatchEvent, WatchParams},
};

/// The annotation of a pod that may burst.
const GRANT: &str = policies::keys::GRANT;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// `spec.nodeName` is set.
    Bound,
    /// `status.phase` is Running.
    Running,
    /// The object is gone.
    Gone,
}

/// What a watch saw.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// When each pod was first seen so, by name.
    pub(crate) at: HashMap<String, Instant>,
    /// When the first pod with a grant was seen.
    pub(crate) first_grant: Option<Instant>,
}

/// When each of `wanted` pods was first seen so.
///
/// # Errors
/// When `limit` passes first, or the API server refuses the watch.
pub(crate) async fn times(pods: Api<Pod>, seen: Seen, wanted: usize, limit: Duration) -> Result<Times> {
    let mut times = Times::default();
    let at = &mut times.at;
    let deadline = Instant::now() + limit;
    let mut version = "0".to_owned();
    while at.len() < wanted {
        let params = WatchParams::default().timeout(60);
        let mut stream = pods.watch(&params, &version).await?.boxed();
        while let Some(event) = tokio::time::timeout_at(deadline.into(), stream.try_next())
            .await
            .map_err(|_| anyhow::anyhow!("{} of {wanted} pods {seen:?} after {limit:?}", at.len()))??
        {
            if let Some(pod) = reached(&event, seen) {
                at.entry(pod.metadata.name.clone().unwrap_or_default()).or_insert_with(Instant::now);
            }
            if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event {
                if pod.metadata.annotations.is_some_and(|all| all.contains_key(GRANT)) {
                    times.first_grant.get_or_insert_with(Instant::now);
                }
                version = pod.metadata.resource_version.unwrap_or(version);
            }
            if at.len() == wanted {
                break;
            }
        }
        ensure!(Instant::now() < deadline, "{} of {wanted} pods {seen:?} after {limit:?}", at.len());
    }
    Ok(times)
}

/// The pod, if the event shows it in the state.
fn reached(event: &WatchEvent<Pod>, seen: Seen) -> Option<&Pod> {
    match event {
        WatchEvent::Deleted(pod) if seen == Seen::Gone => Some(pod),
        WatchEvent::Added(pod) | WatchEvent::Modified(pod) if is(pod, seen) => Some(pod),
        _ => None,
    }
}

fn is(pod: &Pod, seen: Seen) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    match seen {
        Seen::Bound => pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()),
        Seen::Running => phase == Some("Running"),
        Seen::Gone => false,
    }
}
