//! What instances use, in the words of Kubernetes' `stats/v1alpha1`: as much of it as a cloud tells.

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;

use super::CloudError;

/// What one instance uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// UID of the pod it was made for.
    pub pod_uid: String,
    /// Its containers, those among them that the pod itself does not have.
    pub containers: Vec<ContainerUsage>,
    /// Its network interfaces, where the cloud tells.
    pub interfaces: Vec<Interface>,
}

/// What one container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Name of the container.
    pub name: String,
    /// When it was measured.
    pub at: Timestamp,
    /// CPU in use, averaged over the cloud's own window: thousand-millionths of a core.
    pub nano_cores: Option<u64>,
    /// CPU used since the container's start: core-nanoseconds.
    pub core_nano_seconds: Option<u64>,
    /// Memory.
    pub memory: Memory,
}

/// What is used, as far as calls are answered; a refusal where none is. Calls end at the first refusal that is not one
/// instance's `own` trouble: whoever asks again in some seconds will see more, and others need the calls.
pub(in crate::cloud) async fn gather<R: Into<CloudError>>(
    answers: impl Stream<Item = Result<Vec<Usage>, R>>,
    own: impl Fn(&R) -> bool,
) -> Result<Vec<Usage>, CloudError> {
    let mut answers = std::pin::pin!(answers);
    let (mut found, mut refused) = (Vec::new(), None);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(usages) => found.extend(usages),
            Err(refusal) if own(&refusal) => drop(refused.get_or_insert(refusal)),
            Err(refusal) => {
                refused = Some(refusal);
                break;
            }
        }
    }
    match refused {
        Some(refusal) if found.is_empty() => Err(refusal.into()),
        _ => Ok(found),
    }
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Left below the limit.
    pub available: Option<u64>,
    /// All of it, caches included.
    pub usage: Option<u64>,
    /// What cannot be given back under pressure; what `kubectl top` shows.
    pub working_set: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
}

impl Memory {
    /// What both use; a number that one of them does not say is not known of the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        Self {
            available: sum(self.available, other.available),
            usage: sum(self.usage, other.usage),
            working_set: sum(self.working_set, other.working_set),
            rss: sum(self.rss, other.rss),
        }
    }

    /// Nothing, exactly known: where a sum begins.
    pub const NOTHING: Self = Self { available: Some(0), usage: Some(0), working_set: Some(0), rss: Some(0) };
}

/// What went through a network interface since it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name: `eth0`.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Errors while receiving.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Errors while sending.
    pub tx_errors: u64,
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    /// `answers` are UIDs or refusals; what comes of them, and how many were read.
    async fn check(answers: &[Result<&str, &str>], expected: Result<&[&str], &str>, read: usize) {
        let mut asked = 0;
        let answers = answers.iter().inspect(|_| asked += 1).map(|answer| match answer {
            Ok(uid) => Ok(vec![Usage { pod_uid: (*uid).to_owned(), ..Usage::default() }]),
            Err(text) => Err(CloudError::Retryable((*text).to_owned())),
        });
        let of_itself = |error: &CloudError| error.to_string().contains("itself");
        let found = gather(stream::iter(answers), of_itself).await;
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let found: Vec<&str> = found.iter().map(|usage| usage.pod_uid.as_str()).collect();
                assert_eq!(found, expected);
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
        assert_eq!(asked, read);
    }

    #[tokio::test]
    async fn what_is_answered_counts_and_a_refusal_only_where_nothing_is() {
        check(&[], Ok(&[]), 0).await;
        check(&[Ok("a"), Ok("b")], Ok(&["a", "b"]), 2).await;
        check(&[Err("itself 1"), Ok("b"), Err("itself 2")], Ok(&["b"]), 3).await;
        check(&[Ok("a"), Err("slow down"), Ok("c")], Ok(&["a"]), 2).await;
        check(&[Err("itself 1"), Err("itself 2")], Err("itself 1"), 2).await;
        check(&[Err("itself 1"), Err("slow down"), Ok("c")], Err("slow down"), 2).await;
    }
}
