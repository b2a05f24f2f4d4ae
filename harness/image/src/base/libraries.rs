//! Finding the shared libraries of a program without running it or a tool.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::elf::{self, Elf};

/// Where every dynamic linker looks in the end (ld.so(8)).
const STANDARD: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// How deep configuration files may include each other.
const MAX_INCLUDES: u32 = 8;

/// Finds libraries as the dynamic linker does.
#[derive(Debug)]
pub struct Libraries {
    configured: Vec<PathBuf>,
    parsed: HashMap<PathBuf, Option<Elf>>,
    /// A library lay where only the linker's cache leads to.
    needs_cache: bool,
}

/// What a program needs to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// The dynamic linker and all libraries, as it would open them.
    pub paths: BTreeSet<PathBuf>,
    /// Libraries that are nowhere.
    pub missing: BTreeSet<String>,
}

impl Libraries {
    /// Reads the dynamic linker's configuration.
    pub fn new() -> Self {
        let mut configured = Vec::new();
        configuration(Path::new("/etc/ld.so.conf"), &mut configured, MAX_INCLUDES);
        Self { configured, parsed: HashMap::new(), needs_cache: false }
    }

    /// Whether `/etc/ld.so.cache` is needed to find what was found.
    pub const fn needs_cache(&self) -> bool {
        self.needs_cache
    }

    /// All that `program` needs; nothing for what is no ELF file.
    pub fn closure(&mut self, program: &Path) -> Closure {
        let mut closure = Closure::default();
        let interpreter = self.elf(program).and_then(|elf| elf.interpreter);
        let linker = interpreter.as_deref().map(|path| PathBuf::from(OsStr::from_bytes(path)));
        closure.paths.extend(linker.clone());
        // The linker's own directory is a standard place too: that is how distributions with one directory for
        // each architecture are built.
        let beside = linker.and_then(|path| fs::canonicalize(path).ok()).and_then(|path| parent(&path));
        let mut waiting = vec![program.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(path) = waiting.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let Some(elf) = self.elf(&path) else { continue };
            for name in &elf.needed {
                match self.find(name, &path, &elf, beside.as_deref()) {
                    Some(library) => {
                        closure.paths.insert(library.clone());
                        waiting.push(library);
                    }
                    None => drop(closure.missing.insert(String::from_utf8_lossy(name).into_owned())),
                }
            }
        }
        closure
    }

    /// A library by name, for what programs load while they run.
    pub fn by_name(&mut self, name: &str, like: &Path) -> Option<PathBuf> {
        let elf = self.elf(like)?;
        let interpreter = elf.interpreter.as_deref().map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let beside = interpreter.and_then(|path| fs::canonicalize(path).ok()).and_then(|path| parent(&path));
        self.find(name.as_bytes(), like, &elf, beside.as_deref())
    }

    fn find(&mut self, name: &[u8], user: &Path, elf: &Elf, beside: Option<&Path>) -> Option<PathBuf> {
        let name = Path::new(OsStr::from_bytes(name));
        if name.is_absolute() {
            return self.fits(name, elf).then(|| name.to_owned());
        }
        let own = run_paths(elf.run_path.as_deref().unwrap_or_default(), user);
        let standard: Vec<PathBuf> =
            beside.map(Path::to_owned).into_iter().chain(STANDARD.map(PathBuf::from)).collect();
        let certain = own.iter().chain(&standard).map(|dir| dir.join(name)).find(|path| self.fits(path, elf));
        if certain.is_some() {
            return certain;
        }
        let configured = self.configured.clone();
        let found = configured.iter().map(|dir| dir.join(name)).find(|path| self.fits(path, elf))?;
        self.needs_cache = true;
        Some(found)
    }

    /// Whether there is a library for the same machine.
    fn fits(&mut self, path: &Path, user: &Elf) -> bool {
        self.elf(path).is_some_and(|elf| elf.machine == user.machine)
    }

    fn elf(&mut self, path: &Path) -> Option<Elf> {
        if let Some(known) = self.parsed.get(path) {
            return known.clone();
        }
        let parsed = fs::read(path).ok().and_then(|bytes| elf::parse(&bytes));
        self.parsed.insert(path.to_owned(), parsed.clone());
        parsed
    }
}

/// `$ORIGIN` is where the user of the library lies; other variables of the linker are rare and left alone.
fn run_paths(paths: &[u8], user: &Path) -> Vec<PathBuf> {
    let real = fs::canonicalize(user).unwrap_or_else(|_| user.to_owned());
    let origin = parent(&real).unwrap_or_default();
    let expand = |path: &[u8]| {
        let text = OsStr::from_bytes(path).to_str()?;
        let origin = origin.to_str()?;
        Some(PathBuf::from(text.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)))
    };
    paths.split(|byte| *byte == b':').filter_map(expand).filter(|path| path.is_absolute()).collect()
}

fn parent(path: &Path) -> Option<PathBuf> {
    path.parent().map(Path::to_owned)
}

/// Directories line by line, with `include` of file name patterns (ldconfig(8)).
fn configuration(file: &Path, directories: &mut Vec<PathBuf>, includes: u32) {
    let Ok(text) = fs::read_to_string(file) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
            if includes > 0 {
                let beside = parent(file).unwrap_or_default();
                matching(&beside.join(pattern.trim())).iter().for_each(|f| configuration(f, directories, includes - 1));
            }
        } else if line.starts_with('/') {
            directories.push(line.into());
        }
    }
}

/// The files that a pattern with `*` in its last component means, sorted.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name().and_then(OsStr::to_str)) else {
        return Vec::new();
    };
    let Some((start, end)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let fits = |name: &str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    let files = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(fits));
    let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closure_of_a_program_holds_linker_and_c_library() {
        let closure = Libraries::new().closure(Path::new("/proc/self/exe"));
        assert!(closure.missing.is_empty(), "{closure:?}");
        let names: Vec<_> = closure.paths.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        if cfg!(target_env = "gnu") {
            assert!(names.iter().any(|name| name.starts_with("ld-linux")), "{names:?}");
            assert!(names.iter().any(|name| name.starts_with("libc.so")), "{names:?}");
        }
    }

    #[test]
    fn configuration_files_include_others() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("ld.so.conf");
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        fs::write(&main, "# comment\n/first # here\ninclude conf.d/*.conf\n/last\n").unwrap();
        fs::write(dir.path().join("conf.d/b.conf"), "/b\n").unwrap();
        fs::write(dir.path().join("conf.d/a.conf"), "/a\ninclude ../ld.so.conf\n").unwrap();
        fs::write(dir.path().join("conf.d/ignored"), "/no\n").unwrap();
        let mut directories = Vec::new();
        configuration(&main, &mut directories, 1);
        assert_eq!(directories, ["/first", "/a", "/b", "/last"].map(PathBuf::from));
    }

    #[test]
    fn origin_is_where_the_user_lies() {
        let paths = run_paths(b"$ORIGIN/../lib:/abs:relative:${ORIGIN}", Path::new("/nowhere/bin/tool"));
        assert_eq!(paths, ["/nowhere/bin/../lib", "/abs", "/nowhere/bin"].map(PathBuf::from));
    }
}
