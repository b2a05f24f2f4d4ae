use super::BLOCK;

/// One 512-byte header as it stands, without what extended headers say.
#[derive(Debug)]
pub(crate) struct RawHeader<'a>(&'a [u8; BLOCK]);

impl<'a> RawHeader<'a> {
    /// Checks the checksum. The caller has checked that the block is not all zeros, which ends a tar.
    pub fn parse(block: &'a [u8; BLOCK]) -> Result<Self, &'static str> {
        const BAD: &str = "this is no tar header: its checksum is wrong";
        let stored = number(&block[148..156]).map_err(|_| BAD)?;
        let sum = checksum(block);
        // Old implementations summed signed bytes; GNU tar and Go accept both.
        let signed: i64 = block.iter().map(|&byte| i64::from(byte.cast_signed())).sum::<i64>() - signed_field(block);
        if stored == i64::from(sum) || stored == signed { Ok(Self(block)) } else { Err(BAD) }
    }

    pub const fn kind(&self) -> u8 {
        self.0[156]
    }

    /// Prefix and name joined; the old GNU format has other things where ustar has the prefix.
    pub fn name(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = if self.is_ustar() { text(&self.0[345..500]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    fn is_ustar(&self) -> bool {
        &self.0[257..263] == b"ustar\0"
    }

    pub fn is_gnu(&self) -> bool {
        &self.0[257..265] == b"ustar  \0"
    }

    pub fn mode(&self) -> Result<i64, &'static str> {
        number(&self.0[100..108])
    }

    pub fn uid(&self) -> Result<i64, &'static str> {
        number(&self.0[108..116])
    }

    pub fn gid(&self) -> Result<i64, &'static str> {
        number(&self.0[116..124])
    }

    pub fn size(&self) -> Result<u64, &'static str> {
        u64::try_from(number(&self.0[124..136])?).map_err(|_| "its size is negative")
    }

    pub fn mtime(&self) -> Result<i64, &'static str> {
        number(&self.0[136..148])
    }

    pub fn device(&self) -> Result<(i64, i64), &'static str> {
        Ok((number(&self.0[329..337])?, number(&self.0[337..345])?))
    }

    /// Of an old GNU sparse file: the four map entries in the header, whether more blocks of them follow, and
    /// the apparent size.
    pub fn gnu_sparse(&self) -> Result<(&'a [u8], bool, u64), &'static str> {
        let size = u64::try_from(number(&self.0[483..495])?).map_err(|_| "its size is negative")?;
        Ok((&self.0[386..482], self.0[482] != 0, size))
    }
}

/// The sum of all bytes, the checksum's own field taken as spaces.
pub(crate) fn checksum(block: &[u8; BLOCK]) -> u32 {
    let all: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    let field: u32 = block[148..156].iter().map(|&byte| u32::from(byte)).sum();
    all - field + 8 * 32
}

fn signed_field(block: &[u8; BLOCK]) -> i64 {
    block[148..156].iter().map(|&byte| i64::from(byte.cast_signed())).sum::<i64>() - 8 * 32
}

fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|&byte| byte == 0).unwrap_or(field.len())]
}

/// An octal number, or GNU's base-256 for what octal cannot hold (GNU tar manual, "Extensions").
pub(crate) fn number(field: &[u8]) -> Result<i64, &'static str> {
    const BAD: &str = "a number in its header is malformed";
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        return base_256(field).ok_or("a number in its header is too large");
    }
    let text = text(field);
    let text = text.trim_ascii();
    let mut value: i64 = 0;
    for &byte in text {
        if !(b'0'..=b'7').contains(&byte) {
            return Err(BAD);
        }
        value = value.checked_mul(8).and_then(|value| value.checked_add(i64::from(byte - b'0'))).ok_or(BAD)?;
    }
    Ok(value)
}

/// Big-endian two's complement; the top bit is the mark, the next one the sign.
fn base_256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let mut value = i128::from(first & 0x7f);
    if value & 0x40 != 0 {
        value -= 0x80;
    }
    for &byte in rest {
        value = value.checked_mul(256)?.checked_add(i128::from(byte))?;
    }
    value.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_notation() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"    644 ", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"77777777", 0o77_777_777),
            (b"\x80\0\0\0\0\x20\0\0", 0x20_0000),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
            (b"\x80\0\0\0\x02\0\0\0\0\0\0\0", 1 << 57),
        ] {
            assert_eq!(number(field), Ok(value), "{field:?}");
        }
        for bad in [&b"0000648\0"[..], b"-0000001", b"0x00001\0", b"\xa0\0\0\0\0\0\0\0\0\0\0\0"] {
            assert!(number(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let mut out = Vec::new();
        super::super::encode::Header { name: b"x", kind: b'0', ..Default::default() }.encode(&mut out);
        let mut block: [u8; BLOCK] = out.try_into().unwrap();
        assert_eq!(RawHeader::parse(&block).unwrap().name(), b"x");
        block[0] ^= 1;
        assert!(RawHeader::parse(&block).is_err());
    }
}
