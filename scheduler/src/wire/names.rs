//! `NodeNames` as the text that was sent.
//!
//! 5000 names are never made into 5000 strings: a few names are searched for in the text, and a reply copies the
//! text without the rejected slices. Names with escapes (no legal node name has one) take a slower, owned way.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memmem};

use super::WireError;

/// A JSON array of strings, kept as text.
#[derive(Debug, Clone)]
pub struct NameList<'a> {
    text: Cow<'a, str>,
    len: usize,
}

impl<'a> NameList<'a> {
    /// Takes the text of a JSON array that is already known to be well-formed JSON.
    ///
    /// # Errors
    /// [`WireError::Names`] if it holds anything but strings.
    pub fn new(raw: &'a str) -> Result<Self, WireError> {
        let text = raw.trim();
        if is_plain(text.as_bytes()) {
            let commas = memchr_iter(b',', text.as_bytes()).count();
            let len = memchr(b'"', text.as_bytes()).map_or(0, |_| commas + 1);
            return Ok(Self { text: Cow::Borrowed(text), len });
        }
        let names: Vec<String> = serde_json::from_str(text).map_err(WireError::Names)?;
        let text = serde_json::to_string(&names).map_err(WireError::Names)?;
        Ok(Self { text: Cow::Owned(text), len: names.len() })
    }

    /// Takes text that nobody has looked at yet, if it is an array of at least one string, without escapes and without a
    /// blank between the strings: each quote then closes a string before the next comma, or opens one behind it.
    pub(super) fn as_go_writes(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?.as_bytes();
        let (mut quotes, mut opens, mut len) = (memchr_iter(b'"', inner), 0, 0);
        loop {
            let (open, close) = (quotes.next()?, quotes.next()?);
            if open != opens {
                return None;
            }
            (opens, len) = (close + 2, len + 1);
            match inner.get(close + 1) {
                Some(b',') => {}
                Some(_) => return None,
                None => break,
            }
        }
        let plain = memchr(b'\\', inner).is_none() && inner.iter().all(|b| *b >= b' ');
        plain.then_some(Self { text: Cow::Borrowed(text), len })
    }

    /// The array as text, byte for byte as sent unless it held escapes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many names there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no name at all.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where each occurrence of `quoted` (a name with its quotes) stands. A name that only contains it, or that
    /// has it behind an escape, is not a hit.
    pub fn find(&self, quoted: &str) -> Vec<Range<usize>> {
        let bytes = self.text.as_bytes();
        memmem::find_iter(bytes, quoted.as_bytes())
            .map(|at| at..at + quoted.len())
            .filter(|hit| starts_a_name(bytes, hit.start))
            .collect()
    }

    /// Whether `quoted` (a name with its quotes) was sent.
    pub fn contains(&self, quoted: &str) -> bool {
        let bytes = self.text.as_bytes();
        memmem::find_iter(bytes, quoted.as_bytes()).any(|at| starts_a_name(bytes, at))
    }

    /// Every name with its quotes, and where it stands.
    pub fn iter(&self) -> Names<'_> {
        Names { text: &self.text, at: 0 }
    }

    /// Appends the array without the names at `rejected`, which must be ascending hits of this list.
    pub fn copy_without(&self, rejected: &[Range<usize>], out: &mut Vec<u8>) {
        let bytes = self.text.as_bytes();
        let begin = out.len();
        let mut from = 0;
        for hit in rejected {
            out.extend_from_slice(bytes.get(from..hit.start).unwrap_or_default());
            from = match comma_behind(bytes, hit.end) {
                Some(behind) => behind,
                None => {
                    drop_separator(out, begin);
                    hit.end
                }
            };
        }
        out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    }
}

/// Text that can be searched as it is: an array whose first element is a string, with no escapes and no nesting.
/// (A bare number between strings passes; it is never matched, and kube-scheduler cannot send one.)
fn is_plain(text: &[u8]) -> bool {
    let Some((b'[', inner)) = text.split_first().map(|(first, rest)| (*first, rest)) else { return false };
    let first = inner.iter().find(|b| !b.is_ascii_whitespace());
    matches!(first, Some(b'"' | b']')) && memchr::memchr3(b'\\', b'[', b'{', inner).is_none()
}

