//! SPDY/3 header blocks: names and values under one zlib stream per direction, primed with the preset dictionary.
//!
//! Facts: "SPDY Protocol - Draft 3", 2.6.10. Both contexts live as long as the connection, so every block must pass
//! through in wire order, even that of a refused stream. Sizes are bounded: a small block can inflate to a large one.

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::dictionary::DICTIONARY;

/// Largest header block after inflation.
const MAX_INFLATED: usize = 64 * 1024;
/// Most header fields in one block.
const MAX_FIELDS: u32 = 64;
/// Step of the output buffers.
const STEP: usize = 4096;

/// Names (lower case) and values; a name may repeat.
pub(crate) type Headers = Vec<(String, String)>;

/// Why a header block cannot be used; the compression context is lost, so the connection has to end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// zlib refused, or the peer used another dictionary.
    #[error("header block does not inflate")]
    Zlib,
    /// Inflated size or number of fields above the bound.
    #[error("header block is too large")]
    TooLarge,
    /// Lengths do not add up, or text is not UTF-8.
    #[error("header block is malformed")]
    Malformed,
}

/// Reads the peer's header blocks, in wire order.
pub(crate) struct HeaderDecoder {
    zlib: Decompress,
}

impl HeaderDecoder {
    /// A fresh context.
    pub(crate) fn new() -> Self {
        Self { zlib: Decompress::new(true) }
    }

    /// The fields of one block.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Headers, HeaderError> {
        parse(self.inflate(block)?.into())
    }

    fn inflate(&mut self, mut block: &[u8]) -> Result<Vec<u8>, HeaderError> {
        let mut plain = Vec::with_capacity(STEP);
        loop {
            if plain.len() == plain.capacity() {
                plain.reserve(STEP);
            }
            let (read, written) = (self.zlib.total_in(), self.zlib.total_out());
            let result = self.zlib.decompress_vec(block, &mut plain, FlushDecompress::Sync);
            block = block.get(advance(read, self.zlib.total_in())..).unwrap_or_default();
            if plain.len() > MAX_INFLATED {
                return Err(HeaderError::TooLarge);
            }
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.zlib.set_dictionary(&DICTIONARY).map_err(|_| HeaderError::Zlib)?;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(HeaderError::Zlib),
                Ok(_) if plain.len() == plain.capacity() => {}
                Ok(_) if block.is_empty() => return Ok(plain),
                Ok(_) if written == self.zlib.total_out() && read == self.zlib.total_in() => {
                    return Err(HeaderError::Zlib);
                }
                Ok(_) => {}
            }
        }
    }
}

/// Writes our header blocks, in wire order.
pub(crate) struct HeaderEncoder {
    zlib: Compress,
}

impl HeaderEncoder {
    /// A fresh context.
    pub(crate) fn new() -> Result<Self, HeaderError> {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&DICTIONARY).map_err(|_| HeaderError::Zlib)?;
        Ok(Self { zlib })
    }

    /// One block, flushed so that the peer can read it at once.
    pub(crate) fn encode(&mut self, headers: &[(&str, &str)]) -> Result<Bytes, HeaderError> {
        let plain = serialize(headers)?;
        let mut rest = plain.as_slice();
        let mut block = Vec::with_capacity(STEP);
        loop {
            if block.len() == block.capacity() {
                block.reserve(STEP);
            }
            let read = self.zlib.total_in();
            self.zlib.compress_vec(rest, &mut block, FlushCompress::Sync).map_err(|_| HeaderError::Zlib)?;
            rest = rest.get(advance(read, self.zlib.total_in())..).unwrap_or_default();
            if rest.is_empty() && block.len() < block.capacity() {
                return Ok(block.into());
            }
        }
    }
}

