//! Tars made block by block, so that they can be as wrong as a test wants.

/// Entries under construction.
#[derive(Default, Clone)]
pub struct Tar(pub Vec<u8>);

pub struct Raw<'a> {
    pub name: &'a [u8],
    pub kind: u8,
    pub link: &'a [u8],
    pub size: u64,
    pub mode: u32,
    pub device: (u32, u32),
}

impl Default for Raw<'_> {
    fn default() -> Self {
        Self { name: b"", kind: b'0', link: b"", size: 0, mode: 0o644, device: (0, 0) }
    }
}

impl Tar {
    pub fn raw(mut self, raw: &Raw<'_>) -> Self {
        let mut block = [0_u8; 512];
        block[..raw.name.len()].copy_from_slice(raw.name);
        let octal = |block: &mut [u8; 512], at: usize, width: usize, value: u64| {
            let text = format!("{value:0width$o}", width = width - 1);
            block[at..at + width - 1].copy_from_slice(text.as_bytes());
        };
        octal(&mut block, 100, 8, raw.mode.into());
        octal(&mut block, 108, 8, 0);
        octal(&mut block, 116, 8, 0);
        octal(&mut block, 124, 12, raw.size);
        octal(&mut block, 136, 12, 1000);
        block[156] = raw.kind;
        block[157..157 + raw.link.len()].copy_from_slice(raw.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block, 329, 8, raw.device.0.into());
        octal(&mut block, 337, 8, raw.device.1.into());
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend(block);
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(&Raw { name: name.as_bytes(), size: content.len() as u64, ..Raw::default() }).bytes(content)
    }

    pub fn dir(self, name: &str) -> Self {
        self.raw(&Raw { name: name.as_bytes(), kind: b'5', mode: 0o755, ..Raw::default() })
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(&Raw { name: name.as_bytes(), kind: b'2', link: target.as_bytes(), ..Raw::default() })
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.raw(&Raw { name: name.as_bytes(), kind: b'1', link: target.as_bytes(), ..Raw::default() })
    }

    pub fn pax(self, records: &[(&[u8], &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let mut length = key.len() + value.len() + 4;
            while length != key.len() + value.len() + 3 + length.to_string().len() {
                length += 1;
            }
            text.extend(format!("{length} ").as_bytes());
            text.extend(*key);
            text.push(b'=');
            text.extend(*value);
            text.push(b'\n');
        }
        self.extension(b'x', &text)
    }

    pub fn extension(self, kind: u8, text: &[u8]) -> Self {
        self.raw(&Raw { name: b"extension", kind, size: text.len() as u64, ..Raw::default() }).bytes(text)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}
