//! `/containerLogs`: options as the kubelet reads them, then the backend's stream.
//!
//! Facts: `getContainerLogs` in `pkg/kubelet/server/server.go` and ValidatePodLogOptions: what cannot be decoded is 400,
//! what is decoded and illegal is 422; `tailLines=0` is legal and not the same as no `tailLines`.

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};

use crate::cloud::{ByteStream, CloudError};
use crate::kubelet::backend::{Backend, NotFound};
use crate::kubelet::query::Query;
use crate::kubelet::reply::{Body, BodyError, cloud_error, text, typed};
use crate::kubelet::routes::ContainerPath;
use crate::streams::LogOptions;

/// Why the options of a request are not served.
#[derive(Debug, PartialEq, Eq)]
struct Refused(StatusCode, String);

/// Answers with the log, or with the reason why not.
pub(crate) async fn serve(backend: &dyn Backend, path: &ContainerPath, query: &Query) -> Response<Body> {
    let options = match options(query) {
        Ok(options) => options,
        Err(Refused(status, why)) => return text(status, why),
    };
    match open(backend, path, &options).await {
        Ok(Ok(log)) => {
            let chunks = limited(log, options.limit_bytes);
            let frames = chunks.map(|chunk| chunk.map(Frame::data).map_err(BodyError::from));
            typed(StatusCode::OK, "text/plain", StreamBody::new(frames).boxed_unsync())
        }
        Ok(Err(error)) => cloud_error(&error),
        Err(not_found) => text(StatusCode::NOT_FOUND, not_found.to_string()),
    }
}

async fn open(
    backend: &dyn Backend,
    path: &ContainerPath,
    options: &LogOptions,
) -> Result<Result<ByteStream, CloudError>, NotFound> {
    let ContainerPath { namespace, pod, uid, container } = path;
    let target = backend.find(namespace, pod, uid.as_deref(), container).await?;
    Ok(backend.logs(&target, options).await)
}

/// Holds the promise of `limitBytes` whatever the provider does.
fn limited(log: ByteStream, limit: Option<u64>) -> ByteStream {
    let Some(limit) = limit else { return log };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    stream::unfold((log, limit), |(mut log, left)| async move {
        if left == 0 {
            return None;
        }
        match log.next().await? {
            Ok(mut chunk) => {
                chunk.truncate(left);
                let left = left - chunk.len();
                Some((Ok::<Bytes, CloudError>(chunk), (log, left)))
            }
            Err(error) => Some((Err(error), (log, 0))),
        }
    })
    .boxed()
}

fn options(query: &Query) -> Result<LogOptions, Refused> {
    let tail = match query.first("tail") {
        Some("all") => None,
        Some(tail) if !tail.is_empty() => Some(tail),
        _ => query.first("tailLines"),
    };
    let since_time = query.first("sinceTime").map(|time| {
        time.parse()
            .map_err(|_| undecodable("sinceTime", time, "an RFC 3339 time such as 2026-01-02T15:04:05Z"))
    });
    let options = LogOptions {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines: number("tailLines", tail, 0)?,
        limit_bytes: number("limitBytes", query.first("limitBytes"), 1)?,
        since_seconds: number("sinceSeconds", query.first("sinceSeconds"), 1)?,
        since_time: since_time.transpose()?,
    };
    if options.since_seconds.is_some() && options.since_time.is_some() {
        return Err(invalid("at most one of sinceTime and sinceSeconds may be specified"));
    }
    one_stream(query.first("stream"), options.tail_lines).map(|()| options)
}

fn number(name: &str, value: Option<&str>, least: i64) -> Result<Option<u64>, Refused> {
    let Some(value) = value else { return Ok(None) };
    let number: i64 = value.parse().map_err(|_| undecodable(name, value, "a whole number"))?;
    if number < least {
        return Err(invalid(&format!("{name} is {number} and must be at least {least}")));
    }
    Ok(u64::try_from(number).ok())
}

/// No cloud of ours keeps the two outputs apart, so only both together can be had.
fn one_stream(stream: Option<&str>, tail_lines: Option<u64>) -> Result<(), Refused> {
    match stream {
        None | Some("All") => Ok(()),
        Some("Stdout" | "Stderr") if tail_lines.is_some() => {
            Err(invalid("tailLines and a specific stream are mutually exclusive"))
        }
        Some(one @ ("Stdout" | "Stderr")) => {
            let why =
                format!("unable to return the log stream {one} alone: this virtual node keeps only All");
            Err(Refused(StatusCode::BAD_REQUEST, why))
        }
        Some(other) => Err(invalid(&format!("stream is {other:?} and must be All, Stdout or Stderr"))),
    }
}

fn invalid(why: &str) -> Refused {
    Refused(StatusCode::UNPROCESSABLE_ENTITY, format!("invalid log options: {why}"))
}

fn undecodable(name: &str, value: &str, what: &str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, format!("unable to decode query: {name}={value:?} is not {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_options() {
        let none = LogOptions::default;
        let cases = [
            ("", none()),
            (
                "follow=true&previous=1&timestamps",
                LogOptions { follow: true, previous: true, timestamps: true, ..none() },
            ),
            ("follow=false&previous=0&timestamps=False", none()),
            ("tailLines=0", LogOptions { tail_lines: Some(0), ..none() }),
            ("tail=5", LogOptions { tail_lines: Some(5), ..none() }),
            ("tail=all&tailLines=7", none()),
            (
                "limitBytes=1&sinceSeconds=60",
                LogOptions { limit_bytes: Some(1), since_seconds: Some(60), ..none() },
            ),
            (
                "sinceTime=2026-01-02T15%3A04%3A05Z",
                LogOptions { since_time: Some("2026-01-02T15:04:05Z".parse().unwrap()), ..none() },
            ),
            (
                "sinceTime=2026-01-02T15:04:05%2B08:00",
                LogOptions { since_time: Some("2026-01-02T07:04:05Z".parse().unwrap()), ..none() },
            ),
            ("stream=All&tailLines=3", LogOptions { tail_lines: Some(3), ..none() }),
            ("unknown=1", none()),
        ];
        for (query, expected) in cases {
            assert_eq!(options(&Query::parse(Some(query))), Ok(expected), "{query}");
        }
    }

    #[test]
    fn illegal_options() {
        let cases = [
            ("tailLines=x", StatusCode::BAD_REQUEST),
            ("sinceTime=yesterday", StatusCode::BAD_REQUEST),
            ("stream=Stdout", StatusCode::BAD_REQUEST),
            ("tailLines=-1", StatusCode::UNPROCESSABLE_ENTITY),
            ("limitBytes=0", StatusCode::UNPROCESSABLE_ENTITY),
            ("sinceSeconds=0", StatusCode::UNPROCESSABLE_ENTITY),
            ("sinceSeconds=1&sinceTime=2026-01-02T15:04:05Z", StatusCode::UNPROCESSABLE_ENTITY),
            ("stream=Stderr&tailLines=1", StatusCode::UNPROCESSABLE_ENTITY),
            ("stream=stdout", StatusCode::UNPROCESSABLE_ENTITY),
        ];
        for (query, status) in cases {
            assert_eq!(
                options(&Query::parse(Some(query))).map_err(|refused| refused.0),
                Err(status),
                "{query}"
            );
        }
    }

    #[tokio::test]
    async fn limit_bytes_cuts_inside_a_chunk() {
        let chunks = ["abc", "def", "ghi"].map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
        let log = limited(stream::iter(chunks).boxed(), Some(5));
        let got: Vec<_> = log.map(Result::unwrap).collect().await;
        assert_eq!(got, ["abc", "de"]);
    }
}
