//! Update, restart, delete and resize of a group: answered at once, done after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::Front;
use super::super::faults::Injected;
use super::create::{grace, merge, plan};
use super::describe::with_group;
use super::error::EciError;
use super::tree::{Tree, normal};
use super::{Eci, Order, admit, forge};
use crate::core::clock::k8s_time;
use crate::core::kind::Kind;
use crate::core::store::{Key, Stored, Verdict};

/// What UpdateContainerGroup replaces, by the first part of the parameters' names.
const UPDATED: [&str; 10] = [
    "Container",
    "InitContainer",
    "Volume",
    "Tag",
    "RestartPolicy",
    "Cpu",
    "Memory",
    "DnsConfig",
    "ImageRegistryCredential",
    "ResourceGroupId",
];
/// Of these, what cannot change while containers run on.
const DISRUPTIVE: [&str; 5] = ["Container", "InitContainer", "Volume", "DnsConfig", "RestartPolicy"];

/// A group by id.
pub(super) fn find(front: &Front, id: &str) -> Result<Arc<Stored>, EciError> {
    front.cloud.store.get(Kind::Pod, &Key::new(&front.cloud.region, id)).ok_or_else(|| EciError::no_group(id))
}

fn change(front: &Front, id: &str, work: impl FnOnce(&mut Value)) {
    let done =
        front.cloud.store.update::<EciError>(Kind::Pod, &Key::new(&front.cloud.region, id), |object, _| {
            work(object);
            Ok(Verdict::Write)
        });
    debug_assert!(done.is_ok());
}

fn set(object: &mut Value, part: &str, field: &str, value: Value) {
    if let Some(map) = object.get_mut(part).and_then(Value::as_object_mut) {
        map.insert(field.to_owned(), value);
    }
}

/// The group, if it is Pending or Running.
fn alive(front: &Front, tree: &Tree) -> Result<(Arc<Stored>, Value, u64), EciError> {
    let id = tree.required("ContainerGroupId")?;
    let stored = find(front, id)?;
    let status = with_group(front, &stored, |group| group.status());
    let generation = front.cloud.instance(&stored.uid).map_or(0, |instance| u64::from(instance.generation));
    if !matches!(status.as_str(), "Pending" | "Running") {
        return Err(EciError::state(id, &status));
    }
    let object = stored.value();
    Ok((stored, object, generation))
}

