use std::{
    collections::BTreeMap,
    io::{BufRead, Seek},
};

use super::{
    BLOCK,
    header::RawHeader,
    kind, padding,
    pax::{self, Records},
    sparse::{self, MapError, MapReader, decimal},
};
use crate::{Error, Fault, Limits, Result, error::EntryName, manifest::Region, xattrs::Xattrs};

/// One entry, all its extended headers taken into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where its first header starts.
    pub offset: u64,
    pub name: Vec<u8>,
    pub kind: EntryKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub xattrs: Xattrs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File {
        /// Holes included.
        size: u64,
        /// Where the bytes of the body belong; one region unless it is sparse.
        data: Vec<Region>,
    },
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    CharDevice((u32, u32)),
    BlockDevice((u32, u32)),
    Directory,
    Fifo,
}

/// Reads entries from a plain tar; bodies are read in between with [`body`](Self::body).
///
/// Nothing that the input declares is believed before it is checked against the [`Limits`], and nothing is allocated
/// by a declared size.
#[derive(Debug)]
pub(crate) struct TarReader<'l, R> {
    input: R,
    limits: &'l Limits,
    offset: u64,
    /// What is left of the current entry's body, and the padding after it.
    body: u64,
    padding: u64,
    global: Extended,
    globals: u64,
    entries: u64,
    /// The input may end after an entry without the blocks that say so.
    open_end: bool,
    /// Where the current entry starts, and its name as far as it is known.
    start: u64,
    name: Vec<u8>,
}

/// What extended headers say.
#[derive(Debug, Clone, Default)]
struct Extended {
    /// Bytes read for it.
    bytes: usize,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Format 0.0 repeats its records, in order.
    sparse_numbers: Vec<u64>,
}

impl<'l, R: BufRead> TarReader<'l, R> {
    pub fn new(input: R, limits: &'l Limits) -> Self {
        Self {
            input,
            limits,
            offset: 0,
            body: 0,
            padding: 0,
            global: Extended::default(),
            globals: 0,
            entries: 0,
            open_end: true,
            start: 0,
            name: Vec::new(),
        }
    }

    /// Takes an input that just ends for one that was cut off.
    pub fn with_marked_end(self) -> Self {
        Self { open_end: false, ..self }
    }

    /// The error for the current entry.
    pub fn fail(&self, why: Fault) -> Error {
        Error::Entry { entry: EntryName(self.name.clone()), offset: self.start, why }
    }

