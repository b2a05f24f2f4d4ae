use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use oci_spec::image::{Config, ConfigBuilder};

use super::{Base, Made, PATH, libraries::Libraries, links, tree::LayerTree};
use crate::{Error, Image, Result, Store};

/// Without these no Dockerfile's RUN does anything useful.
const REQUIRED: &[&str] =
    &["sh", "cat", "chmod", "cp", "env", "ln", "ls", "mkdir", "mv", "rm", "sleep", "touch", "true"];

/// Taken where they are there.
const OPTIONAL: &[&str] = &[
    "[",
    "awk",
    "base64",
    "basename",
    "bash",
    "bunzip2",
    "bzip2",
    "chgrp",
    "chown",
    "cksum",
    "cmp",
    "comm",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "du",
    "echo",
    "egrep",
    "expr",
    "false",
    "fgrep",
    "find",
    "fold",
    "getfattr",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "id",
    "install",
    "join",
    "kill",
    "link",
    "make",
    "md5sum",
    "mkfifo",
    "mknod",
    "mktemp",
    "nice",
    "nl",
    "nproc",
    "od",
    "paste",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rmdir",
    "sed",
    "seq",
    "setfattr",
    "sha256sum",
    "shuf",
    "sort",
    "split",
    "stat",
    "stty",
    "sync",
    "tac",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "tr",
    "truncate",
    "tty",
    "uname",
    "uniq",
    "unlink",
    "wc",
    "which",
    "whoami",
    "xargs",
    "xz",
    "yes",
    "zcat",
    "zstd",
];

/// Where tools are looked for, before `PATH`.
const TOOL_DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Libraries that the C library loads while it runs: for users and groups before glibc 2.34.
const LOADED: [&str; 1] = ["libnss_files.so.2"];

/// Interpreters that scripts among the tools may have.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "busybox"];

const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/local", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/local/lib", 0o755),
    ("usr/share", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

const GROUP: &str = "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
const NAME_SERVICES: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n";

/// The image of this machine, and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostImage {
    /// The image.
    pub image: Image,
    /// Tools that it has.
    pub tools: Vec<String>,
    /// Tools that it would have if this machine had them, with the reason where there is another.
    pub missing: Vec<String>,
}

/// Makes an image of this machine's shell, core tools, make, and the libraries they need.
///
/// Files keep their paths, so that the machine's own layout of `/bin`, `/lib` and alternatives stays; owners are
/// root, times are fixed, and no setuid bit is kept: the same tools give the same image. Any user can make it.
///
/// # Errors
/// [`Error::Base`] when the shell or a core tool is missing or cannot be read; what the store says.
pub fn host(store: &Store) -> Result<HostImage> {
    let mut gathered = Gathered::new();
    for name in REQUIRED {
        gathered.tool(name).map_err(|why| Error::Base {
            name: "host",
            why: format!("{name}: {why}; install the base tools (Debian: coreutils and dash) or use another base"),
        })?;
    }
    for name in OPTIONAL {
        if let Err(why) = gathered.tool(name) {
            gathered.missing.push(format!("{name}: {why}"));
        }
    }
    gathered.finish();
    let config = config(&gathered.directories)?;
    let _held = store.lease()?;
    let layer = gathered.tree.store(store)?;
    let made = Made {
        about: "this machine's shell, tools and libraries".to_owned(),
        layers: vec![("host: this machine's shell, tools and libraries".to_owned(), layer)],
        config: Some(config),
    };
    let image = made.put(store, &Base::Host.reference()?)?;
    Ok(HostImage { image, tools: gathered.tools, missing: gathered.missing })
}

struct Gathered {
    tree: LayerTree,
    libraries: Libraries,
    search: Vec<PathBuf>,
    tools: Vec<String>,
    missing: Vec<String>,
    /// Directories of tools that the usual search path does not have.
    directories: BTreeSet<PathBuf>,
}

impl Gathered {
    fn new() -> Self {
        let mut search: Vec<PathBuf> = TOOL_DIRECTORIES.map(PathBuf::from).into();
        let path = std::env::var_os("PATH").unwrap_or_default();
        search.extend(std::env::split_paths(&path).filter(|dir| dir.is_absolute()));
        let mut tree = LayerTree::default();
        DIRECTORIES.iter().for_each(|(path, mode)| tree.directory(path.as_bytes(), *mode));
        Self {
            tree,
            libraries: Libraries::new(),
            search,
            tools: Vec::new(),
            missing: Vec::new(),
            directories: BTreeSet::new(),
        }
    }

