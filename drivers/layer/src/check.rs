use std::io::BufRead;

use crate::{Limits, Result, tar::read::TarReader};

/// Reads an uncompressed layer tar up to the blocks that end it, without laying it out, and counts its entries.
///
/// What follows the end is left to the caller to read. A tar may end after an entry without these blocks, as some write it:
/// that it is whole is for its digest to say.
///
/// # Errors
/// [`Error::Entry`](crate::Error::Entry) and [`Error::Input`](crate::Error::Input), as the import of the same tar
/// would give them for its form.
pub fn check(tar: impl BufRead, limits: &Limits) -> Result<u64> {
    count(TarReader::new(tar, limits))
}

/// As [`check`], for a tar whose digest nobody knows: without the blocks that end it, it was cut off.
///
/// # Errors
/// As [`check`].
pub fn check_whole(tar: impl BufRead, limits: &Limits) -> Result<u64> {
    count(TarReader::new(tar, limits).with_marked_end())
}

fn count(mut reader: TarReader<'_, impl BufRead>) -> Result<u64> {
    while reader.next_entry()?.is_some() {}
    Ok(reader.entries())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, TarWriter};

    #[test]
    fn a_whole_tar_is_counted_and_a_part_of_one_refused() {
        let mut writer = TarWriter::new(Vec::new());
        writer.directory(b"a", &Attributes::default()).unwrap();
        writer.file(b"a/b", &Attributes::default(), 3, &mut &b"abc"[..]).unwrap();
        let tar = writer.finish().unwrap();
        assert_eq!(check(&tar[..], &Limits::default()).unwrap(), 2);
        assert!(check(&tar[..1026], &Limits::default()).is_err());
        assert_eq!(check_whole(&tar[..], &Limits::default()).unwrap(), 2);
        for end in [512, 1027, 1300, 1536] {
            assert!(check(&tar[..end], &Limits::default()).is_ok());
            assert!(check_whole(&tar[..end], &Limits::default()).is_err());
        }
        assert!(check(&b"no tar at all".repeat(100)[..], &Limits::default()).is_err());
    }
}
