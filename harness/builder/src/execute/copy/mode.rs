//! `--chmod`: a mode in octal, or changes as of chmod(1).

use std::fmt;

/// What files get for a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Octal(u32),
    Symbolic { text: String, changes: Vec<Change> },
}

/// One `+rw` with those it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The bits of those it is for.
    whom: u32,
    operator: char,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// These bits; with `X` also those of executing, for what is executable for anybody or a directory.
    Bits { bits: u32, executable: bool },
    /// What others have: their bits begin there.
    Copy(u32),
}

impl Mode {
    /// `None` for what is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if text.chars().all(|c| c.is_ascii_digit()) {
            return u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).map(Self::Octal);
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            let end = clause.find(['+', '-', '='])?;
            let (whom, mut rest) = clause.split_at(end);
            let whom = whom.chars().map(bits_of).try_fold(0, |all, bits| Some(all | bits?))?;
            // Without names it is for all; the umask of whoever builds has no part in an image.
            let whom = if whom == 0 { 0o7777 } else { whom };
            while let Some(operator) = rest.chars().next() {
                rest = &rest[1..];
                let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
                let (what, after) = rest.split_at(end);
                changes.push(Change { whom, operator, what: What::parse(what)? });
                rest = after;
            }
        }
        Some(Self::Symbolic { text: text.to_owned(), changes })
    }

    /// The mode of a file that had another one.
    pub fn change(&self, old: u32, is_dir: bool) -> u32 {
        let changes = match self {
            Self::Octal(mode) => return *mode,
            Self::Symbolic { changes, .. } => changes,
        };
        changes.iter().fold(old & 0o7777, |mode, change| {
            let bits = change.whom & change.what.bits(mode, is_dir);
            match change.operator {
                '+' => mode | bits,
                '-' => mode & !bits,
                _ => (mode & !change.whom) | bits,
            }
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Octal(mode) => write!(f, "{mode:o}"),
            Self::Symbolic { text, .. } => f.write_str(text),
        }
    }
}

const fn bits_of(whom: char) -> Option<u32> {
    match whom {
        'u' => Some(0o4700),
        'g' => Some(0o2070),
        'o' => Some(0o1007),
        'a' => Some(0o7777),
        _ => None,
    }
}

impl What {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "u" => return Some(Self::Copy(6)),
            "g" => return Some(Self::Copy(3)),
            "o" => return Some(Self::Copy(0)),
            _ => {}
        }
        let (mut bits, mut executable) = (0, false);
        for c in text.chars() {
            match c {
                'r' => bits |= 0o444,
                'w' => bits |= 0o222,
                'x' => bits |= 0o111,
                'X' => executable = true,
                's' => bits |= 0o6000,
                't' => bits |= 0o1000,
                _ => return None,
            }
        }
        Some(Self::Bits { bits, executable })
    }

    const fn bits(self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Bits { bits, executable } if executable && (is_dir || mode & 0o111 != 0) => bits | 0o111,
            Self::Bits { bits, .. } => bits,
            Self::Copy(begin) => ((mode >> begin) & 7) * 0o111,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    use super::*;

    #[test]
    fn octal_modes_are_set() {
        assert_eq!(Mode::parse("755").map(|mode| mode.change(0o600, false)), Some(0o755));
        assert_eq!(Mode::parse("04711").map(|mode| mode.to_string()), Some("4711".to_owned()));
        for text in ["778", "17777", "9", "+q", "rwx", "u", "u=rw,", "z+x", "u=rw go=r", "-", "u=gr"] {
            let parsed = Mode::parse(text);
            assert!(parsed.is_none() || text == "-", "{text}: {parsed:?}");
        }
    }

    /// The same as chmod(1) does without a umask.
    #[test]
    fn changes_are_those_of_chmod() {
        let dir = tempfile::tempdir().unwrap();
        let (file, sub) = (dir.path().join("f"), dir.path().join("d"));
        fs::write(&file, "").unwrap();
        fs::create_dir(&sub).unwrap();
        for text in
            ["+x", "u=rwX,go=rX", "g=u", "go-rwx", "a+rX", "u+s,g+s", "o+t", "u=rw,u+x-w", "go=", "o=g", "ug=rw"]
        {
            let mode = Mode::parse(text).unwrap();
            for old in [0o600, 0o644, 0o755, 0o4711, 0o070] {
                for (path, is_dir) in [(&file, false), (&sub, true)] {
                    fs::set_permissions(path, fs::Permissions::from_mode(old)).unwrap();
                    let script = "umask 0; exec chmod \"$0\" \"$1\"";
                    let done = Command::new("sh").args(["-c", script, text]).arg(path).status().unwrap();
                    assert!(done.success());
                    let theirs = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
                    // Of directories GNU's keeps setuid and setgid where they are not named.
                    let kept = if is_dir && text.contains('=') { 0o6000 } else { 0 };
                    assert_eq!(mode.change(old, is_dir) & !kept, theirs & !kept, "{text} {old:o} {is_dir}");
                }
            }
        }
    }
}
