use std::{
    fmt,
    io::{self, IoSlice, Read, Write},
    str::FromStr,
};

use sha2::{Digest as _, Sha256};
use storage_driver::Bytes;

use crate::Error;

/// The SHA-256 of some bytes, written as OCI does: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 digits without the algorithm: the name of a blob in an OCI layout.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(HEX[usize::from(digit)])).collect()
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("sha256:{}", self.hex()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::InvalidDigest { text: text.chars().take(100).collect() })
    }
}

fn parse(text: &str) -> Option<Digest> {
    let hex = text.strip_prefix("sha256:")?.as_bytes();
    let mut bytes = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Digest(bytes))
}

/// Upper-case digits are refused: one digest has one name (OCI image spec, descriptor.md, "Digests").
const fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Passes what is written on to `W`, and hashes and counts it.
pub struct DigestWriter<W> {
    inner: W,
    hash: Sha256,
    count: u64,
}

impl<W> DigestWriter<W> {
    /// Starts at zero bytes.
    pub fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), count: 0 }
    }

    /// Goes on with the same count and digest into another sink.
    pub fn with_inner<V>(self, inner: V) -> DigestWriter<V> {
        DigestWriter { inner, hash: self.hash, count: self.count }
    }

    /// The sink, the digest, and how many bytes went through.
    pub fn finish(self) -> (W, Digest, Bytes) {
        (self.inner, Digest(self.hash.finalize().into()), Bytes(self.count))
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.inner.write_vectored(slices)?;
        let mut left = written;
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            self.hash.update(part);
            left -= part.len();
        }
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> fmt::Debug for DigestWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestWriter").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Passes on what is read from `R`, and hashes and counts it.
pub struct DigestReader<R> {
    inner: R,
    hash: Sha256,
    count: u64,
}

impl<R> DigestReader<R> {
    /// Starts at zero bytes.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), count: 0 }
    }

    /// The source, the digest of what was read so far, and how many bytes that was.
    pub fn finish(self) -> (R, Digest, Bytes) {
        (self.inner, Digest(self.hash.finalize().into()), Bytes(self.count))
    }
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.count += read as u64;
        Ok(read)
    }
}

impl<R> fmt::Debug for DigestReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestReader").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_and_prints_one_form_only() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let upper = EMPTY.replace('e', "E");
        for bad in ["", "sha256:", &EMPTY[7..], &EMPTY[..70], &upper, &EMPTY.replace("256", "512")] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn hashes_what_passes_in_either_direction() {
        let mut writer = DigestWriter::new(Vec::new());
        writer.write_all(b"ab").unwrap();
        let both = writer.write_vectored(&[IoSlice::new(b"c"), IoSlice::new(b"d")]).unwrap();
        assert_eq!(both, 2);
        let (written, digest, count) = writer.finish();
        assert_eq!((written.as_slice(), count), (&b"abcd"[..], Bytes(4)));
        assert_eq!(digest, Digest::of(b"abcd"));

        let mut reader = DigestReader::new(&b"abcd"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let (_, read, count) = reader.finish();
        assert_eq!((read, count), (digest, Bytes(4)));
    }
}
