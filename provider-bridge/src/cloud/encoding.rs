//! How bytes and texts are spelled in requests: hexadecimal digits and percent-encoding.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything outside RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with every reserved character encoded.
pub(in crate::cloud) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A query from pairs, in their order.
pub(in crate::cloud) fn encode_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    pairs.map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect::<Vec<_>>().join("&")
}

/// The query as it goes over the wire: original order, RFC 3986 encoding.
pub(in crate::cloud) fn wire_query(query: &[(&'static str, String)]) -> String {
    encode_pairs(query.iter().map(|(key, value)| (*key, value.as_str())))
}

/// Hex SHA-256.
pub(in crate::cloud) fn sha256_hex(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

/// Lower-case hexadecimal digits.
pub(in crate::cloud) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_keeps_the_order_of_a_command() {
        let query =
            [("command", "sh".to_owned()), ("command", "-c".to_owned()), ("command", "echo hi".to_owned())];
        assert_eq!(wire_query(&query), "command=sh&command=-c&command=echo%20hi");
    }
}
