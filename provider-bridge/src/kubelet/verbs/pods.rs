//! `/pods` and `/runningpods/`: a PodList, sent pod by pod, because thousands of pods are tens of megabytes.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::kubelet::reply::{Body, BodyError, typed};

const HEAD: &[u8] = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#;
const TAIL: &[u8] = b"]}";

/// The reply with these pods.
pub(crate) fn list(pods: Vec<Arc<Value>>) -> Response<Body> {
    let items = pods.into_iter().enumerate().map(|(index, pod)| item(index, &pod));
    let head = stream::once(async { Ok(Bytes::from_static(HEAD)) });
    let tail = stream::once(async { Ok(Bytes::from_static(TAIL)) });
    let chunks = head.chain(stream::iter(items)).chain(tail).map(|chunk| chunk.map(Frame::data));
    typed(StatusCode::OK, "application/json", StreamBody::new(chunks).boxed_unsync())
}

fn item(index: usize, pod: &Value) -> Result<Bytes, BodyError> {
    let mut bytes = if index == 0 { Vec::new() } else { vec![b','] };
    serde_json::to_writer(&mut bytes, pod)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn is_a_pod_list_of_any_length() {
        for names in [&[][..], &["a"], &["a", "b", "c"]] {
            let pods = names.iter().map(|name| Arc::new(json!({ "metadata": { "name": name } }))).collect();
            let body = list(pods).into_body().collect().await.unwrap().to_bytes();
            let list: k8s_openapi::List<k8s_openapi::api::core::v1::Pod> =
                serde_json::from_slice(&body).unwrap();
            let got: Vec<_> = list.items.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
            assert_eq!(got, names);
        }
    }
}