/// An unescaped quote with text behind it opens a string; an escaped one is inside of a name.
fn starts_a_name(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\\')
}

/// Where the text goes on behind the comma that follows a name; none behind the last name.
fn comma_behind(bytes: &[u8], end: usize) -> Option<usize> {
    let behind = bytes.get(end..)?;
    let gap = behind.iter().take_while(|b| b.is_ascii_whitespace()).count();
    (behind.get(gap) == Some(&b',')).then_some(end + gap + 1)
}

/// The last name goes: so does the comma that was written before it.
fn drop_separator(out: &mut Vec<u8>, begin: usize) {
    while out.len() > begin && out.last().is_some_and(|b| *b == b',' || b.is_ascii_whitespace()) {
        out.pop();
    }
}

/// Iterator over the names of a [`NameList`].
#[derive(Debug)]
pub struct Names<'l> {
    text: &'l str,
    at: usize,
}

impl<'l> Iterator for Names<'l> {
    /// The name with its quotes, and where it stands.
    type Item = (&'l str, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let start = self.at + memchr(b'"', bytes.get(self.at..)?)?;
        let mut end = start + 1;
        loop {
            end += memchr2(b'"', b'\\', bytes.get(end..)?)?;
            if bytes.get(end) == Some(&b'"') {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        Some((self.text.get(start..self.at)?, start..self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str, names: &[&str]) -> String {
        let list = NameList::new(text).expect(text);
        let mut hits: Vec<_> = names.iter().flat_map(|n| list.find(n)).collect();
        hits.sort_by_key(|h| h.start);
        let mut out = Vec::new();
        list.copy_without(&hits, &mut out);
        String::from_utf8(out).expect("text stays text")
    }

    #[test]
    fn rejected_names_leave_with_their_comma() {
        let check = |text: &str, names: &[&str], want: &str| assert_eq!(without(text, names), want, "{text}");
        check(r#"["a","b","c"]"#, &[r#""b""#], r#"["a","c"]"#);
        check(r#"["a","b","c"]"#, &[r#""a""#], r#"["b","c"]"#);
        check(r#"["a","b","c"]"#, &[r#""c""#], r#"["a","b"]"#);
        check(r#"["a","b","c"]"#, &[r#""b""#, r#""c""#], r#"["a"]"#);
        check(r#"["a","b","c"]"#, &[r#""a""#, r#""b""#, r#""c""#], "[]");
        check(r#"["a"]"#, &[r#""a""#], "[]");
        check(r#"[ "a" , "b" ]"#, &[r#""b""#], r#"[ "a" ]"#);
        check("[]", &[r#""b""#], "[]");
    }

    #[test]
    fn only_whole_names_are_found() {
        let check = |text: &str, name: &str, want: bool| {
            let list = NameList::new(text).expect(text);
            assert_eq!(list.contains(name), want, "{text} {name}");
            assert_eq!(!list.find(name).is_empty(), want, "{text} {name}");
        };
        check(r#"["burst-cci-0"]"#, r#""burst-cci-0""#, true);
        check(r#"["xburst-cci-0","burst-cci-01"]"#, r#""burst-cci-0""#, false);
        check(r#"["x\"burst-cci-0","a"]"#, r#""burst-cci-0""#, false);
        check(r#"["burst\u002dcci-0"]"#, r#""burst-cci-0""#, true);
        check(r#"["a,\"burst-cci-0\",b"]"#, r#""burst-cci-0""#, false);
    }

    #[test]
    fn names_are_counted_and_walked() {
        let check = |text: &str, want: &[&str]| {
            let list = NameList::new(text).expect(text);
            let names: Vec<_> = list.iter().map(|(n, _)| n.trim_matches('"')).collect();
            assert_eq!(
                (names.as_slice(), list.len(), list.is_empty()),
                (want, want.len(), want.is_empty()),
                "{text}"
            );
        };
        check("[]", &[]);
        check("[ ]", &[]);
        check(r#"["a"]"#, &["a"]);
        check(r#"["a", "b" ,"c"]"#, &["a", "b", "c"]);
    }
}
