//! Replies, written straight into one buffer.
//!
//! Keys are PascalCase. Rejected nodes are always named, in `FailedAndUnresolvableNodes`: the nodes sent already
//! passed the in-tree filters and preemption's dry run never calls an extender, so `FailedNodes` from us would only
//! produce errors there.

use std::borrow::Cow;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::{NameList, NodeItems, Sent, Victims};

/// A node that may not take the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected<'r> {
    /// The name as it stands in JSON text, with its quotes.
    pub quoted: Cow<'r, str>,
    /// Why: a constant, for the scheduler counts nodes by identical text.
    pub reason: &'static str,
}

impl Rejected<'_> {
    /// Rejects a node by its plain name.
    pub fn node(name: &str, reason: &'static str) -> Self {
        Self { quoted: Cow::Owned(quoted(name)), reason }
    }
}

/// What Filter answers: everything that was sent, except for the rejected nodes.
#[derive(Debug, Default)]
pub struct FilterReply<'r> {
    /// Rejected nodes, in any order.
    pub rejected: Vec<Rejected<'r>>,
}

impl FilterReply<'_> {
    /// Writes the reply in the form in which the nodes were sent.
    pub fn write(&self, sent: &Sent<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size_hint(sent));
        match sent {
            Sent::Names(names) => self.write_names(names, &mut out),
            Sent::Nodes(nodes) => self.write_nodes(nodes, &mut out),
        }
        out.extend_from_slice(br#","FailedAndUnresolvableNodes":{"#);
        for (at, node) in self.rejected.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(node.quoted.as_bytes());
            out.push(b':');
            string(node.reason, &mut out);
        }
        out.extend_from_slice(br#"},"Error":""}"#);
        out
    }

    fn write_names(&self, names: &NameList<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"NodeNames":"#);
        if self.rejected.is_empty() {
            out.extend_from_slice(names.text().as_bytes());
            return;
        }
        let hits = if self.rejected.len() <= FEW { self.search(names) } else { self.walk(names) };
        names.copy_without(&hits, out);
    }

    /// One search of the text per rejected name: cheap while they are few.
    fn search(&self, names: &NameList<'_>) -> Vec<Range<usize>> {
        let mut hits: Vec<_> = self.rejected.iter().flat_map(|node| names.find(&node.quoted)).collect();
        hits.sort_unstable_by_key(|hit| hit.start);
        hits.dedup();
        hits
    }

    /// One walk over all names: cheaper when many are rejected.
    fn walk(&self, names: &NameList<'_>) -> Vec<Range<usize>> {
        let rejected = self.quoted();
        names.iter().filter(|(name, _)| rejected.contains(name)).map(|(_, at)| at).collect()
    }

    fn write_nodes(&self, nodes: &NodeItems<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"Nodes":"#);
        if self.rejected.is_empty() {
            out.extend_from_slice(nodes.text().as_bytes());
            return;
        }
        let rejected = self.quoted();
        nodes.copy_where(|name| !rejected.contains(quoted(name).as_str()), out);
    }

    fn quoted(&self) -> HashSet<&str, RandomState> {
        self.rejected.iter().map(|node| &*node.quoted).collect()
    }

    fn size_hint(&self, sent: &Sent<'_>) -> usize {
        let kept = match sent {
            Sent::Names(names) => names.text().len(),
            Sent::Nodes(nodes) => nodes.text().len(),
        };
        kept + 128 + self.rejected.iter().map(|node| node.quoted.len() + node.reason.len() + 8).sum::<usize>()
    }
}

/// Up to this many rejected names are searched for one by one.
const FEW: usize = 8;

/// A filter or preempt reply that fails the call with a sentence.
pub fn filter_error(reason: &str) -> Vec<u8> {
    let mut out = br#"{"NodeNames":null,"FailedAndUnresolvableNodes":null,"Error":"#.to_vec();
    string(reason, &mut out);
    out.push(b'}');
    out
}

