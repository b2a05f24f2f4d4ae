use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read, Seek, Write},
    sync::Arc,
};

use harness_image::{Blob, Blobs, Digest, is_bzip2_or_xz, open_archive};
use storage_driver::Bytes;
use storage_layer::{Compression, Member, MemberKind, Members, decompress};

use super::within::Within;
use crate::{Error, Result, document::shown, limits, room};

const BUFFER: usize = 256 << 10;

/// Enough for the headers of an entry, between which the rest is passed over.
const HEADERS: usize = 4 << 10;

/// How many links lead to one another at most.
const LINKS: u32 = 8;

/// The entries of an archive of images: files as content, and the documents that say what they are in memory. Names lead
/// to them, and to nothing else: no entry of an archive becomes a path.
#[derive(Debug, Default)]
pub struct Staged {
    files: BTreeMap<String, Content>,
    links: BTreeMap<String, String>,
    documents: BTreeMap<&'static str, Vec<u8>>,
}

/// The content of a file of an archive.
#[derive(Debug, Clone)]
pub struct Content {
    pub place: Place,
    pub size: Bytes,
    /// What its first bytes show.
    pub compression: Compression,
}

/// Where content is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In the store, where it was put while the archive was read as a stream.
    Store(Digest),
    /// In the archive still.
    Archive(Within),
}

/// What the documents of an archive are called.
const DOCUMENTS: [&str; 3] = ["manifest.json", "index.json", "oci-layout"];

impl Staged {
    /// Reads an archive to its end, and its files into the store; it may itself be compressed.
    pub fn read(blobs: &Blobs, input: impl Read + Send, origin: &str) -> Result<Self> {
        let plain = open_archive(input)
            .and_then(decompress)
            .map_err(|source| Error::Read { origin: origin.to_owned(), source })?;
        let limits = limits::archive();
        let mut members = Members::new(BufReader::with_capacity(BUFFER, plain), &limits);
        let mut staged = Self::default();
        staged.entries(&mut members, origin, |name, size, expected, body| {
            let (blob, compression) = store(blobs, size, expected, body, origin, name)?;
            Ok(Content { place: Place::Store(blob.digest), size: blob.size, compression })
        })?;
        Ok(staged)
    }

    /// Finds out where in an archive its files are, and reads the documents alone. `None` for what can only be read as a
    /// stream: what is no plain tar in a file, ends too early, or has two entries of one name.
    pub fn find_out(archive: &fs::File, origin: &str) -> Result<Option<Self>> {
        let read = |source| Error::Read { origin: origin.to_owned(), source };
        let metadata = archive.metadata().map_err(read)?;
        if !metadata.is_file() || (&*archive).stream_position().map_err(read)? != 0 {
            return Ok(None);
        }
        let archive = Arc::new(archive.try_clone().map_err(read)?);
        let all = Within::new(&archive, 0, metadata.len());
        if all.compression().map_err(read)? != Compression::None || is_bzip2_or_xz(&archive).map_err(read)? {
            return Ok(None);
        }
        let limits = limits::archive();
        let mut members = Members::new(BufReader::with_capacity(HEADERS, all), &limits);
        let (mut staged, mut is_whole, mut count) = (Self::default(), true, 0);
        staged.entries(&mut members, origin, |_, size, _, members| {
            count += 1;
            let start = members.pass_over().map_err(|source| Error::Archive { origin: origin.to_owned(), source })?;
            is_whole &= start.checked_add(size).is_some_and(|end| end <= metadata.len());
            let within = Within::new(&archive, start, size);
            let compression = within.compression().map_err(read)?;
            Ok(Content { place: Place::Archive(within), size: Bytes(size), compression })
        })?;
        Ok(Some(staged).filter(|staged| is_whole && staged.files.len() == count))
    }

