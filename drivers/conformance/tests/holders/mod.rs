//! Held mounts among several processes: this program again is the holder, which closes its driver and lives on.

use std::{
    env,
    fs::{self, read_to_string},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::Arc,
};

use libtest_mimic::Trial;
use storage_driver::{CreateOptions, Error, LayerId, MountMode, StorageDriver};
use storage_sys::{btrfs, child, mountinfo};

use crate::subjects::{Place, Target};

const TARGET: &str = "CONFORMANCE_HOLDER";
const ROOT: &str = "CONFORMANCE_HOLDER_ROOT";

type Said<T = ()> = Result<T, String>;
type Check = fn(&Scene<'_>) -> Said;

const CHECKS: &[(&str, Check)] = &[
    ("closed-while-others-work", closed_while_others_work),
    ("killed-before-the-next-opening", killed_before_the_next_opening),
    ("killed-while-the-root-is-open", killed_while_the_root_is_open),
    ("another-mount-namespace", another_mount_namespace),
];

/// The trials of drivers that keep their layers on disk, in their default form.
pub fn trials(targets: &[Target]) -> Vec<Trial> {
    let chosen = targets.iter().copied().filter(|target| target.is_plain() && target.place == Place::Here);
    let of_target = |target: Target| {
        CHECKS.iter().map(move |(name, check)| {
            let name = format!("{}::holders::{name}", target.full_name());
            Trial::test(name, move || Ok(in_room(target, *check)?))
        })
    };
    chosen.flat_map(of_target).collect()
}

/// What this process was started to hold.
pub fn asked_to_hold(targets: &[Target]) -> Option<ExitCode> {
    let name = env::var(TARGET).ok()?;
    let root = PathBuf::from(env::var_os(ROOT)?);
    let target = targets.iter().find(|target| target.full_name() == name)?;
    match hold(*target, &root) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            _ = writeln!(io::stderr(), "the holder: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

/// Mounts, holds, closes the driver, and lives until it is told something.
fn hold(target: Target, root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let driver = target.open(root)?;
    let mounted = driver.mount(&id("layer"), MountMode::ReadWrite)?;
    fs::write(mounted.path().join("written"), "by the holder")?;
    let held = driver.hold(mounted)?;
    drop(driver);
    let say = |word: &str| writeln!(io::stdout(), "{word}");
    say("held")?;
    io::stdin().lock().read_line(&mut String::new())?;
    // Without a driver, and whoever has the root now.
    fs::write(held.path().join("written-later"), "by the holder")?;
    held.close()?;
    say("closed")?;
    Ok(())
}

struct Scene<'a> {
    target: Target,
    root: &'a Path,
}

struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Scene<'_> {
    fn open(&self) -> Said<Arc<dyn StorageDriver>> {
        self.target.open(self.root).map_err(said)
    }

    /// `layer` on `base`; the driver is closed again.
    fn make_layers(&self) -> Said<bool> {
        let driver = self.open()?;
        let make = || -> storage_driver::Result<()> {
            driver.create(&id("base"), None, &CreateOptions::default())?;
            driver.seal(&id("base"))?;
            driver.create(&id("layer"), Some(&id("base")), &CreateOptions::default())
        };
        make().map_err(said)?;
        Ok(driver.capabilities().held_mounts.is_yes())
    }

    fn start_holder(&self, wrapper: &[&str]) -> Said<Holder> {
        let program = env::current_exe().map_err(said)?;
        let mut command = match wrapper {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.env(TARGET, self.target.full_name()).env(ROOT, self.root);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child::dies_with_parent(&mut command).spawn().map_err(said)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        let mut holder = Holder { child, input, output: BufReader::new(output) };
        holder.says("held")?;
        Ok(holder)
    }

    /// Nothing is mounted, nothing is held, and the layer goes.
    fn is_over(&self, driver: &dyn StorageDriver) -> Said {
        driver.remove(&id("layer")).map_err(|error| format!("removing what nobody holds any more: {error}"))?;
        let left = fs::read_dir(self.root.join("held")).map_err(said)?.count();
        ensure(left == 0, || "the hold's file is still there".into())?;
        let mounts: Vec<_> = mountinfo::below(&self.root.join("layers")).map_err(said)?;
        ensure(mounts.is_empty(), || format!("still mounted: {mounts:?}"))
    }
}

impl Holder {
    fn says(&mut self, word: &str) -> Said {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(said)?;
        ensure(line.trim() == word, || format!("the holder said {line:?} and not {word:?}"))
    }

    fn close(mut self) -> Said {
        self.input.write_all(b"close\n").map_err(said)?;
        self.says("closed")?;
        let status = self.child.wait().map_err(said)?;
        ensure(status.success(), || format!("the holder ended with {status}"))
    }

    fn kill(mut self) -> Said {
        self.child.kill().map_err(said)?;
        self.child.wait().map(drop).map_err(said)
    }

    fn pid(&self) -> String {
        format!("process {} ", self.child.id())
    }
}

fn closed_while_others_work(scene: &Scene<'_>) -> Said {
    let outlives = scene.make_layers()?;
    let holder = scene.start_holder(&[])?;
    if !outlives {
        let refused = scene.target.open(scene.root);
        ensure(matches!(refused, Err(Error::Locked { .. })), || format!("the root of a holder opens: {refused:?}"))?;
        holder.close()?;
        let driver = scene.open()?;
        return scene.is_over(&*driver);
    }
    let driver = scene.open()?;
    ensure(driver.recovered().is_empty(), || format!("opening took away {:?}", driver.recovered()))?;
    let layer = id("layer");
    let in_use = |what: &str, answer: storage_driver::Result<()>| match answer {
        Err(error @ Error::InUse { .. }) if error.to_string().contains(&holder.pid()) => Ok(()),
        answer => Err(format!("{what} what {}holds: {answer:?}", holder.pid())),
    };
    in_use("removing", driver.remove(&layer))?;
    in_use("sealing", driver.seal(&layer))?;
    in_use("applying to", driver.apply(&layer, &mut &[0; 1024][..]).map(drop))?;
    in_use("mounting read-only", driver.mount(&layer, MountMode::ReadOnly).map(drop))?;
    let second = driver.mount(&layer, MountMode::ReadWrite).map_err(said)?;
    let text = read_to_string(second.path().join("written")).map_err(said)?;
    ensure(text == "by the holder", || format!("the second reference shows {text:?}"))?;
    second.close().map_err(said)?;
    let changes: Vec<_> = driver.changes(&layer).map_err(said)?.iter().map(ToString::to_string).collect();
    ensure(changes == ["A /written"], || format!("the changes are {changes:?}"))?;
    driver.diff(&layer, &mut io::sink()).map_err(said)?;
    driver.usage(&layer).map_err(said)?;
    ensure(driver.list().map_err(said)?.len() == 2, || "the list is not of two layers".into())?;
    driver.shutdown().map_err(said)?;
    // Its own driver is open all the time.
    holder.close()?;
    let changes: Vec<_> = driver.changes(&layer).map_err(said)?.iter().map(ToString::to_string).collect();
    ensure(changes == ["A /written", "A /written-later"], || format!("at last the changes are {changes:?}"))?;
    scene.is_over(&*driver)
}

fn killed_before_the_next_opening(scene: &Scene<'_>) -> Said {
    let outlives = scene.make_layers()?;
    scene.start_holder(&[])?.kill()?;
    let driver = scene.open()?;
    let told = driver.recovered().iter().filter(|left| left.kind == "hold").count();
    ensure(told == usize::from(outlives), || format!("what was recovered is {:?}", driver.recovered()))?;
    let view = driver.mount(&id("layer"), MountMode::ReadWrite).map_err(said)?;
    ensure(view.path().join("written").exists(), || "what the holder wrote is lost".into())?;
    view.close().map_err(said)?;
    scene.is_over(&*driver)
}

fn killed_while_the_root_is_open(scene: &Scene<'_>) -> Said {
    if !scene.make_layers()? {
        // Its root cannot be open beside a holder.
        return Ok(());
    }
    let holder = scene.start_holder(&[])?;
    let driver = scene.open()?;
    let second = driver.mount(&id("layer"), MountMode::ReadWrite).map_err(said)?;
    holder.kill()?;
    ensure(matches!(driver.remove(&id("layer")), Err(Error::InUse { .. })), || "a reference does not keep it".into())?;
    second.close().map_err(said)?;
    scene.is_over(&*driver)?;
    drop(driver);
    let driver = scene.open()?;
    ensure(driver.recovered().is_empty(), || format!("it had to recover {:?}", driver.recovered()))
}

/// As an ordinary user's commands, which have a mount namespace each.
fn another_mount_namespace(scene: &Scene<'_>) -> Said {
    if !scene.make_layers()? {
        return Ok(());
    }
    let holder = scene.start_holder(&["unshare", "--mount", "--propagation", "private"])?;
    let driver = scene.open()?;
    let layer = id("layer");
    match driver.mount(&layer, MountMode::ReadWrite) {
        // Where a layer's tree is a directory, nothing is mounted.
        Ok(second) => {
            let shown = second.path().join("written").exists();
            ensure(shown, || "a reference to a mount elsewhere shows another tree".into())?;
            second.close().map_err(said)?;
        }
        Err(Error::InUse { how, .. }) if how.contains("cannot see it") => {}
        Err(error) => return Err(format!("mounting what is mounted elsewhere: {error}")),
    }
    let changes: Vec<_> = driver.changes(&layer).map_err(said)?.iter().map(ToString::to_string).collect();
    ensure(changes == ["A /written"], || format!("the changes are {changes:?}"))?;
    ensure(matches!(driver.remove(&layer), Err(Error::InUse { .. })), || "what is held elsewhere was removed".into())?;
    holder.close()?;
    scene.is_over(&*driver)
}

fn in_room(target: Target, check: Check) -> Said {
    let base = fs::canonicalize(target.subject().base()).map_err(said)?;
    let room = tempfile::Builder::new().prefix("holders-").tempdir_in(base).map_err(said)?;
    let root = room.path().join("root");
    fs::create_dir(&root).map_err(said)?;
    let verdict = check(&Scene { target, root: &root });
    let path = room.keep();
    for mount in mountinfo::below(&path).map_err(said)?.iter().rev() {
        _ = storage_sys::mount::detach(&mount.mount_point);
    }
    // Subvolumes too.
    verdict.and(btrfs::remove_tree(&path).map_err(said))
}

fn id(name: &str) -> LayerId {
    driver_conformance::id(name)
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Said {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
