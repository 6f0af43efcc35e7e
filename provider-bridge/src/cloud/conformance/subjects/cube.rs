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
