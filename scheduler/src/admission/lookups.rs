//! What admission has to ask the API server, asked by tasks on the main runtime.
//!
//! A handle is callable from the HTTP threads: it sends a command and waits for the answer, so that no connection of
//! the Kubernetes client ever belongs to a thread that is busy with requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::daemons::KeptDaemon;
use cluster::kept::Kept;
use cluster::owners::OwnerError;
use cluster::policy_objects::PolicyObjects;
use cluster::slim::OwnerRef;
use cluster::volumes::KeptVolume;
use cluster::{Owner, OwnerResolver};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{ObjectRef, Store, store, store::Writer};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client};
use policies::keys;
use policies::ledger::Ledger;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DEADLINE, marking};

/// Commands that may wait; beyond it calls fail instead of piling up.
const QUEUE: usize = 1024;
/// Reads and marks under way at once.
const AT_ONCE: usize = 16;

/// Why something could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Owners.
    #[error("burst: {0}")]
    Owners(#[from] OwnerError),
    /// The namespace.
    #[error("burst: namespace {namespace}: {reason}")]
    Namespace {
        /// Which.
        namespace: String,
        /// Why.
        reason: String,
    },
    /// Both of them together.
    #[error("burst: owners and namespace of {object}: no answer from the API server within {DEADLINE:?}")]
    Slow {
        /// The pod.
        object: String,
    },
    /// The picture of the cluster is missing or old, and the pod may burst: nothing true can be written on it.
    #[error("{reason}; {object} may burst, and what it may run on is not known")]
    Stale {
        /// The pod.
        object: String,
        /// What is missing.
        reason: String,
    },
    /// The ledger of a policy.
    #[error("burst: the ledger of {policy}: {reason}")]
    Ledger {
        /// The policy object.
        policy: String,
        /// Why.
        reason: String,
    },
    /// The DaemonSets are not known yet, and one of them may run beside the pod.
    #[error("burst: {object} may burst, and the DaemonSets are not read yet")]
    Daemons {
        /// The pod.
        object: String,
    },
    /// The policy objects are not known yet, and one of them may hold limits for the pod.
    #[error("burst: {object} may burst, and the BurstPolicy objects are not read yet")]
    Objects {
        /// The pod.
        object: String,
    },
}

enum Command {
    Read { namespace: String, reply: oneshot::Sender<Result<BTreeMap<String, String>, String>> },
    Mark { namespace: String },
    Ledger { policy: String, reply: oneshot::Sender<Result<Ledger, String>> },
}

/// The handle; cheap to clone.
#[derive(Clone, Debug)]
pub struct Lookups {
    owners: OwnerResolver,
    policies: PolicyObjects,
    daemons: Kept<KeptDaemon>,
    volumes: Kept<KeptVolume>,
    namespaces: Store<Namespace>,
    commands: mpsc::Sender<Command>,
}

impl Lookups {
    /// Starts the tasks; they end with `stop`. Ledgers are in the namespace `ledgers`. Namespaces that policy objects
    /// speak for are marked, those of `exempt` never.
    pub fn start(
        client: &Client,
        policies: PolicyObjects,
        ledgers: &str,
        exempt: &[String],
        stop: &CancellationToken,
        tracker: &TaskTracker,
    ) -> Self {
        let (namespaces, writer) = store();
        let changed = Arc::new(Notify::new());
        tracker.spawn(follow(client.clone(), writer, changed.clone(), stop.clone()));
        let (commands, queue) = mpsc::channel(QUEUE);
        tracker.spawn(work(client.clone(), ledgers.to_owned(), queue, stop.clone(), tracker.clone()));
        let owners = OwnerResolver::start(client.clone(), stop.clone(), tracker);
        let daemons = cluster::daemons::watch(client, stop.clone(), tracker);
        let volumes = cluster::volumes::watch(client, stop.clone(), tracker);
        let lookups = Self { owners, policies, daemons, volumes, namespaces, commands };
        let marking = marking::keep(lookups.clone(), changed, exempt.to_vec());
        let stop = stop.clone();
        tracker.spawn(async move { stop.run_until_cancelled(marking).await });
        lookups
    }

    /// The policy objects.
    pub const fn policies(&self) -> &PolicyObjects {
        &self.policies
    }

    /// The DaemonSets.
    pub const fn daemons(&self) -> &Kept<KeptDaemon> {
        &self.daemons
    }

    /// What stands behind bound claims.
    pub const fn volumes(&self) -> &Kept<KeptVolume> {
        &self.volumes
    }

