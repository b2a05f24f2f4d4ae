//! Finding and executing the container's program.

use std::{
    convert::Infallible,
    ffi::{CStr, CString, OsStr},
    io,
    os::{
        fd::BorrowedFd,
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, io::Errno};

use super::{
    Role, beneath,
    failure::{Failed, OrFail},
    identity, reaper,
};
use crate::{
    channel, exec,
    plan::{Plan, Process},
};

/// Executes the program; returns only with the status of a reaper's child or of a role.
pub(super) fn run(plan: &Plan, control: BorrowedFd<'_>, roles: &[Role]) -> Result<i32, Failed> {
    let process = &plan.process;
    let may_not_enter = enter_cwd(process)?;
    if let Some(hooks) = &plan.hooks {
        crate::hooks::run_all(&hooks.start_container, &hooks.created.0)
            .map_err(|step| Failed::because(format!("run a startContainer hook: {step}")))?;
    }
    identity::limit(&plan.rlimits)?;
    exec::close_on_exec_from(3).or_fail(|| "close descriptors".into())?;
    identity::assume(process)?;
    if may_not_enter {
        rustix::process::chdir(process.cwd.as_c_str()).or_fail(|| cwd_text(&process.cwd))?;
    }
    refuse_cwd_outside(process)?;
    rustix::process::umask(Mode::from_raw_mode(process.umask));
    if plan.die_with_parent {
        // After the change of ids, which would reset it (PR_SET_PDEATHSIG(2const)).
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .or_fail(|| "tie the container to its parent".into())?;
    }
    if process.role {
        return play(process, control, roles);
    }
    let path = find(process)?;
    // Fails if the parent has gone before its death could be noticed.
    channel::send_ready(control).or_fail(|| "report to the parent".into())?;
    if process.reaper {
        return reaper::run(control, || execute(&path, process));
    }
    match execute(&path, process)? {}
}

/// Is one of this program's own roles in the container: its code is in memory already, the image need not have it.
fn play(process: &Process, control: BorrowedFd<'_>, roles: &[Role]) -> Result<i32, Failed> {
    let name = process.args.first().map(CString::as_bytes);
    let Some(role) = roles.iter().find(|role| name == Some(role.name.as_bytes())) else {
        let what = format!("this program has no role {:?}", process.args.first());
        return Err(Failed { status: 127, what, source: None });
    };
    identity::drop_as_executing_does(process)?;
    channel::send_ready(control).or_fail(|| "report to the parent".into())?;
    // The end of the control socket says that the program runs.
    exec::close_from(3).or_fail(|| "close descriptors".into())?;
    Ok((role.run)(&process.args))
}

fn cwd_text(cwd: &CStr) -> String {
    format!("change to the working directory {}", cwd.to_string_lossy())
}

/// Enters the working directory, which is made if it is missing. Says whether only the container's user may enter it.
fn enter_cwd(process: &Process) -> Result<bool, Failed> {
    let path = beneath::path(&process.cwd);
    let what = || cwd_text(&process.cwd);
    match rustix::process::chdir(process.cwd.as_c_str()) {
        Err(Errno::NOENT) => {
            std::fs::DirBuilder::new().recursive(true).create(path).or_fail(what)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).or_fail(what)?;
            rustix::process::chdir(process.cwd.as_c_str()).or_fail(what)?;
            Ok(false)
        }
        Err(Errno::ACCESS) => Ok(true),
        other => other.or_fail(what).map(|()| false),
    }
}

/// Refuses a working directory that is not in the container: a link into `/proc/self/fd` may lead to a directory of the
/// host for which a descriptor was left open.
fn refuse_cwd_outside(process: &Process) -> Result<(), Failed> {
    let cwd = rustix::process::getcwd(Vec::new()).or_fail(|| cwd_text(&process.cwd))?;
    // getcwd(2): the kernel prefixes "(unreachable)" to a directory outside the root.
    if cwd.as_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(Failed::because(format!("the working directory {} is not in the container", process.cwd.to_string_lossy())))
}

fn execute(path: &CStr, process: &Process) -> Result<Infallible, Failed> {
    let error = match nix::unistd::execve(path, &process.args, &process.env) {
        Err(error) => error,
        Ok(never) => match never {},
    };
    let status = if error == nix::errno::Errno::ENOENT { 127 } else { 126 };
    let what = match error {
        // The file is there, as it was found: what is missing is what it needs to be run.
        nix::errno::Errno::ENOENT => {
            format!("exec {}: its interpreter or loader is missing in the image", path.to_string_lossy())
        }
        _ => format!("exec {}", path.to_string_lossy()),
    };
    Err(Failed { status, what, source: Some(error.into()) })
}

/// The program's path: looked up in the container's `PATH` if its name has no slash.
fn find(process: &Process) -> Result<CString, Failed> {
    let name = process.args.first().ok_or_else(|| Failed::because("no program to execute"))?;
    if name.to_bytes().contains(&b'/') {
        return match executable(beneath::path(name)) {
            Ok(()) => Ok(name.clone()),
            Err(error) => Err(not_executable(name, &error)),
        };
    }
    let path = process.env.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
    let mut denied = None;
    for directory in path.unwrap_or_default().split(|&b| b == b':') {
        // An empty element is the working directory (execvp(3)).
        let directory = if directory.is_empty() { b".".as_slice() } else { directory };
        let candidate: PathBuf = Path::new(OsStr::from_bytes(directory)).join(beneath::path(name));
        match executable(&candidate) {
            Ok(()) => return c_string(&candidate),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
            Err(_) => {}
        }
    }
    match denied {
        Some(error) => Err(not_executable(name, &error)),
        None => {
            let what = format!("exec: {:?}: executable file not found in $PATH", name.to_string_lossy());
            Err(Failed { status: 127, what, source: None })
        }
    }
}

fn c_string(path: &Path) -> Result<CString, Failed> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Failed::because("the program's path holds a NUL byte"))
}

/// Whether the file can be executed by this process.
fn executable(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    rustix::fs::accessat(rustix::fs::CWD, path, rustix::fs::Access::EXEC_OK, rustix::fs::AtFlags::EACCESS)?;
    Ok(())
}

fn not_executable(name: &CStr, error: &io::Error) -> Failed {
    let shown = name.to_string_lossy();
    let (status, what) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (127, format!("exec: {shown:?}: stat {shown}: no such file or directory"))
        }
        io::ErrorKind::IsADirectory => (126, format!("exec: {shown:?}: is a directory")),
        io::ErrorKind::PermissionDenied => (126, format!("exec: {shown:?}: permission denied")),
        _ => (126, format!("exec: {shown:?}: {error}")),
    };
    Failed { status, what, source: None }
}