/// UpdateContainerGroup.
pub(super) fn update(front: &Arc<Front>, eci: &Eci, order: &Order) -> Result<Value, EciError> {
    let tree = &order.tree;
    let (stored, object, generation) = alive(front, tree)?;
    let old: BTreeMap<String, String> = object
        .pointer("/eci/request")
        .cloned()
        .map(serde_json::from_value)
        .and_then(Result::ok)
        .unwrap_or_default();
    let request = match tree.text("UpdateType").unwrap_or("RenewUpdate") {
        "RenewUpdate" => renewed(&old, &order.flat),
        "IncrementalUpdate" => added(&old, &order.flat),
        other => return Err(EciError::parameter("UpdateType", &format!("{other:?} is not an update"))),
    };
    let new = Tree::read(request.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let changed = differing(&old, &request);
    if changed.is_empty() {
        return Err(EciError::new(400, "NoNeedUpdate", "There is nothing to update."));
    }
    let labels: BTreeMap<String, String> = admit::tags(&new)?.into_iter().collect();
    admit::contents(&new).map_err(|error| {
        if error.code == "InvalidParameter.CPU.Memory" {
            EciError { code: "InvalidParam.CpuOrMemorySpec".to_owned(), ..error }
        } else {
            error
        }
    })?;
    let now = front.cloud.clock.now();
    let disruptive = changed.iter().any(|part| DISRUPTIVE.contains(&part.as_str()));
    let mut shown = object.pointer("/eci/shown").cloned().unwrap_or_default();
    merge(&mut shown, forge::shown(&new));
    let until = now.checked_add(eci.update).unwrap_or(now);
    let wanted = if disruptive { generation + 1 } else { 0 };
    let again = json!({
        "status": "Updating", "generation": wanted, "until": k8s_precise(until), "held": object.pointer("/eci/held"),
    });
    change(front, &stored.uid, |object| {
        set(object, "eci", "request", json!(request));
        set(object, "eci", "shown", shown);
        set(object, "eci", "again", again);
        set(object, "metadata", "labels", json!(labels));
        if let Some(map) = object.as_object_mut() {
            map.insert("spec".into(), forge::spec(&new));
        }
    });
    touch_later(front, &stored.uid, eci.update);
    if disruptive {
        let grace = grace(&object);
        front.cloud.replace(&stored.uid, plan(&find(front, &stored.uid)?.value())?, grace);
    }
    Ok(json!({}))
}

/// Writes a group again after a while, so that a state that changes with time alone is seen as changed then.
pub(super) fn touch_later(front: &Arc<Front>, id: &str, after: Duration) {
    let (later, id) = (front.clone(), id.to_owned());
    front.cloud.spawn(async move {
        later.cloud.clock.sleep(after).await;
        change(&later, &id, |_| ());
    });
}

/// RFC 3339 with milliseconds, for the simulator's own fields.
fn k8s_precise(at: jiff::Timestamp) -> String {
    at.to_string()
}

fn first_part(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Everything given takes the place of what was there.
fn renewed(old: &BTreeMap<String, String>, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let parts: BTreeSet<&str> =
        given.keys().map(|name| first_part(name)).filter(|part| UPDATED.contains(part)).collect();
    let kept = old.iter().filter(|(name, _)| !parts.contains(first_part(name)));
    let new = given.iter().filter(|(name, _)| parts.contains(first_part(name)));
    kept.chain(new).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Elements of lists are matched by `Name` or `Key`; what is not given of one stays, new ones come last.
fn added(old: &BTreeMap<String, String>, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut out = old.clone();
    let given_tree = Tree::read(given.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    for (name, value) in given.iter().filter(|(name, _)| UPDATED.contains(&first_part(name))) {
        let mut parts = name.splitn(3, '.');
        let (Some(list), Some(number), rest) = (parts.next(), parts.next(), parts.next()) else {
            out.insert(name.clone(), value.clone());
            continue;
        };
        let identity = if list == "Tag" { "Key" } else { "Name" };
        let wanted = given_tree.word(&format!("{list}.{number}.{identity}")).to_owned();
        let at = index_of(&out, list, identity, &wanted);
        let Some(rest) = rest else { continue };
        // A list inside, such as Command, is replaced as a whole when its first element comes.
        if let Some((inner, "1")) =
            rest.split_once('.').map(|(inner, tail)| (inner, tail.split('.').next().unwrap_or_default()))
        {
            let prefix = format!("{list}.{at}.{inner}.");
            let fresh: BTreeSet<String> = given
                .keys()
                .map(|k| k.replacen(&format!("{list}.{number}."), &format!("{list}.{at}."), 1))
                .collect();
            out.retain(|key, _| !key.starts_with(&prefix) || fresh.contains(key));
        }
        out.insert(format!("{list}.{at}.{rest}"), value.clone());
    }
    out
}

/// The number of the element with this identity, or the next free one.
fn index_of(all: &BTreeMap<String, String>, list: &str, identity: &str, wanted: &str) -> usize {
    let mut last = 0;
    for (name, value) in all {
        let mut parts = name.split('.');
        if parts.next() != Some(list) {
            continue;
        }
        let Some(number) = parts.next().and_then(|n| n.parse::<usize>().ok()) else { continue };
        last = last.max(number);
        if parts.next() == Some(identity) && parts.next().is_none() && value == wanted {
            return number;
        }
    }
    last + 1
}

/// First parts of the parameters that differ.
fn differing(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> BTreeSet<String> {
    let same = |name: &String| old.get(name).map(|v| normal(v)) == new.get(name).map(|v| normal(v));
    old.keys().chain(new.keys()).filter(|name| !same(name)).map(|name| first_part(name).to_owned()).collect()
}

/// RestartContainerGroup.
pub(super) fn restart(front: &Arc<Front>, tree: &Tree) -> Result<Value, EciError> {
    let (stored, object, generation) = alive(front, tree)?;
    change(front, &stored.uid, |object| {
        let held = object.pointer("/eci/held").cloned();
        let again = json!({"status": "Restarting", "generation": generation + 1, "held": held});
        set(object, "eci", "again", again);
    });
    front.cloud.replace(&stored.uid, plan(&object)?, grace(&object));
    Ok(json!({}))
}

/// DeleteContainerGroup.
pub(super) fn delete(
    front: &Arc<Front>,
    eci: &Eci,
    tree: &Tree,
    injected: &Injected,
) -> Result<Value, EciError> {
    let id = tree.required("ContainerGroupId")?;
    let stored = match find(front, id) {
        Ok(stored) => stored,
        Err(error) if eci.variants().delete_unknown_fails => return Err(error),
        Err(_) => return Ok(json!({})),
    };
    let now = front.cloud.clock.now();
    change(front, id, |object| {
        if object.pointer("/metadata/deletionTimestamp").is_none() {
            set(object, "metadata", "deletionTimestamp", json!(k8s_time(now)));
        }
    });
    front.cloud.stop(id, grace(&stored.value()), injected.slow_delete);
    Ok(json!({}))
}

/// A group that the cloud does not keep any longer.
pub(super) fn forget(front: &Front, stored: &Stored) {
    let done = front.cloud.store.update::<EciError>(Kind::Pod, &stored.key, |_, _| Ok(Verdict::Remove));
    debug_assert!(done.is_ok());
    front.cloud.stop(&stored.uid, Duration::ZERO, Duration::ZERO);
}

/// The instance ends, its record stays: spot reclaim, a zone that is lost.
pub(super) fn end(front: &Front, id: &str, status: &str) -> Result<(), EciError> {
    find(front, id)?;
    let now = front.cloud.clock.now();
    change(front, id, |object| set(object, "eci", "ended", json!({"status": status, "at": k8s_time(now)})));
    front.cloud.expire(id);
    Ok(())
}

/// A mark on a group, for the simulator's own control.
pub(super) fn mark(front: &Front, id: &str, field: &str, value: Value) -> Result<(), EciError> {
    find(front, id)?;
    change(front, id, |object| set(object, "eci", field, value));
    Ok(())
}

/// An update or restart that is ordered from now on keeps its state between, until it is let go.
pub(super) fn hold(front: &Front, id: &str, held: bool) -> Result<(), EciError> {
    find(front, id)?;
    change(front, id, |object| {
        set(object, "eci", "held", json!(held));
        if let Some(again) = object.pointer_mut("/eci/again").and_then(Value::as_object_mut).filter(|_| !held)
        {
            again.remove("held");
        }
    });
    Ok(())
}

/// ResizeContainerGroupVolume: disks grow only.
pub(super) fn resize(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let id = tree.required("ContainerGroupId")?;
    let (name, size) =
        (tree.required("VolumeName")?, tree.integer("NewSize")?.ok_or_else(|| EciError::missing("NewSize"))?);
    let stored = find(front, id)?;
    let object = stored.value();
    let volumes = object.pointer("/eci/shown/Volumes").and_then(Value::as_array);
    let named =
        volumes.into_iter().flatten().find(|volume| volume.get("Name").and_then(Value::as_str) == Some(name));
    let kind = named.and_then(|volume| volume.get("Type")).and_then(Value::as_str);
    match kind {
        None => return Err(EciError::parameter("VolumeName", &format!("there is no volume {name:?}"))),
        Some("DiskVolume" | "FlexVolume") => {}
        Some(_) => return Err(EciError::new(400, "DiskVolume.NotSupport", "The volume is not a disk.")),
    }
    let had = object.pointer("/eci/volumes").and_then(|v| v.get(name)).and_then(Value::as_i64).unwrap_or(20);
    if size <= had {
        return Err(EciError::parameter("NewSize", &format!("it is not larger than {had} GiB")));
    }
    change(front, id, |object| {
        let mut sizes = object.pointer("/eci/volumes").cloned().unwrap_or_else(|| json!({}));
        merge(&mut sizes, json!({name: size}));
        set(object, "eci", "volumes", sizes);
    });
    Ok(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_renewal_replaces_whole_lists_and_leaves_the_rest() {
        let old = map(&[
            ("Container.1.Name", "a"),
            ("Container.1.Image", "i"),
            ("Container.2.Name", "b"),
            ("Tag.1.Key", "k"),
            ("Cpu", "2.0"),
        ]);
        let given =
            map(&[("Container.1.Name", "a"), ("Container.1.Image", "j"), ("ContainerGroupId", "eci-1")]);
        let new = renewed(&old, &given);
        assert_eq!(
            new,
            map(&[("Container.1.Name", "a"), ("Container.1.Image", "j"), ("Tag.1.Key", "k"), ("Cpu", "2.0")])
        );
        assert_eq!(differing(&old, &new), ["Container".to_owned()].into());
        assert!(differing(&old, &renewed(&old, &map(&[("Cpu", "2")]))).is_empty(), "2 is 2.0");
    }

    #[test]
    fn an_increment_changes_what_it_names() {
        let old = map(&[
            ("Container.1.Name", "a"),
            ("Container.1.Image", "i"),
            ("Container.1.Command.1", "x"),
            ("Container.1.Command.2", "y"),
            ("Container.2.Name", "b"),
            ("Tag.1.Key", "k"),
            ("Tag.1.Value", "1"),
        ]);
        let given = map(&[
            ("Container.1.Name", "b"),
            ("Container.1.Image", "j"),
            ("Container.2.Name", "a"),
            ("Container.2.Command.1", "z"),
            ("Tag.1.Key", "k2"),
            ("Tag.1.Value", "2"),
        ]);
        let expected = map(&[
            ("Container.1.Name", "a"),
            ("Container.1.Image", "i"),
            ("Container.1.Command.1", "z"),
            ("Container.2.Name", "b"),
            ("Container.2.Image", "j"),
            ("Tag.1.Key", "k"),
            ("Tag.1.Value", "1"),
            ("Tag.2.Key", "k2"),
            ("Tag.2.Value", "2"),
        ]);
        assert_eq!(added(&old, &given), expected);
    }
}
