/// What an ELF file says about what it needs to run (System V ABI, "Program Loading and Dynamic Linking").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elf {
    /// Word size, byte order and machine: a library must have the same as who needs it.
    pub machine: (u8, u8, u16),
    /// The dynamic linker; none for a library and for a static program.
    pub interpreter: Option<Vec<u8>>,
    /// Names of libraries.
    pub needed: Vec<Vec<u8>>,
    /// Where to look for them first, colons between.
    pub run_path: Option<Vec<u8>>,
}

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// More entries than any real file has.
const MOST: u64 = 100_000;

/// Reads what matters here; `None` for what is no ELF file, or a damaged one.
pub fn parse(bytes: &[u8]) -> Option<Elf> {
    let image = Image::open(bytes)?;
    let mut elf = Elf { machine: (bytes[4], bytes[5], image.number(18, 2)? as u16), ..Elf::default() };
    let segments = image.segments()?;
    if let Some(interpreter) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
        elf.interpreter = Some(image.text(interpreter.offset)?.to_vec());
    }
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else { return Some(elf) };
    let entries = image.dynamic(dynamic)?;
    let Some((_, table)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else { return Some(elf) };
    let strings = file_offset(&segments, *table)?;
    for (tag, value) in &entries {
        let text = || image.text(strings.checked_add(*value)?).map(<[u8]>::to_vec);
        match *tag {
            DT_NEEDED => elf.needed.push(text()?),
            // RUNPATH wins over RPATH, wherever they stand.
            DT_RUNPATH => elf.run_path = Some(text()?),
            DT_RPATH if !entries.iter().any(|(tag, _)| *tag == DT_RUNPATH) => elf.run_path = Some(text()?),
            _ => {}
        }
    }
    Some(elf)
}

struct Image<'a> {
    bytes: &'a [u8],
    wide: bool,
    big_endian: bool,
}

struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

impl<'a> Image<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let [0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2), ..] = bytes else { return None };
        Some(Self { bytes, wide: *class == 2, big_endian: *order == 2 })
    }

    fn number(&self, offset: u64, size: usize) -> Option<u64> {
        let start = usize::try_from(offset).ok()?;
        let field = self.bytes.get(start..start.checked_add(size)?)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big_endian { field.iter().fold(0, join) } else { field.iter().rev().fold(0, join) })
    }

    /// An address-sized number.
    fn word(&self, offset: u64) -> Option<u64> {
        self.number(offset, if self.wide { 8 } else { 4 })
    }

    /// Up to the NUL that ends it.
    fn text(&self, offset: u64) -> Option<&'a [u8]> {
        let rest = self.bytes.get(usize::try_from(offset).ok()?..)?;
        rest.split(|byte| *byte == 0).next().filter(|text| text.len() < rest.len())
    }

    fn segments(&self) -> Option<Vec<Segment>> {
        let (table, entry_size, count) = if self.wide {
            (self.word(32)?, self.number(54, 2)?, self.number(56, 2)?)
        } else {
            (self.word(28)?, self.number(42, 2)?, self.number(44, 2)?)
        };
        let segment = |index: u64| {
            let at = table.checked_add(index * entry_size)?;
            let field = |wide: u64, narrow: u64| self.word(at.checked_add(if self.wide { wide } else { narrow })?);
            Some(Segment {
                kind: self.number(at, 4)?,
                offset: field(8, 4)?,
                address: field(16, 8)?,
                size: field(32, 16)?,
            })
        };
        (0..count).map(segment).collect()
    }

    /// Tags and values up to the one that ends them.
    fn dynamic(&self, segment: &Segment) -> Option<Vec<(u64, u64)>> {
        let word = if self.wide { 8 } else { 4 };
        let mut entries = Vec::new();
        for index in 0..(segment.size / (2 * word)).min(MOST) {
            let at = segment.offset.checked_add(index * 2 * word)?;
            let (tag, value) = (self.word(at)?, self.word(at.checked_add(word)?)?);
            if tag == 0 {
                break;
            }
            entries.push((tag, value));
        }
        Some(entries)
    }
}

fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |segment: &&Segment| {
        segment.kind == PT_LOAD && address.checked_sub(segment.address).is_some_and(|within| within < segment.size)
    };
    let segment = segments.iter().find(holds)?;
    segment.offset.checked_add(address - segment.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test itself is a program that was linked by the system's linker.
    #[test]
    fn reads_the_program_that_runs_this() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let elf = parse(&bytes).unwrap();
        assert_eq!(elf.machine.0, if cfg!(target_pointer_width = "64") { 2 } else { 1 });
        if cfg!(target_env = "gnu") {
            assert!(elf.interpreter.unwrap().starts_with(b"/lib"));
            assert!(elf.needed.iter().any(|name| name.starts_with(b"libc.so")), "{:?}", elf.needed);
        }
    }

    #[test]
    fn damaged_files_are_refused_without_a_panic() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let head = &whole[..whole.len().min(4096)];
        for length in 0..head.len().min(1200) {
            let _ = parse(&head[..length]);
        }
        for at in 0..1200 {
            let mut broken = head.to_vec();
            broken[at] ^= 0xff;
            let _ = parse(&broken);
        }
        assert_eq!(parse(b"#!/bin/sh\n"), None);
        assert_eq!(parse(b""), None);
    }
}
