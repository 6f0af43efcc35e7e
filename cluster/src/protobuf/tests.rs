use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Mutex;

use kube::api::ListParams;
use kube::{Api, core::WatchEvent};
use policies::pod::PodFacts;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::schema::{Kind, Message};
use super::wire::{Fields, Value as Wire};
use super::*;
use crate::governed::GovernedPod;
use crate::slim::{SlimNode, SlimPod};
use crate::testing::FakeApi;

/// What `bench/control-plane/encode-objects` made: the same object as JSON, and as Kubernetes' own encoder writes it.
macro_rules! fixture {
    ($name:literal) => {
        (
            include_str!(concat!("fixtures/", $name, ".json")),
            include_bytes!(concat!("fixtures/", $name, ".pb")),
        )
    };
}

const EVENT: &[u8] = include_bytes!("fixtures/event.pb");

fn json(body: &[u8]) -> Result<String, Malformed> {
    let mut out = Vec::new();
    frames::document(&mut out, body)?;
    Ok(String::from_utf8(out).expect("JSON is text"))
}

#[track_caller]
fn same<T: DeserializeOwned + Debug>((text, body): (&str, &[u8])) {
    let read = |text: &str| format!("{:#?}", serde_json::from_str::<T>(text).expect("readable"));
    assert_eq!(read(&json(body).expect("well formed")), read(text));
}

#[test]
fn protobuf_is_read_as_json_is() {
    let (text, body) = fixture!("pod");
    let facts = |text: &str| PodFacts::from_json(text).expect("readable");
    assert_eq!(facts(&json(body).expect("well formed")), facts(text));
    same::<GovernedPod>((text, body));
    same::<SlimNode>(fixture!("node"));
    same::<kube::core::Status>(fixture!("status"));
    same::<kube::core::ObjectList<SlimPod>>(fixture!("pod-list"));
    // The text that is kept for whoever is told of a binding is what was sent.
    let slim = |text: &str| SlimPod { text: None, ..serde_json::from_str(text).expect("readable") };
    assert_eq!(format!("{:?}", slim(&json(body).expect("well formed"))), format!("{:?}", slim(text)));
}

/// What of `full` is in `part`, by paths of keys; `part` has nothing that `full` has not.
fn within(part: &Value, full: &Value, at: &str, seen: &mut BTreeSet<String>) {
    match (part, full) {
        (Value::Object(part), Value::Object(_)) if part.is_empty() => {}
        (Value::Object(part), Value::Object(full)) => {
            for (key, value) in part {
                let at = format!("{at}.{key}");
                // What has no `omitempty`, or is a number.
                let other = full.get(key).unwrap_or_else(|| if zero(value) { value } else { panic!("{at}") });
                within(value, other, &at, seen);
                seen.insert(at);
            }
        }
        (Value::Array(part), Value::Array(full)) => {
            assert_eq!(part.len(), full.len(), "{at}");
            for (part, full) in part.iter().zip(full) {
                within(part, full, at, seen);
            }
        }
        (part, full) => assert_eq!(part, full, "{at}"),
    }
}

fn zero(value: &Value) -> bool {
    *value == 0 || *value == false || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// All paths of a table.
fn paths(message: &Message, at: &str, out: &mut BTreeSet<String>) {
    for field in message.0 {
        let path = format!("{at}.{}", field.name);
        match field.kind {
            Kind::Inline(inner) => paths(inner, at, out),
            Kind::Message(inner) => {
                paths(inner, &path, out);
                out.insert(path);
            }
            _ => {
                out.insert(path);
            }
        }
    }
}

#[track_caller]
fn complete(kind: &str, (text, body): (&str, &[u8])) {
    let (part, full) = (json(body).expect("well formed"), serde_json::from_str(text).expect("JSON"));
    let (mut seen, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    within(&serde_json::from_str(&part).expect("JSON"), &full, "", &mut seen);
    paths(schema::of(kind).expect("a table"), "", &mut wanted);
    // Containers of both kinds are one table, and items another fixture's.
    let both = |paths: &BTreeSet<String>| -> BTreeSet<String> {
        let own = paths.iter().filter(|path| !path.starts_with(".items."));
        own.map(|path| path.replace(".initContainers.", ".containers.")).collect()
    };
    assert_eq!(both(&wanted).difference(&both(&seen)).collect::<Vec<_>>(), Vec::<&String>::new(), "{kind}");
}

#[test]
fn every_field_of_the_tables_is_what_kubernetes_calls_so() {
    complete("Pod", fixture!("pod"));
    complete("Node", fixture!("node"));
    complete("PodList", fixture!("pod-list"));
    complete("Status", fixture!("status"));
}

#[test]
fn only_what_is_read_is_written() {
    let (text, body) = fixture!("pod");
    let out = json(body).expect("well formed");
    for left_out in ["managedFields", "example.com/web", "finalizers", "podIPs", "emptyDir", "topologyKey"] {
        assert!(text.contains(left_out) && !out.contains(left_out), "{left_out}");
    }
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("short");
    [&[number << 3 | 2, length], content].concat()
}

fn enveloped(kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &types), field(2, raw)].concat()
}

