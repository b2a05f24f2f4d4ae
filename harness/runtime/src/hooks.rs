//! Hooks: programs that a specification has run at points of a container's life ("POSIX-platform Hooks" in config.md of
//! the OCI runtime specification).

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use oci_spec::runtime::{Hook as OciHook, Spec};
use rustix::fs::MemfdFlags;

use crate::{
    Error, Result,
    plan::{Hook, Hooks as Inside},
    translate::{absolute, c_string},
    wire::Blob,
};

/// How often a hook with a timeout is looked at.
const PAUSE: Duration = Duration::from_millis(2);
/// How much of what a failed hook says is told.
const TOLD: u64 = 2048;

/// A container's hooks, and what they are told about it.
#[derive(Debug)]
pub(crate) struct Hooks {
    version: String,
    id: String,
    bundle: PathBuf,
    annotations: serde_json::Value,
    /// `prestart` and `createRuntime`, in this order.
    create_runtime: Vec<Hook>,
    create_container: Vec<Hook>,
    start_container: Vec<Hook>,
    poststart: Vec<Hook>,
    poststop: Vec<Hook>,
}

impl Hooks {
    /// Those of `spec`, `None` if it has none.
    pub(crate) fn of(id: &str, spec: &Spec) -> Result<Option<Self>> {
        let Some(hooks) = spec.hooks() else { return Ok(None) };
        let prestart = hooks.prestart();
        let mut create_runtime = translate("hooks.prestart", prestart)?;
        create_runtime.extend(translate("hooks.createRuntime", hooks.create_runtime())?);
        let root = spec.root().as_ref().map(|root| root.path().clone()).unwrap_or_default();
        let found = Self {
            version: spec.version().clone(),
            id: id.to_owned(),
            bundle: root.parent().map_or_else(|| root.clone(), Into::into),
            annotations: serde_json::to_value(spec.annotations()).unwrap_or_default(),
            create_runtime,
            create_container: translate("hooks.createContainer", hooks.create_container())?,
            start_container: translate("hooks.startContainer", hooks.start_container())?,
            poststart: translate("hooks.poststart", hooks.poststart())?,
            poststop: translate("hooks.poststop", hooks.poststop())?,
        };
        let lists = [&found.create_runtime, &found.create_container, &found.start_container];
        let more = [&found.poststart, &found.poststop];
        let any = lists.into_iter().chain(more).any(|list| !list.is_empty());
        Ok(any.then_some(found))
    }

    /// The part for the container's init, whose id on the host is `pid`.
    pub(crate) fn inside(&self, pid: u32) -> Inside {
        Inside {
            asks: !self.create_runtime.is_empty(),
            creating: Blob(self.state("creating", pid).into_bytes()),
            created: Blob(self.state("created", pid).into_bytes()),
            create_container: self.create_container.clone(),
            start_container: self.start_container.clone(),
        }
    }

    /// Runs those for the time before the container's root is changed into.
    pub(crate) fn create_runtime(&self, pid: u32) -> Result<()> {
        run_all(&self.create_runtime, self.state("creating", pid).as_bytes())
            .map_err(|step| failed("createRuntime", step))
    }

    /// Runs those for the time after the program was started.
    pub(crate) fn poststart(&self, pid: u32) -> Result<()> {
        run_all(&self.poststart, self.state("running", pid).as_bytes()).map_err(|step| failed("poststart", step))
    }

    /// Runs those for the time after the container is gone. What fails is told and does not matter.
    pub(crate) fn poststop(&self) {
        for hook in &self.poststop {
            if let Err(error) = run(hook, self.state("stopped", 0).as_bytes()) {
                tracing::warn!(id = self.id, error, "a poststop hook failed");
            }
        }
    }

    fn state(&self, status: &str, pid: u32) -> String {
        let mut state = serde_json::json!({
            "ociVersion": self.version,
            "id": self.id,
            "status": status,
            "bundle": self.bundle,
        });
        if pid != 0 {
            state["pid"] = pid.into();
        }
        if !self.annotations.is_null() {
            state["annotations"] = self.annotations.clone();
        }
        state.to_string()
    }
}

