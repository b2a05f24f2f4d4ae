use std::{
    fmt,
    io::{self, Read, Write},
};

use crate::{
    Error, Result,
    tar::{BLOCK, encode::Header, kind, padding},
};

/// What an entry of a layer tar says of its inode, beside kind and content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permissions with the setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Seconds and nanoseconds since the epoch.
    pub mtime: (i64, u32),
}

/// Writes a layer tar entry by entry, for a tree that exists nowhere as files.
///
/// Entries in the order of their names, where a directory's name ends in a slash, give the bytes that the export of
/// the same tree gives. Paths are relative, without a slash at the end.
pub struct TarWriter<W> {
    out: W,
    written: u64,
    block: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// Starts an empty tar.
    pub const fn new(out: W) -> Self {
        Self { out, written: 0, block: Vec::new() }
    }

    /// A directory.
    ///
    /// # Errors
    /// [`Error::Output`], as for every other entry.
    pub fn directory(&mut self, path: &[u8], attributes: &Attributes) -> Result<()> {
        let name = [path, b"/"].concat();
        self.header(&Header { kind: kind::DIRECTORY, ..header(&name, attributes) })
    }

    /// A file of `size` bytes, read from `content`.
    ///
    /// # Errors
    /// [`Error::Output`]; [`Error::Content`] when `content` fails or holds fewer bytes.
    pub fn file(&mut self, path: &[u8], attributes: &Attributes, size: u64, content: &mut dyn Read) -> Result<()> {
        self.header(&Header { kind: kind::FILE, size, ..header(path, attributes) })?;
        let mut buffer = [0; 16 * 1024];
        let mut left = size;
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let failed = |source| Error::Content { path: String::from_utf8_lossy(path).into_owned(), source };
            match content.read(&mut buffer[..want]) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.write(&buffer[..count])?;
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.write(&[0; BLOCK][..padding(size)])
    }

    /// A symlink.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn symlink(&mut self, path: &[u8], target: &[u8], attributes: &Attributes) -> Result<()> {
        self.header(&Header { kind: kind::SYMLINK, link: target, ..header(path, attributes) })
    }

    /// A further name of a file that was written before, at `target`.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn hard_link(&mut self, path: &[u8], target: &[u8], attributes: &Attributes) -> Result<()> {
        self.header(&Header { kind: kind::HARD_LINK, link: target, ..header(path, attributes) })
    }

    /// A whiteout: `path`, of the layers below, is gone.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        self.header(&Header { kind: kind::FILE, name: &whiteout_of(path), ..Header::default() })
    }

    /// An opaque whiteout: nothing in the directory `path` is of the layers below.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn opaque(&mut self, path: &[u8]) -> Result<()> {
        let name = [path, b"/.wh..wh..opq"].concat();
        self.header(&Header { kind: kind::FILE, name: &name, ..Header::default() })
    }

    /// Ends the tar and gives the sink back.
    ///
    /// # Errors
    /// [`Error::Output`].
    pub fn finish(mut self) -> Result<W> {
        self.write(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn header(&mut self, header: &Header<'_>) -> Result<()> {
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        header.encode(&mut block);
        let answer = self.write(&block);
        self.block = block;
        answer
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|source| Error::Output { offset: self.written, source })?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

impl<W> fmt::Debug for TarWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarWriter").field("written", &self.written).finish_non_exhaustive()
    }
}

fn header<'a>(name: &'a [u8], attributes: &Attributes) -> Header<'a> {
    let Attributes { mode, uid, gid, mtime } = *attributes;
    Header { name, mode, uid, gid, mtime, ..Header::default() }
}

fn whiteout_of(path: &[u8]) -> Vec<u8> {
    let name = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    [&path[..name], b".wh.", &path[name..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_named_after_what_they_hide() {
        assert_eq!(whiteout_of(b"a/b/c"), b"a/b/.wh.c");
        assert_eq!(whiteout_of(b"a"), b".wh.a");
    }

    #[test]
    fn content_that_ends_too_early_is_an_error() {
        let mut writer = TarWriter::new(Vec::new());
        let error = writer.file(b"a", &Attributes::default(), 5, &mut &b"1234"[..]).unwrap_err();
        assert!(error.to_string().contains("\"a\""), "{error}");
    }

    #[test]
    fn whole_blocks_and_two_of_zeros_at_the_end() {
        let mut writer = TarWriter::new(Vec::new());
        let attributes = Attributes { mode: 0o755, ..Attributes::default() };
        writer.directory(b"d", &attributes).unwrap();
        writer.file(b"d/f", &attributes, 513, &mut io::repeat(7)).unwrap();
        writer.hard_link(b"d/g", b"d/f", &attributes).unwrap();
        let tar = writer.finish().unwrap();
        assert_eq!(tar.len(), 512 * (1 + 3 + 1 + 2));
        assert!(tar[tar.len() - 1024..].iter().all(|&byte| byte == 0));
    }
}
