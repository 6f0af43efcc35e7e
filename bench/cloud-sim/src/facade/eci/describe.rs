//! The three Describe actions over groups: filters, paging, and how long finished groups stay.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::Front;
use super::super::faults::Injected;
use super::error::EciError;
use super::state::Group;
use super::tree::Tree;
use crate::core::kind::Kind;
use crate::core::store::Stored;

/// Ids that a call may name.
const IDS_MAX: usize = 20;
/// A finished group is shown for so long, the newest hundred for ever.
const FINISHED_KEPT: SignedDuration = SignedDuration::from_hours(1);
const FINISHED_NEWEST: usize = 100;
/// A group that found no capacity goes after this.
const UNSCHEDULED_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Events shown with a group.
const EVENTS_MAX: usize = 50;

/// A page of groups.
struct Page {
    groups: Vec<Arc<Stored>>,
    total: usize,
    next: Option<String>,
}

impl Page {
    fn head(&self) -> Value {
        json!({"TotalCount": self.total, "NextToken": self.next.as_deref().unwrap_or_default()})
    }
}

/// DescribeContainerGroups.
pub(super) fn groups(front: &Front, tree: &Tree, injected: &Injected) -> Result<Value, EciError> {
    let page = select(front, tree, injected, 20)?;
    let events = if tree.flag("WithEvent")? { events_of(front, &page.groups) } else { HashMap::new() };
    let shown = page.groups.iter().map(|stored| {
        let mut group = with_group(front, stored, |group| group.described());
        let own = events.get(&stored.uid).map_or(&[][..], Vec::as_slice);
        let own: Vec<Value> = own.iter().rev().take(EVENTS_MAX).map(plain_event).collect();
        if let Some(map) = group.as_object_mut() {
            map.insert("Events".into(), json!(own));
        }
        group
    });
    let shown: Vec<Value> = shown.collect();
    let mut out = page.head();
    put(&mut out, "ContainerGroups", json!(shown));
    Ok(out)
}

/// DescribeContainerGroupStatus.
pub(super) fn status(front: &Front, tree: &Tree, injected: &Injected) -> Result<Value, EciError> {
    let page = select(front, tree, injected, 200)?;
    let data: Vec<Value> =
        page.groups.iter().map(|s| with_group(front, s, |group| group.kubernetes())).collect();
    let mut out = page.head();
    put(&mut out, "Data", json!(data));
    Ok(out)
}

/// DescribeContainerGroupEvents.
pub(super) fn events(front: &Front, tree: &Tree, injected: &Injected) -> Result<Value, EciError> {
    let page = select(front, tree, injected, 200)?;
    let all = events_of(front, &page.groups);
    let component = if tree.word("EventSource") == "K8sAgent" { "K8sAgent" } else { "EciService" };
    let data: Vec<Value> = (page.groups.iter())
        .map(|stored| {
            let mut out = with_group(front, stored, |group| group.head());
            let own = all.get(&stored.uid).map_or(&[][..], Vec::as_slice);
            let own: Vec<Value> = own.iter().map(|event| kubernetes_event(event, component)).collect();
            put(&mut out, "Events", json!(own));
            out
        })
        .collect();
    let mut out = page.head();
    put(&mut out, "Data", json!(data));
    Ok(out)
}

fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(field.to_owned(), value);
    }
}

/// Looks at a stored group.
pub(super) fn with_group<T>(front: &Front, stored: &Stored, look: impl FnOnce(&Group<'_>) -> T) -> T {
    look(&Group { object: &stored.value(), now: front.cloud.clock.now() })
}

/// What the parameters select, in the order of ids, from where the token left off.
fn select(front: &Front, tree: &Tree, injected: &Injected, most: usize) -> Result<Page, EciError> {
    let limit = match tree.integer("Limit")? {
        None => most,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=most).contains(n))
            .ok_or_else(|| EciError::parameter("Limit", &format!("it is not 1 to {most}")))?,
    };
    let ids = ids(tree)?;
    let tags: Vec<(&str, Option<&str>)> =
        tree.list("Tag").into_iter().map(|tag| (tag.word("Key"), tag.text("Value"))).collect();
    let now = front.cloud.clock.now();
    let since = tree
        .integer("SinceSecond")?
        .map(|n| now.checked_sub(SignedDuration::from_secs(n)).unwrap_or(Timestamp::MIN));
    let after = tree.text("NextToken").map(decode).transpose()?;
    let lag = SignedDuration::try_from(injected.list_lag).unwrap_or(SignedDuration::ZERO);
    let mut all = retained(front, now);
    all.retain(|stored| {
        let labels = &stored.index.labels;
        let tagged = tags
            .iter()
            .all(|(key, value)| labels.get(*key).is_some_and(|have| value.is_none_or(|value| have == value)));
        tagged
            && ids.as_ref().is_none_or(|ids| ids.contains(&stored.uid))
            && since.is_none_or(|since| stored.modified >= since)
            && (lag.is_zero() || now.duration_since(stored.created) >= lag)
            && looks_like(front, stored, tree)
    });
    if let Some(missing) = injected.partial_list {
        let mut number = 0_usize;
        all.retain(|_| {
            number += 1;
            missing > 0 && !number.is_multiple_of(missing)
        });
    }
    let total = all.len();
    let mut rest = all.into_iter().filter(|stored| after.as_ref().is_none_or(|after| stored.uid > *after));
    let groups: Vec<Arc<Stored>> = rest.by_ref().take(limit).collect();
    let next = rest.next().and_then(|_| groups.last()).map(|last| URL_SAFE_NO_PAD.encode(&last.uid));
    Ok(Page { groups, total, next })
}

