use std::io;

use super::{ATTRIBUTE, HEADER, aligned};

/// A message from the kernel.
#[derive(Debug)]
pub(crate) struct Reply {
    pub kind: u16,
    pub sequence: u32,
    /// What follows the header.
    pub body: Vec<u8>,
}

impl Reply {
    /// The attributes after the first `fixed` bytes.
    pub fn attributes(&self, fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
        attributes(self.body.get(aligned(fixed)..).unwrap_or_default())
    }

    /// The value of one attribute.
    pub fn attribute(&self, fixed: usize, kind: u16) -> Option<&[u8]> {
        self.attributes(fixed).find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// What the kernel says of the request: 0, or the number of an error.
    pub fn errno(&self) -> i32 {
        number(&self.body, 0).map_or(libc::EBADMSG, |code| code.cast_signed().saturating_neg())
    }
}

/// The number at `offset`.
pub(crate) fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// Cuts up what one read from the socket gave.
pub(super) fn split(mut bytes: &[u8]) -> io::Result<Vec<Reply>> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let length = number(bytes, 0).map_or(0, |length| length as usize);
        let (Some(message), true) = (bytes.get(..length), length >= HEADER) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        replies.push(Reply {
            kind: u16::from_ne_bytes([message[4], message[5]]),
            sequence: number(message, 8).unwrap_or_default(),
            body: message[HEADER..].to_vec(),
        });
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(replies)
}

/// Cuts up attributes; what is no whole attribute ends them.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.get(..ATTRIBUTE)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & libc::NLA_TYPE_MASK as u16;
        let value = bytes.get(ATTRIBUTE..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(replies) = split(&bytes) {
                for reply in replies {
                    _ = (reply.attributes(8).count(), reply.errno());
                }
            }
            _ = attributes(&bytes).count();
        }
    }
}
