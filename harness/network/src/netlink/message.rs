use super::{ATTRIBUTE, HEADER, aligned};

/// A message that is being put together: a header, the family's fixed part, and attributes.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

/// Attributes, at any depth.
#[derive(Debug)]
pub(crate) struct Attributes<'a>(&'a mut Vec<u8>);

impl Message {
    /// With a type, `NLM_F_*`, and what the family puts before its attributes.
    pub fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).unwrap_or_default();
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend(fixed);
        pad(&mut bytes);
        Self { bytes }
    }

    /// With these attributes at its end.
    pub fn with(mut self, attributes: impl FnOnce(&mut Attributes<'_>)) -> Self {
        attributes(&mut Attributes(&mut self.bytes));
        self
    }

    /// Asks the kernel to answer also when all is well.
    pub fn acknowledged(mut self) -> Self {
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        let flags = flags | u16::try_from(libc::NLM_F_ACK).unwrap_or_default();
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// As it is sent, under this number.
    pub fn numbered(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

impl Attributes<'_> {
    /// One attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.begin(kind);
        self.0.extend(value);
        self.end(start)
    }

    /// A number in this machine's order of bytes, as rtnetlink has them.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// A number with the highest byte first, as nftables has them.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// A text and the NUL that ends it.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.begin(kind);
        self.0.extend(value.as_bytes());
        self.0.push(0);
        self.end(start)
    }

    /// An attribute that holds others.
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.nest_after(kind, &[], inner)
    }

    /// An attribute that holds a fixed part and then others, as that of a veth's peer does.
    pub fn nest_after(&mut self, kind: u16, fixed: &[u8], inner: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        let start = self.begin(kind | libc::NLA_F_NESTED as u16);
        self.0.extend(fixed);
        pad(self.0);
        inner(&mut Attributes(self.0));
        self.end(start)
    }

    fn begin(&mut self, kind: u16) -> usize {
        let start = self.0.len();
        self.0.extend([0, 0]);
        self.0.extend(kind.to_ne_bytes());
        start
    }

    fn end(&mut self, start: usize) -> &mut Self {
        // No attribute of this crate comes near the 64 KiB that one can hold: rules are bounded, and lists are none.
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        debug_assert!(usize::from(length) >= ATTRIBUTE);
        pad(self.0);
        self
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(aligned(bytes.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::reply::{Reply, attributes, split};

    #[test]
    fn what_is_put_together_comes_apart() {
        let message = Message::new(20, libc::NLM_F_DUMP, &[7; 5])
            .with(|a| _ = a.text(3, "eth0").nest(18, |inner| _ = inner.u32(1, 9).be32(2, 9)))
            .acknowledged();
        let bytes = message.numbered(77);
        assert_eq!(bytes.len() % 4, 0);
        let replies: Vec<Reply> = split(&bytes).unwrap();
        let [reply] = replies.as_slice() else { panic!("{replies:?}") };
        assert_eq!((reply.kind, reply.sequence), (20, 77));
        let found: Vec<_> = reply.attributes(8).collect();
        assert_eq!(found[0], (3, b"eth0\0".as_slice()));
        assert_eq!(found[1].0, 18);
        let inner: Vec<_> = attributes(found[1].1).collect();
        assert_eq!(inner, [(1, 9u32.to_ne_bytes().as_slice()), (2, 9u32.to_be_bytes().as_slice())]);
    }
}