fn failed(kind: &str, step: String) -> Error {
    Error::Setup { step: format!("run a {kind} hook: {step}"), source: None }
}

fn translate(what: &str, hooks: &Option<Vec<OciHook>>) -> Result<Vec<Hook>> {
    let strings = |strings: &Option<Vec<String>>| -> Result<Vec<CString>> {
        strings.iter().flatten().map(|string| c_string(what, string.as_bytes())).collect()
    };
    let hook = |hook: &OciHook| {
        let timeout = match hook.timeout() {
            None => None,
            Some(timeout) => Some(
                u64::try_from(timeout)
                    .ok()
                    .filter(|&seconds| seconds > 0)
                    .ok_or_else(|| Error::invalid(format!("{what}.timeout {timeout}"), "it has to be above zero"))?,
            ),
        };
        let path = absolute(&format!("{what}.path"), hook.path())?;
        Ok(Hook { path, args: strings(hook.args())?, env: strings(hook.env())?, timeout })
    };
    hooks.iter().flatten().map(hook).collect()
}

/// Runs `hooks` in order, up to the first that fails.
pub(crate) fn run_all(hooks: &[Hook], state: &[u8]) -> Result<(), String> {
    hooks.iter().try_for_each(|hook| run(hook, state))
}

fn run(hook: &Hook, state: &[u8]) -> Result<(), String> {
    let path = OsStr::from_bytes(hook.path.as_bytes());
    let (status, said) = execute(hook, path, state).map_err(|error| format!("{}: {error}", path.display()))?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{}: {status}{said}", path.display())),
        None => Err(format!("{}: it took longer than its timeout{said}", path.display())),
    }
}

fn execute(hook: &Hook, path: &OsStr, state: &[u8]) -> io::Result<(Option<ExitStatus>, String)> {
    let text = |text: &CString| OsStr::from_bytes(text.as_bytes()).to_owned();
    // A file, so that it takes nobody to read what the hook says while it runs.
    let mut said = File::from(rustix::fs::memfd_create(c"hook", MemfdFlags::CLOEXEC)?);
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said.try_clone()?);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(text(name)).args(rest.iter().map(text));
    }
    for variable in &hook.env {
        let bytes = variable.as_bytes();
        let at = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
        command.env(OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(bytes.get(at + 1..).unwrap_or_default()));
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // It need not read it.
        let _ = input.write_all(state);
    }
    let status = match hook.timeout {
        None => Some(child.wait()?),
        Some(seconds) => {
            let deadline = Instant::now() + Duration::from_secs(seconds);
            loop {
                if let Some(status) = child.try_wait()? {
                    break Some(status);
                }
                if Instant::now() > deadline {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
                thread::sleep(PAUSE);
            }
        }
    };
    said.rewind()?;
    let mut told = Vec::new();
    said.take(TOLD).read_to_end(&mut told)?;
    let told = String::from_utf8_lossy(&told);
    let told = told.trim();
    Ok((status, if told.is_empty() { String::new() } else { format!(": {}", told.replace('\n', "; ")) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<u64>) -> Hook {
        let args = [c"sh", c"-c"].map(Into::into).into_iter().chain([CString::new(script).unwrap()]).collect();
        Hook { path: c"/bin/sh".into(), args, env: vec![c"A=b=c".into()], timeout }
    }

    #[test]
    fn hooks_get_the_state_and_their_environment() {
        run(&shell("test \"$(cat)\" = state && test \"$A\" = b=c && test -z \"$HOME\"", None), b"state").unwrap();
        run(&shell("exit 0", Some(10)), &[b'x'; 1 << 20]).unwrap();
    }

    #[test]
    fn what_fails_is_told() {
        let told = run(&shell("echo why >&2; exit 3", None), b"").unwrap_err();
        assert!(told.contains("/bin/sh") && told.contains('3') && told.contains(": why"), "{told}");
        let told = run(&shell("sleep 100", Some(1)), b"").unwrap_err();
        assert!(told.contains("timeout"), "{told}");
        let missing = Hook { path: c"/no/such/hook".into(), ..Hook::default() };
        assert!(run(&missing, b"").unwrap_err().contains("/no/such/hook"));
    }
}
