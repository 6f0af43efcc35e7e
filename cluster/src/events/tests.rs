use super::*;
use crate::testing::{FakeApi, Fault};

fn start(api: &FakeApi) -> (Recorder, CancellationToken, TaskTracker) {
    let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
    let recorder = Recorder::start(api.client(), "burst.io/bridge", "bridge-0", cancel.clone(), &tracker);
    (recorder, cancel, tracker)
}

fn event(regarding: Regarding, note: &str) -> Event {
    let (reason, action) = ("InstanceCreated".to_owned(), "Create".to_owned());
    Event { regarding, kind: EventKind::Normal, reason, action, note: note.to_owned(), from: None }
}

fn stored(api: &FakeApi) -> Vec<Value> {
    api.list("events.k8s.io/v1", "events")
}

#[tokio::test(start_paused = true)]
async fn events_are_complete_and_repeats_become_a_series() {
    let api = FakeApi::new();
    let (recorder, ..) = start(&api);
    recorder.record(event(Regarding::node("virt"), "ready"));
    for _ in 0..5 {
        recorder.record(event(Regarding::pod("shop", "web", "u1"), "made"));
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    let events = stored(&api);
    assert_eq!(events.len(), 2);
    let (node, pod) = (&events[0], &events[1]);
    assert_eq!(
        (&node["metadata"]["namespace"], &node["regarding"]["namespace"]),
        (&json!("default"), &Value::Null)
    );
    assert_eq!(pod["regarding"]["uid"], json!("u1"));
    assert_eq!(
        (&pod["reason"], &pod["note"], &pod["type"]),
        (&json!("InstanceCreated"), &json!("made"), &json!("Normal"))
    );
    assert_eq!(pod["series"]["count"], json!(5));
    assert_eq!(node["series"], Value::Null);
    assert_eq!(recorder.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_blocks_nobody_and_losses_are_counted() {
    let api = FakeApi::new();
    let (recorder, ..) = start(&api);
    api.fault(Fault::hang());
    for i in 0..2000 {
        recorder.record(event(Regarding::pod("shop", "web", &i.to_string()), "made"));
    }
    assert_eq!(recorder.dropped(), 2000 - QUEUE as u64);
    tokio::time::sleep(Duration::from_secs(10 * QUEUE as u64 + 10)).await;
    assert_eq!(recorder.dropped(), 2000);
}

#[tokio::test(start_paused = true)]
async fn the_last_events_are_written_when_stopping() {
    let api = FakeApi::new();
    let (recorder, cancel, tracker) = start(&api);
    recorder.record(event(Regarding::node("virt"), "stopping"));
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
    assert_eq!(stored(&api).len(), 1);
}

#[test]
fn long_notes_are_cut_at_a_character() {
    for note in ["é".repeat(2000), "a".repeat(1025)] {
        let mut cut_note = note;
        cut(&mut cut_note);
        assert!(cut_note.len() <= NOTE && cut_note.ends_with('…') && cut_note.len() > NOTE - 8);
    }
    let mut short = "a".repeat(1024);
    cut(&mut short);
    assert_eq!(short.len(), 1024);
}
