//! The log of a container that never ran: one line that says so, dated when it "started".

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use jiff::{SignedDuration, Timestamp};

use crate::cloud::{ByteStream, CloudError, Instance, InstanceEvent, PodIdentity};
use crate::streams::LogOptions;

use super::instances::Instances;
use super::watch;

pub(super) fn open(
    instances: &Arc<Instances>,
    instance: &Instance,
    container: &str,
    options: &LogOptions,
) -> Result<ByteStream, CloudError> {
    let started = instances.started(&instance.pod, container)?;
    if options.previous {
        let PodIdentity { namespace, name, .. } = &instance.pod;
        return Err(CloudError::Invalid(format!(
            "container {container} of pod {namespace}/{name} has no previous log: a mock never restarts it"
        )));
    }
    let line = line(&instance.pod, container, started, options, Timestamp::now());
    let line = stream::iter(line.map(|line| Ok(Bytes::from(line))));
    if !options.follow {
        return Ok(line.boxed());
    }
    // Nothing more comes, and the stream ends with the instance.
    Ok(line.chain(until_gone(instances, instance.pod.uid.clone())).boxed())
}

/// The line, if the options ask for it. `limit_bytes` is kept by the kubelet port.
fn line(
    pod: &PodIdentity,
    container: &str,
    started: Timestamp,
    options: &LogOptions,
    now: Timestamp,
) -> Option<String> {
    let ago = |seconds: u64| {
        let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        now.checked_sub(span).unwrap_or(Timestamp::MIN)
    };
    let since = options.since_time.or_else(|| options.since_seconds.map(ago));
    if options.tail_lines == Some(0) || since.is_some_and(|since| started < since) {
        return None;
    }
    let stamp = if options.timestamps { format!("{started} ") } else { String::new() };
    let PodIdentity { namespace, name, .. } = pod;
    Some(format!("{stamp}mock: nothing runs here; container {container} of pod {namespace}/{name}\n"))
}

fn until_gone(instances: &Arc<Instances>, uid: String) -> BoxStream<'static, Result<Bytes, CloudError>> {
    let mut events = watch::start(instances);
    stream::once(async move {
        let mut seen = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(InstanceEvent::Restarted) => seen = false,
                Ok(InstanceEvent::Changed(instance)) => seen |= instance.pod.uid == uid,
                Ok(InstanceEvent::Gone(instance)) if instance.pod.uid == uid => break,
                Ok(InstanceEvent::Synced) if !seen => break,
                _ => {}
            }
        }
        None
    })
    .filter_map(std::future::ready)
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_decide_whether_there_is_a_line() {
        let pod = PodIdentity { uid: "u".into(), namespace: "shop".into(), name: "web".into() };
        let started: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let now: Timestamp = "2030-01-01T00:01:00Z".parse().unwrap();
        let read = |options: LogOptions| line(&pod, "main", started, &options, now);
        let all = LogOptions::default;
        let plain = "mock: nothing runs here; container main of pod shop/web\n";
        assert_eq!(read(all()).as_deref(), Some(plain));
        assert_eq!(read(LogOptions { tail_lines: Some(5), ..all() }).as_deref(), Some(plain));
        let stamped = read(LogOptions { timestamps: true, ..all() });
        assert_eq!(stamped, Some(format!("2030-01-01T00:00:00Z {plain}")));
        assert_eq!(read(LogOptions { since_seconds: Some(61), ..all() }).as_deref(), Some(plain));
        assert_eq!(read(LogOptions { since_time: Some(started), ..all() }).as_deref(), Some(plain));
        for none in [
            LogOptions { tail_lines: Some(0), ..all() },
            LogOptions { since_seconds: Some(59), ..all() },
            LogOptions { since_time: Some(now), ..all() },
        ] {
            assert_eq!(read(none.clone()), None, "{none:?}");
        }
    }
}