/// A `HostPriorityList` of the given nodes; the scheduler counts 0 for the nodes that are not in it.
pub fn priority_list<'r>(scores: impl IntoIterator<Item = (&'r str, i64)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let mut digits = itoa::Buffer::new();
    out.push(b'[');
    for (at, (host, score)) in scores.into_iter().enumerate() {
        out.extend_from_slice(if at > 0 { br#",{"Host":"# } else { br#"{"Host":"# });
        string(host, &mut out);
        out.extend_from_slice(br#","Score":"#);
        out.extend_from_slice(digits.format(score).as_bytes());
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// An `ExtenderPreemptionResult` with the given candidates.
pub fn meta_victims<'r>(candidates: impl IntoIterator<Item = &'r Victims>) -> Vec<u8> {
    let mut out = br#"{"NodeNameToMetaVictims":{"#.to_vec();
    for (at, candidate) in candidates.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(&candidate.node, &mut out);
        out.extend_from_slice(br#":{"Pods":["#);
        for (at, uid) in candidate.uids.iter().enumerate() {
            out.extend_from_slice(if at > 0 { br#",{"UID":"# } else { br#"{"UID":"# });
            string(uid, &mut out);
            out.push(b'}');
        }
        out.extend_from_slice(br#"],"NumPDBViolations":"#);
        out.extend_from_slice(itoa::Buffer::new().format(candidate.pdb_violations).as_bytes());
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
    out
}

/// An `ExtenderPreemptionResult` without candidates: preemption ends. The protocol has no place for an error.
pub fn no_victims() -> Vec<u8> {
    meta_victims([])
}

/// A name as it stands in JSON text.
pub fn quoted(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len() + 2);
    string(name, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

fn string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else if let Ok(escaped) = serde_json::to_vec(text) {
        out.extend_from_slice(&escaped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("a reply is JSON")
    }

    #[test]
    fn filter_replies_keep_the_form_that_was_sent() {
        let names = Sent::Names(NameList::new(r#"["a","b"]"#).expect("names"));
        let nodes = r#"{"items":[{"metadata":{"name":"a"},"x":1.50},{"metadata":{"name":"b"}}]}"#;
        let nodes = Sent::Nodes(NodeItems::new(nodes).expect("nodes"));
        let check = |sent: &Sent<'_>, rejected: &[(&'static str, &'static str)], want: Value| {
            let rejected = rejected.iter().map(|(name, reason)| Rejected::node(name, reason)).collect();
            let reply = FilterReply { rejected }.write(sent);
            assert_eq!(parsed(&reply), want);
        };
        check(&names, &[], json!({"NodeNames": ["a", "b"], "FailedAndUnresolvableNodes": {}, "Error": ""}));
        check(
            &names,
            &[("b", "no")],
            json!({"NodeNames": ["a"], "FailedAndUnresolvableNodes": {"b": "no"}, "Error": ""}),
        );
        check(
            &nodes,
            &[("b", "no")],
            json!({"Nodes": {"metadata": {}, "items": [{"metadata": {"name": "a"}, "x": 1.5}]},
                "FailedAndUnresolvableNodes": {"b": "no"}, "Error": ""}),
        );
    }

    #[test]
    fn many_rejections_are_cut_like_few() {
        let all: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
        let text = serde_json::to_string(&all).expect("text");
        let sent = Sent::Names(NameList::new(&text).expect("names"));
        let rejected = all.iter().filter(|n| *n != "n7").map(|n| Rejected::node(n, "no")).collect();
        let reply = parsed(&FilterReply { rejected }.write(&sent));
        assert_eq!(reply["NodeNames"], json!(["n7"]));
        assert_eq!(reply["FailedAndUnresolvableNodes"].as_object().map(serde_json::Map::len), Some(49));
    }

    #[test]
    fn the_other_replies() {
        assert_eq!(priority_list([("burst-cci-0", -7)]), br#"[{"Host":"burst-cci-0","Score":-7}]"#);
        assert_eq!(priority_list([]), b"[]");
        assert_eq!(no_victims(), br#"{"NodeNameToMetaVictims":{}}"#);
        let victims = Victims { node: "n".into(), uids: vec!["u".into(), "v".into()], pdb_violations: 2 };
        assert_eq!(
            parsed(&meta_victims([&victims])),
            json!({"NodeNameToMetaVictims": {"n": {"Pods": [{"UID": "u"}, {"UID": "v"}], "NumPDBViolations": 2}}})
        );
        assert_eq!(parsed(&filter_error("a \"b\"\n"))["Error"], json!("a \"b\"\n"));
    }
}
