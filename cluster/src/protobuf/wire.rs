//! The wire format of protocol buffers, read without copying: tag, then a number or bytes.
//!
//! Never panics and never allocates by what a length says. Groups (wire types 3 and 4) are refused: Kubernetes has none.

use super::Malformed;

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// An integer or a boolean.
    Varint(u64),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
    /// 4 or 8 bytes that nothing of ours is made of.
    Fixed,
}

impl<'a> Value<'a> {
    /// The bytes of a field that may be missing.
    pub(super) fn bytes_of(value: Option<Self>) -> Result<&'a [u8], Malformed> {
        value.map_or(Ok(&[]), Self::bytes)
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed => {
                Err(Malformed("a field has another type than Kubernetes gives it"))
            }
        }
    }

    /// Negative numbers of 32 bits come in 10 bytes, as those of 64 do.
    pub(super) fn integer(self) -> Result<i64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number.cast_signed()),
            Self::Bytes(_) | Self::Fixed => {
                Err(Malformed("a field has another type than Kubernetes gives it"))
            }
        }
    }
}

/// The fields of a message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed("a wire type that Kubernetes does not use")),
        };
        match tag >> 3 {
            0 => Err(Malformed("a field with number 0")),
            number => Ok(Some((number, value))),
        }
    }

    /// The values of the fields 1 to `N` of a small message.
    pub(super) fn numbered<const N: usize>(message: &'a [u8]) -> Result<[Option<Value<'a>>; N], Malformed> {
        let (mut fields, mut values) = (Self::of(message), [None; N]);
        while let Some((number, value)) = fields.next()? {
            let place = usize::try_from(number - 1).ok().and_then(|place| values.get_mut(place));
            if let Some(place) = place {
                *place = Some(value);
            }
        }
        Ok(values)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(Malformed("a number that does not end, or is beyond 64 bits"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(Malformed("a field is longer than its message"))?;
        self.rest = rest;
        Ok(taken)
    }
}
