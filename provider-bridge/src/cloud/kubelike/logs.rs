//! Logs of a container: one GET, followed as a stream.
//!
//! A cloud that knows `sinceSeconds` but not `sinceTime` is asked for a moment with a margin for clocks that differ, and
//! the lines before it are dropped here by their own time stamps.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use jiff::Timestamp;

use crate::cloud::{ByteStream, CloudError, Instance};
use crate::streams::LogOptions;

use super::api::Api;
use super::call::{Call, Limit};
use super::client::transport;
use super::operation::Verb;

/// How far the cloud's clock may be from ours, in seconds, before lines of a `since_time` are missed.
const CLOCK_MARGIN_SECONDS: i64 = 120;

/// A time stamp with nanoseconds is 35 bytes at most; a line that begins otherwise has none.
const STAMP_LIMIT: usize = 40;

/// Opens the log.
pub(in crate::cloud) async fn open(
    api: &Api,
    instance: &Instance,
    container: &str,
    options: &LogOptions,
) -> Result<ByteStream, CloudError> {
    let place = api.place(&instance.id);
    let operation = api.on_pod(Verb::ReadLog, place);
    let exact = api.scope.dialect.since_time;
    let limit = if options.follow { Limit::Nothing } else { Limit::Beginning };
    let call = Call::new(operation.clone(), Method::GET, api.pod_path(place, "/log"))
        .query(query(container, options, Timestamp::now(), exact))
        .limit(limit);
    let response = api.client.send(&call).await?;
    let bytes =
        response.bytes_stream().map_err(move |error| CloudError::from(transport(&operation, error))).boxed();
    Ok(match options.since_time {
        Some(since) if !exact => filtered(bytes, Since::new(since, options.timestamps), options.limit_bytes),
        _ => bytes,
    })
}

/// The query of a log request at `now`; `exact` if the cloud knows `sinceTime`.
fn query(container: &str, options: &LogOptions, now: Timestamp, exact: bool) -> Vec<(&'static str, String)> {
    let mut query = vec![("container", container.to_owned())];
    let filtered = options.since_time.filter(|_| !exact);
    let flags = [
        ("follow", options.follow),
        ("previous", options.previous),
        ("timestamps", options.timestamps || filtered.is_some()),
    ];
    query.extend(flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, "true".to_owned())));
    let since = filtered.map(|since| since_seconds(since, now)).or(options.since_seconds);
    // The limit counts what the client sees: with a filter it is applied after it.
    let limit = options.limit_bytes.filter(|_| filtered.is_none());
    let numbers = [("tailLines", options.tail_lines), ("sinceSeconds", since), ("limitBytes", limit)];
    query.extend(numbers.into_iter().filter_map(|(name, value)| Some((name, value?.to_string()))));
    query.extend(options.since_time.filter(|_| exact).map(|since| ("sinceTime", since.to_string())));
    query
}

/// Enough seconds to cover `since` whatever the cloud's clock says; at least 1, the smallest that is legal.
fn since_seconds(since: Timestamp, now: Timestamp) -> u64 {
    let age = now.duration_since(since).as_secs().saturating_add(1 + CLOCK_MARGIN_SECONDS);
    u64::try_from(age).unwrap_or_default().max(1)
}

fn filtered(bytes: ByteStream, since: Since, limit: Option<u64>) -> ByteStream {
    let state = (bytes, since, limit.unwrap_or(u64::MAX));
    stream::try_unfold(state, |(mut bytes, mut since, mut left)| async move {
        while left > 0 {
            let Some(chunk) = bytes.try_next().await? else {
                let rest = since.finish();
                return Ok((!rest.is_empty()).then(|| (cut(rest, &mut left), (bytes, since, 0))));
            };
            let kept = since.filter(&chunk);
            if !kept.is_empty() {
                return Ok(Some((cut(kept, &mut left), (bytes, since, left))));
            }
        }
        Ok(None)
    })
    .boxed()
}

fn cut(mut bytes: Vec<u8>, left: &mut u64) -> Bytes {
    bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
    *left = left.saturating_sub(bytes.len() as u64);
    bytes.into()
}

/// Drops lines stamped before a moment; takes the stamps away unless they were asked for. Long lines pass through in
/// pieces.
#[derive(Debug)]
struct Since {
    since: Timestamp,
    stamps: bool,
    line: Line,
}

#[derive(Debug)]
enum Line {
    /// Reading the stamp.
    Start(Vec<u8>),
    Kept,
    Dropped,
}

impl Since {
    const fn new(since: Timestamp, stamps: bool) -> Self {
        Self { since, stamps, line: Line::Start(Vec::new()) }
    }