fn advance(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

fn parse(mut plain: Bytes) -> Result<Headers, HeaderError> {
    let count = plain.try_get_u32().map_err(|_| HeaderError::Malformed)?;
    if count > MAX_FIELDS {
        return Err(HeaderError::TooLarge);
    }
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = text(&mut plain)?.to_ascii_lowercase();
        let value = text(&mut plain)?;
        headers.extend(value.split('\0').map(|one| (name.clone(), one.to_owned())));
    }
    if plain.has_remaining() { Err(HeaderError::Malformed) } else { Ok(headers) }
}

fn text(plain: &mut Bytes) -> Result<String, HeaderError> {
    let length = plain.try_get_u32().map_err(|_| HeaderError::Malformed)?;
    let length = usize::try_from(length).map_err(|_| HeaderError::Malformed)?;
    if length > plain.remaining() {
        return Err(HeaderError::Malformed);
    }
    String::from_utf8(plain.split_to(length).to_vec()).map_err(|_| HeaderError::Malformed)
}

fn serialize(headers: &[(&str, &str)]) -> Result<Vec<u8>, HeaderError> {
    let length = |n: usize| u32::try_from(n).map(u32::to_be_bytes).map_err(|_| HeaderError::TooLarge);
    let mut plain = Vec::new();
    plain.extend_from_slice(&length(headers.len())?);
    for (name, value) in headers {
        plain.extend_from_slice(&length(name.len())?);
        plain.extend_from_slice(name.as_bytes());
        plain.extend_from_slice(&length(value.len())?);
        plain.extend_from_slice(value.as_bytes());
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contexts_carry_over_from_block_to_block() {
        let mut encoder = HeaderEncoder::new().unwrap();
        let mut decoder = HeaderDecoder::new();
        let mut sizes = Vec::new();
        for kind in ["error", "stdout", "stderr", "stdin", "resize"] {
            let block = encoder.encode(&[("streamtype", kind), ("port", "8080")]).unwrap();
            sizes.push(block.len());
            let expected =
                vec![("streamtype".to_owned(), kind.to_owned()), ("port".to_owned(), "8080".to_owned())];
            assert_eq!(decoder.decode(&block).unwrap(), expected);
        }
        assert!(sizes[4] < sizes[0], "later blocks lean on earlier ones: {sizes:?}");
    }

    #[test]
    fn values_joined_by_nul_are_several_fields() {
        let block = HeaderEncoder::new().unwrap().encode(&[("a", "1\u{0}2")]).unwrap();
        let headers = HeaderDecoder::new().decode(&block).unwrap();
        assert_eq!(headers, vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn an_inflation_bomb_is_refused() {
        let long = "x".repeat(1 << 20);
        let block = HeaderEncoder::new().unwrap().encode(&[("a", &long)]).unwrap();
        assert!(block.len() < 16 * 1024);
        assert_eq!(HeaderDecoder::new().decode(&block), Err(HeaderError::TooLarge));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for plain in [&[0, 0, 0, 1, 0, 0, 0, 9, b'a'][..], &[0, 0, 0, 0, 7], &[0, 0], &[0xff; 4]] {
            assert!(parse(Bytes::copy_from_slice(plain)).is_err(), "{plain:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(fields in proptest::collection::vec(("[a-z-]{0,12}", "[ -~]{0,40}"), 0..8)) {
            let mut encoder = HeaderEncoder::new().unwrap();
            let mut decoder = HeaderDecoder::new();
            let borrowed: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            for _ in 0..3 {
                prop_assert_eq!(&decoder.decode(&encoder.encode(&borrowed).unwrap()).unwrap(), &fields);
            }
        }

        #[test]
        fn hostile_blocks_never_panic(block in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = HeaderDecoder::new().decode(&block);
            let _ = parse(block.into());
        }

        #[test]
        fn damaged_blocks_never_panic(at in 0_usize..60, with in any::<u8>()) {
            let mut block = HeaderEncoder::new().unwrap().encode(&[("streamtype", "stdout")]).unwrap().to_vec();
            let index = at % block.len();
            block[index] = with;
            let _ = HeaderDecoder::new().decode(&block);
        }
    }
}
