use std::{
    ffi::{OsStr, OsString},
    fmt,
    io::Write,
    path::PathBuf,
};

use crate::{machine::DATA, quote};

/// A command for the guest.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// The program and its arguments; a path of this machine.
    pub command: Vec<OsString>,
    /// Where it runs.
    pub dir: PathBuf,
    /// Variables of its environment, besides a plain one with `PATH`, `HOME` and `TMPDIR` (on the guest's disk).
    pub environment: Vec<(OsString, OsString)>,
    /// Directories whose changes are this machine's; everything else that the guest writes is gone with it.
    pub shares: Vec<PathBuf>,
}

/// Where the command's words go.
pub struct Output<'a> {
    /// Its standard output.
    pub out: Box<dyn Write + Send + 'a>,
    /// Its standard error.
    pub err: Box<dyn Write + Send + 'a>,
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl Job {
    /// What the guest's script reads: variables, and the command as a function.
    pub(crate) fn script(&self, modules: &OsStr) -> Vec<u8> {
        let mut script = Vec::new();
        let mut line = |parts: &[&[u8]]| {
            script.extend_from_slice(&parts.concat());
            script.push(b'\n');
        };
        line(&[b"data=", &quote::shell(OsStr::new(DATA))]);
        line(&[b"modules=", &quote::shell(modules)]);
        line(&[b"share_all() {"]);
        for (index, share) in self.shares.iter().enumerate() {
            line(&[b"share ", share_tag(index).as_bytes(), b" ", &quote::shell(share.as_os_str())]);
        }
        line(&[b":\n}"]);
        line(&[b"directory=", &quote::shell(self.dir.as_os_str())]);
        line(&[b"command() {"]);
        let mut words = vec![b"exec env".to_vec()];
        for (name, value) in &self.environment {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            words.push(quote::shell(&pair));
        }
        words.extend(self.command.iter().map(|word| quote::shell(word)));
        line(&[&words.join(&b' ')]);
        line(&[b"}"]);
        script
    }
}

/// The 9p mount tag of a share.
pub fn share_tag(index: usize) -> String {
    format!("share{index}")
}

#[cfg(test)]
mod tests {
    use std::{os::unix::ffi::OsStrExt, process::Command};

    use super::*;

    #[test]
    fn the_command_survives_the_shell() {
        let job = Job {
            command: ["printf", "<%s>", "two words", "it's", "$HOME", "a\nb"].map(OsString::from).to_vec(),
            dir: "/".into(),
            environment: vec![("A".into(), "b c".into())],
            shares: vec!["/some where".into()],
        };
        let mut script = job.script(OsStr::new("/lib/modules/6.1"));
        script.extend_from_slice(b"share() { echo \"$1 at $2\"; }\nshare_all\ncommand\n");
        let output = Command::new("busybox").args(["sh", "-c"]).arg(OsStr::from_bytes(&script)).output();
        let output = output.expect("install busybox-static");
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "share0 at /some where\n<two words><it's><$HOME><a\nb>",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
