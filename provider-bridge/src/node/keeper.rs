//! Keeps one Node object true: creates it, restores what is ours when somebody edits it, brings it back when deleted.
//!
//! It never sets NotReady: when this process lives, the node lives; a cloud outage is a condition and a taint.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Outcome, patch};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::desired::{Desired, NodeView, reconcile};
use super::outage::Outage;
use crate::config::NodeConfig;
use crate::metrics::{self, Measured};

/// How often the state is compared again, whatever the watch said: bounds every lost event.
const RECHECK: Duration = Duration::from_secs(5);
/// How often heartbeat times are refreshed; liveness itself is the Lease's.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// What a keeper needs.
#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// The declared node.
    pub config: NodeConfig,
    /// `InternalIP`.
    pub address: IpAddr,
    /// The node's cloud.
    pub provider: Arc<Measured>,
}

/// What the API server has, as far as the watch told.
enum Stored {
    Unknown,
    Missing,
    Object(Box<Value>),
}

/// Runs until cancelled; `uid` tells the UID of the stored Node for its Lease, and that there is one.
pub async fn keep(
    client: Client,
    settings: &KeeperSettings,
    uid: &watch::Sender<Option<String>>,
    cancel: CancellationToken,
) {
    let name = settings.config.name.clone();
    let selector = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(Api::<Node>::all(client.clone()), selector).default_backoff().boxed();
    let mut recheck = tokio::time::interval(RECHECK);
    recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stored = Stored::Unknown;
    let mut listed = None;
    let mut beat = Instant::now();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            event = events.try_next() => match event {
                Ok(Some(event)) => observe(event, &mut stored, &mut listed),
                Ok(None) => return,
                Err(error) => tracing::warn!(node = name, %error, "watching the Node object"),
            },
            _ = recheck.tick() => {}
        }
        if let Stored::Object(object) = &stored {
            let now = object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
            uid.send_if_modified(|old| {
                if *old == now {
                    false
                } else {
                    *old = now;
                    true
                }
            });
        }
        let heartbeat = beat.elapsed() >= HEARTBEAT;
        if heartbeat {
            beat = Instant::now();
        }
        repair(&client, settings, &stored, heartbeat).await;
    }
}

fn observe(event: watcher::Event<Node>, stored: &mut Stored, listed: &mut Option<Value>) {
    let value = |node: Node| serde_json::to_value(node).unwrap_or_default();
    match event {
        watcher::Event::Init => *listed = None,
        watcher::Event::InitApply(node) => *listed = Some(value(node)),
        watcher::Event::InitDone => {
            *stored = listed.take().map_or(Stored::Missing, |object| Stored::Object(Box::new(object)));
        }
        watcher::Event::Apply(node) => *stored = Stored::Object(Box::new(value(node))),
        watcher::Event::Delete(_) => *stored = Stored::Missing,
    }
}

async fn repair(client: &Client, settings: &KeeperSettings, stored: &Stored, heartbeat: bool) {
    let name = &settings.config.name;
    let outage = settings.provider.outage();
    metrics::cloud_outage(name, matches!(outage, Outage::Yes(_)));
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let account = crate::cloud::Provider::account(&*settings.provider);
    let desired = Desired::of(NodeView {
        config: &settings.config,
        account: account.as_deref(),
        interop: crate::cloud::Provider::network_interop(&*settings.provider),
        vendor: crate::cloud::Provider::name(&*settings.provider),
        address: settings.address,
        outage: if let Outage::Yes(why) = &outage { Some(why) } else { None },
        now: &now,
    });
    let written = match stored {
        Stored::Unknown => return,
        Stored::Missing => {
            tracing::info!(node = name, "the Node object is missing; creating it");
            patch::create_node(client, &desired.object(name, &now)).await
        }
        Stored::Object(object) => {
            let repairs = reconcile(object, &desired, &now, heartbeat);
            if let Some(change) = &repairs.object {
                report(name, patch::patch_node(client, name, change).await);
            }
            match &repairs.status {
                Some(status) => patch::patch_node_status(client, name, status).await,
                None => return,
            }
        }
    };
    report(name, written);
}

fn report(node: &str, written: patch::Written) {
    match written {
        // A conflict or a missing node is news that the watch will bring.
        Ok(Outcome::Done | Outcome::Conflict | Outcome::Gone) => {}
        Ok(Outcome::Retry(_)) => {
            tracing::warn!(node, "the API server did not take a change of the Node object; again soon");
        }
        Err(error) => tracing::error!(node, %error, "the API server refuses a change of the Node object"),
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
