//! A data directory of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

pub struct Place {
    pub dir: tempfile::TempDir,
    /// What is mounted on the root.
    mounted: bool,
}

pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_harness"))
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("harness-test-").tempdir().unwrap(), mounted: false }
    }

    /// One with a root that is a btrfs of its own, on which every driver can run but devicemapper, which needs no such thing.
    pub fn on_btrfs() -> Self {
        let mut place = Self::new();
        let disk = place.dir.path().join("disk");
        fs::File::create(&disk).and_then(|file| file.set_len(2 << 30)).unwrap();
        fs::create_dir(place.root()).unwrap();
        must(Command::new("mkfs.btrfs").arg("-q").arg(&disk));
        must(Command::new("mount").args(["-o", "loop"]).args([&disk, &place.root()]));
        place.mounted = true;
        place
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A build context with these files.
    pub fn context(&self, files: &[(&str, &str)]) -> PathBuf {
        let context = self.dir.path().join("context");
        fs::create_dir_all(&context).unwrap();
        for (name, content) in files {
            let path = context.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        context
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--root").arg(self.root()).args(args).current_dir(self.dir.path());
        command
    }

    pub fn run(&self, args: &[&str]) -> Answer {
        Answer::of(&self.command(args).output().unwrap())
    }

    /// `run`, with the container's words after everything else. It has no network unless it is asked for: most tests have no use
    /// for one, and it is most of a short container's time.
    pub fn container(&self, options: &[&str], words: &[&str]) -> Answer {
        let asks = |option: &&str| ["--net", "-p", "--publish", "-P"].iter().any(|name| option.starts_with(name));
        let network: &[&str] = if options.iter().any(asks) { &[] } else { &["--network", "none"] };
        self.with_words("run", &[network, options].concat(), words)
    }

    /// A command that ends with words of a container's.
    pub fn with_words(&self, command: &str, options: &[&str], words: &[&str]) -> Answer {
        let mut harness = Command::new(program());
        harness.arg(command).arg("--root").arg(self.root()).args(options).args(words);
        Answer::of(&harness.output().unwrap())
    }
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

impl Drop for Place {
    fn drop(&mut self) {
        // What runs in the background would outlive a test that failed.
        let all = self.command(&["ps", "-aq"]).output().map(|output| Answer::of(&output).out).unwrap_or_default();
        for id in all.lines() {
            let _ = self.command(&["rm", "--force", id]).output();
        }
        if self.mounted {
            let root = self.root();
            let unmounted = Command::new("umount").arg(&root).status().is_ok_and(|status| status.success());
            if !unmounted {
                // What is mounted below goes with it; that is said where nothing else has failed.
                _ = Command::new("umount").arg("--lazy").arg(&root).status();
                assert!(std::thread::panicking(), "{} is still in use", root.display());
            }
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let below: Vec<_> = mounts.lines().filter(|line| line.contains(self.dir.path().to_str().unwrap())).collect();
        if !std::thread::panicking() {
            assert!(below.is_empty(), "left mounted: {below:#?}");
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.status_is(0)
    }

    #[track_caller]
    pub fn status_is(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        assert!(self.err.contains(part), "no {part:?} in {self:#?}");
        self
    }
}

/// Drivers that every test of the engine runs on.
pub const DRIVERS: [&str; 2] = ["overlay2", "vfs"];

pub fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}
