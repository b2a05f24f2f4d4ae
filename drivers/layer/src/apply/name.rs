use crate::Fault;

/// An entry's name, taken apart and found harmless.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// The root itself: `./`.
    Root,
    /// Something in the directory `parent`.
    Entry { parent: Vec<&'a [u8]>, name: &'a [u8] },
    /// `.wh.NAME`: what `name` was before is not shown.
    Whiteout { parent: Vec<&'a [u8]>, name: &'a [u8] },
    /// `.wh..wh..opq`: nothing that was in `directory` before is shown.
    Opaque { directory: Vec<&'a [u8]> },
    /// Bookkeeping of AUFS, such as `.wh..wh.plnk`, which layers of old Dockers hold and which means nothing.
    Aufs,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";
/// `NAME_MAX`.
const LONGEST: usize = 255;

impl<'a> Name<'a> {
    /// In an archive that is no layer, where every name is a name.
    pub fn literal(name: &'a [u8]) -> Result<Self, Fault> {
        let mut parent = components(name)?;
        Ok(parent.pop().map_or(Self::Root, |name| Self::Entry { parent, name }))
    }

    pub fn parse(name: &'a [u8]) -> Result<Self, Fault> {
        let mut parent = components(name)?;
        let Some(name) = parent.pop() else { return Ok(Self::Root) };
        if parent.iter().chain([&name]).any(|part| part.starts_with(AUFS)) && name != OPAQUE {
            return Ok(Self::Aufs);
        }
        if parent.iter().any(|part| part.starts_with(WHITEOUT)) {
            return Err(Fault::Refused("it lies in a directory named like a whiteout"));
        }
        if name == OPAQUE {
            return Ok(Self::Opaque { directory: parent });
        }
        match name.strip_prefix(WHITEOUT) {
            None => Ok(Self::Entry { parent, name }),
            Some(b"" | b"." | b"..") => Err(Fault::Refused("the whiteout names no entry of its directory")),
            Some(name) => Ok(Self::Whiteout { parent, name }),
        }
    }
}

/// The components of a name in a tar, which is relative to the root whether it starts with a slash or not.
pub(super) fn components(name: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    if name.is_empty() {
        return Err(Fault::Refused("it has no name"));
    }
    if name.contains(&0) {
        return Err(Fault::Refused("its name holds a NUL byte"));
    }
    let parts: Vec<_> = name.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
    if parts.contains(&&b".."[..]) {
        return Err(Fault::Refused("its name holds a \"..\""));
    }
    if parts.iter().any(|part| part.len() > LONGEST) {
        return Err(Fault::Refused("a component of its name is longer than 255 bytes"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let parse = |name: &'static str| Name::parse(name.as_bytes()).unwrap();
        let entry = Name::Entry { parent: vec![b"a"], name: b"b" };
        for name in ["a/b", "/a/b", "./a//b/", "a/./b"] {
            assert_eq!(parse(name), entry);
        }
        for name in [".", "./", "/", "//./"] {
            assert_eq!(parse(name), Name::Root);
        }
        assert_eq!(parse("a/.wh.b"), Name::Whiteout { parent: vec![b"a"], name: b"b" });
        assert_eq!(parse(".wh..b"), Name::Whiteout { parent: vec![], name: b".b" });
        assert_eq!(parse("a/.wh..wh..opq"), Name::Opaque { directory: vec![b"a"] });
        for name in [".wh..wh.plnk", ".wh..wh.plnk/12.34", ".wh..wh.orph/"] {
            assert_eq!(parse(name), Name::Aufs);
        }
    }

    #[test]
    fn names_that_could_reach_elsewhere_are_refused() {
        let long = "x".repeat(256);
        for name in ["", "..", "../a", "a/../b", "/..", "a\0b", ".wh.", ".wh..", "a/.wh...", ".wh.d/x", &long] {
            assert!(Name::parse(name.as_bytes()).is_err(), "{name:?} was accepted");
        }
    }
}
