//! The mock, whose instances are in itself.

use super::*;
use crate::cloud::mock::{MockProvider, MockSettings};

/// The mock, whose instances are in itself.
pub(in crate::cloud::conformance) struct Mock(MockProvider);

pub(in crate::cloud::conformance) async fn mock() -> Mock {
    Mock(MockProvider::new(MockSettings {
        start_delay: Duration::ZERO,
        stop_delay: Duration::from_millis(50),
    }))
}

#[async_trait]
impl Subject for Mock {
    fn provider(&self) -> &dyn Provider {
        &self.0
    }

    fn restarted(&self) -> Option<Box<dyn Provider>> {
        None
    }

    fn lose_the_next_answer(&self) -> bool {
        false
    }

    fn fail_the_next_list(&self) -> bool {
        false
    }

    fn add_a_strangers_instance(&self) -> bool {
        false
    }

    /// They are kept by UID.
    fn most_at_once(&self, _uid: &str) -> usize {
        1
    }

    async fn finish_deletions(&self) {
        while self.0.list().await.unwrap().iter().any(|instance| instance.deleting) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// It says everything on standard output, and that it ended well.
    async fn next_session(&self, uid: &str) -> Option<Session> {
        let runs = |instance: &Instance| instance.pod.uid == uid && instance.status["phase"] == "Running";
        while !self.0.list().await.unwrap().iter().any(runs) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(Session { complaint: "", code: 0, running: Arc::default() })
    }

    fn secrets(&self) -> Vec<&'static str> {
        Vec::new()
    }
}
