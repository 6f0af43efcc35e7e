//! Logs of a container. ECI answers at most the last 2000 lines and follows nothing: following is asking again from the
//! last line's second, and leaving out what was shown.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::cloud::{ByteStream, CloudError, Instance};
use crate::streams::LogOptions;

use super::action::{Action, Operation};
use super::answers::Log;
use super::api::Api;
use super::parameters::Pairs;

/// Most lines of one answer.
const LINES_MAX: u64 = 2000;
/// Most bytes of one answer.
const BYTES_MAX: u64 = 1 << 20;
/// Time between two questions while following.
const FOLLOW_EVERY: Duration = Duration::from_millis(1000);
/// After so many answers without a line it is asked whether the container has ended.
const QUIET_ANSWERS: u32 = 3;
/// Lines of the same second that are remembered.
const REMEMBERED: usize = 4096;

/// Opens the log. The first answer is fetched here, so that a refusal is one.
pub(super) async fn open(
    api: &Arc<Api>,
    instance: &Instance,
    container: &str,
    options: &LogOptions,
) -> Result<ByteStream, CloudError> {
    let mut reader = Reader {
        api: Arc::clone(api),
        id: instance.id.clone(),
        container: container.to_owned(),
        options: options.clone(),
        shown: Shown::default(),
        left: options.limit_bytes.unwrap_or(u64::MAX),
        quiet: 0,
    };
    let first = reader.ask(&query(options, None)).await?;
    let mut chunk = reader.show(&first);
    // None is not a number of lines that ECI takes: one was asked for, to know from when to go on.
    if options.tail_lines == Some(0) {
        reader.left = options.limit_bytes.unwrap_or(u64::MAX);
        chunk = Bytes::new();
    }
    let beginning = stream::iter((!chunk.is_empty()).then_some(Ok(chunk)));
    if !options.follow || options.previous || reader.left == 0 {
        return Ok(beginning.boxed());
    }
    let rest = stream::unfold(reader, |mut reader| async move {
        match reader.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), reader)),
            Ok(None) => None,
            Err(error) => {
                reader.left = 0;
                Some((Err(error), reader))
            }
        }
    });
    Ok(beginning.chain(rest).boxed())
}

struct Reader {
    api: Arc<Api>,
    id: String,
    container: String,
    options: LogOptions,
    shown: Shown,
    /// Bytes that may still be shown.
    left: u64,
    quiet: u32,
}

impl Reader {
    /// The next lines; `None` when the container has ended and all of them were shown.
    async fn next(&mut self) -> Result<Option<Bytes>, CloudError> {
        while self.left > 0 {
            tokio::time::sleep(FOLLOW_EVERY).await;
            let content = self.ask(&query(&self.options, Some(self.shown.since()))).await?;
            let chunk = self.show(&content);
            if !chunk.is_empty() {
                self.quiet = 0;
                return Ok(Some(chunk));
            }
            self.quiet += 1;
            if self.quiet.is_multiple_of(QUIET_ANSWERS) && self.ended().await? {
                let content = self.ask(&query(&self.options, Some(self.shown.since()))).await?;
                let chunk = self.show(&content);
                self.left = 0;
                return Ok((!chunk.is_empty()).then_some(chunk));
            }
        }
        Ok(None)
    }

    async fn ask(&self, query: &Pairs) -> Result<String, CloudError> {
        let operation = Operation::new(Action::DescribeLog, &self.id);
        let mut parameters = vec![
            ("ContainerGroupId".to_owned(), self.id.clone()),
            ("ContainerName".to_owned(), self.container.clone()),
        ];
        parameters.extend(query.iter().cloned());
        let log: Log = self.api.client.call(&operation, parameters).await?;
        Ok(log.content)
    }

    fn show(&mut self, content: &str) -> Bytes {
        let following = self.options.follow && !self.options.previous;
        let mut text = if following {
            self.shown.new_lines(content, self.options.timestamps)
        } else {
            content.to_owned()
        };
        // The answer may lack the end of its last line.
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut bytes = text.into_bytes();
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
        bytes.into()
    }

    /// Whether the container will write no more.
    async fn ended(&self) -> Result<bool, CloudError> {
        let statuses = self.api.statuses_of(std::slice::from_ref(&self.id)).await?;
        let Some(group) = statuses.iter().find(|status| status.container_group_id == self.id) else {
            return Ok(true);
        };
        let over = matches!(group.status.as_str(), "Succeeded" | "Failed" | "Expired" | "ScheduleFailed");
        let container = group.pod_status.container_statuses.iter().find(|one| one.name == self.container);
        Ok(over || container.is_some_and(|one| one.state.terminated.is_some()))
    }
}

