//! Terminal sizes as clients send them: JSON documents one after the other, cut anywhere.

use bytes::{Bytes, BytesMut};

use crate::streams::TerminalSize;

/// More than this without a complete document is not a size.
const MAX_PENDING: usize = 4096;

/// What was sent is not `{"Width":n,"Height":n}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotASize;

/// Collects bytes until they are complete documents.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    pending: BytesMut,
}

impl Sizes {
    /// The sizes that are complete now.
    pub(super) fn push(&mut self, bytes: &Bytes) -> Result<Vec<TerminalSize>, NotASize> {
        self.pending.extend_from_slice(bytes);
        let mut documents = serde_json::Deserializer::from_slice(&self.pending).into_iter::<TerminalSize>();
        let mut sizes = Vec::new();
        let mut used = 0;
        loop {
            match documents.next() {
                Some(Ok(size)) => sizes.push(size),
                Some(Err(error)) if !error.is_eof() => return Err(NotASize),
                Some(Err(_)) | None => break,
            }
            used = documents.byte_offset();
        }
        drop(self.pending.split_to(used));
        if self.pending.len() > MAX_PENDING { Err(NotASize) } else { Ok(sizes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"{\"Width\":80,\"Height\":24}\n{\"Width\":132,\"Height\":50}\n";

    #[test]
    fn documents_cut_anywhere() {
        let expected = [TerminalSize { width: 80, height: 24 }, TerminalSize { width: 132, height: 50 }];
        for cut in 0..TWO.len() {
            let mut sizes = Sizes::default();
            let mut got = sizes.push(&Bytes::from_static(&TWO[..cut])).unwrap();
            got.extend(sizes.push(&Bytes::from_static(&TWO[cut..])).unwrap());
            assert_eq!(got, expected, "cut at {cut}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bytes in [&b"[]"[..], b"{\"Width\":-1,\"Height\":2}", b"{\"Width\":1}", b"hello"] {
            assert_eq!(Sizes::default().push(&Bytes::from_static(bytes)), Err(NotASize), "{bytes:?}");
        }
        assert_eq!(Sizes::default().push(&Bytes::from(vec![b' '; MAX_PENDING + 1])), Err(NotASize));
    }
}
