//! What every provider promises, as one suite that runs over each of them.
//!
//! A provider takes part with a [`Subject`]: itself over a far side that the test controls, and one line of [`suite!`].
//! The suite knows only the trait; how a cloud keeps its promises is tested beside the provider. See
//! `docs/providers/conformance.md`.

mod far;
mod subjects;
mod suite;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Claim, CloudError, CreateRequest, Instance, PodIdentity, Provider, Resolve};

/// The virtual node that every subject serves.
const NODE: &str = "burst-a";

/// A provider over a far side that the test controls.
#[async_trait]
trait Subject: Send + Sync {
    /// The provider, serving virtual node [`NODE`].
    fn provider(&self) -> &dyn Provider;

    /// Another value of the provider over the same far side, as after a restart; `None` if instances do not outlive it.
    fn restarted(&self) -> Option<Box<dyn Provider>>;

    /// The next create is carried out and its answer is lost; `false` if there is nothing to lose.
    fn lose_the_next_answer(&self) -> bool;

    /// The next page of a list fails; `false` if lists cannot fail.
    fn fail_the_next_list(&self) -> bool;

    /// Something that another cluster or another virtual node made is there; `false` if nobody else can.
    fn add_a_strangers_instance(&self) -> bool;

    /// The next create is refused, and nothing is made; `false` if the far side has no such refusal.
    fn refuse_the_next_create(&self, _why: Refused) -> bool {
        false
    }

    /// The far side takes the instance of the pod away, as a spot market does; `false` if it never does.
    fn take_away(&self, _uid: &str) -> bool {
        false
    }

    /// The far side shows the instance of the pod in a state that no document knows; `false` if it has no words for states.
    fn show_oddly(&self, _uid: &str) -> bool {
        false
    }

    /// Everything that has been said so far by the container of the pod is this; `false` if the far side keeps no logs.
    fn say(&self, _lines: &[&'static str]) -> bool {
        false
    }

    /// The first of the provider's places has no room from now on: the name of the next one, or `None` if there is one place.
    fn sell_out_the_first_place(&self) -> Option<&'static str> {
        None
    }

    /// The place where the instance of the pod is, where there are several.
    fn place_of(&self, _uid: &str) -> Option<String> {
        None
    }

    /// Whether lists lag: what is made meanwhile is in none of them; `false` if they always show it.
    fn lag(&self, _on: bool) -> bool {
        false
    }

    /// The most instances of the pod that were there at the same time.
    fn most_at_once(&self, uid: &str) -> usize;

    /// A disk that pods of this cloud can have; `None` if burst gives it none.
    fn disk(&self) -> Option<Disk> {
        None
    }

    /// The disks that the instance of the pod has.
    fn disks_of(&self, _uid: &str) -> Vec<String> {
        Vec::new()
    }

    /// Nothing that was asked for deletes, formats or makes a disk.
    fn disks_are_untouched(&self) -> bool {
        true
    }

    /// The container of the pod ended with `OOMKilled` and was started again; `false` if the far side tells no such things.
    fn restart_the_container(&self, _uid: &str) -> bool {
        false
    }

    /// The next command in the pod's container, or the next client that is attached to it, meets one that says the words of
    /// the command, gives back what is typed until the input ends, and ends as this says; `None` if none can be run.
    async fn next_session(&self, _uid: &str) -> Option<Session> {
        None
    }

    /// The pod's container gives back what it gets at this port; `None` if its ports cannot be reached.
    async fn listen(&self, _uid: &str) -> Option<u16> {
        None
    }

    /// The far side finishes the deletions that were asked for.
    async fn finish_deletions(&self);

    /// Texts that must be in no error and no `Debug`.
    fn secrets(&self) -> Vec<&'static str>;
}

/// How a command of a far side ends.
struct Session {
    /// What it prints to standard error.
    complaint: &'static str,
    /// Its exit code.
    code: i32,
    /// Counts those that run, where the far side knows.
    running: Arc<AtomicUsize>,
}

impl Session {
    /// Commands that run at the far side.
    fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}

/// A disk of the user's, which was there before burst and stays after it.
struct Disk {
    /// Its id at the far side.
    id: &'static str,
    /// The volume of a pod that mounts it.
    source: Value,
    /// The PersistentVolume, where that is a claim.
    volume: Option<Value>,
    /// The far side refuses a second instance while it has a first.
    exclusive: bool,
}

impl Disk {
    /// One behind the claim `data`.
    fn claimed(id: &'static str, volume: &Value, exclusive: bool) -> Self {
        let source = json!({"persistentVolumeClaim": {"claimName": "data"}});
        Self { id, source, volume: Some(json!({"spec": volume})), exclusive }
    }
}

/// Why a far side refuses a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Too many calls.
    Throttled,
    /// There is none of this size now.
    SoldOut,
    /// The account owes money, or may not buy for another reason.
    Account,
}

/// A pod that every cloud can run.
fn request(uid: &str, name: &str) -> CreateRequest {
    let pod = PodIdentity { uid: uid.into(), namespace: "shop".into(), name: name.into() };
    let object = json!({
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "labels": {"app": "web"}},
        "spec": {
            "restartPolicy": "Always",
            "containers": [{
                "name": "app", "image": "uhub.service.ucloud.cn/shop/nginx",
                "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
                "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}}],
            }],
        },
    });
    CreateRequest {
        pod,
        node: NODE.into(),
        object: Arc::new(object),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        hidden: Vec::new(),
        needs_grant: false,
    }
}

/// The cluster that pods come from.
struct Home {
    /// The volume behind its one claim, `data`.
    volume: Option<Value>,
}

const HOME: Home = Home { volume: None };

/// What the Secret of [`Home`] holds, in clear and as the API has it.
const PASSWORD: [&str; 2] = ["opensesame", "b3BlbnNlc2FtZQ=="];

#[async_trait]
impl Resolve for Home {
    async fn config_map(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }

    async fn secret(&self, _: &str, name: &str) -> Result<Option<Value>, CloudError> {
        let [_, base64] = PASSWORD;
        Ok(Some(json!({"metadata": {"name": name}, "type": "Opaque", "data": {"password": base64}})))
    }

    async fn services(&self, _: &str) -> Result<Vec<Value>, CloudError> {
        Ok(Vec::new())
    }

    async fn claim(&self, _: &str, name: &str) -> Result<Option<Claim>, CloudError> {
        let claim = json!({"spec": {"volumeName": "pv-data"}, "status": {"phase": "Bound"}});
        let volume = self.volume.clone().filter(|_| name == "data");
        Ok(volume.map(|volume| Claim { claim, volume: Some(volume) }))
    }
}

async fn create(provider: &dyn Provider, uid: &str, name: &str) -> Instance {
    provider.create(&request(uid, name), &HOME).await.unwrap()
}

/// The UIDs of the pods whose instances are listed, in order.
async fn listed(provider: &dyn Provider) -> Vec<String> {
    let mut uids: Vec<_> = provider.list().await.unwrap().into_iter().map(|i| i.pod.uid).collect();
    uids.sort();
    uids
}
