//! The seven cases that containerd's `core/snapshots/testsuite/issues.go` lists as still to be written.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::MetadataExt,
        net::{UnixListener, UnixStream},
    },
    process::Command,
};

use storage_driver::{Error, MountMode};

use crate::{
    Context, Op, Stack, Stop, Verdict,
    case::cases,
    verdict::{ensure, ensure_error},
};

cases! { "gaps";
    "remove-after-commit" = remove_after_commit: "a layer that was just sealed, mounted and closed can be removed at once";
    "unix-sockets" = unix_sockets: "a socket in a layer can be listened on and connected to, and its name outlives the mount";
    "directory-inode-stability" = directory_inodes: "a directory keeps its inode number when something is made in it";
    "open-file-inode-stability" = open_file_inodes: "a file keeps its inode number when it is written to";
    "getcwd" = getcwd: "a process in a directory of the parent still knows where it is after the directory was changed";
    "chmod" = chmod: "modes of files, directories and setuid programs change over layers";
    "removal-inside-walk" = removal_inside_walk: "layers can be removed while the list is worked on";
}

/// docker#24309.
fn remove_after_commit(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    for round in 0..5 {
        let base = cx.sealed(&format!("base-{round}"), None, &[Op::file("f", "x")])?;
        let top = cx.sealed(&format!("top-{round}"), Some(&base), &[Op::append("f", "y")])?;
        cx.read(&top)?.close()?;
        driver.remove(&top)?;
        driver.remove(&base)?;
    }
    ensure!(driver.list()?.is_empty(), "removed layers are listed");
    Ok(())
}

/// docker#12080.
fn unix_sockets(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[Op::mkdir("run")])?;
    let layer = cx.create("layer", Some(&base))?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    // A path beneath the descriptor: sun_path takes 108 bytes only (unix(7)).
    let directory = fs::File::open(view.path().join("run"))?;
    let path = format!("/proc/self/fd/{}/s", std::os::fd::AsRawFd::as_raw_fd(&directory));
    let listener = UnixListener::bind(&path)?;
    let mut client = UnixStream::connect(&path)?;
    client.write_all(b"hello")?;
    drop(client);
    let mut heard = String::new();
    listener.accept()?.0.read_to_string(&mut heard)?;
    ensure!(heard == "hello", "heard {heard:?} through the socket");
    drop((listener, directory));
    let changes: Vec<_> = driver.changes(&layer)?.iter().map(ToString::to_string).collect();
    ensure!(changes == ["C /run", "A /run/s"], "the changes are {changes:?}");
    view.close()?;
    let mut tar = vec![];
    let skipped = driver.diff(&layer, &mut tar)?.skipped;
    ensure!(skipped.len() == 1 && skipped[0].path.ends_with("run/s"), "diff says it skipped {skipped:?}");
    Stack::check(
        cx,
        &[
            &[Op::mkdir("run"), Op::socket("run/s"), Op::file("f", "x")],
            &[Op::chmod("run/s", 0o600), Op::append("f", "y")],
            &[Op::remove("run/s"), Op::socket("run/t")],
        ],
    )
}

/// docker#19647.
fn directory_inodes(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::mkdir("d/e"), Op::file("d/e/f", "x")])?;
    let layer = cx.create("layer", Some(&base))?;
    let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    for path in ["d/e", "d"] {
        let before = fs::metadata(view.path().join(path))?;
        crate::context::all(view.path(), &[Op::file(format!("{path}/new"), "y"), Op::chmod(path, 0o700)])?;
        let after = fs::metadata(view.path().join(path))?;
        ensure!(
            (before.dev(), before.ino()) == (after.dev(), after.ino()),
            "{path} was {}:{} and is {}:{}",
            before.dev(),
            before.ino(),
            after.dev(),
            after.ino()
        );
    }
    Ok(view.close()?)
}

/// docker#12327: a program that remembers a log file by device and inode lost it. Overlayfs keeps both when all
/// layers are on one file system (overlayfs.rst, "Inode properties").
fn open_file_inodes(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::file("log", "1\n")])?;
    let layer = cx.create("layer", Some(&base))?;
    let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    let path = view.path().join("log");
    let before = fs::metadata(&path)?;
    let mut writer = fs::OpenOptions::new().append(true).open(&path)?;
    writer.write_all(b"2\n")?;
    let through_descriptor = writer.metadata()?;
    drop(writer);
    let after = fs::metadata(&path)?;
    for (what, stat) in [("the descriptor", through_descriptor), ("the path", after)] {
        ensure!(
            (before.dev(), before.ino()) == (stat.dev(), stat.ino()),
            "{what} shows {}:{} after a write; it was {}:{}",
            stat.dev(),
            stat.ino(),
            before.dev(),
            before.ino()
        );
    }
    Ok(view.close()?)
}

/// docker#19082.
fn getcwd(cx: &Context<'_>) -> Verdict {
    let base = cx.sealed("base", None, &[Op::mkdir("d"), Op::mkdir("d/e"), Op::file("d/e/f", "x")])?;
    let layer = cx.create("layer", Some(&base))?;
    let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    let directory = fs::canonicalize(view.path())?.join("d/e");
    let script = "pwd -P; touch g && chmod 700 . && mv f h && pwd -P && cd .. && cd e && pwd -P";
    let output = Command::new("/bin/sh").args(["-c", script]).current_dir(&directory).output()?;
    let expected = format!("{0}\n{0}\n{0}\n", directory.display());
    let found = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || found != expected {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(Stop::failed(format!("the shell ended with {} and said {found:?} {errors:?}", output.status)));
    }
    Ok(view.close()?)
}

fn chmod(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::mkdir("d"),
                Op::file("d/f", "x"),
                Op::file_mode("su", "program", 0o4755),
                Op::mkdir_mode("tmp", 0o1777),
            ],
            &[Op::chmod("d/f", 0o600), Op::chmod("su", 0o755), Op::chmod("tmp", 0o700)],
            &[Op::chmod("d", 0o2750), Op::chmod("su", 0o6711), Op::chmod("d/f", 0)],
            &[Op::chmod("", 0o711), Op::chmod("d/f", 0o7777)],
            &[Op::chmod("", 0o755)],
        ],
    )
}

fn removal_inside_walk(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let base = cx.sealed("base", None, &[])?;
    for n in 0..4 {
        cx.create(&format!("child-{n}"), Some(&base))?;
    }
    let listed = driver.list()?;
    for info in listed.iter().rev() {
        driver.remove(&info.id)?;
        ensure_error!(driver.stat(&info.id), Error::NotFound { .. }, "stat right after removal");
    }
    ensure!(driver.list()?.is_empty(), "removed layers are listed");
    Ok(())
}
