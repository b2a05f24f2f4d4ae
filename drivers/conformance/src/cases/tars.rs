//! Layer tars made by hand, as an attacker or another tool would make them.

/// One tar, entry by entry.
#[derive(Debug, Default)]
pub struct TarWriter {
    bytes: Vec<u8>,
}

/// The `typeflag` of an entry (POSIX pax, "ustar Interchange Format").
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub enum Type {
    File = b'0',
    HardLink = b'1',
    Symlink = b'2',
    Character = b'3',
    Directory = b'5',
    Pax = b'x',
}

impl TarWriter {
    pub fn file(self, name: &str, data: &str) -> Self {
        self.entry(Type::File, name.as_bytes(), b"", data.as_bytes())
    }

    pub fn directory(self, name: &str) -> Self {
        self.entry(Type::Directory, name.as_bytes(), b"", b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(Type::Symlink, name.as_bytes(), target.as_bytes(), b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(Type::HardLink, name.as_bytes(), target.as_bytes(), b"")
    }

    /// A pax record for the next entry, such as `path` or `SCHILY.xattr.user.x`.
    pub fn pax(self, key: &str, value: &[u8]) -> Self {
        let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let mut len = body.len() + 1;
        while len.to_string().len() + body.len() != len {
            len = len.to_string().len() + body.len();
        }
        let record = [len.to_string().as_bytes(), &body].concat();
        self.entry(Type::Pax, b"PaxHeaders/x", b"", &record)
    }

    pub fn entry(self, kind: Type, name: &[u8], link: &[u8], data: &[u8]) -> Self {
        self.entry_claiming(kind, name, link, data, data.len() as u64)
    }

    /// An entry whose header tells any size.
    pub fn entry_claiming(mut self, kind: Type, name: &[u8], link: &[u8], data: &[u8], size: u64) -> Self {
        let mut header = [0; 512];
        let put = |header: &mut [u8; 512], at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
        let mode: &[u8] = if matches!(kind, Type::Directory) { b"0000755\0" } else { b"0000644\0" };
        put(&mut header, 0, &name[..name.len().min(100)]);
        put(&mut header, 100, mode);
        put(&mut header, 108, b"0000000\0");
        put(&mut header, 116, b"0000000\0");
        put(&mut header, 124, format!("{size:011o}\0").as_bytes());
        put(&mut header, 136, b"13000000000\0");
        put(&mut header, 148, b"        ");
        header[156] = kind as u8;
        put(&mut header, 157, &link[..link.len().min(100)]);
        put(&mut header, 257, b"ustar\x0000");
        put(&mut header, 329, b"0000001\0");
        put(&mut header, 337, b"0000003\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(header);
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// The tar with its end: two blocks of zeros.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pax_record_counts_its_own_length() {
        for len in [1, 85, 90, 95, 990] {
            let tar = TarWriter::default().pax("path", &vec![b'x'; len]).finish();
            let text = String::from_utf8_lossy(&tar[512..]).into_owned();
            let (count, _) = text.split_once(' ').unwrap();
            let record = &text[..count.parse().unwrap()];
            assert!(record.ends_with("x\n"), "{record:?}");
        }
    }
}
