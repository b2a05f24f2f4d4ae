use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
};

/// How a blob is compressed, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, any number of members (RFC 1952).
    Gzip,
    /// Zstandard, any number of frames (RFC 8878).
    Zstd,
}

impl Compression {
    /// The longest prefix that [`of`](Self::of) looks at.
    pub const MAGIC_LEN: usize = 4;

    /// What `head`, the first bytes of a blob, says.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // Skippable frames may come first; zstd:chunked puts some at the end (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The largest zstd window that is accepted: 32 MiB, which the writers of images do not exceed (`zstd -19` has 8 MiB, the best
/// level of Go's library 32 MiB). It is memory that a blob can ask for.
const WINDOW_LOG_MAX: u32 = 25;

const BUFFER: usize = 256 * 1024;

/// What [`decompress`] returns: the plain bytes.
pub struct Decompressor<'a> {
    inner: Box<dyn Read + Send + 'a>,
    compression: Compression,
}

impl Decompressor<'_> {
    /// What was found.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl fmt::Debug for Decompressor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("compression", &self.compression).finish_non_exhaustive()
    }
}

/// Undoes gzip or zstd compression, whichever the first bytes show; other input is passed on as it is.
///
/// # Errors
/// The error of the first read. Damaged data is an error of a later read.
pub fn decompress<'a>(input: impl Read + Send + 'a) -> io::Result<Decompressor<'a>> {
    let (head, input) = peek(input)?;
    let compression = Compression::of(&head);
    let input = io::Cursor::new(head).chain(input);
    let inner: Box<dyn Read + Send + 'a> = match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Gunzip::new(BufReader::with_capacity(BUFFER, input))),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER, input))?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Box::new(Unzstd(decoder))
        }
    };
    Ok(Decompressor { inner, compression })
}

/// What zstd says of a window that is too large names neither it nor the bound.
struct Unzstd<R: BufRead>(zstd::Decoder<'static, R>);

impl<R: BufRead> Read for Unzstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            if !error.to_string().contains("too much memory") {
                return error;
            }
            io::Error::new(
                error.kind(),
                "its zstd window is larger than the 32 MiB that are accepted (zstd without --long or --ultra)",
            )
        })
    }
}

fn peek<R: Read>(mut input: R) -> io::Result<(Vec<u8>, R)> {
    let mut head = Vec::with_capacity(Compression::MAGIC_LEN);
    input.by_ref().take(Compression::MAGIC_LEN as u64).read_to_end(&mut head)?;
    Ok((head, input))
}

/// gzip members one after the other; zero padding after the last one is ignored, as gzip(1) does.
struct Gunzip<R: BufRead> {
    state: State<R>,
}

enum State<R: BufRead> {
    Member(Box<flate2::bufread::GzDecoder<R>>),
    Between(R),
    Failed,
}

impl<R: BufRead> Gunzip<R> {
    fn new(input: R) -> Self {
        Self { state: State::Member(Box::new(flate2::bufread::GzDecoder::new(input))) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Member(mut decoder) => {
                    let read = decoder.read(buffer)?;
                    if read > 0 {
                        self.state = State::Member(decoder);
                        return Ok(read);
                    }
                    self.state = State::Between(decoder.into_inner());
                }
                State::Between(mut input) => {
                    if skip_zeros(&mut input)? {
                        self.state = State::Between(input);
                        return Ok(0);
                    }
                    self.state = State::Member(Box::new(flate2::bufread::GzDecoder::new(input)));
                }
                State::Failed => return Err(io::Error::other("the gzip data is damaged")),
            }
        }
    }
}

/// True at the end of the input.
fn skip_zeros<R: BufRead>(input: &mut R) -> io::Result<bool> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let more = zeros < bytes.len();
        input.consume(zeros);
        if more {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn plain(input: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(input)?.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn every_form_gives_the_same_bytes() {
        let text = b"layer ".repeat(10_000);
        assert_eq!(plain(&text).unwrap(), text);
        assert_eq!(plain(&gzip(&text)).unwrap(), text);
        assert_eq!(plain(&zstd::encode_all(&text[..], 1).unwrap()).unwrap(), text);
        for short in [&b""[..], b"\x1f", b"abc"] {
            assert_eq!(plain(short).unwrap(), short);
        }
    }

    #[test]
    fn members_and_frames_are_joined() {
        let mut members = gzip(b"one ");
        members.extend(gzip(b"two"));
        members.extend([0; 700]);
        assert_eq!(plain(&members).unwrap(), b"one two");
        let mut frames = zstd::encode_all(&b"one "[..], 1).unwrap();
        frames.extend(zstd::encode_all(&b"two"[..], 1).unwrap());
        assert_eq!(plain(&frames).unwrap(), b"one two");
    }

    #[test]
    fn damage_is_an_error() {
        let whole = gzip(&b"layer ".repeat(1000));
        assert!(plain(&whole[..whole.len() - 4]).is_err(), "a member without its end was accepted");
        let mut garbage = whole.clone();
        garbage.extend(b"garbage");
        assert!(plain(&garbage).is_err());
        let frame = zstd::encode_all(&b"layer ".repeat(1000)[..], 1).unwrap();
        assert!(plain(&frame[..frame.len() - 2]).is_err());
    }

    #[test]
    fn a_huge_zstd_window_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(26).unwrap();
        encoder.write_all(&vec![7; 1 << 20]).unwrap();
        let error = plain(&encoder.finish().unwrap()).unwrap_err().to_string();
        assert!(error.contains("larger than the 32 MiB"), "{error}");
    }
}
