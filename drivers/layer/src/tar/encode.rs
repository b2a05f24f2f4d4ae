use super::{BLOCK, kind, padding, pax};

/// One entry to be written: a ustar header, with an extended header before it for what ustar cannot say.
///
/// Names and link targets are written as the bytes they are, in the extended header too. POSIX wants UTF-8 there,
/// but file names are bytes, and every reader at hand (Go, GNU tar, Python, libarchive) takes them as such.
#[derive(Debug, Default)]
pub(crate) struct Header<'a> {
    /// With a slash at the end for a directory.
    pub name: &'a [u8],
    pub kind: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes that follow the header.
    pub size: u64,
    pub mtime: (i64, u32),
    /// The target of a hard link or symlink.
    pub link: &'a [u8],
    pub device: (u32, u32),
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
    /// The apparent size of a sparse file, whose body starts with its map.
    pub sparse: Option<u64>,
}

const NAME: usize = 100;
const PREFIX: usize = 155;
/// The largest number in an octal field of 8 bytes, of which the last is a NUL.
const OCTAL_7: u64 = 0o7_777_777;
/// In a field of 12 bytes.
const OCTAL_11: u64 = 0o77_777_777_777;

impl Header<'_> {
    /// Appends the header blocks to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let records = self.records();
        if !records.is_empty() {
            let extended = Header {
                name: b"././@PaxHeader",
                kind: kind::PAX,
                mode: 0o644,
                size: records.len() as u64,
                ..Header::default()
            };
            extended.block(out);
            out.extend_from_slice(&records);
            out.resize(out.len() + padding(records.len() as u64), 0);
        }
        self.block(out);
    }

    /// Sorted by keyword, so that equal entries are equal bytes.
    fn records(&self) -> Vec<u8> {
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |key: &[u8], value: &[u8]| records.push((key.to_vec(), value.to_vec()));
        if let Some(size) = self.sparse {
            add(b"GNU.sparse.major", b"1");
            add(b"GNU.sparse.minor", b"0");
            add(b"GNU.sparse.name", self.name);
            add(b"GNU.sparse.realsize", size.to_string().as_bytes());
        } else if fit(self.name).is_none() {
            add(b"path", self.name);
        }
        if self.link.len() > NAME || !self.link.is_ascii() {
            add(b"linkpath", self.link);
        }
        for (key, id) in [(&b"uid"[..], self.uid), (b"gid", self.gid)] {
            if u64::from(id) > OCTAL_7 {
                add(key, id.to_string().as_bytes());
            }
        }
        if self.size > OCTAL_11 {
            add(b"size", self.size.to_string().as_bytes());
        }
        if octal_time(self.mtime).is_none() {
            add(b"mtime", pax::time(self.mtime).as_bytes());
        }
        for (name, value) in self.xattrs {
            add(&pax::xattr_keyword(name), value);
        }
        records.sort_unstable();
        let mut out = Vec::new();
        for (key, value) in records {
            pax::push(&mut out, &key, &value);
        }
        out
    }

    fn block(&self, out: &mut Vec<u8>) {
        let mut block = [0; BLOCK];
        let placeholder;
        let (prefix, name) = if self.sparse.is_some() {
            // What a reader without sparse support extracts under this name is the raw body.
            placeholder = [b"GNUSparseFile.0/", ascii_tail(self.name, 80).as_slice()].concat();
            (&[][..], placeholder.as_slice())
        } else if let Some(fitting) = fit(self.name) {
            fitting
        } else {
            placeholder = ascii_tail(self.name, NAME);
            (&[][..], placeholder.as_slice())
        };
        block[..name.len()].copy_from_slice(name);
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], within(self.uid.into(), OCTAL_7));
        octal(&mut block[116..124], within(self.gid.into(), OCTAL_7));
        octal(&mut block[124..136], within(self.size, OCTAL_11));
        octal(&mut block[136..148], octal_time(self.mtime).unwrap_or_else(|| nearest(self.mtime)));
        block[156] = self.kind;
        let link = if self.link.is_ascii() { &self.link[..self.link.len().min(NAME)] } else { &[] };
        block[157..157 + link.len()].copy_from_slice(link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], u64::from(self.device.0));
        octal(&mut block[337..345], u64::from(self.device.1));
        block[345..345 + prefix.len()].copy_from_slice(prefix);
        let sum = super::header::checksum(&block);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&block);
    }
}

