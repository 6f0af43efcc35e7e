//! Changes as the trait wants them: a complete list, then what changes; whoever falls behind gets a new list.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cloud::{CloudError, InstanceEvent};

use super::instances::Instances;

struct Watch {
    instances: Arc<Instances>,
    /// What is to be said first.
    next: VecDeque<InstanceEvent>,
    changes: Receiver<InstanceEvent>,
}

impl Watch {
    fn begin(instances: Arc<Instances>) -> Self {
        let (list, changes) = instances.list_and_follow();
        let list = list.into_iter().map(InstanceEvent::Changed);
        let next =
            std::iter::once(InstanceEvent::Restarted).chain(list).chain([InstanceEvent::Synced]).collect();
        Self { instances, next, changes }
    }
}

/// Never ends: it holds the sender that it listens to.
pub(super) fn start(instances: &Arc<Instances>) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
    stream::unfold(Watch::begin(Arc::clone(instances)), |mut watch| async move {
        loop {
            if let Some(event) = watch.next.pop_front() {
                return Some((Ok(event), watch));
            }
            match watch.changes.recv().await {
                Ok(event) => return Some((Ok(event), watch)),
                Err(RecvError::Lagged(_)) => watch = Watch::begin(watch.instances),
                Err(RecvError::Closed) => return None,
            }
        }
    })
    .boxed()
}
