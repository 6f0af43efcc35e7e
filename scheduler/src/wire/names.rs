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

    /// Takes text that nobody has looked at yet, if it is an array of at least one string, without escapes, without a
    /// blank between the strings and without a comma at the edge of one.
    pub(super) fn as_go_writes(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?.as_bytes();
        let len = Quotes::of(inner).strings(inner)?;
        Some(Self { text: Cow::Borrowed(text), len })
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

/// The quotes between the first byte of some text and its last, looked at in one pass without a branch for each byte.
#[derive(Default)]
struct Quotes {
    /// With a comma behind, so that they close a string.
    close: usize,
    /// A quote with a comma on both sides or on none, a comma with a quote on one side only, an escape, a control character.
    odd: bool,
}

impl Quotes {
    /// Bytes of which one byte holds the count.
    const CHUNK: usize = 240;

    fn of(text: &[u8]) -> Self {
        let mut all = Self::default();
        let mut rest = text;
        while rest.len() > 2 {
            all.look(rest.get(..Self::CHUNK + 2).unwrap_or(rest));
            rest = rest.get(Self::CHUNK..).unwrap_or_default();
        }
        all
    }

    fn look(&mut self, chunk: &[u8]) {
        let from = |at: usize| chunk.get(at..).unwrap_or_default().iter();
        let (mut closing, mut odd, mut least) = (0_u8, false, u8::MAX);
        for ((before, byte), behind) in from(0).zip(from(1)).zip(from(2)) {
            let (quote, comma) = (*byte == b'"', *byte == b',');
            let closes = quote & (*behind == b',');
            closing += u8::from(closes);
            odd |= quote & (closes == (*before == b','));
            odd |= comma & ((*before == b'"') != (*behind == b'"'));
            odd |= *byte == b'\\';
            least = least.min(*byte);
        }
        self.close += usize::from(closing);
        self.odd |= odd | (least < b' ');
    }

    /// How many strings the text is, if it is nothing but strings with one comma between each two. The first string opens
    /// at the first byte and does not begin with a comma, so the next quote has its comma behind it and closes it; that
    /// comma has a quote on its other side too, which opens the next string; and so on.
    fn strings(&self, text: &[u8]) -> Option<usize> {
        let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let whole = !inner.starts_with(b",") && !inner.ends_with(b",");
        (whole && !self.odd).then_some(self.close + 1)
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
    fn only_an_array_of_strings_is_taken_unread() {
        let check = |text: &str, want: Option<usize>| {
            assert_eq!(NameList::as_go_writes(text).map(|list| list.len()), want, "{text}");
        };
        check(r#"["a"]"#, Some(1));
        check(r#"["a","b","c"]"#, Some(3));
        check(r#"["","b",""]"#, Some(3));
        check(r#"["a,b","c"]"#, Some(2));
        check(&serde_json::to_string(&vec!["a-long-name.example"; 5000]).expect("JSON"), Some(5000));
        // Legal, but for the slow way.
        for text in ["[]", r#"["a", "b"]"#, r#"["a\"b"]"#, r#"["a",",","b"]"#, r#"[",a"]"#] {
            check(text, None);
            serde_json::from_str::<Vec<String>>(text).expect("JSON");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_taken_unread_is_what_a_reader_of_json_finds(inner in r#"[",a\\ \n]{0,12}"#, many in 0_usize..40) {
            let text = format!("[{}{inner}]", r#""x-name","#.repeat(many));
            if let Some(list) = NameList::as_go_writes(&text) {
                let read: Vec<String> = serde_json::from_str(&text).expect("an array of strings");
                proptest::prop_assert_eq!(list.len(), read.len());
            }
        }
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
