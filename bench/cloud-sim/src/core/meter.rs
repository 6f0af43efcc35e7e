//! The billing meter: an append-only file of everything that costs money, one JSON object per line.
//!
//! An `open` line is written when billing of a thing starts, a `close` line when its deletion is confirmed; the file is
//! never rewritten. What a former run left open is closed at start, because its instances died with it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::size::Size;

/// What an open item costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    /// What is billed: `instance` or `address`.
    pub(crate) what: String,
    /// Its identity (UID).
    pub(crate) id: String,
    /// Namespace and name, for people.
    pub(crate) name: String,
    /// Billed from here.
    pub(crate) from: Timestamp,
    /// Thousandths of a vCPU.
    pub(crate) cpu_milli: u64,
    /// Bytes.
    pub(crate) memory_bytes: u64,
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    event: String,
    #[serde(flatten)]
    item: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// The meter.
#[derive(Debug)]
pub(crate) struct Meter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    open: HashMap<String, Item>,
    closed: u64,
    closed_use: Use,
    /// Lines that could not be written; anything but zero makes the meter worthless and is shown.
    lost_lines: u64,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    seconds: f64,
    core_seconds: f64,
    gib_seconds: f64,
}

impl Use {
    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    fn add(&mut self, item: &Item, to: Timestamp) -> f64 {
        let seconds = to.duration_since(item.from).as_secs_f64().max(0.0);
        self.seconds += seconds;
        self.core_seconds += seconds * item.cpu_milli as f64 / 1000.0;
        self.gib_seconds += seconds * item.memory_bytes as f64 / f64::from(1_u32 << 30);
        seconds
    }
}

impl Meter {
    /// Opens the file for appending, reads what it says, and closes what a former run left open.
    pub(crate) fn open_file(path: &Path, now: Timestamp) -> io::Result<Self> {
        let old = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let inner =
            Inner { file, open: HashMap::new(), closed: 0, closed_use: Use::default(), lost_lines: 0 };
        let meter = Self { inner: Mutex::new(inner) };
        for line in old.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            meter.lock().replay(line);
        }
        let left: Vec<String> = meter.lock().open.keys().cloned().collect();
        for id in left {
            meter.close_with(&id, now, Some("the simulator was restarted"));
        }
        Ok(meter)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Billing of an instance starts. A second start of the same identity is ignored and answered with `false`.
    pub(crate) fn open(&self, id: &str, name: &str, size: Size, from: Timestamp) -> bool {
        self.open_thing("instance", id, name, size, from)
    }

    /// The same of anything else that costs money.
    pub(crate) fn open_thing(&self, what: &str, id: &str, name: &str, size: Size, from: Timestamp) -> bool {
        let item = Item {
            what: what.to_owned(),
            id: id.to_owned(),
            name: name.to_owned(),
            from,
            cpu_milli: size.cpu_milli,
            memory_bytes: size.memory_bytes,
        };
        let mut inner = self.lock();
        if inner.open.contains_key(id) {
            return false;
        }
        inner.write(&Line {
            event: "open".to_owned(),
            item: item.clone(),
            to: None,
            seconds: None,
            note: None,
        });
        inner.open.insert(id.to_owned(), item);
        true
    }

    /// Billing ends. `false` when nothing with this identity is open.
    pub(crate) fn close(&self, id: &str, to: Timestamp) -> bool {
        self.close_with(id, to, None)
    }

    fn close_with(&self, id: &str, to: Timestamp, note: Option<&str>) -> bool {
        let mut inner = self.lock();
        let Some(item) = inner.open.remove(id) else { return false };
        let seconds = inner.closed_use.add(&item, to);
        inner.closed += 1;
        let note = note.map(str::to_owned);
        inner.write(&Line { event: "close".to_owned(), item, to: Some(to), seconds: Some(seconds), note });
        true
    }

    /// The bill so far: `open` and `closed` items, `seconds` of both, and what is open.
    pub(crate) fn summary(&self, now: Timestamp) -> Value {
        let inner = self.lock();
        let mut total = inner.closed_use;
        for item in inner.open.values() {
            total.add(item, now);
        }
        let mut open: Vec<&Item> = inner.open.values().collect();
        open.sort_by(|a, b| a.name.cmp(&b.name));
        json!({
            "open": inner.open.len(), "closed": inner.closed, "seconds": total.seconds,
            "coreSeconds": total.core_seconds, "gibSeconds": total.gib_seconds,
            "lostLines": inner.lost_lines, "openItems": open,
        })
    }
}

impl Inner {
    fn write(&mut self, line: &Line) {
        let text = serde_json::to_string(line).map(|text| text + "\n");
        let done = text.map_err(io::Error::from).and_then(|text| self.file.write_all(text.as_bytes()));
        if let Err(error) = done {
            self.lost_lines += 1;
            tracing::error!(%error, "the billing meter could not be written; the bill is incomplete");
        }
    }

    fn replay(&mut self, line: Line) {
        match (line.event.as_str(), line.to) {
            ("open", _) => {
                self.open.insert(line.item.id.clone(), line.item);
            }
            ("close", Some(to)) if self.open.remove(&line.item.id).is_some() => {
                self.closed_use.add(&line.item, to);
                self.closed += 1;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { cpu_milli: 500, memory_bytes: 1 << 30 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    #[test]
    fn one_open_and_one_close_per_identity_whatever_is_repeated() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("meter.jsonl");
        let meter = Meter::open_file(&path, at(0)).expect("a meter");
        assert!(meter.open("u1", "ns/a", SIZE, at(0)));
        assert!(!meter.open("u1", "ns/a", SIZE, at(1)), "repeated");
        assert!(meter.open("u2", "ns/b", SIZE, at(5)));
        assert!(meter.close("u1", at(10)));
        assert!(!meter.close("u1", at(11)), "repeated");
        assert!(!meter.close("u9", at(11)), "unknown");
        let summary = meter.summary(at(15));
        assert_eq!((summary["open"].clone(), summary["closed"].clone()), (json!(1), json!(1)));
        assert_eq!(summary["seconds"], json!(20.0));
        assert_eq!(summary["coreSeconds"], json!(10.0));
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn a_restart_continues_the_file_and_closes_what_was_left() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("meter.jsonl");
        let meter = Meter::open_file(&path, at(0)).expect("a meter");
        meter.open("u1", "ns/a", SIZE, at(0));
        meter.open("u2", "ns/b", SIZE, at(0));
        meter.close("u2", at(4));
        drop(meter);
        let meter = Meter::open_file(&path, at(6)).expect("a meter");
        let summary = meter.summary(at(99));
        assert_eq!((summary["open"].clone(), summary["closed"].clone()), (json!(0), json!(2)));
        assert_eq!(summary["seconds"], json!(10.0));
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.lines().last().is_some_and(|line| line.contains("restarted")), "{text}");
    }
}
