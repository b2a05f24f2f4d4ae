use std::{
    io::{self, Read},
    sync::OnceLock,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use storage_layer::Digest;

/// Of 256 pieces so many are noise; measured so that a whole image shrinks 2.6 times with gzip -6.
const NOISE_IN_256: u32 = 65;

/// The text that the other pieces are cut from; half of gzip's window, so that it is found again.
const TEXT: usize = 16 << 10;

const BUFFER: usize = 16 << 10;

/// A generator whose stream is fixed by a name, on every machine.
pub fn generator(name: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(*Digest::of(format!("synthetic image 1: {name}").as_bytes()).as_bytes())
}

/// Endless content that looks to a compressor like the files of real images: pieces of text that repeat, and
/// noise.
pub struct Content {
    rng: ChaCha8Rng,
    buffer: Vec<u8>,
    at: usize,
}

impl Content {
    /// The content with this key.
    pub fn new(key: &str) -> Self {
        Self { rng: generator(key), buffer: Vec::new(), at: 0 }
    }

    fn refill(&mut self) {
        let text = text();
        self.at = 0;
        self.buffer.clear();
        while self.buffer.len() < BUFFER {
            let word = self.rng.next_u32();
            let length = 64 + (word >> 24) as usize;
            if word & 0xff < NOISE_IN_256 {
                let start = self.buffer.len();
                self.buffer.resize(start + length, 0);
                self.rng.fill_bytes(&mut self.buffer[start..]);
            } else {
                let start = (word >> 8 & 0xffff) as usize % (TEXT - length);
                self.buffer.extend_from_slice(&text[start..start + length]);
            }
        }
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            self.refill();
        }
        let count = out.len().min(self.buffer.len() - self.at);
        out[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn text() -> &'static [u8] {
    static DICTIONARY: OnceLock<Vec<u8>> = OnceLock::new();
    DICTIONARY.get_or_init(|| {
        let mut rng = generator("text");
        let mut text = Vec::with_capacity(TEXT + 16);
        while text.len() < TEXT {
            let word = rng.next_u32();
            let letters = 2 + (word & 7);
            text.extend((0..letters).map(|n| b"etaoinshrdlucmfw"[(word >> (3 + 3 * n) & 15) as usize]));
            text.push(if word >> 28 == 0 { b'\n' } else { b' ' });
        }
        text.truncate(TEXT);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_depends_on_the_key_alone() {
        let read = |key: &str, piece: usize| {
            let mut content = Content::new(key);
            let mut bytes = Vec::new();
            while bytes.len() < 100_000 {
                let mut buffer = vec![0; piece];
                let count = content.read(&mut buffer).unwrap();
                bytes.extend_from_slice(&buffer[..count]);
            }
            bytes.truncate(100_000);
            bytes
        };
        assert_eq!(read("a", 7), read("a", 9999));
        assert_ne!(read("a", 512), read("b", 512));
    }
}
