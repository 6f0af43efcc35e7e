//! What a cloud warns of about an instance, told to the owner of its pod.
//!
//! A warning may come before the instance is known here: it is kept for a moment. The cloud's own names are replaced by
//! the pod's.

use std::collections::VecDeque;
use std::time::Duration;

use cluster::events::{Event, EventKind};
use tokio::time::Instant;

use super::words;
use crate::cloud::{PodIdentity, Warning};

/// How long a warning waits for its instance.
const WAITS: Duration = Duration::from_secs(10);
/// So many wait at most; the oldest go first.
const MOST: usize = 256;

/// Warnings about instances that are not known yet.
#[derive(Debug, Default)]
pub(super) struct Early {
    waiting: VecDeque<(Instant, Warning)>,
}

impl Early {
    /// Keeps one for a moment.
    pub(super) fn keep(&mut self, warning: Warning, now: Instant) {
        if self.waiting.len() >= MOST {
            self.waiting.pop_front();
        }
        self.waiting.push_back((now + WAITS, warning));
    }

    /// Those whose instance is known by now, with its pod; old ones are forgotten.
    pub(super) fn known(
        &mut self,
        now: Instant,
        pod_of: impl Fn(&str) -> Option<PodIdentity>,
    ) -> Vec<(PodIdentity, Warning)> {
        let (mut known, mut waiting) = (Vec::new(), VecDeque::new());
        for (until, warning) in self.waiting.drain(..).filter(|(until, _)| *until > now) {
            match pod_of(&warning.id) {
                Some(pod) => known.push((pod, warning)),
                None => waiting.push_back((until, warning)),
            }
        }
        self.waiting = waiting;
        known
    }
}

/// The event on the pod.
pub(super) fn event(pod: &PodIdentity, warning: &Warning) -> Event {
    let Warning { reason, message, from, namespace, name, .. } = warning;
    let plain: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut note = plain;
    for (theirs, ours) in [(name, &pod.name), (namespace, &pod.namespace)] {
        if !theirs.is_empty() {
            note = note.replace(theirs.as_str(), ours);
        }
    }
    let readable =
        !reason.is_empty() && reason.len() <= 128 && reason.chars().all(|c| c.is_ascii_alphanumeric());
    Event {
        regarding: words::regarding(pod),
        kind: EventKind::Warning,
        reason: if readable { reason.clone() } else { "CloudWarning".to_owned() },
        action: "RunInstance".to_owned(),
        note,
        from: Some(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(reason: &str, message: &str) -> Warning {
        Warning {
            id: "web-1-abc/uid".into(),
            reason: reason.into(),
            message: message.into(),
            from: "CCI",
            namespace: "cce-burst-c1".into(),
            name: "web-1-abc".into(),
        }
    }

    fn pod() -> PodIdentity {
        PodIdentity { uid: "u1".into(), namespace: "shop".into(), name: "web-1".into() }
    }

    /// Guards privacy: names of the account's objects are no business of the pod's owner.
    #[test]
    fn the_clouds_names_are_not_told() {
        let message = "Failed to pull image for web-1-abc_cce-burst-c1(uid):\nnot found";
        let told = event(&pod(), &warning("Failed", message));
        assert_eq!(told.note, "Failed to pull image for web-1_shop(uid): not found");
        assert_eq!(
            (told.reason.as_str(), told.from, told.regarding.uid.as_str()),
            ("Failed", Some("CCI"), "u1")
        );
        for odd in ["", "not a reason", &"x".repeat(129)] {
            assert_eq!(event(&pod(), &warning(odd, "m")).reason, "CloudWarning");
        }
    }

    #[test]
    fn a_warning_waits_a_moment_for_its_instance() {
        let (mut early, now) = (Early::default(), Instant::now());
        early.keep(warning("Failed", "m"), now);
        assert!(early.known(now, |_| None).is_empty());
        let known = early.known(now + WAITS / 2, |id| (id == "web-1-abc/uid").then(pod));
        assert_eq!(known.len(), 1);
        early.keep(warning("Failed", "m"), now);
        assert!(early.known(now + WAITS, |_| Some(pod())).is_empty(), "too late");
        for _ in 0..=MOST {
            early.keep(warning("Failed", "m"), now);
        }
        assert_eq!(early.known(now, |_| Some(pod())).len(), MOST);
    }
}