    /// Every namespace that the watch knows.
    pub(super) fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.namespaces.state()
    }

    /// The owners of a pod, if `owned` asks for them, and the labels of its namespace, within one [`DEADLINE`].
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn surroundings(
        &self,
        object: &str,
        namespace: &str,
        owned: Option<&OwnerRef>,
    ) -> Result<(Vec<Owner>, BTreeMap<String, String>), LookupError> {
        let owners = async {
            match owned {
                Some(controller) => self.owners(namespace, controller).await,
                None => Ok(Vec::new()),
            }
        };
        let both = futures::future::try_join(owners, self.namespace_labels(namespace));
        tokio::time::timeout(DEADLINE, both)
            .await
            .unwrap_or_else(|_| Err(LookupError::Slow { object: object.to_owned() }))
    }

    /// The owners of a pod, from its controller upwards.
    ///
    /// # Errors
    /// [`LookupError::Owners`].
    pub async fn owners(&self, namespace: &str, controller: &OwnerRef) -> Result<Vec<Owner>, LookupError> {
        Ok(self.owners.resolve(namespace, controller, DEADLINE).await?)
    }

    /// The labels of a namespace: from the watch, or read live when it is newer than the watch.
    ///
    /// # Errors
    /// [`LookupError::Namespace`].
    pub async fn namespace_labels(&self, namespace: &str) -> Result<BTreeMap<String, String>, LookupError> {
        if let Some(known) = self.known(namespace) {
            return Ok(known.metadata.labels.clone().unwrap_or_default());
        }
        let failed = |reason: String| LookupError::Namespace { namespace: namespace.to_owned(), reason };
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Read { namespace: namespace.to_owned(), reply }, answer).await.map_err(failed)
    }

    /// The ledger of a policy, read live.
    ///
    /// # Errors
    /// [`LookupError::Ledger`].
    pub async fn ledger(&self, policy: &str) -> Result<Ledger, LookupError> {
        let failed = |reason: String| LookupError::Ledger { policy: policy.to_owned(), reason };
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Ledger { policy: policy.to_owned(), reply }, answer).await.map_err(failed)
    }

    /// Asks the tasks, and waits for the answer.
    async fn ask<T>(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<T, String>>,
    ) -> Result<T, String> {
        self.commands.try_send(command).map_err(|_| "too many look-ups wait".to_owned())?;
        match tokio::time::timeout(DEADLINE, answer).await {
            Err(_) => Err(format!("no answer from the API server within {DEADLINE:?}")),
            Ok(Err(_)) => Err("the process is stopping".to_owned()),
            Ok(Ok(answer)) => answer,
        }
    }

    /// Marks a namespace as one with burst workloads, later and at most once; a failure is logged, for the next
    /// workload or pod tries again.
    pub fn mark(&self, namespace: &str) {
        let labels =
            self.known(namespace).and_then(|known| known.metadata.labels.clone()).unwrap_or_default();
        if labels.get(keys::NAMESPACE_ACTIVE).is_some_and(|value| value == ACTIVE) {
            return;
        }
        if self.commands.try_send(Command::Mark { namespace: namespace.to_owned() }).is_err() {
            tracing::warn!(namespace, "the namespace could not be marked: too many look-ups wait");
        }
    }

    fn known(&self, namespace: &str) -> Option<Arc<Namespace>> {
        self.namespaces.get(&ObjectRef::new(namespace))
    }
}

const ACTIVE: &str = "true";

/// Keeps the namespaces; only names and labels.
async fn follow(client: Client, writer: Writer<Namespace>, changed: Arc<Notify>, stop: CancellationToken) {
    let strip = |namespace: &mut Namespace| {
        namespace.metadata.managed_fields = None;
        namespace.metadata.annotations = None;
    };
    let events =
        watcher(Api::<Namespace>::all(client), watcher::Config::default()).default_backoff().modify(strip);
    let mut events = std::pin::pin!(reflector(writer, events));
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        match event {
            Ok(_) => changed.notify_one(),
            Err(error) => tracing::warn!(%error, "the watch of namespaces failed and is opened again"),
        }
    }
}

async fn work(
    client: Client,
    ledgers: String,
    mut queue: mpsc::Receiver<Command>,
    stop: CancellationToken,
    tracker: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(Some(command)) = stop.run_until_cancelled(queue.recv()).await {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (client, ledgers, stop) = (client.clone(), ledgers.clone(), stop.clone());
        tracker.spawn(async move {
            stop.run_until_cancelled(serve(client, &ledgers, command)).await;
            drop(permit);
        });
    }
}

async fn serve(client: Client, ledgers: &str, command: Command) {
    match command {
        Command::Read { namespace, reply } => {
            let read = Api::<Namespace>::all(client).get(&namespace).await;
            let labels =
                read.map(|found| found.metadata.labels.unwrap_or_default()).map_err(|e| e.to_string());
            drop(reply.send(labels));
        }
        Command::Ledger { policy, reply } => {
            let read = cluster::ledgers::read(&client, ledgers, &policy).await;
            drop(reply.send(read.map(|held| held.ledger).map_err(|e| e.to_string())));
        }
        Command::Mark { namespace } => {
            match cluster::patch::label_namespace(&client, &namespace, keys::NAMESPACE_ACTIVE, ACTIVE).await {
                Ok(_) => tracing::info!(namespace, "the namespace is marked: it holds burst workloads"),
                Err(error) => tracing::warn!(namespace, %error, "the namespace could not be marked"),
            }
        }
    }
}