    /// Takes a tool and all it needs, or says why not; the tree is then as it was.
    fn tool(&mut self, name: &str) -> Result<(), String> {
        let found = self.search.iter().map(|dir| dir.join(name)).find(|path| path.is_file());
        let path = found.ok_or("not found on this machine")?;
        let mut tree = self.tree.clone();
        self.program(&mut tree, &path)?;
        self.tree = tree;
        if let Some(dir) = path.parent().filter(|dir| !PATH.split([':', '=']).any(|usual| Path::new(usual) == *dir)) {
            self.directories.insert(dir.to_owned());
        }
        self.tools.push(name.to_owned());
        Ok(())
    }

    fn program(&mut self, tree: &mut LayerTree, path: &Path) -> Result<(), String> {
        let cannot = |path: &Path, error: std::io::Error| format!("cannot take {}: {error}", path.display());
        let real = links::add(tree, path).map_err(|error| cannot(path, error))?;
        if let Some(interpreter) = interpreter(&real).map_err(|error| cannot(path, error))? {
            let shell = interpreter.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if !SHELLS.contains(&shell) {
                return Err(format!("it is a script for {}, which is not taken", interpreter.display()));
            }
            return self.program(tree, &interpreter);
        }
        let closure = self.libraries.closure(&real);
        if let Some(library) = closure.missing.first() {
            return Err(format!("its library {library} was not found"));
        }
        for library in &closure.paths {
            links::add(tree, library).map_err(|error| cannot(library, error))?;
        }
        Ok(())
    }

    /// Adds what is neither tool nor library.
    fn finish(&mut self) {
        let shell = Path::new("/bin/sh");
        for name in LOADED {
            if let Some(library) = self.libraries.by_name(name, shell) {
                self.optional(&library);
            }
        }
        if self.libraries.needs_cache() {
            self.optional(Path::new("/etc/ld.so.cache"));
        }
        self.optional(Path::new("/etc/os-release"));
        let login = if self.tools.iter().any(|tool| tool == "bash") { "/bin/bash" } else { "/bin/sh" };
        let passwd = format!(
            "root:x:0:0:root:/root:{login}\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\n\
             nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
        );
        self.tree.text("etc/passwd", 0o644, &passwd);
        self.tree.text("etc/group", 0o644, GROUP);
        self.tree.text("etc/hosts", 0o644, HOSTS);
        self.tree.text("etc/nsswitch.conf", 0o644, NAME_SERVICES);
        // Dockerfiles and scripts name these two by path, wherever the machine has them.
        for (path, name) in [("bin/sh", "sh"), ("usr/bin/env", "env")] {
            if !self.leads_to_file(path)
                && let Some(tool) = self.search.iter().map(|dir| dir.join(name)).find(|path| path.is_file())
            {
                self.tree.symlink(path.as_bytes(), tool.as_os_str().as_bytes());
            }
        }
        let parents = LayerTree::default();
        self.tree.add_parents(&parents);
    }

    /// Whether the tree has a path on this machine's way to it.
    fn leads_to_file(&self, path: &str) -> bool {
        let host = Path::new("/").join(path);
        let real = fs::canonicalize(&host).unwrap_or(host);
        let bytes = real.as_os_str().as_bytes();
        self.tree.contains(bytes.strip_prefix(b"/").unwrap_or(bytes))
    }

    fn optional(&mut self, path: &Path) {
        let mut tree = self.tree.clone();
        if links::add(&mut tree, path).is_ok() {
            self.tree = tree;
        }
    }
}

/// The interpreter of a script; `None` for everything else.
fn interpreter(path: &Path) -> std::io::Result<Option<PathBuf>> {
    const LONGEST: u64 = 256; // The kernel reads no more (execve(2)).
    let mut line = Vec::new();
    BufReader::new(fs::File::open(path)?.take(LONGEST)).read_until(b'\n', &mut line)?;
    let Some(rest) = line.strip_prefix(b"#!") else { return Ok(None) };
    let word = rest.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    Ok(Some(PathBuf::from(OsStr::from_bytes(word))))
}

fn config(directories: &BTreeSet<PathBuf>) -> Result<Config> {
    let mut path = PATH.to_owned();
    for directory in directories {
        path.push(':');
        path.push_str(&directory.to_string_lossy());
    }
    ConfigBuilder::default()
        .env(vec![path])
        .cmd(vec!["/bin/sh".to_owned()])
        .build()
        .map_err(|error| Error::InvalidImage { why: error.to_string() })
}
