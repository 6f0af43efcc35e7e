//! Pod annotations that a provider's users know: what may stand in them, and where it goes.
//!
//! A wrong value is refused at admission with the legal ones, before anything is bound; so is an annotation of the
//! provider's own prefix that is not in its table, because a misspelt one would silently buy something else.

use serde_json::Value;

use super::Unsupported;
use crate::quantity::Quantity;

/// One annotation of a provider.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// The whole key.
    pub key: &'static str,
    /// What may stand in it.
    pub values: Values,
    /// What becomes of it.
    pub sent: Sent,
}

/// What may stand in an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Any text but an empty one.
    Text,
    /// `true` or `false`.
    Flag,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A whole number between the two, inclusive.
    Whole(u64, u64),
    /// A decimal number above zero.
    Decimal,
    /// An amount of memory or disk of at least a Gi, `50Gi`.
    Gib,
    /// A rate in bits per second, `10M`.
    Bits,
    /// At most so many texts with commas between; blanks around them do not count.
    List(usize),
    /// The same, each of them one of these.
    ListOf(&'static [&'static str]),
    /// At most so many `key:value` with commas between.
    Pairs(usize),
    /// At most so many sizes: `2-4Gi`, or the name of a type that begins with this.
    Sizes(usize, &'static str),
    /// A size of CCI 2.0, `2.00_4.0`.
    Cci2Size,
    /// JSON.
    Json,
}

/// What becomes of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is this parameter of the create call.
    As(&'static str),
    /// Each of its values is one of this list parameter.
    Each(&'static str),
    /// It goes into the request as the sentence says.
    By(&'static str),
    /// It is not sent, and that changes nothing, as the sentence says.
    Not(&'static str),
    /// The pod is refused.
    Refused(&'static str),
}

/// The values of a list, without blanks around them.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl Values {
    /// What may stand here, in words.
    pub fn words(self) -> String {
        let list = |all: &[&str]| all.join(", ");
        match self {
            Self::Text => "any text".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::OneOf(all) => format!("one of {}", list(all)),
            Self::Whole(from, to) => format!("a whole number, {from} to {to}"),
            Self::Decimal => "a decimal number above 0".to_owned(),
            Self::Gib => "whole Gi, for example 50Gi".to_owned(),
            Self::Bits => "bits per second, for example 10M".to_owned(),
            Self::List(most) => format!("at most {most} values with commas between"),
            Self::ListOf(all) => format!("values with commas between, each of {}", list(all)),
            Self::Pairs(most) => format!("at most {most} of key:value with commas between"),
            Self::Sizes(most, types) => {
                format!("at most {most} of a size such as 2-4Gi or a type that begins with {types}")
            }
            Self::Cci2Size => {
                "a size of CCI 2.0 as cores_Gi, for example 2.00_4.0 (0.25 to 64 cores, 0.5 to 512Gi)"
                    .to_owned()
            }
            Self::Json => "JSON".to_owned(),
        }
    }

    /// Whether this is a legal value.
    pub fn allow(self, text: &str) -> bool {
        let own = text.trim();
        let count = items(own).count();
        let quantity = |least: i64| Quantity::parse(own).is_ok_and(|q| q.to_value_ceil() >= least);
        match self {
            Self::Text => !own.is_empty(),
            Self::Flag => matches!(own, "true" | "false"),
            Self::OneOf(all) => all.contains(&own),
            Self::Whole(from, to) => own.parse::<u64>().is_ok_and(|n| (from..=to).contains(&n)),
            Self::Decimal => own.parse::<f64>().is_ok_and(|n| n.is_finite() && n > 0.0),
            Self::Gib => gib(own).is_some_and(|n| n > 0),
            Self::Bits => quantity(1),
            Self::List(most) => (1..=most).contains(&count),
            Self::ListOf(all) => count > 0 && items(own).all(|item| all.contains(&item)),
            Self::Pairs(most) => (1..=most).contains(&count) && items(own).all(is_pair),
            Self::Sizes(most, types) => {
                let known = |item: &str| {
                    crate::shape::eci::stated(item).is_some()
                        || (item.starts_with(types) && item.len() > types.len())
                };
                (1..=most).contains(&count) && items(own).all(known)
            }
            Self::Cci2Size => crate::shape::cci2::named(own).is_some(),
            Self::Json => serde_json::from_str::<Value>(own).is_ok(),
        }
    }
}

/// `50Gi` as 50.
pub fn gib(text: &str) -> Option<u64> {
    text.trim().strip_suffix("Gi")?.parse().ok()
}

fn is_pair(item: &str) -> bool {
    item.split_once(':').is_some_and(|(key, value)| !key.trim().is_empty() && !value.trim().is_empty())
}

/// What of a pod's annotations is refused.
pub(super) fn check(table: &[Annotation], pod: &Value) -> Vec<Unsupported> {
    let all = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    let texts = all.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    problems(table, texts)
}

/// What of these annotations is refused, in their order. Annotations of other owners are nobody's business here.
pub fn problems<'a>(
    table: &[Annotation],
    annotations: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Unsupported> {
    if table.is_empty() {
        return Vec::new();
    }
    let at = |key: &str, sentence: String| Unsupported {
        field: format!("metadata.annotations['{key}']"),
        sentence,
    };
    let judged = annotations.filter_map(|(key, text)| {
        match table.iter().find(|known| known.key == key) {
            None if foreign(table, key) => Some(at(
                key,
                "burst does not know this annotation and will not drop it in silence: correct its name, or remove it"
                    .to_owned(),
            )),
            None => None,
            Some(Annotation { sent: Sent::Refused(why), .. }) => Some(at(key, (*why).to_owned())),
            Some(known) if known.values.allow(text) => None,
            Some(known) => Some(at(key, format!("{text:?} is not legal here: write {}", known.values.words()))),
        }
    });
    judged.collect()
}

/// Prefixes of annotations that can only be meant for the provider whose table has some of them.
const PREFIXES: [&str; 3] = ["k8s.aliyun.com/eci-", "cube.ucloud.cn/", "resource.cci.io/"];

/// Whether a key that the table does not have can only be meant for its provider.
fn foreign(table: &[Annotation], key: &str) -> bool {
    let own = |prefix: &str| table.iter().any(|known| known.key.starts_with(prefix));
    PREFIXES.iter().any(|prefix| key.starts_with(prefix) && own(prefix))
}