fn decode(token: &str) -> Result<String, EciError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| EciError::parameter("NextToken", "it was not given out by this action"))
}

/// `ContainerGroupIds`, a JSON list in a string.
pub(super) fn ids(tree: &Tree) -> Result<Option<Vec<String>>, EciError> {
    let Some(text) = tree.text("ContainerGroupIds") else { return Ok(None) };
    let wrong = |why: &str| EciError::parameter("ContainerGroupIds", why);
    let ids: Vec<String> = serde_json::from_str(text).map_err(|_| wrong("it is not a JSON list of texts"))?;
    if ids.len() > IDS_MAX { Err(wrong("at most 20 are allowed")) } else { Ok(Some(ids)) }
}

/// Filters that need the object itself.
fn looks_like(front: &Front, stored: &Stored, tree: &Tree) -> bool {
    const FIELDS: [&str; 6] = [
        "ContainerGroupName",
        "VSwitchId",
        "ZoneId",
        "SecurityGroupId",
        "ResourceGroupId",
        "ComputeCategory",
    ];
    let asked = FIELDS.into_iter().filter_map(|field| Some((field, tree.text(field)?)));
    let asked: Vec<(&str, &str)> = asked.collect();
    let status = tree.text("Status");
    if asked.is_empty() && status.is_none() {
        return true;
    }
    with_group(front, stored, |group| {
        let shown = group.object.pointer("/eci/shown");
        let have = |field: &str| shown.and_then(|shown| shown.get(field)).and_then(Value::as_str);
        asked.iter().all(|(field, wanted)| have(field) == Some(wanted))
            && status.is_none_or(|status| group.status() == status)
    })
}

/// All groups, after those have gone that the cloud does not keep any longer.
pub(super) fn retained(front: &Front, now: Timestamp) -> Vec<Arc<Stored>> {
    let all = front.cloud.store.list(Kind::Pod, Some(&front.cloud.region)).items;
    // Only what does not run can be due, and only some time after its last change: a plain poll parses nothing here.
    let due = |stored: &Arc<Stored>| {
        let phase = stored.index.fields.iter().find(|(field, _)| *field == "status.phase");
        phase.is_none_or(|(_, phase)| phase != "Running")
            && now.duration_since(stored.modified) > FINISHED_KEPT
    };
    if !all.iter().any(due) {
        return all;
    }
    let mut finished: Vec<(Timestamp, Arc<Stored>)> = Vec::new();
    let mut gone: Vec<Arc<Stored>> = Vec::new();
    for stored in all.iter().filter(|stored| due(stored)) {
        let (ended, status) = with_group(front, stored, |group| (group.ended_at(), group.status()));
        match (ended, status.as_str()) {
            (Some(at), "ScheduleFailed") if now.duration_since(at) > UNSCHEDULED_KEPT => {
                gone.push(stored.clone());
            }
            (Some(at), "Succeeded" | "Failed" | "Expired") if now.duration_since(at) > FINISHED_KEPT => {
                finished.push((at, stored.clone()));
            }
            _ => {}
        }
    }
    finished.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    gone.extend(finished.into_iter().skip(FINISHED_NEWEST).map(|(_, stored)| stored));
    for stored in &gone {
        super::change::forget(front, stored);
    }
    all.into_iter().filter(|stored| !gone.iter().any(|gone| gone.uid == stored.uid)).collect()
}

/// Events by group.
fn events_of(front: &Front, groups: &[Arc<Stored>]) -> HashMap<String, Vec<Value>> {
    let mut found: HashMap<String, Vec<Value>> = groups.iter().map(|g| (g.uid.clone(), Vec::new())).collect();
    let mut all = front.cloud.store.list(Kind::Event, Some(&front.cloud.region)).items;
    all.sort_by_key(|event| event.version);
    for event in all {
        let about = event.index.fields.iter().find(|(field, _)| *field == "involvedObject.uid");
        if let Some(own) = about.and_then(|(_, uid)| found.get_mut(uid)) {
            own.push(event.value());
        }
    }
    found
}

fn plain_event(event: &Value) -> Value {
    let get = |pointer: &str| event.pointer(pointer).cloned().unwrap_or_default();
    json!({
        "Count": get("/count"), "FirstTimestamp": get("/firstTimestamp"), "LastTimestamp": get("/lastTimestamp"),
        "Message": get("/message"), "Name": get("/metadata/name"), "Reason": get("/reason"), "Type": get("/type"),
    })
}

fn kubernetes_event(event: &Value, component: &str) -> Value {
    let get = |pointer: &str| event.pointer(pointer).cloned().unwrap_or_default();
    json!({
        "Count": get("/count"), "FirstTimestamp": get("/firstTimestamp"), "LastTimestamp": get("/lastTimestamp"),
        "Message": get("/message"), "Reason": get("/reason"), "Type": get("/type"),
        "ReportingComponent": component, "ReportingInstance": "", "Source": {"Component": component, "Host": ""},
        "Metadata": {"Name": get("/metadata/name"), "Namespace": "default"},
        "involvedObject": {
            "ApiVersion": "v1", "Kind": "Pod", "Name": get("/involvedObject/name"), "Namespace": "default",
            "Uid": get("/involvedObject/uid"),
        },
    })
}
