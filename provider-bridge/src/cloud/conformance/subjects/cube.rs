//! Cube, over pods in this process.

use super::*;
use crate::cloud::cube::tests::Bench;

/// Cube, over pods in this process.
pub(in crate::cloud::conformance) struct Cube(Bench, Far);

pub(in crate::cloud::conformance) async fn cube() -> Cube {
    Cube(Bench::of_node(NODE).await, Far::default())
}

#[async_trait]
impl Subject for Cube {
    fn provider(&self) -> &dyn Provider {
        self.0.provider()
    }

    fn restarted(&self) -> Option<Box<dyn Provider>> {
        Some(Box::new(self.0.another()))
    }

    fn lose_the_next_answer(&self) -> bool {
        self.0.lose_the_next_answer();
        true
    }

    fn fail_the_next_list(&self) -> bool {
        self.0.fail_the_next_list();
        true
    }

    fn add_a_strangers_instance(&self) -> bool {
        self.0.add_a_strangers();
        true
    }

    fn refuse_the_next_create(&self, why: Refused) -> bool {
        let (code, message) = match why {
            Refused::Throttled => (153, "too many requests"),
            Refused::SoldOut => (8039, "resource not enough in this zone"),
            Refused::Account => (520, "balance not enough"),
        };
        self.0.refuse_the_next_create(code, message);
        true
    }

    fn take_away(&self, uid: &str) -> bool {
        self.0.show(uid, json!({"phase": "Failed"}));
        true
    }

    fn show_oddly(&self, uid: &str) -> bool {
        self.0.show(uid, json!({"phase": "Odd"}));
        true
    }

    fn lag(&self, on: bool) -> bool {
        self.0.lag(on);
        true
    }

    fn most_at_once(&self, uid: &str) -> usize {
        self.0.most_at_once(uid)
    }

    fn disk(&self) -> Option<Disk> {
        let volume =
            json!({"csi": {"driver": "udisk.csi.ucloud.cn", "volumeHandle": "bsr-1", "fsType": "ext4"}});
        Some(Disk::claimed("bsr-1", &volume, true))
    }

    fn disks_of(&self, uid: &str) -> Vec<String> {
        self.0.disks_of(uid)
    }

    fn disks_are_untouched(&self) -> bool {
        self.0.disks_are_untouched()
    }

    /// It tells the end before it tells the new beginning.
    fn restart_the_container(&self, uid: &str) -> bool {
        let end = json!({"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-02T03:05:00Z"});
        let row = json!({"name": "app", "ready": false, "restartCount": 1, "state": {"terminated": end}});
        self.0.show(uid, json!({"phase": "Error", "containerStatuses": [row]}));
        true
    }

    /// They are finished at once.
    async fn finish_deletions(&self) {}

    async fn listen(&self, uid: &str) -> Option<u16> {
        self.0.show(uid, json!({"phase": "Running", "podIp": "127.0.0.1"}));
        Some(self.1.echo().await)
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec!["testPriv"]
    }
}
