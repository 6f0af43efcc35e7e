//! The provider against a small Cube of its own: lost answers, lists that lag, pods that are there twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::forge::tests::{request, settings};
use super::*;
use crate::cloud::PodIdentity;

use cloud::{Cloud, disks, serve};

mod cloud;

/// The provider over a Cube in this process.
pub(in crate::cloud) struct Bench {
    cloud: Arc<Mutex<Cloud>>,
    provider: CubeProvider,
    settings: CubeSettings,
    home: Home,
    _server: AbortOnDropHandle<()>,
}

impl Bench {
    async fn new(lost_answer: Duration) -> Self {
        Self::open(CubeSettings { lost_answer, ..settings() }).await
    }

    /// One for a virtual node.
    pub(in crate::cloud) async fn of_node(node: &str) -> Self {
        Self::open(CubeSettings { node_names: vec![node.to_owned()], ..settings() }).await
    }

    async fn open(settings: CubeSettings) -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let cloud = Arc::new(Mutex::new(Cloud::default()));
        let shared = Arc::clone(&cloud);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        let poll = Duration::from_millis(100);
        let settings = CubeSettings { endpoint, poll, ..settings };
        let provider = CubeProvider::new(settings.clone()).unwrap();
        let home = Home::default();
        Self { cloud, provider, settings, home, _server: AbortOnDropHandle::new(server) }
    }

    pub(in crate::cloud) fn provider(&self) -> &CubeProvider {
        &self.provider
    }

    /// As after a restart.
    pub(in crate::cloud) fn another(&self) -> CubeProvider {
        CubeProvider::new(self.settings.clone()).unwrap()
    }

    pub(in crate::cloud) fn lose_the_next_answer(&self) {
        self.with(|cloud| cloud.lose = vec![true]);
    }

    /// Whether lists lag behind what is made.
    pub(in crate::cloud) fn lag(&self, on: bool) {
        self.with(|cloud| (cloud.lag, cloud.hidden) = (on, Vec::new()));
    }

    /// Ids of the UDisks of a pod.
    pub(in crate::cloud) fn disks_of(&self, uid: &str) -> Vec<String> {
        let mine = |pod: &Value| pod["metadata"]["labels"]["burst.io/pod-uid"] == uid;
        let all = self.with(|cloud| cloud.pods.clone());
        let own = all.iter().filter(|(_, pod)| mine(pod)).flat_map(|(_, pod)| disks(pod));
        own.map(|disk| disk["id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// None was to be formatted, and nothing was asked for that is not about pods and addresses.
    pub(in crate::cloud) fn disks_are_untouched(&self) -> bool {
        self.with(|cloud| !cloud.odd)
    }

    /// The most pods of a UID that were there at the same time.
    pub(in crate::cloud) fn most_at_once(&self, uid: &str) -> usize {
        self.with(|cloud| cloud.most.get(uid).copied().unwrap_or_default())
    }

    pub(in crate::cloud) fn fail_the_next_list(&self) {
        self.with(|cloud| cloud.fail = true);
    }

    pub(in crate::cloud) fn refuse_the_next_create(&self, code: i64, message: &'static str) {
        self.with(|cloud| cloud.refuse = Some((code, message)));
    }

    /// The pod's instance has this status, without anybody having asked.
    pub(in crate::cloud) fn show(&self, uid: &str, status: Value) {
        let mine = |pod: &Value| pod["metadata"]["labels"]["burst.io/pod-uid"] == uid;
        self.with(|cloud| {
            let (_, pod) = cloud.pods.iter_mut().find(|(_, pod)| mine(pod)).expect("a pod");
            pod["status"] = status;
        });
    }

    /// A pod of another cluster.
    pub(in crate::cloud) fn add_a_strangers(&self) {
        let node = self.settings.node_names.first();
        let labels = json!({"burst.io/cluster-id": "another", "burst.io/pod-uid": "u-9", "burst.io/virtual-node": node});
        self.with(|cloud| cloud.add(json!({"metadata": {"labels": labels}, "spec": {"containers": []}})));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Cloud) -> T) -> T {
        work(&mut self.cloud.lock().unwrap())
    }

    async fn create(&self, annotations: Value) -> Result<Instance, CloudError> {
        self.create_by(&self.provider, annotations).await
    }

    async fn create_by(&self, provider: &CubeProvider, annotations: Value) -> Result<Instance, CloudError> {
        let pod = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "annotations": annotations},
            "spec": {"containers": [{"name": "c", "image": "uhub.service.ucloud.cn/u/i"}]}});
        provider.create(&request(&pod), &self.home).await
    }
}

