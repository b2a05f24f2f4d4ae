//! The seam itself: what is shown, refused, torn and killed.

use std::{fs, io::Write, os::unix::fs::FileExt, process::Command};

use libtest_mimic::{Failed, Trial};
use storage_sys::{
    fork::Exit,
    trace::{self, Action, Call, Class, Ending},
};

type Check = fn() -> Result<(), Failed>;

pub fn trials() -> Vec<Trial> {
    let checks: [(&str, Check); 6] = [
        ("every_changing_call_of_every_thread_is_shown", shown),
        ("calls_outside_the_marks_and_of_other_programs_are_not", not_shown),
        ("a_refused_call_fails_and_does_nothing", refused),
        ("a_torn_write_leaves_its_first_half", torn),
        ("a_killed_process_does_not_make_its_call", killed),
        ("what_a_process_started_ends_with_it", no_survivors),
    ];
    checks.into_iter().map(|(name, check)| Trial::test(format!("privileged_seam::{name}"), check)).collect()
}

fn expect<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}").into()) }
}

/// Runs `work` between the marks and gives every call an action.
fn trace(work: impl Fn(), mut decide: impl FnMut(&Call) -> Action) -> Result<Ending, Failed> {
    let marked = || {
        trace::begin();
        work();
        trace::end();
        0
    };
    Ok(trace::trace(marked, &mut decide)?)
}

fn shown() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name);
    let work = || {
        fs::create_dir(path("d")).unwrap();
        std::thread::spawn({
            let file = path("d/f");
            move || fs::write(file, "text").unwrap()
        })
        .join()
        .unwrap();
        _ = fs::read(path("d/f")).unwrap();
        _ = rustix::fs::openat2(
            rustix::fs::CWD,
            path("d/f"),
            rustix::fs::OFlags::RDONLY,
            rustix::fs::Mode::empty(),
            rustix::fs::ResolveFlags::empty(),
        )
        .unwrap();
        fs::rename(path("d/f"), path("g")).unwrap();
        fs::File::open(path("g")).unwrap().sync_all().unwrap();
        fs::remove_file(path("g")).unwrap();
    };
    let mut calls = Vec::new();
    let below = format!("{}/", dir.path().display());
    let ending = trace(work, |call| {
        calls.push((call.class(), call.describe().replace(&below, "")));
        Action::Proceed
    })?;
    expect(ending, Ending::Exited(Exit::Status(0)))?;
    let classes: Vec<_> = calls.iter().map(|(class, _)| *class).collect();
    let expected = [Class::Name, Class::Name, Class::Write, Class::Name, Class::Sync, Class::Remove];
    expect(classes.as_slice(), expected.as_slice()).map_err(|_| Failed::from(format!("{calls:?}")))?;
    expect(calls[2].1.as_str(), "write(d/f, 4)")?;
    expect(calls[3].1.contains("d/f, g"), true)
}

fn not_shown() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let mut shown = Vec::new();
    let work = || {
        fs::write(dir.path().join("before"), "").unwrap();
        trace::begin();
        assert!(Command::new("touch").arg(dir.path().join("by another")).status().unwrap().success());
        trace::end();
        fs::write(dir.path().join("after"), "").unwrap();
        0
    };
    let mut decide = |call: &Call| {
        shown.push(call.describe());
        Action::Proceed
    };
    let ending = trace::trace(work, &mut decide)?;
    expect(ending, Ending::Exited(Exit::Status(0)))?;
    expect(fs::read_dir(dir.path())?.count(), 3)?;
    expect(shown.iter().filter(|call| call.contains(dir.path().to_str().unwrap_or_default())).count(), 0)
}

fn refused() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let work = || {
        let refused = fs::create_dir(dir.path().join("d")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
        fs::create_dir(dir.path().join("e")).unwrap();
    };
    let mut first = true;
    let ending =
        trace(work, |_| if std::mem::take(&mut first) { Action::Refuse(libc::ENOSPC) } else { Action::Proceed })?;
    expect(ending, Ending::Exited(Exit::Status(0)))?;
    expect((dir.path().join("d").exists(), dir.path().join("e").exists()), (false, true))
}

fn torn() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("f");
    let work = || {
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"12345678").unwrap();
        file.write_all_at(b"never", 100).unwrap();
    };
    let ending = trace(work, |call| if call.can_be_torn() { Action::Tear } else { Action::Proceed })?;
    expect(ending, Ending::Killed)?;
    expect(fs::read_to_string(&path)?.as_str(), "1234")
}

fn killed() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let ending = trace(|| fs::create_dir(dir.path().join("d")).unwrap(), |_| Action::Kill)?;
    expect(ending, Ending::Killed)?;
    expect(dir.path().join("d").exists(), false)
}

#[allow(clippy::zombie_processes, reason = "whether it outlives its parent is what is looked at")]
fn no_survivors() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let note = dir.path().join("pid");
    let work = || {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        trace::end();
        fs::write(&note, child.id().to_string()).unwrap();
        trace::begin();
        fs::create_dir(dir.path().join("d")).unwrap();
    };
    let here = note.to_str().unwrap_or_default().replace("pid", "d");
    let kill = |call: &Call| if call.describe().contains(&here) { Action::Kill } else { Action::Proceed };
    expect(trace(work, kill)?, Ending::Killed)?;
    // Whoever is its parent now may not have waited for it yet (proc_pid_stat(5): `Z`).
    let stat = fs::read_to_string(format!("/proc/{}/stat", fs::read_to_string(&note)?)).unwrap_or_default();
    expect(stat.is_empty() || stat.contains(") Z "), true)
}