    /// How many entries were read.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The next entry; `None` at the end of the tar.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_body()?;
        self.start = self.offset;
        self.name.clear();
        let mut extended = self.global.clone();
        extended.bytes = 0;
        loop {
            let mut block = [0; BLOCK];
            if !self.read_header(&mut block)? {
                return Ok(None);
            }
            let header = RawHeader::parse(&block).map_err(|why| self.fail(Fault::Malformed(why)))?;
            match header.kind() {
                kind::PAX => {
                    let text = self.extension(&header, &mut extended.bytes)?;
                    self.records(&text, &mut extended)?;
                }
                kind::PAX_GLOBAL => {
                    // A stream of them has no entry, and no end.
                    self.globals += 1;
                    self.at_most_64("the number of global extended headers", self.globals, self.limits.entries)?;
                    let mut bytes = 0;
                    let text = self.extension(&header, &mut bytes)?;
                    let mut global = std::mem::take(&mut self.global);
                    self.records(&text, &mut global)?;
                    let kept: usize = global.values.iter().map(|(key, value)| key.len() + value.len()).sum();
                    self.at_most("the size of the global extended headers", kept, self.limits.extended_header)?;
                    // Only what describes every file makes sense for all.
                    global.xattrs.clear();
                    global.sparse_numbers.clear();
                    extended = Extended { bytes, ..global.clone() };
                    self.global = global;
                }
                kind::GNU_LONG_NAME | kind::GNU_LONG_LINK => {
                    let key: &[u8] = if header.kind() == kind::GNU_LONG_NAME { b"path" } else { b"linkpath" };
                    let mut text = self.extension(&header, &mut extended.bytes)?;
                    text.truncate(text.iter().position(|&byte| byte == 0).unwrap_or(text.len()));
                    extended.values.insert(key.to_vec(), text);
                }
                _ => return self.entry(&header, extended).map(Some),
            }
        }
    }

    /// False at the end of the tar: at least one block of zeros, or nothing at all after an entry.
    fn read_header(&mut self, block: &mut [u8; BLOCK]) -> Result<bool> {
        if self.open_end && self.entries > 0 && self.offset == self.start && self.fill()?.is_empty() {
            return Ok(false);
        }
        self.read_exact(block)?;
        if block.iter().any(|&byte| byte != 0) {
            return Ok(true);
        }
        // One block is enough for a tar that ends there; the second one is what the format asks for.
        if !self.fill()?.is_empty() {
            self.read_exact(block)?;
            if block.iter().any(|&byte| byte != 0) {
                return Err(self.fail(Fault::Malformed("a block of zeros stands between the entries")));
            }
        }
        self.drain()?;
        Ok(false)
    }

    /// What follows the end is not looked at, but belongs to the stream and its digest.
    fn drain(&mut self) -> Result<()> {
        loop {
            let rest = self.fill()?.len();
            if rest == 0 {
                return Ok(());
            }
            self.consume(rest);
        }
    }

    /// The body of an extension header.
    fn extension(&mut self, header: &RawHeader<'_>, bytes: &mut usize) -> Result<Vec<u8>> {
        let size = header.size().map_err(|why| self.fail(Fault::Malformed(why)))?;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        // Empty ones count, too.
        let total = length.saturating_add(BLOCK).saturating_add(*bytes);
        self.at_most("the size of its extended headers", total, self.limits.extended_header)?;
        *bytes = total;
        let mut text = vec![0; length];
        self.read_exact(&mut text)?;
        let mut rest = [0; BLOCK];
        self.read_exact(&mut rest[..padding(size)])?;
        Ok(text)
    }

    fn records(&self, text: &[u8], extended: &mut Extended) -> Result<()> {
        let malformed = |why| self.fail(Fault::Malformed(why));
        for record in Records(text) {
            let (key, value) = record.map_err(malformed)?;
            if let Some(name) = key.strip_prefix(pax::XATTR) {
                extended.xattrs.insert(pax::xattr_name(name), value.to_vec());
                self.at_most("the number of its xattrs", extended.xattrs.len(), self.limits.xattrs)?;
            } else if key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes" {
                let number = decimal(value).ok_or_else(|| malformed("its sparse map is malformed"))?;
                extended.sparse_numbers.push(number);
            } else if value.is_empty() {
                // An empty value takes back what a global header said.
                extended.values.remove(key);
            } else {
                extended.values.insert(key.to_vec(), value.to_vec());
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &RawHeader<'_>, mut extended: Extended) -> Result<Entry> {
        let start = self.start;
        self.entries += 1;
        let at_most = usize::try_from(self.limits.entries).unwrap_or(usize::MAX);
        self.at_most("the number of entries", usize::try_from(self.entries).unwrap_or(usize::MAX), at_most)?;
        let sparse_name = extended.values.remove(&b"GNU.sparse.name"[..]);
        let path = extended.values.remove(&b"path"[..]);
        self.name = sparse_name.or(path).unwrap_or_else(|| header.name());
        self.at_most("the length of its name", self.name.len(), self.limits.path)?;
        let link = extended.values.remove(&b"linkpath"[..]).unwrap_or_else(|| header.link());
        self.at_most("the length of its link target", link.len(), self.limits.path)?;
        let malformed = |why| Fault::Malformed(why);
        let id = |key: &[u8], field: Result<i64, &'static str>| -> Result<u32, Fault> {
            let id = match extended.values.get(key) {
                Some(text) => decimal(text).ok_or(Fault::Malformed("its owner is malformed"))?,
                None => u64::try_from(field.map_err(malformed)?).unwrap_or(u64::MAX),
            };
            // The largest 32-bit number means "leave it" to chown(2).
            u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or(Fault::Refused("its owner is no valid id"))
        };
        let uid = id(b"uid", header.uid()).map_err(|why| self.fail(why))?;
        let gid = id(b"gid", header.gid()).map_err(|why| self.fail(why))?;
        let mode = header.mode().map_err(malformed).map_err(|why| self.fail(why))?;
        let mtime = match extended.values.get(&b"mtime"[..]) {
            Some(text) => pax::parse_time(text).ok_or(Fault::Malformed("its mtime is malformed")),
            None => header.mtime().map(|seconds| (seconds, 0)).map_err(malformed),
        };
        let mtime = mtime.map_err(|why| self.fail(why))?;
        let size = match extended.values.get(&b"size"[..]) {
            Some(text) => decimal(text).ok_or(Fault::Malformed("its size is malformed")),
            None => header.size().map_err(malformed),
        };
        let size = size.map_err(|why| self.fail(why))?;
        let kind = self.kind(header, link, size, &extended)?;
        let xattrs = std::mem::take(&mut extended.xattrs).into_iter().collect();
        let mode = u32::try_from(mode & 0o7777).unwrap_or(0);
        Ok(Entry { offset: start, name: self.name.clone(), kind, mode, uid, gid, mtime, xattrs })
    }

    /// Only files have a body, whatever size the others declare (as in Go's archive/tar).
    fn kind(&mut self, header: &RawHeader<'_>, link: Vec<u8>, size: u64, extended: &Extended) -> Result<EntryKind> {
        let device = || -> Result<(u32, u32), Fault> {
            let (major, minor) = header.device().map_err(Fault::Malformed)?;
            let number =
                |part: i64| u32::try_from(part).map_err(|_| Fault::Malformed("its device number is malformed"));
            Ok((number(major)?, number(minor)?))
        };
        Ok(match header.kind() {
            kind::FILE | 0 if self.name.ends_with(b"/") && size == 0 => EntryKind::Directory,
            kind::FILE | 0 | kind::CONTIGUOUS | kind::GNU_SPARSE => {
                self.body = size;
                self.padding = padding(size) as u64;
                let (size, data) = self.file(header, size, extended)?;
                self.at_most_64("its size", size, self.limits.file_size.get())?;
                EntryKind::File { size, data }
            }
            kind::HARD_LINK => EntryKind::HardLink(link),
            kind::SYMLINK => EntryKind::Symlink(link),
            kind::CHAR_DEVICE => EntryKind::CharDevice(device().map_err(|why| self.fail(why))?),
            kind::BLOCK_DEVICE => EntryKind::BlockDevice(device().map_err(|why| self.fail(why))?),
            kind::DIRECTORY => EntryKind::Directory,
            kind::FIFO => EntryKind::Fifo,
            _ => return Err(self.fail(Fault::Refused("its type has no meaning in a layer"))),
        })
    }

    /// The apparent size of a file and where its body's bytes belong.
    fn file(&mut self, header: &RawHeader<'_>, size: u64, extended: &Extended) -> Result<(u64, Vec<Region>)> {
        let value = |key: &str| extended.values.get(key.as_bytes());
        let most = self.limits.sparse_segments;
        let found = if header.kind() == kind::GNU_SPARSE && header.is_gnu() {
            self.old_sparse(header)?
        } else if let Some(major) = value("GNU.sparse.major") {
            if major != b"1" || value("GNU.sparse.minor").is_some_and(|minor| minor != b"0") {
                return Err(self.fail(Fault::Refused("its sparse format is not known")));
            }
            (self.real_size(extended)?, self.read_map()?)
        } else if let Some(list) = value("GNU.sparse.map") {
            let data = sparse::parse_list(list, most).map_err(|why| self.map_error(why))?;
            (self.real_size(extended)?, data)
        } else if !extended.sparse_numbers.is_empty() || value("GNU.sparse.numblocks").is_some() {
            self.at_most("the number of its sparse segments", extended.sparse_numbers.len() / 2, most)?;
            if extended.sparse_numbers.len() % 2 == 1 {
                return Err(self.map_error(MapError::Malformed));
            }
            let pairs = extended.sparse_numbers.chunks_exact(2);
            let data = pairs.map(|pair| Region { offset: pair[0], length: pair[1] }).collect();
            (self.real_size(extended)?, data)
        } else {
            return Ok((size, vec![Region { offset: 0, length: size }]));
        };
        let (size, data) = found;
        sparse::check(&data, size, self.body).map_err(|why| self.map_error(why))?;
        Ok((size, data))
    }

    fn real_size(&self, extended: &Extended) -> Result<u64> {
        let value = |key: &str| extended.values.get(key.as_bytes());
        value("GNU.sparse.realsize")
            .or_else(|| value("GNU.sparse.size"))
            .and_then(|text| decimal(text))
            .ok_or_else(|| self.fail(Fault::Malformed("its sparse map has no size")))
    }

    /// The map of format 1.0, which is the start of the body.
    fn read_map(&mut self) -> Result<Vec<Region>> {
        let mut map = MapReader::default();
        loop {
            if self.body < BLOCK as u64 {
                return Err(self.map_error(MapError::Malformed));
            }
            let mut block = [0; BLOCK];
            self.read_exact(&mut block)?;
            self.body -= BLOCK as u64;
            if map.push(&block, self.limits.sparse_segments).map_err(|why| self.map_error(why))? {
                return Ok(map.finish());
            }
        }
    }

    fn old_sparse(&mut self, header: &RawHeader<'_>) -> Result<(u64, Vec<Region>)> {
        let (entries, mut more, size) = header.gnu_sparse().map_err(|why| self.fail(Fault::Malformed(why)))?;
        let mut data = Vec::new();
        sparse::parse_old(entries, &mut data).map_err(|why| self.map_error(why))?;
        while more {
            let mut block = [0; BLOCK];
            self.read_exact(&mut block)?;
            sparse::parse_old(&block[..504], &mut data).map_err(|why| self.map_error(why))?;
            more = block[504] != 0;
            self.at_most("the number of its sparse segments", data.len(), self.limits.sparse_segments)?;
        }
        Ok((size, data))
    }

    fn map_error(&self, why: MapError) -> Error {
        self.fail(match why {
            MapError::Malformed => Fault::Malformed("its sparse map is malformed"),
            MapError::TooLong(found) => Fault::TooMuch {
                what: "the number of its sparse segments",
                found,
                limit: self.limits.sparse_segments as u64,
            },
        })
    }

    /// The next bytes of the current entry's body; empty at its end. To be followed by [`advance`](Self::advance).
    pub fn body(&mut self) -> Result<&[u8]> {
        if self.body == 0 {
            return Ok(&[]);
        }
        let (left, missing) = (self.body, self.body + self.padding);
        if self.fill()?.is_empty() {
            return Err(self.fail(Fault::Truncated { missing }));
        }
        let bytes = self.fill()?;
        Ok(&bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))])
    }

    /// Goes on by `count` bytes of what [`body`](Self::body) gave.
    pub fn advance(&mut self, count: usize) {
        self.body -= count as u64;
        self.consume(count);
    }

    /// Goes over what was not read of the body, also where the input ends within it, and says where in the input it starts.
    pub fn pass_body(&mut self) -> Result<u64>
    where
        R: Seek,
    {
        let distance = i64::try_from(self.body).map_err(|_| self.fail(Fault::Truncated { missing: self.body }))?;
        self.input.seek_relative(distance).map_err(|source| Error::Input { offset: self.offset, source })?;
        let start = self.offset;
        self.offset += self.body;
        self.body = 0;
        Ok(start)
    }

    fn skip_body(&mut self) -> Result<()> {
        loop {
            let count = self.body()?.len();
            if count == 0 {
                break;
            }
            self.advance(count);
        }
        // Where the tar ends within it, that is its end: Go's archive/tar says so, and umoci's `insert` writes such layers.
        while self.padding > 0 {
            let most = usize::try_from(self.padding).unwrap_or(0);
            let count = self.fill()?.len().min(most);
            if count == 0 && !self.open_end {
                return Err(self.fail(Fault::Truncated { missing: self.padding }));
            }
            if count == 0 {
                break;
            }
            self.padding -= count as u64;
            self.consume(count);
        }
        self.padding = 0;
        Ok(())
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let bytes = self.fill()?;
            let count = bytes.len().min(buffer.len() - filled);
            if count == 0 {
                let missing = (buffer.len() - filled) as u64;
                return Err(self.fail(Fault::Truncated { missing }));
            }
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            filled += count;
            self.consume(count);
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<&[u8]> {
        self.at_most_64("the size of the tar", self.offset, self.limits.size.get())?;
        self.input.fill_buf().map_err(|source| Error::Input { offset: self.offset, source })
    }

    fn consume(&mut self, count: usize) {
        self.offset += count as u64;
        self.input.consume(count);
    }

    fn at_most(&self, what: &'static str, found: usize, limit: usize) -> Result<()> {
        self.at_most_64(what, found as u64, limit as u64)
    }

    fn at_most_64(&self, what: &'static str, found: u64, limit: u64) -> Result<()> {
        if found <= limit { Ok(()) } else { Err(self.fail(Fault::TooMuch { what, found, limit })) }
    }
}