/// A cluster without objects, which keeps what it is told to.
#[derive(Default)]
struct Home {
    kept: Mutex<BTreeMap<String, String>>,
    /// Nothing can be written.
    down: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Resolve for Home {
    async fn keep_once(
        &self,
        pod: &PodIdentity,
        key: &'static str,
        text: &str,
    ) -> Result<Option<String>, CloudError> {
        if self.down.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(CloudError::Retryable("the API server is down".into()));
        }
        let key = format!("{} {key}", pod.uid);
        let mut kept = self.kept.lock().unwrap();
        let before = kept.get(&key).cloned();
        if before.is_none() {
            kept.insert(key, text.to_owned());
        }
        Ok(before)
    }
    async fn drop_kept(&self, pod: &PodIdentity, key: &'static str) -> Result<(), CloudError> {
        self.kept.lock().unwrap().remove(&format!("{} {key}", pod.uid));
        Ok(())
    }
    async fn config_map(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }
    async fn secret(&self, _: &str, _: &str) -> Result<Option<Value>, CloudError> {
        Ok(None)
    }
    async fn services(&self, _: &str) -> Result<Vec<Value>, CloudError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_second_create_adopts_and_a_second_delete_is_as_good() {
    let bench = Bench::new(Duration::from_secs(60)).await;
    let made = bench.create(json!({})).await.unwrap();
    assert_eq!(bench.create(json!({})).await.unwrap().id, made.id);
    let listed = bench.provider.list().await.unwrap();
    assert_eq!((listed.len(), &listed[0].pod, &listed[0].node), (1, &made.pod, &made.node));
    assert_eq!(listed[0].billed, made.billed);
    bench.provider.delete(&made, 0).await.unwrap();
    bench.provider.delete(&made, 0).await.unwrap();
    assert_eq!(bench.with(|cloud| (cloud.made, cloud.deleted.len())), (1, 1));
}

/// Guards the bill: the answer is lost and the list lags; the pod that was made is found, and none is made beside it.
#[tokio::test]
async fn a_lost_answer_makes_no_second_pod() {
    let bench = Bench::new(Duration::from_secs(60)).await;
    bench.with(|cloud| (cloud.lose, cloud.hidden) = (vec![true], vec!["cube-1".to_owned()]));
    let text = bench.create(json!({})).await.unwrap_err().to_string();
    assert!(text.contains("no such pod is seen yet"), "{text}");
    let text = bench.create(json!({})).await.unwrap_err().to_string();
    assert!(text.contains("it may take effect for another"), "{text}");
    bench.with(|cloud| cloud.hidden.clear());
    assert_eq!(bench.create(json!({})).await.unwrap().id, "cube-1");
    assert_eq!(bench.with(|cloud| cloud.made), 1);
}

/// When the gateway's time is over the create is sent again; one that is paid in advance never is.
#[tokio::test]
async fn a_create_that_had_no_effect_is_sent_again_unless_it_is_prepaid() {
    let bench = Bench::new(Duration::ZERO).await;
    bench.with(|cloud| cloud.lose = vec![false]);
    assert!(bench.create(json!({})).await.is_err());
    assert_eq!(bench.create(json!({})).await.unwrap().id, "cube-1");

    let bench = Bench::new(Duration::ZERO).await;
    bench.with(|cloud| cloud.lose = vec![false]);
    let prepaid = json!({"cube.ucloud.cn/cube-chargetype": "year"});
    assert!(bench.create(prepaid.clone()).await.is_err());
    for _ in 0..3 {
        let text = bench.create(prepaid.clone()).await.unwrap_err().to_string();
        assert!(text.contains("paid in advance") && text.contains("not sent again"), "{text}");
    }
    assert_eq!(bench.with(|cloud| cloud.made), 0);
}

/// Guards the bill: the answer is lost, the list lags, and the bridge starts anew. What is paid in advance is bought once
/// all the same, and what was bought is adopted when it shows.
#[tokio::test]
async fn what_is_paid_in_advance_is_not_bought_again_after_a_restart() {
    let bench = Bench::new(Duration::ZERO).await;
    let prepaid = json!({"cube.ucloud.cn/cube-chargetype": "month"});
    bench.with(|cloud| (cloud.lose, cloud.hidden) = (vec![true], vec!["cube-1".to_owned()]));
    assert!(bench.create(prepaid.clone()).await.is_err());
    let next = bench.another();
    for _ in 0..3 {
        let text = bench.create_by(&next, prepaid.clone()).await.unwrap_err().to_string();
        assert!(text.contains("paid in advance") && text.contains("not sent again"), "{text}");
    }
    bench.with(|cloud| cloud.hidden.clear());
    let found = loop {
        // A list that began before is good for a moment.
        match bench.create_by(&next, prepaid.clone()).await {
            Ok(found) => break found,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    assert_eq!((found.id.as_str(), bench.with(|cloud| cloud.made)), ("cube-1", 1));
}

/// What was refused for certain, or never sent because the pod could not be written to, is bought when that is over.
#[tokio::test]
async fn what_is_paid_in_advance_is_bought_after_a_refusal() {
    let bench = Bench::new(Duration::ZERO).await;
    let prepaid = json!({"cube.ucloud.cn/cube-chargetype": "year"});
    bench.home.down.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(bench.create(prepaid.clone()).await.is_err());
    assert_eq!(bench.with(|cloud| cloud.made), 0, "nothing is sent that is not written down first");
    bench.home.down.store(false, std::sync::atomic::Ordering::Relaxed);
    bench.with(|cloud| cloud.poor = true);
    assert!(matches!(bench.create(prepaid.clone()).await, Err(CloudError::Account(_))));
    let next = bench.another();
    assert!(matches!(bench.create_by(&next, prepaid.clone()).await, Err(CloudError::Account(_))));
    bench.with(|cloud| cloud.poor = false);
    assert_eq!(bench.create_by(&next, prepaid.clone()).await.unwrap().id, "cube-1");
    // Gone, it is not bought a second time: neither by this process nor by the next.
    bench.with(|cloud| cloud.pods.clear());
    next.api.gone("cube-1");
    for provider in [&next, &bench.another()] {
        assert!(bench.create_by(provider, prepaid.clone()).await.is_err());
    }
    assert_eq!(bench.with(|cloud| cloud.made), 1);
}

/// Guards the bill: an address whose purchase had no answer is found by its name and bound, one and no more, also by the
/// next process; and none is left when the pod goes, bound or not.
#[tokio::test]
async fn a_lost_answer_buys_no_second_address() {
    let bench = Bench::new(Duration::ZERO).await;
    for charge in ["dynamic", "month"] {
        let wanted = json!({"cube.ucloud.cn/cube-eip": "true", "cube.ucloud.cn/cube-eip-chargetype": charge});
        bench.with(|cloud| cloud.lose_address = true);
        let next = bench.another();
        let made = bench.create_by(&next, wanted.clone()).await.unwrap();
        bench.create_by(&bench.another(), wanted.clone()).await.unwrap();
        let addresses = bench.with(|cloud| cloud.addresses.clone());
        assert!(matches!(addresses.as_slice(), [(_, _, pod)] if *pod == made.id), "{addresses:?}");
        bench.with(|cloud| {
            let name = cloud.addresses[0].1.clone();
            cloud.addresses.push(("eip-free".into(), name, String::new()));
        });
        next.list().await.unwrap();
        next.delete(&made, 0).await.unwrap();
        assert_eq!(bench.with(|cloud| cloud.addresses.len()), 0);
    }
}

/// What another life of the bridge left behind: the older one stays, is told, and its end is told.
#[tokio::test]
async fn of_two_pods_the_younger_is_removed() {
    let bench = Bench::new(Duration::from_secs(60)).await;
    let made = bench.create(json!({})).await.unwrap();
    bench.with(|cloud| {
        let twin = cloud.pods[0].1.clone();
        cloud.add(twin);
    });
    assert_eq!(bench.provider.list().await.unwrap().len(), 1);
    let mut events = bench.provider.watch();
    let mut told = Vec::new();
    loop {
        match events.next().await.unwrap().unwrap() {
            InstanceEvent::Changed(instance) => told.push(instance.id),
            InstanceEvent::Synced => break,
            _ => {}
        }
    }
    assert!(matches!(told.as_slice(), [id] if *id == made.id), "{told:?}");
    let removed = async {
        while bench.with(|cloud| cloud.deleted.is_empty()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), removed).await.unwrap();
    assert_eq!(bench.with(|cloud| cloud.deleted.clone()), ["cube-2"]);
    bench.with(|cloud| cloud.pods.clear());
    let gone = async {
        loop {
            if let InstanceEvent::Gone(instance) = events.next().await.unwrap().unwrap() {
                break instance.id;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap(), made.id);
}

/// More than a page: all of them, each once; a stranger's pods are none of ours.
#[tokio::test]
async fn lists_have_pages_and_strangers() {
    let bench = Bench::new(Duration::from_secs(60)).await;
    bench.with(|cloud| {
        for n in 0..250 {
            let cluster = if n % 25 == 0 { "another" } else { "c-1" };
            let labels = json!({"burst.io/cluster-id": cluster, "burst.io/pod-uid": format!("u-{n}"),
                "burst.io/virtual-node": "uk8s-c-vk-0"});
            cloud.add(json!({"metadata": {"labels": labels}, "spec": {"containers": []}}));
        }
    });
    assert_eq!(bench.provider.list().await.unwrap().len(), 240);
}

#[tokio::test]
async fn logs_and_commands_are_refused_in_words() {
    let bench = Bench::new(Duration::from_secs(60)).await;
    let made = bench.create(json!({})).await.unwrap();
    let text = bench.provider.logs(&made, "c", &LogOptions::default()).await.err().unwrap().to_string();
    assert!(text.contains("console of Cube"), "{text}");
    let command =
        ExecRequest { command: vec!["ls".into()], stdin: false, stdout: true, stderr: true, tty: false };
    let (ours, theirs) = crate::streams::exec_pair(1);
    let text = bench.provider.exec(&made, "c", &command, theirs).await.unwrap_err().to_string();
    assert!(text.contains("https://console/terminal?token=t-c") && text.contains("once"), "{text}");
    drop(ours);
}

/// The latest of the points, as a share of the limit; a pod without points is left out.
#[tokio::test]
async fn usage_is_read_by_the_configured_names() {
    let without = Bench::new(Duration::from_secs(1)).await;
    assert!(!without.provider.capabilities().usage);
    let error = without.provider.usage(&[]).await.unwrap_err().to_string();
    assert!(error.contains("cube.metrics"), "{error}");
    let bench =
        Bench::open(CubeSettings { metrics: Some(("Cpu".into(), "Memory".into())), ..settings() }).await;
    assert!(bench.provider.capabilities().usage);
    let web = bench.create(json!({})).await.unwrap();
    let other = bench.with(|cloud| {
        let mut document = cloud.pods[0].1.clone();
        document["metadata"]["labels"]["burst.io/pod-uid"] = json!("u-2");
        cloud.add(document)
    });
    let other = Instance { id: other, ..web.clone() };
    // The watch lists every few seconds.
    bench.provider.list().await.unwrap();
    let used = bench.provider.usage(&[web, other]).await.unwrap();
    let [pod] = &used[..] else { panic!("{used:?}") };
    let [c] = &pod.containers[..] else { panic!("{pod:?}") };
    // A quarter of one core, half of 2Gi: the default size.
    assert_eq!((pod.pod_uid.as_str(), c.name.as_str()), ("u-1", "c"));
    assert_eq!((c.nano_cores, c.memory.working_set), (Some(250_000_000), Some(1 << 30)));
    let odd = CubeSettings { metrics: Some(("Odd".into(), "Memory".into())), ..bench.settings.clone() };
    let provider = CubeProvider::new(odd).unwrap();
    let instances = provider.list().await.unwrap();
    let error = provider.usage(&instances).await.unwrap_err().to_string();
    assert!(error.contains("MetricName"), "{error}");
}
