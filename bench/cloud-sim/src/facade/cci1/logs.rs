//! `GET …/log` with the API's options; following ends with the container, not with the connection.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch::Receiver;

use super::super::{Body, Call, Front};
use crate::core::instances::Cloud;
use crate::core::kind::Kind;
use crate::core::logs::{Line, Log, Progress, log_time};
use crate::core::store::Key;
use crate::error::ApiError;

/// What to send of each line, and when to stop.
struct Reader {
    cloud: Arc<Cloud>,
    log: Arc<Log>,
    progress: Receiver<Progress>,
    next: u64,
    since: Option<Timestamp>,
    timestamps: bool,
    follow: bool,
    /// Bytes that may still be sent.
    left: u64,
    first: VecDeque<Line>,
    begun: bool,
}

/// Answers a log request.
pub(super) fn read(front: &Front, call: &Call, key: &Key) -> Result<Response<Body>, ApiError> {
    let log = find(front, call, key)?;
    let now = front.cloud.clock.now();
    let seconds =
        call.number("sinceSeconds")?.map(|n| SignedDuration::from_secs(i64::try_from(n).unwrap_or(i64::MAX)));
    let time = call.param("sinceTime").map(|text| {
        text.parse::<Timestamp>()
            .map_err(|_| ApiError::bad_request(format!("sinceTime {text:?} is not RFC 3339")))
    });
    let since = match (seconds, time.transpose()?) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("at most one of sinceTime or sinceSeconds may be specified"));
        }
        (Some(span), None) => Some(now.checked_sub(span).unwrap_or(Timestamp::MIN)),
        (None, time) => time,
    };
    let progress = log.subscribe();
    let (lines, next) = log.read(0);
    let mut first: VecDeque<Line> =
        lines.into_iter().filter(|line| since.is_none_or(|since| line.at >= since)).collect();
    if let Some(tail) = call.number("tailLines")? {
        let tail = usize::try_from(tail).unwrap_or(usize::MAX);
        first.drain(..first.len().saturating_sub(tail));
    }
    let reader = Reader {
        cloud: front.cloud.clone(),
        log,
        progress,
        next,
        since,
        timestamps: call.flag("timestamps"),
        follow: call.flag("follow"),
        left: call.number("limitBytes")?.unwrap_or(u64::MAX),
        first,
        begun: false,
    };
    let frames =
        stream::unfold(
            reader,
            |mut reader| async move { Some((Ok(Frame::data(reader.next().await?)), reader)) },
        );
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// The log that is asked for, or why there is none, in the API server's words.
fn find(front: &Front, call: &Call, key: &Key) -> Result<Arc<Log>, ApiError> {
    let name = &key.name;
    let stored = front.cloud.store.get(Kind::Pod, key).ok_or_else(|| ApiError::not_found("pods", name))?;
    let instance = front.cloud.instance(&stored.uid).ok_or_else(|| ApiError::not_found("pods", name))?;
    let spec = &instance.plan.spec;
    let container = match (call.param("container").filter(|c| !c.is_empty()), spec.containers.as_slice()) {
        (Some(container), _) => container.to_owned(),
        (None, [only]) => only.name.clone(),
        (None, all) => {
            let names: Vec<&str> = all.iter().map(|c| c.name.as_str()).collect();
            let message = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                names.join(" ")
            );
            return Err(ApiError::bad_request(message));
        }
    };
    if instance.plan.container(&container).is_none() {
        return Err(ApiError::bad_request(format!("container {container} is not valid for pod {name}")));
    }
    let previous = call.flag("previous");
    instance.log(&container, previous).ok_or_else(|| {
        if previous {
            return ApiError::bad_request(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            ));
        }
        let reason = waiting_reason(&stored.value(), &container);
        ApiError::bad_request(format!(
            "container {container:?} in pod {name:?} is waiting to start: {reason}"
        ))
    })
}

fn waiting_reason(pod: &Value, container: &str) -> String {
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    let all = lists.iter().filter_map(|list| pod.pointer(list).and_then(Value::as_array)).flatten();
    let mut named = all.filter(|status| status.get("name").and_then(Value::as_str) == Some(container));
    let reason =
        named.next().and_then(|status| status.pointer("/state/waiting/reason")).and_then(Value::as_str);
    reason.unwrap_or("ContainerCreating").to_owned()
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            let first = std::mem::take(&mut self.first);
            if let Some(bytes) = self.render(first) {
                return Some(bytes);
            }
        }
        while self.follow && self.left > 0 {
            let progress = *self.progress.borrow_and_update();
            let (lines, next) = self.log.read(self.next);
            self.next = next;
            let fresh =
                lines.into_iter().filter(|line| self.since.is_none_or(|since| line.at >= since)).collect();
            if let Some(bytes) = self.render(fresh) {
                return Some(bytes);
            }
            if progress.closed {
                return None;
            }
            tokio::select! {
                () = self.cloud.cancel.cancelled() => return None,
                changed = self.progress.changed() => changed.ok()?,
            }
        }
        None
    }

    /// The lines as bytes, up to the limit; `None` for nothing.
    fn render(&mut self, lines: VecDeque<Line>) -> Option<Bytes> {
        let mut out = BytesMut::new();
        for line in lines {
            if self.timestamps {
                out.put_slice(log_time(line.at).as_bytes());
                out.put_u8(b' ');
            }
            out.put_slice(&line.text);
        }
        out.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= out.len() as u64;
        (!out.is_empty()).then(|| out.freeze())
    }
}