    fn entries<R: BufRead>(
        &mut self,
        members: &mut Members<'_, R>,
        origin: &str,
        mut take: impl FnMut(&str, u64, Option<Digest>, &mut Members<'_, R>) -> Result<Content>,
    ) -> Result<()> {
        let damaged = |source| Error::Archive { origin: origin.to_owned(), source };
        while let Some(Member { name, kind }) = members.next_member().map_err(damaged)? {
            let name = plain_name(&name).map_err(|why| Error::refused(origin, why))?;
            match kind {
                MemberKind::Directory => {}
                MemberKind::File(size) => self.file(name, size, members, origin, &mut take)?,
                MemberKind::Symlink(target) => {
                    let target = link_target(&name, &target).map_err(|why| Error::refused(origin, why))?;
                    self.link(name, target, origin)?;
                }
                MemberKind::HardLink(target) => {
                    let target = plain_name(&target).map_err(|why| Error::refused(origin, why))?;
                    self.link(name, target, origin)?;
                }
                MemberKind::Other => {
                    let why = format!("its entry {} is neither file, directory nor link", shown(&name));
                    return Err(Error::refused(origin, why));
                }
            }
        }
        Ok(())
    }

    /// A document in memory.
    pub fn document(&self, name: &str) -> Option<&[u8]> {
        self.documents.get(name).map(Vec::as_slice)
    }

    /// The file that a name leads to, over links where there are any.
    pub fn find(&self, name: &str) -> Option<&Content> {
        let mut name = name;
        for _ in 0..LINKS {
            if let Some(file) = self.files.get(name) {
                return Some(file);
            }
            name = self.links.get(name)?;
        }
        None
    }

    /// The blob with this digest, in an archive of the form of an OCI layout.
    pub fn blob(&self, digest: &Digest) -> Option<&Content> {
        self.find(&format!("blobs/sha256/{}", digest.hex()))
    }

    fn file<R: BufRead>(
        &mut self,
        name: String,
        size: u64,
        body: &mut Members<'_, R>,
        origin: &str,
        take: &mut impl FnMut(&str, u64, Option<Digest>, &mut Members<'_, R>) -> Result<Content>,
    ) -> Result<()> {
        let read = |source| Error::Read { origin: origin.to_owned(), source };
        if let Some(document) = DOCUMENTS.into_iter().find(|document| *document == name) {
            if size > limits::DOCUMENT {
                return Err(Error::refused(origin, format!("{document} is larger than {}", Bytes(limits::DOCUMENT))));
            }
            let mut bytes = Vec::new();
            body.take(limits::DOCUMENT).read_to_end(&mut bytes).map_err(read)?;
            if self.documents.insert(document, bytes).is_some() {
                return Err(Error::refused(origin, format!("{document} is there twice")));
            }
            return Ok(());
        }
        if is_of_old(&name) {
            return Ok(());
        }
        let expected = name.strip_prefix("blobs/sha256/").map(|hex| format!("sha256:{hex}").parse::<Digest>());
        let expected = match expected.transpose() {
            Ok(expected) => expected,
            Err(_) => return Err(Error::refused(origin, format!("{} is no name of a blob", shown(&name)))),
        };
        let content = take(&name, size, expected, body)?;
        match (content.place.clone(), self.files.insert(name.clone(), content)) {
            (Place::Store(now), Some(Content { place: Place::Store(before), .. })) if now != before => {
                Err(Error::refused(origin, format!("{} is there twice, with other content", shown(&name))))
            }
            _ => Ok(()),
        }
    }

    fn link(&mut self, name: String, target: String, origin: &str) -> Result<()> {
        match self.links.insert(name.clone(), target.clone()) {
            Some(before) if before != target => {
                Err(Error::refused(origin, format!("{} is there twice, with other targets", shown(&name))))
            }
            _ => Ok(()),
        }
    }
}

/// Puts a file into the store. What the store has already is not read again: its own content is what is used.
pub fn store(
    blobs: &Blobs,
    size: u64,
    expected: Option<Digest>,
    body: &mut impl Read,
    origin: &str,
    name: &str,
) -> Result<(Blob, Compression)> {
    let read = |source| Error::Read { origin: origin.to_owned(), source };
    let is_there = expected.filter(|digest| blobs.size(digest).is_ok_and(|there| there.get() == size));
    if is_there.is_none() {
        room::check(blobs, origin, &format!("its entry {}", shown(name)), size)?;
    }
    let mut head = Vec::with_capacity(Compression::MAGIC_LEN);
    body.by_ref().take(Compression::MAGIC_LEN as u64).read_to_end(&mut head).map_err(read)?;
    let compression = Compression::of(&head);
    if let Some(digest) = is_there {
        return Ok((Blob { digest, size: Bytes(size) }, compression));
    }
    let mut writer = blobs.create()?;
    let write = |source| Error::Io { op: "write into the store what comes from", path: origin.into(), source };
    writer.write_all(&head).map_err(write)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => writer.write_all(&buffer[..count]).map_err(write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read(error)),
        }
    }
    let blob = match expected {
        None => writer.commit()?,
        Some(digest) => {
            writer.commit_as(&digest).map_err(|error| Error::refused(origin, format!("{}: {error}", shown(name))))?
        }
    };
    Ok((blob, compression))
}

/// What docker wrote beside each layer before 1.10, and still does for those that read nothing else.
fn is_of_old(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name == "repositories" || (last != name && (last == "VERSION" || last == "json"))
}

/// An entry's name as documents write it.
fn plain_name(name: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(name)
        .map_err(|_| format!("its entry {:?} is not UTF-8", name.escape_ascii().to_string()))?;
    if text.starts_with('/') {
        return Err(format!("its entry {} has an absolute name", shown(text)));
    }
    normal(text, "").map_err(|why| format!("its entry {} {why}", shown(text)))
}

/// Where a symlink leads, seen from the top of the archive.
fn link_target(name: &str, target: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(target).map_err(|_| format!("the symlink {} is not UTF-8", shown(name)))?;
    if text.starts_with('/') {
        return Err(format!("its symlink {} leads to the absolute path {}", shown(name), shown(text)));
    }
    let from = name.rsplit_once('/').map_or("", |(parent, _)| parent);
    normal(text, from).map_err(|why| format!("its symlink {} to {} {why}", shown(name), shown(text)))
}

fn normal(path: &str, from: &str) -> Result<String, &'static str> {
    let mut parts: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    // A name that climbs is refused even where it would stay inside: only links may, and only that far.
    let may_climb = !from.is_empty();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if may_climb && parts.pop().is_some() => {}
            ".." => return Err("leads out of the archive"),
            part if part.contains('\0') => return Err("has a zero byte in it"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for (name, normal) in [("a/b", "a/b"), ("./a//b/", "a/b"), ("a/./b", "a/b"), ("./", "")] {
            assert_eq!(plain_name(name.as_bytes()).unwrap(), normal);
        }
        for name in ["/etc/passwd", "../a", "a/../../b", "a/../b", "a\0b"] {
            assert!(plain_name(name.as_bytes()).is_err(), "{name:?} was accepted");
        }
        assert!(plain_name(b"\xff").is_err());
    }

    #[test]
    fn links_stay_inside() {
        assert_eq!(link_target("b/layer.tar", b"../a/layer.tar").unwrap(), "a/layer.tar");
        assert_eq!(link_target("b.tar", b"a.tar").unwrap(), "a.tar");
        for target in ["/etc/passwd", "../../a", "../../../etc/passwd"] {
            assert!(link_target("b/layer.tar", target.as_bytes()).is_err(), "{target:?} was accepted");
        }
        assert!(link_target("b.tar", b"../a").is_err());
    }
}
