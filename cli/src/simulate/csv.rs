//! Comma-separated values as RFC 4180 has them: quoted fields, doubled quotes, line ends inside quotes, LF or CRLF.
//!
//! Borrows from the text and copies only fields with doubled quotes. Every record knows the line it begins on.

use std::borrow::Cow;

/// One record.
#[derive(Debug)]
pub(super) struct Record<'t> {
    /// Line of the file that it begins on, from 1.
    pub(super) line: usize,
    /// Its fields, or what is wrong with its quotes.
    pub(super) fields: Result<Vec<Cow<'t, str>>, &'static str>,
}

/// The records of a text; blank lines are none.
pub(super) struct Records<'t> {
    rest: &'t str,
    line: usize,
}

/// Reads a text, with or without a byte order mark.
pub(super) fn records(text: &str) -> Records<'_> {
    Records { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 }
}

impl<'t> Iterator for Records<'t> {
    type Item = Record<'t>;

    fn next(&mut self) -> Option<Record<'t>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            let record = self.whole_record();
            if record.trim().is_empty() {
                continue;
            }
            return Some(Record { line, fields: split(record) });
        }
    }
}

impl<'t> Records<'t> {
    /// Cuts off the next record: up to a line end that is not inside quotes.
    fn whole_record(&mut self) -> &'t str {
        let mut end = self.rest.len();
        let mut inside = false;
        let mut lines = 0;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                b'"' => inside = !inside,
                b'\n' => {
                    lines += 1;
                    if !inside {
                        end = at + 1;
                        break;
                    }
                }
                _ => {}
            }
        }
        if inside && let Some(at) = self.rest.find('\n') {
            // Never closed: the quote costs one record, not the rest of the file.
            (end, lines) = (at + 1, 1);
        }
        self.line += lines;
        let (record, rest) = self.rest.split_at(end);
        self.rest = rest;
        record.trim_end_matches(['\n', '\r'])
    }
}

fn split(record: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let mut fields = Vec::with_capacity(12);
    let mut rest = record;
    loop {
        let (field, after) = if rest.trim_start().starts_with('"') { quoted(rest)? } else { plain(rest)? };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

type Field<'t> = (Cow<'t, str>, Option<&'t str>);

fn plain(rest: &str) -> Result<Field<'_>, &'static str> {
    let (field, after) = match rest.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (rest, None),
    };
    if field.contains('"') {
        return Err("a quote inside a field that does not begin with one");
    }
    Ok((Cow::Borrowed(field.trim()), after))
}

fn quoted(rest: &str) -> Result<Field<'_>, &'static str> {
    let body = rest.trim_start().get(1..).unwrap_or_default();
    let mut from = 0;
    loop {
        let at = from + body.get(from..).and_then(|b| b.find('"')).ok_or("a quote is never closed")?;
        let after = body.get(at + 1..).unwrap_or_default();
        if after.starts_with('"') {
            from = at + 2;
            continue;
        }
        let inside = body.get(..at).unwrap_or_default();
        let field = if from == 0 { Cow::Borrowed(inside) } else { Cow::Owned(inside.replace("\"\"", "\"")) };
        let after = after.trim_start();
        return match after.strip_prefix(',') {
            Some(after) => Ok((field, Some(after))),
            None if after.is_empty() => Ok((field, None)),
            None => Err("text after a closing quote"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, Result<Vec<String>, &'static str>)> {
        let owned = |f: Vec<Cow<'_, str>>| f.into_iter().map(Cow::into_owned).collect();
        records(text).map(|r| (r.line, r.fields.map(owned))).collect()
    }

    #[test]
    fn what_is_read() {
        let check = |text: &str, wanted: &[(usize, &[&str])]| {
            let wanted: Vec<_> =
                wanted.iter().map(|(l, f)| (*l, Ok(f.iter().map(|f| (*f).to_owned()).collect()))).collect();
            assert_eq!(read(text), wanted, "{text:?}");
        };
        check("", &[]);
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("\u{feff}a\r\n\r\n , b \r\n", &[(1, &["a"]), (3, &["", "b"])]);
        check("\"a,b\",\"c \"\"d\"\"\",\n", &[(1, &["a,b", "c \"d\"", ""])]);
        check("\"two\nlines\",x\nnext", &[(1, &["two\nlines", "x"]), (3, &["next"])]);
        check("\"\",\"\"\"\"", &[(1, &["", "\""])]);
    }

    #[test]
    fn a_broken_quote_costs_one_record() {
        let bad = |text| read(text).into_iter().map(|(l, r)| (l, r.is_ok())).collect::<Vec<_>>();
        assert_eq!(bad("\"open,1\nb,2\nc,3\n"), [(1, false), (2, true), (3, true)]);
        assert_eq!(bad("a\"b,1\nc,2\n"), [(1, true), (2, true)].map(|(l, _)| (l, l == 2)));
        assert_eq!(bad("\"a\"b,1\nc,2\n"), [(1, false), (2, true)]);
    }
}
