use std::io::{self, BufRead, Read, Seek};

use crate::{
    Limits, Result,
    manifest::Region,
    tar::read::{Entry, EntryKind, TarReader},
};

/// Reads the entries of a plain tar one after the other and lays nothing out: for archives whose entries are data,
/// such as archives of images.
///
/// Reading from it gives the bytes of the current file. Nothing that the tar declares is believed beyond the limits.
#[derive(Debug)]
pub struct Members<'l, R> {
    reader: TarReader<'l, R>,
}

/// One entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As it stands in the tar: nothing is known of it but its length.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
}

/// What an entry of a tar is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A file of this many bytes, which follow.
    File(u64),
    /// A symlink with this target.
    Symlink(Vec<u8>),
    /// A further name of the file with this name.
    HardLink(Vec<u8>),
    /// A directory.
    Directory,
    /// A device, a named pipe, or a sparse file.
    Other,
}

impl<'l, R: BufRead> Members<'l, R> {
    /// Starts at the first entry.
    pub fn new(tar: R, limits: &'l Limits) -> Self {
        Self { reader: TarReader::new(tar, limits) }
    }

    /// The next entry, wherever in the current one reading is; `None` at the end, after which the input is read out.
    ///
    /// # Errors
    /// [`Error::Entry`](crate::Error::Entry) and [`Error::Input`](crate::Error::Input).
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        Ok(self.reader.next_entry()?.map(|Entry { name, kind, .. }| Member { name, kind: kind_of(kind) }))
    }
}

impl<R: BufRead + Seek> Members<'_, R> {
    /// Goes over the bytes of the current file without reading them, and says where in the input they start. The input may
    /// end before they do.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input).
    pub fn pass_over(&mut self) -> Result<u64> {
        self.reader.pass_body()
    }
}

impl<R: BufRead> Read for Members<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.body().map_err(io::Error::other)?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.reader.advance(count);
        Ok(count)
    }
}

fn kind_of(kind: EntryKind) -> MemberKind {
    match kind {
        EntryKind::File { size, data } => match data.as_slice() {
            [Region { offset: 0, length }] if *length == size => MemberKind::File(size),
            [] if size == 0 => MemberKind::File(0),
            _ => MemberKind::Other,
        },
        EntryKind::HardLink(target) => MemberKind::HardLink(target),
        EntryKind::Symlink(target) => MemberKind::Symlink(target),
        EntryKind::Directory => MemberKind::Directory,
        EntryKind::CharDevice(_) | EntryKind::BlockDevice(_) | EntryKind::Fifo => MemberKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, TarWriter};

    #[test]
    fn entries_come_with_their_bytes_or_are_passed_over() {
        let mut writer = TarWriter::new(Vec::new());
        let attributes = Attributes::default();
        writer.directory(b"d", &attributes).unwrap();
        writer.file(b"d/f", &attributes, 3, &mut &b"abc"[..]).unwrap();
        writer.file(b"d/g", &attributes, 4, &mut &b"efgh"[..]).unwrap();
        writer.symlink(b"s", b"../x", &attributes).unwrap();
        writer.hard_link(b"h", b"d/f", &attributes).unwrap();
        let tar = writer.finish().unwrap();
        let limits = Limits::default();
        let mut members = Members::new(&tar[..], &limits);
        let mut next = || {
            let member = members.next_member().unwrap()?;
            let mut text = String::new();
            if member.name == b"d/g" {
                members.read_to_string(&mut text).unwrap();
            }
            Some((member, text))
        };
        assert_eq!(next().unwrap().0.kind, MemberKind::Directory);
        assert_eq!(next().unwrap().0, Member { name: b"d/f".to_vec(), kind: MemberKind::File(3) });
        assert_eq!(next().unwrap(), (Member { name: b"d/g".to_vec(), kind: MemberKind::File(4) }, "efgh".into()));
        assert_eq!(next().unwrap().0.kind, MemberKind::Symlink(b"../x".to_vec()));
        assert_eq!(next().unwrap().0.kind, MemberKind::HardLink(b"d/f".to_vec()));
        assert_eq!(next(), None);
        let mut cut = Members::new(&tar[..1026], &limits);
        cut.next_member().unwrap();
        cut.next_member().unwrap();
        assert!(io::copy(&mut cut, &mut io::sink()).is_err());
    }
}