/// The parameters beside group and container: the user's at first, then everything from a moment on.
fn query(options: &LogOptions, again_from: Option<Timestamp>) -> Pairs {
    let following = options.follow && !options.previous;
    let mut out: Vec<(&str, String)> = Vec::new();
    let tail = match (again_from, options.tail_lines) {
        (None, Some(lines)) => lines.clamp(1, LINES_MAX),
        _ => LINES_MAX,
    };
    out.push(("Tail", tail.to_string()));
    if options.timestamps || following {
        out.push(("Timestamps", "true".to_owned()));
    }
    if options.previous {
        out.push(("LastTime", "true".to_owned()));
    }
    let start = again_from.or(options.since_time);
    if let Some(start) = start {
        out.push(("StartTime", start.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    } else if let Some(seconds) = options.since_seconds {
        out.push(("SinceSeconds", seconds.to_string()));
    }
    if let Some(limit) = options.limit_bytes.filter(|_| !following) {
        out.push(("LimitBytes", limit.min(BYTES_MAX).to_string()));
    }
    out.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What was shown already, as far as it can come again.
#[derive(Debug, Default)]
struct Shown {
    last: Option<Timestamp>,
    /// Lines, with their stamps, of the last line's second.
    lines: VecDeque<String>,
}

impl Shown {
    /// From when to ask again.
    fn since(&self) -> Timestamp {
        self.last.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The lines that were not shown yet; without their stamps unless those were asked for.
    fn new_lines(&mut self, content: &str, stamps: bool) -> String {
        let mut out = String::new();
        for line in content.lines() {
            let (stamp, rest) = line.split_once(' ').unwrap_or((line, ""));
            let at = stamp.parse::<Timestamp>().ok();
            if let (Some(at), Some(last)) = (at, self.last)
                && (at.as_second() < last.as_second() || self.lines.iter().any(|shown| shown == line))
            {
                continue;
            }
            if let Some(at) = at {
                if self.last.is_none_or(|last| at.as_second() > last.as_second()) {
                    self.lines.clear();
                    self.last = Some(at);
                }
                self.lines.push_back(line.to_owned());
                if self.lines.len() > REMEMBERED {
                    self.lines.pop_front();
                }
            }
            // A line without a stamp is shown whole: dropping what cannot be dated would hide it.
            out.push_str(if stamps || at.is_none() { line } else { rest });
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(options: &LogOptions, again: Option<&str>) -> String {
        let pairs = query(options, again.map(|at| at.parse().unwrap()));
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    #[test]
    fn queries() {
        let all = LogOptions::default();
        assert_eq!(asked(&all, None), "Tail=2000");
        let some = LogOptions {
            tail_lines: Some(5),
            timestamps: true,
            limit_bytes: Some(9),
            ..LogOptions::default()
        };
        assert_eq!(asked(&some, None), "Tail=5&Timestamps=true&LimitBytes=9");
        let since = LogOptions {
            since_seconds: Some(7),
            previous: true,
            tail_lines: Some(9000),
            ..LogOptions::default()
        };
        assert_eq!(asked(&since, None), "Tail=2000&LastTime=true&SinceSeconds=7");
        let at = LogOptions {
            since_time: Some("2026-01-02T03:04:05.5Z".parse().unwrap()),
            ..LogOptions::default()
        };
        assert_eq!(asked(&at, None), "Tail=2000&StartTime=2026-01-02T03:04:05Z");
        let follow =
            LogOptions { follow: true, tail_lines: Some(0), limit_bytes: Some(9), ..LogOptions::default() };
        assert_eq!(asked(&follow, None), "Tail=1&Timestamps=true");
        assert_eq!(
            asked(&follow, Some("2026-01-02T03:04:05.9Z")),
            "Tail=2000&Timestamps=true&StartTime=2026-01-02T03:04:05Z"
        );
    }

    /// Guards following: each line is shown once, also those of the second that is asked for again.
    #[test]
    fn lines_are_shown_once() {
        let mut shown = Shown::default();
        let first = "2026-01-02T03:04:05.1Z a\n2026-01-02T03:04:05.9Z b\n";
        assert_eq!(shown.new_lines(first, false), "a\nb\n");
        assert_eq!(shown.since().to_string(), "2026-01-02T03:04:05.1Z");
        assert_eq!(shown.new_lines(first, false), "");
        let more = "2026-01-02T03:04:05.9Z b\n2026-01-02T03:04:05.9Z c\n2026-01-02T03:04:06Z d\n";
        assert_eq!(shown.new_lines(more, false), "c\nd\n");
        assert_eq!(
            shown.new_lines("2026-01-02T03:04:06Z d\n2026-01-02T03:04:07Z e", true),
            "2026-01-02T03:04:07Z e\n"
        );
        assert_eq!(shown.new_lines("no stamp\n", true), "no stamp\n");
    }
}