/// Text, or why there is none.
type Wanted = Result<String, &'static str>;

const MAGIC: &[u8] = b"k8s\0";

#[test]
fn values_on_the_wire() {
    let meta = |bytes: &[u8]| {
        let body = json(&enveloped("Pod", &field(1, bytes)));
        body.map(|text| text.trim_start_matches(r#"{"kind":"Pod","apiVersion":"v1","metadata":"#).to_owned())
    };
    let status = |bytes: &[u8]| {
        let body = json(&enveloped("Status", bytes));
        body.map(|text| text.trim_start_matches(r#"{"kind":"Status","apiVersion":"v1","#).to_owned())
    };
    let ok = |text: &str| Ok(text.to_owned());
    let minus_one = [0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let time = |seconds: &[u8]| meta(&field(8, seconds));
    let tables: [(Result<String, Malformed>, Wanted); 16] = [
        (meta(b""), ok("{}}")),
        (meta(&field(1, b"")), ok("{}}")),
        (meta(&field(1, b"a\"\\\n\x01")), ok(r#"{"name":"a\"\\\n\u0001"}}"#)),
        (meta(&field(1, b"\xff")), ok("{\"name\":\"\u{fffd}\"}}")),
        (status(&minus_one), ok(r#""code":-1}"#)),
        (status(&[0x30, 0x9a, 0x03]), ok(r#""code":410}"#)),
        (time(b""), ok("{}}")),
        (time(&[8, 0, 16, 0]), ok(r#"{"creationTimestamp":"1970-01-01T00:00:00Z"}}"#)),
        (time(&[8, 0x80, 0x8c, 0x8d, 0x9e, 6]), ok(r#"{"creationTimestamp":"2023-01-15T00:17:04Z"}}"#)),
        // Numbers and fixed values that nobody reads, between two of a list.
        (
            meta(
                &[
                    field(13, &field(1, b"A")),
                    vec![0x38, 5, 0x39, 0, 0, 0, 0, 0, 0, 0, 0, 0x3d, 0, 0, 0, 0],
                    field(13, b""),
                ]
                .concat(),
            ),
            ok(r#"{"ownerReferences":[{"kind":"A"},{}]}}"#),
        ),
        (
            meta(&[field(11, &field(1, b"k")), field(11, &field(2, b"v"))].concat()),
            ok(r#"{"labels":{"k":"","":"v"}}}"#),
        ),
        (
            meta(&[field(1, b"a"), field(3, b"b"), field(1, b"c")].concat()),
            Err("a field comes at two places"),
        ),
        (
            meta(&[field(13, b""), field(1, b"b"), field(13, b"")].concat()),
            Err("a field comes at two places"),
        ),
        (meta(&[0x0b, 0x0c]), Err("a wire type that Kubernetes does not use")),
        (meta(&[0x08, 1]), Err("a field has another type than Kubernetes gives it")),
        (meta(&[0x0a, 9]), Err("a field is longer than its message")),
    ];
    for (place, (found, wanted)) in tables.into_iter().enumerate() {
        assert_eq!(found, wanted.map_err(Malformed), "case {place}");
    }
}

#[test]
fn an_empty_list_has_items() {
    let text = json(&enveloped("NodeList", &field(1, &field(2, b"8")))).expect("well formed");
    assert_eq!(
        text,
        r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"8"},"items":[]}"#
    );
}

#[test]
fn what_is_not_kubernetes_is_refused() {
    let encoded = [enveloped("Pod", b""), field(3, b"gzip")].concat();
    let other = [MAGIC, &field(1, &[field(1, b"apps/v1"), field(2, b"Pod")].concat())].concat();
    for body in [&b""[..], b"{}", b"k8s\0", &enveloped("Secret", b""), &encoded, &other, &[0xff; 40]] {
        assert!(json(body).is_err(), "{body:?}");
    }
    let mut out = Vec::new();
    let absurd = Frames::default().push(&[0xff, 0xff, 0xff, 0xff, 1], &mut out);
    assert_eq!(absurd, Err(Malformed("a frame is longer than any object")));
    assert!(Frames::default().push(&[0, 0, 0, 0], &mut out).is_err(), "an event of nothing");
}

#[test]
fn numbers_are_bounded() {
    fn read(bytes: &[u8]) -> Result<Option<(u64, Wire<'_>)>, Malformed> {
        Fields::of(bytes).next()
    }
    assert_eq!(
        read(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        Ok(Some((1, Wire::Varint(u64::MAX))))
    );
    for bad in [
        &[0x08][..],
        &[0x08, 0x80],
        &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
        &[0x00, 1],
        &[0x0d, 1, 2, 3],
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn frames_split_anywhere_give_the_same_lines() {
    let two = [EVENT, EVENT].concat();
    let mut whole = Vec::new();
    Frames::default().push(&two, &mut whole).expect("well formed");
    let text = String::from_utf8(whole.clone()).expect("text");
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let event: WatchEvent<SlimPod> = serde_json::from_str(line).expect("an event");
        assert!(matches!(event, WatchEvent::Modified(pod) if pod.uid() == "5b0c" && !pod.undecodable));
    }
    for cut in 0..=two.len() {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        let (first, second) = two.split_at(cut);
        frames.push(first, &mut out).expect("well formed");
        assert_eq!(frames.whole(), cut % EVENT.len() == 0, "{cut}");
        frames.push(second, &mut out).expect("well formed");
        assert!(frames.whole() && out == whole, "{cut}");
    }
}

proptest! {
    #[test]
    fn nothing_received_panics_and_what_is_written_is_json(
        which in 0..5_usize,
        length in 0..2000_usize,
        flips in prop::collection::vec((0..2000_usize, 0..8_u32), 0..4),
    ) {
        let bodies: [&[u8]; 5] = [fixture!("pod").1, fixture!("node").1, fixture!("pod-list").1, fixture!("status").1, EVENT];
        let mut bytes = bodies[which].to_vec();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        bytes.truncate(length);
        if let Ok(text) = json(&bytes) {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{text}");
        }
        let mut out = Vec::new();
        if Frames::default().push(&bytes, &mut out).is_ok() {
            for line in String::from_utf8(out).expect("text").lines() {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok(), "{line}");
            }
        }
    }
}

/// What a server or a client noted.
type Log<T> = Arc<Mutex<Vec<T>>>;

/// A server that answers with these bodies, one after the other, and the client over it.
fn server(answers: Vec<(u16, &'static str, Vec<Bytes>)>) -> (Client, Log<String>, Log<bool>) {
    let (asked, told) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (log, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers.into_iter())));
    let service = service_fn(move |request: Request<Body>| {
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        log.lock().expect("a lock").push(accept.to_owned());
        let answer = answers.lock().expect("a lock").next();
        async move {
            let (status, kind, chunks) = answer.ok_or("asked too often")?;
            let chunks = chunks.into_iter().map(|chunk| Ok::<_, BoxError>(Frame::data(chunk)));
            let response = Response::builder().status(status).header(CONTENT_TYPE, kind);
            Ok::<_, BoxError>(response.body(StreamBody::new(stream::iter(chunks)))?)
        }
    });
    let client = Client::new(service, "default");
    let log = Arc::clone(&told);
    (spoken(&client, Arc::new(move |is| log.lock().expect("a lock").push(is))), asked, told)
}

const STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

async fn watched(client: &Client) -> Vec<Result<String, String>> {
    use futures::TryStreamExt;
    let request = Request::get("/api/v1/pods?watch=true").body(Vec::new()).expect("a request");
    let events = client.request_events::<SlimPod>(request).await.expect("a watch");
    let mut events = Box::pin(events);
    let mut seen = Vec::new();
    loop {
        match events.try_next().await {
            Ok(Some(WatchEvent::Modified(pod))) => seen.push(Ok(pod.uid().to_owned())),
            Ok(Some(other)) => seen.push(Ok(format!("{other:?}"))),
            Ok(None) => return seen,
            Err(error) => {
                seen.push(Err(error.to_string()));
                return seen;
            }
        }
    }
}

#[tokio::test]
async fn lists_errors_and_watches_reach_kube() {
    let whole = |body: &'static [u8]| vec![Bytes::from_static(body)];
    let (status, list) = (fixture!("status").1, fixture!("pod-list").1);
    let chunks = EVENT.chunks(7).map(Bytes::from_static).collect();
    let bookmark = enveloped("Pod", &field(1, &field(6, b"99")));
    let bookmark = [field(1, b"BOOKMARK"), field(2, &field(1, &bookmark))].concat();
    let length = u32::try_from(bookmark.len()).expect("short").to_be_bytes();
    let bookmark = Bytes::from([&length[..], &bookmark].concat());
    let (client, asked, told) = server(vec![
        (200, PROTOBUF, whole(list)),
        (410, PROTOBUF, whole(status)),
        (200, STREAM, chunks),
        (200, STREAM, vec![bookmark]),
    ]);
    let pods: Api<SlimPod> = Api::all(client.clone());
    let found = pods.list(&ListParams::default()).await.expect("a list");
    assert_eq!(found.items.iter().map(SlimPod::uid).collect::<Vec<_>>(), ["1", "2"]);
    let metadata = (found.metadata.resource_version.as_deref(), found.metadata.continue_.as_deref());
    assert_eq!((metadata, found.metadata.remaining_item_count), ((Some("4711"), Some("go-on")), Some(12)));
    let expired = pods.list(&ListParams::default()).await.expect_err("expired");
    assert!(
        matches!(&expired, kube::Error::Api(status) if status.code == 410 && status.reason == "Expired"),
        "{expired}"
    );
    assert_eq!(watched(&client).await, [Ok("5b0c".to_owned())]);
    assert_eq!(watched(&client).await, [Ok("Bookmark event".to_owned())]);
    assert_eq!(*told.lock().expect("a lock"), [true, true, true]);
    assert!(asked.lock().expect("a lock").iter().all(|accept| accept == WANTED));
}

#[tokio::test]
async fn a_watch_cut_off_is_resumed_and_one_that_cannot_be_read_is_asked_for_in_json() {
    let cut = Bytes::from_static(EVENT.split_at(EVENT.len() - 5).0);
    let broken = Bytes::from_static(&[0, 0, 0, 2, 0xff, 0xff]);
    let whole = Bytes::from_static(EVENT);
    let line = Bytes::from_static(b"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"uid\":\"j\"}}}\n");
    let (client, asked, told) = server(vec![
        (200, STREAM, vec![whole.clone(), cut]),
        (200, STREAM, vec![whole, broken]),
        (200, "application/json", vec![line]),
    ]);
    let uid = || Ok("5b0c".to_owned());
    assert_eq!(watched(&client).await, [uid()], "kube ends it without an error, and opens it again");
    let seen = watched(&client).await;
    assert!(matches!(&seen[..], [Ok(_), Err(error)] if error.contains("cannot be read")), "{seen:?}");
    assert_eq!(watched(&client).await, [Ok("j".to_owned())]);
    assert_eq!(*asked.lock().expect("a lock"), [WANTED, WANTED, ""]);
    assert_eq!(*told.lock().expect("a lock"), [true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_json_is_passed_through() {
    let api = FakeApi::new();
    let (text, _) = fixture!("pod");
    api.put(serde_json::from_str(text).expect("JSON"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let client = spoken(&api.client(), Arc::new(move |is| log.lock().expect("a lock").push(is)));
    let pods: Api<SlimPod> = Api::all(client);
    let found = pods.list(&ListParams::default()).await.expect("a list");
    assert_eq!(found.items.iter().map(SlimPod::uid).collect::<Vec<_>>(), ["5b0c"]);
    assert!(
        found.items[0].text.as_ref().is_some_and(|text| text.contains("managedFields")),
        "as it was sent"
    );
    assert_eq!(*told.lock().expect("a lock"), [false]);
}