    fn filter(&mut self, mut chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.len());
        while !chunk.is_empty() {
            let end = memchr::memchr(b'\n', chunk).map_or(chunk.len(), |end| end + 1);
            let (part, rest) = chunk.split_at(end);
            self.part(part, &mut out);
            chunk = rest;
        }
        out
    }

    /// One line or a piece of it.
    fn part(&mut self, part: &[u8], out: &mut Vec<u8>) {
        match &mut self.line {
            Line::Kept => out.extend_from_slice(part),
            Line::Dropped => {}
            Line::Start(head) => {
                head.extend_from_slice(part);
                let complete = head.ends_with(b"\n") || head.len() > STAMP_LIMIT || head.contains(&b' ');
                if !complete {
                    return;
                }
                let head = std::mem::take(head);
                self.decide(&head, out);
            }
        }
        if part.ends_with(b"\n") {
            self.line = Line::Start(Vec::new());
        }
    }

    fn decide(&mut self, head: &[u8], out: &mut Vec<u8>) {
        let space = memchr::memchr(b' ', head).unwrap_or(head.len());
        let (stamp, rest) = head.split_at(space);
        let at = std::str::from_utf8(stamp).ok().and_then(|stamp| stamp.trim().parse::<Timestamp>().ok());
        if at.is_some_and(|at| at < self.since) {
            self.line = Line::Dropped;
            return;
        }
        self.line = Line::Kept;
        // A line without a stamp is shown whole: dropping what cannot be dated would hide it.
        let shown = if self.stamps || at.is_none() { head } else { rest.get(1..).unwrap_or_default() };
        out.extend_from_slice(shown);
    }

    /// What is left when the log ends in the middle of a stamp.
    fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Line::Start(head) = &mut self.line {
            let head = std::mem::take(head);
            if !head.is_empty() {
                self.decide(&head, &mut out);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::encoding::wire_query;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn asked(options: &LogOptions) -> String {
        wire_query(&query("app", options, NOW.parse().unwrap(), false))
    }

    #[test]
    fn queries() {
        let cases = [
            (LogOptions::default(), "container=app"),
            (
                LogOptions {
                    follow: true,
                    timestamps: true,
                    tail_lines: Some(0),
                    limit_bytes: Some(9),
                    ..LogOptions::default()
                },
                "container=app&follow=true&timestamps=true&tailLines=0&limitBytes=9",
            ),
            (
                LogOptions { previous: true, since_seconds: Some(5), ..LogOptions::default() },
                "container=app&previous=true&sinceSeconds=5",
            ),
            (
                LogOptions {
                    since_time: Some("2026-01-02T03:03:05.5Z".parse().unwrap()),
                    limit_bytes: Some(9),
                    ..LogOptions::default()
                },
                "container=app&timestamps=true&sinceSeconds=180",
            ),
            (
                LogOptions {
                    since_time: Some("2027-01-01T00:00:00Z".parse().unwrap()),
                    ..LogOptions::default()
                },
                "container=app&timestamps=true&sinceSeconds=1",
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(asked(&options), expected);
        }
    }

    #[test]
    fn a_cloud_that_knows_moments_is_asked_for_one() {
        let options = LogOptions {
            since_time: Some("2026-01-02T03:03:05.5Z".parse().unwrap()),
            limit_bytes: Some(9),
            ..LogOptions::default()
        };
        let asked = wire_query(&query("app", &options, NOW.parse().unwrap(), true));
        assert_eq!(asked, "container=app&limitBytes=9&sinceTime=2026-01-02T03%3A03%3A05.5Z");
    }

    fn run(stamps: bool, cut: usize, log: &str) -> String {
        let mut since = Since::new("2026-01-02T03:04:05Z".parse().unwrap(), stamps);
        let mut out: Vec<u8> = log.as_bytes().chunks(cut).flat_map(|chunk| since.filter(chunk)).collect();
        out.extend(since.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn old_lines_are_dropped_however_the_stream_is_cut() {
        let log = "2026-01-02T03:04:04.999999999Z old\n2026-01-02T03:04:05Z first\n2026-01-02T03:04:04Z late but old\n\
                   no stamp at all here\n\n2026-01-02T03:04:06.5Z \n2026-01-02T03:04:07Z end";
        for cut in [1, 2, 7, 1000] {
            assert_eq!(run(false, cut, log), "first\nno stamp at all here\n\n\nend", "cut {cut}");
            assert!(run(true, cut, log).starts_with("2026-01-02T03:04:05Z first\n"), "cut {cut}");
        }
    }

    #[tokio::test]
    async fn the_limit_counts_what_is_shown() {
        let chunk = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        let chunks = stream::iter([
            chunk("2026-01-02T03:04:04Z old\n2026-01-02T03:04:05Z abcdef\n"),
            chunk("2026-01-02T03:04:06Z x\n"),
        ]);
        let since = Since::new("2026-01-02T03:04:05Z".parse().unwrap(), false);
        let shown: Vec<Bytes> = filtered(chunks.boxed(), since, Some(8)).try_collect().await.unwrap();
        assert_eq!(shown.concat(), b"abcdef\nx");
    }
}