/// The name as ustar's prefix and name, if it fits there.
fn fit(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= NAME {
        return Some((&[], name));
    }
    // The slash of a directory's own name is no place to split at.
    let last = name.len().min(PREFIX + 1).min(name.len() - 1);
    let cut = name[..last].iter().rposition(|&byte| byte == b'/')?;
    (cut > 0 && name.len() - cut - 1 <= NAME).then(|| (&name[..cut], &name[cut + 1..]))
}

/// The end of a name, for readers that do not know the extended header.
fn ascii_tail(name: &[u8], length: usize) -> Vec<u8> {
    let tail = &name[name.len().saturating_sub(length)..];
    tail.iter().map(|&byte| if byte.is_ascii_graphic() { byte } else { b'_' }).collect()
}

/// Zero for what the extended header says instead.
const fn within(value: u64, largest: u64) -> u64 {
    if value > largest { 0 } else { value }
}

fn octal_time((seconds, nanos): (i64, u32)) -> Option<u64> {
    u64::try_from(seconds).ok().filter(|&seconds| seconds <= OCTAL_11 && nanos == 0)
}

/// Whole seconds, for readers that do not know the extended header.
fn nearest((seconds, _): (i64, u32)) -> u64 {
    within(u64::try_from(seconds).unwrap_or(0), OCTAL_11)
}

/// Zero-padded, with a NUL at the end.
fn octal(field: &mut [u8], mut value: u64) {
    let digits = field.len() - 1;
    for byte in field[..digits].iter_mut().rev() {
        *byte = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    field[digits] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(header: &Header<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        header.encode(&mut out);
        assert_eq!(out.len() % BLOCK, 0);
        out
    }

    #[test]
    fn a_plain_entry_is_one_block() {
        let header = Header { name: b"etc/passwd", kind: kind::FILE, mode: 0o644, size: 9, ..Header::default() };
        let block = encode(&header);
        assert_eq!(block.len(), BLOCK);
        assert_eq!(&block[124..136], b"00000000011\0");
    }

    #[test]
    fn long_names_are_split_where_ustar_can() {
        let splits = |length: usize| vec![[b"d".repeat(length).as_slice(), b"/", &b"f".repeat(100)].concat()];
        for name in splits(155) {
            assert_eq!(encode(&Header { name: &name, ..Header::default() }).len(), BLOCK);
        }
        for name in splits(156) {
            assert_eq!(encode(&Header { name: &name, ..Header::default() }).len(), 3 * BLOCK);
        }
        let directory = [b"d".repeat(100).as_slice(), b"/"].concat();
        assert_eq!(encode(&Header { name: &directory, ..Header::default() }).len(), 3 * BLOCK);
    }

    #[test]
    fn what_octal_cannot_say_is_in_the_extended_header() {
        let cases = [
            Header { uid: 0o10_000_000, ..Header::default() },
            Header { gid: u32::MAX - 1, ..Header::default() },
            Header { size: OCTAL_11 + 1, ..Header::default() },
            Header { mtime: (-1, 0), ..Header::default() },
            Header { mtime: (1, 1), ..Header::default() },
            Header { name: b"\xff", ..Header::default() },
            Header { link: "ü".as_bytes(), ..Header::default() },
        ];
        for header in cases {
            assert_eq!(encode(&header).len(), 3 * BLOCK, "{header:?}");
        }
    }
}
