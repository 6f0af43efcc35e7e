//! `ExtenderPreemptionArgs`: the nodes where preemption would make room, and whom it would end there.
//!
//! The scheduler sends victims as UIDs (`NodeNameToMetaVictims`) to an extender with a node cache and as whole pods
//! (`NodeNameToVictims`) to one without, and reads UIDs in both cases.

use serde::de::{Deserialize, Deserializer, MapAccess};
use serde_json::value::RawValue;

use super::fields::{self, FromFields, Text};
use super::{WireError, text};

/// A preempt request.
#[derive(Debug, Default)]
pub struct PreemptionArgs<'a> {
    /// The pod that wants room.
    pub pod: Option<&'a RawValue>,
    /// Victims as whole pods, by node.
    full: Option<Entries<'a>>,
    /// Victims as UIDs, by node.
    meta: Option<Entries<'a>>,
}

/// The victims on one node.
#[derive(Debug)]
pub struct Victims {
    /// Node name.
    pub node: String,
    /// UIDs of the pods to end.
    pub uids: Vec<String>,
    /// How many of them break a disruption budget, as counted by the scheduler.
    pub pdb_violations: i64,
}

impl<'a> PreemptionArgs<'a> {
    /// Splits a request body.
    ///
    /// # Errors
    /// [`WireError::NotUtf8`] and [`WireError::Json`].
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        Ok(serde_json::from_str(text(body)?)?)
    }

    /// The text of the pod.
    ///
    /// # Errors
    /// [`WireError::NoPod`] if it is missing or `null`.
    pub fn pod(&self) -> Result<&'a str, WireError> {
        self.pod.map(RawValue::get).ok_or(WireError::NoPod)
    }

    /// The victims by node, from whichever form was sent.
    ///
    /// # Errors
    /// [`WireError::NoVictims`] if none was, [`WireError::Json`] if an entry cannot be read.
    pub fn victims(&self) -> Result<Vec<Victims>, WireError> {
        let entries = self.meta.as_ref().or(self.full.as_ref()).ok_or(WireError::NoVictims)?;
        entries.0.iter().map(|(node, raw)| read_victims(node.clone(), *raw)).collect()
    }
}

fn read_victims(node: String, raw: Option<&RawValue>) -> Result<Victims, WireError> {
    let list: VictimList =
        raw.map_or_else(|| Ok(VictimList::default()), |raw| serde_json::from_str(raw.get()))?;
    Ok(Victims { node, uids: list.uids, pdb_violations: list.pdb_violations })
}

impl<'de> Deserialize<'de> for PreemptionArgs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fields::read(deserializer)
    }
}

impl<'de> FromFields<'de> for PreemptionArgs<'de> {
    const WHAT: &'static str = "an ExtenderPreemptionArgs object";

    fn field<A: MapAccess<'de>>(&mut self, key: &Text<'de>, map: &mut A) -> Result<bool, A::Error> {
        match () {
            () if key.is("Pod") => self.pod = map.next_value()?,
            () if key.is("NodeNameToVictims") => self.full = map.next_value()?,
            () if key.is("NodeNameToMetaVictims") => self.meta = map.next_value()?,
            () => return Ok(false),
        }
        Ok(true)
    }
}

/// A map of node names to victims, in the order sent.
#[derive(Debug, Default)]
struct Entries<'a>(Vec<(String, Option<&'a RawValue>)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fields::read(deserializer)
    }
}

impl<'de> FromFields<'de> for Entries<'de> {
    const WHAT: &'static str = "a map of node names to victims";

    fn field<A: MapAccess<'de>>(&mut self, key: &Text<'de>, map: &mut A) -> Result<bool, A::Error> {
        self.0.push((key.0.clone().into_owned(), map.next_value()?));
        Ok(true)
    }
}

#[derive(Default)]
struct VictimList {
    uids: Vec<String>,
    pdb_violations: i64,
}

impl<'de> Deserialize<'de> for VictimList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fields::read(deserializer)
    }
}

impl<'de> FromFields<'de> for VictimList {
    const WHAT: &'static str = "Victims or MetaVictims";

    fn field<A: MapAccess<'de>>(&mut self, key: &Text<'de>, map: &mut A) -> Result<bool, A::Error> {
        if key.is("NumPDBViolations") {
            self.pdb_violations = map.next_value::<Option<i64>>()?.unwrap_or(0);
        } else if key.is("Pods") {
            let pods = map.next_value::<Option<Vec<Option<Victim>>>>()?.unwrap_or_default();
            self.uids = pods.into_iter().flatten().map(|pod| pod.uid).filter(|uid| !uid.is_empty()).collect();
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// A `MetaPod` (`UID`) or a whole pod (`metadata.uid`).
#[derive(Default)]
struct Victim {
    uid: String,
}

impl<'de> Deserialize<'de> for Victim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fields::read(deserializer)
    }
}

impl<'de> FromFields<'de> for Victim {
    const WHAT: &'static str = "a pod";

    fn field<A: MapAccess<'de>>(&mut self, key: &Text<'de>, map: &mut A) -> Result<bool, A::Error> {
        if key.is("UID") {
            self.uid = map.next_value()?;
        } else if key.is("metadata") {
            self.uid = map.next_value::<Self>()?.uid;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<(String, Vec<String>, i64)>, WireError> {
        let args = PreemptionArgs::parse(body.as_bytes())?;
        args.pod()?;
        Ok(args.victims()?.into_iter().map(|v| (v.node, v.uids, v.pdb_violations)).collect())
    }

    #[test]
    fn both_forms_give_the_same_victims() {
        let want = vec![("n1".to_owned(), vec!["u1".to_owned(), "u2".to_owned()], 3)];
        for body in [
            r#"{"Pod":{},"NodeNameToVictims":null,"NodeNameToMetaVictims":{"n1":{"Pods":[{"UID":"u1"},{"UID":"u2"}],"NumPDBViolations":3}}}"#,
            r#"{"pod":{},"nodenametometavictims":{"n1":{"pods":[{"uid":"u1"},{"uid":"u2"}],"numpdbviolations":3}}}"#,
            r#"{"Pod":{},"NodeNameToVictims":{"n1":{"Pods":[{"metadata":{"name":"a","uid":"u1"},"spec":{}},{"metadata":{"uid":"u2"}}],"NumPDBViolations":3}},"NodeNameToMetaVictims":null}"#,
        ] {
            assert_eq!(read(body).expect(body), want, "{body}");
        }
    }

    #[test]
    fn empty_entries_are_read_as_no_victims() {
        let body =
            r#"{"Pod":{},"NodeNameToMetaVictims":{"n1":null,"n2":{"Pods":null},"n3":{"Pods":[null]}}}"#;
        let victims = read(body).expect(body);
        assert!(victims.iter().all(|(_, uids, pdbs)| uids.is_empty() && *pdbs == 0), "{victims:?}");
        assert_eq!(victims.len(), 3);
    }

    #[test]
    fn bad_bodies_are_refused_with_a_reason() {
        for (body, part) in [
            ("{", "not valid JSON"),
            (r#"{"NodeNameToMetaVictims":{}}"#, "no Pod"),
            (r#"{"Pod":{}}"#, "neither NodeNameToVictims"),
            (r#"{"Pod":{},"NodeNameToMetaVictims":["n1"]}"#, "map of node names"),
            (r#"{"Pod":{},"NodeNameToMetaVictims":{"n1":7}}"#, "Victims or MetaVictims"),
        ] {
            let text = read(body).expect_err(body).to_string();
            assert!(text.contains(part), "{text} does not say {part}");
        }
    }
}
