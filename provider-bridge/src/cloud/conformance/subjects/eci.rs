//! ECI, over groups in this process.

use super::*;
use crate::cloud::eci::tests::cloud::{Cloud, Fault};
use crate::cloud::eci::tests::settings;
use crate::cloud::eci::{EciProvider, EciSettings};

/// ECI, over groups in this process.
pub(in crate::cloud::conformance) struct Eci {
    cloud: Cloud,
    provider: EciProvider,
    far: Far,
}

const PLACES: [&str; 2] = ["vsw-1", "vsw-2"];
const ECI_SECRET: &str = "eci-secret-key";

fn open_eci(endpoint: &str) -> EciProvider {
    let secret_key = SecretString::from(ECI_SECRET);
    EciProvider::new(EciSettings {
        node_names: vec![NODE.into()],
        endpoint: endpoint.into(),
        vswitches: PLACES.map(str::to_owned).to_vec(),
        credentials: access_keys::Credentials::Fixed { access_key: "AK1".into(), secret_key, token: None },
        poll: Duration::from_millis(100),
        ..settings()
    })
    .unwrap()
}

pub(in crate::cloud::conformance) async fn eci() -> Eci {
    let cloud = Cloud::start().await;
    cloud.slow();
    let far = Far::default();
    cloud.sessions_at(far.web_sockets().await);
    let provider = open_eci(&cloud.endpoint);
    Eci { cloud, provider, far }
}

impl Eci {
    /// Id of the group of a pod.
    fn group(&self, uid: &str) -> String {
        let groups = self.cloud.groups();
        groups.iter().find(|group| group.is_of(uid)).expect("a group").id.clone()
    }

    /// The group of a pod shows this state.
    fn set(&self, uid: &str, status: &str) {
        self.cloud.set(&self.group(uid), status);
    }
}

#[async_trait]
impl Subject for Eci {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    fn restarted(&self) -> Option<Box<dyn Provider>> {
        Some(Box::new(open_eci(&self.cloud.endpoint)))
    }

    fn lose_the_next_answer(&self) -> bool {
        self.cloud.fault("CreateContainerGroup", Fault::Lost);
        true
    }

    /// The second page, so that there is a part that could be taken for the whole.
    fn fail_the_next_list(&self) -> bool {
        self.cloud.page(2);
        let pages = usize::from(self.cloud.groups().len() > 2);
        self.cloud.fault_after("DescribeContainerGroupStatus", pages, Fault::Code(500, "InternalError"));
        true
    }

    fn add_a_strangers_instance(&self) -> bool {
        self.cloud.stranger();
        true
    }

    fn refuse_the_next_create(&self, why: Refused) -> bool {
        // What is refused because of the place is tried at the next one.
        if why == Refused::SoldOut {
            self.cloud.fault("CreateContainerGroup", Fault::Code(403, "OperationDenied.NoStock"));
        }
        let fault = match why {
            Refused::Throttled => Fault::Code(400, "Throttling.User"),
            Refused::SoldOut => Fault::Code(403, "OperationDenied.NoStock"),
            Refused::Account => Fault::Code(400, "Account.Arrearage"),
        };
        self.cloud.fault("CreateContainerGroup", fault);
        true
    }

    /// What the spot market takes back has expired.
    fn take_away(&self, uid: &str) -> bool {
        self.set(uid, "Expired");
        true
    }

    fn show_oddly(&self, uid: &str) -> bool {
        self.set(uid, "Odd");
        true
    }

    fn say(&self, lines: &[&'static str]) -> bool {
        self.cloud.log(lines);
        true
    }

    fn sell_out_the_first_place(&self) -> Option<&'static str> {
        self.cloud.sell_out(PLACES[0]);
        Some(PLACES[1])
    }

    fn place_of(&self, uid: &str) -> Option<String> {
        Some(self.cloud.switch_of(&self.group(uid)))
    }

    fn lag(&self, on: bool) -> bool {
        self.cloud.hide(on);
        true
    }

    fn most_at_once(&self, uid: &str) -> usize {
        self.cloud.most_at_once(uid)
    }

    /// What becomes of a second group with the disk of a first is not documented: none is refused here.
    fn disk(&self) -> Option<Disk> {
        let source = json!({"flexVolume": {"driver": "alicloud/disk", "fsType": "ext4", "options": {"volumeId": "d-1"}}});
        Some(Disk { id: "d-1", source, volume: None, exclusive: false })
    }

    fn disks_of(&self, uid: &str) -> Vec<String> {
        let options = self.cloud.disk_options(&self.group(uid));
        options.iter().map(|options| options["volumeId"].as_str().unwrap().to_owned()).collect()
    }

    /// Whoever says more than the id asks for a new one, or for its end.
    fn disks_are_untouched(&self) -> bool {
        let all = self.cloud.groups();
        let options = all.iter().flat_map(|group| self.cloud.disk_options(&group.id));
        options.into_iter().all(|options| options.as_object().is_some_and(|options| options.len() == 1))
    }

    fn restart_the_container(&self, uid: &str) -> bool {
        self.set(uid, "Running");
        let (at, end) = ("2026-01-02T03:05:00Z", json!({"ExitCode": 137, "Reason": "OOMKilled"}));
        let row = json!({"Name": "app", "Ready": true, "RestartCount": 1,
            "State": {"Running": {"StartedAtstartedAt": at}}, "LastState": {"Terminated": end}});
        self.cloud.tell(&self.group(uid), json!({"Phase": "Running", "ContainerStatuses": [row]}));
        true
    }

    async fn finish_deletions(&self) {
        self.cloud.finish();
    }

    /// With input through the WebSocket that it names, without in the answer.
    async fn next_session(&self, _uid: &str) -> Option<Session> {
        Some(self.far.session())
    }

    async fn listen(&self, uid: &str) -> Option<u16> {
        self.cloud.tell(&self.group(uid), json!({"Phase": "Running", "PodIp": "127.0.0.1"}));
        Some(self.far.echo().await)
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec![ECI_SECRET]
    }
}
