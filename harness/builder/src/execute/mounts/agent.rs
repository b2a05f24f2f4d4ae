//! The socket of an SSH agent as commands see it: one of this build's own, so that whose it is and who may use it is for the
//! Dockerfile to say, and nothing of the user's own socket changes.

use std::{
    fs::{self, Permissions},
    io,
    net::Shutdown,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A socket whose connections are passed on to an agent, until it is dropped.
pub struct Agent {
    dir: tempfile::TempDir,
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Agent {
    /// With a mode and an owner.
    pub fn start(agent: &Path, (mode, uid, gid): (u32, u32, u32)) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("agent");
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        chown(&path, Some(uid), Some(gid))?;
        let (agent, ended) = (agent.to_owned(), Arc::new(AtomicBool::new(false)));
        let until = ended.clone();
        let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || {
            while let Ok((command, _)) = listener.accept() {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                // One that cannot be reached is closed at once, which is what the command then sees.
                if let Err(error) = pass(command, &agent) {
                    tracing::debug!(agent = %agent.display(), %error, "the agent cannot be reached");
                }
            }
        })?;
        Ok(Self { dir, ended, thread: Some(thread) })
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("agent")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Who waits for a connection gets one more.
        if UnixStream::connect(self.path()).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Both ways, each to its end; these threads end with the command, whose side is closed by then.
fn pass(command: UnixStream, agent: &Path) -> io::Result<()> {
    let agent = UnixStream::connect(agent)?;
    let ways = [(command.try_clone()?, agent.try_clone()?), (agent, command)];
    for (mut from, mut to) in ways {
        thread::Builder::new().name("agent".to_owned()).spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::fs::MetadataExt,
    };

    use super::*;

    /// Answers each connection with what came, and how many came before.
    fn echo(path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for (number, connection) in listener.incoming().map_while(Result::ok).enumerate() {
                let (mut connection, mut asked) = (connection, String::new());
                connection.read_to_string(&mut asked).unwrap();
                write!(connection, "{number} {asked}").unwrap();
            }
        });
    }

    fn ask(path: &Path, question: &str) -> String {
        let mut connection = UnixStream::connect(path).unwrap();
        connection.write_all(question.as_bytes()).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn connections_are_passed_on_and_end_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        echo(&real);
        let before = fs::metadata(&real).unwrap().mode();
        let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let agent = Agent::start(&real, (0o640, own.0, own.1)).unwrap();
        let path = agent.path();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!((ask(&path, "a"), ask(&path, "b")), ("0 a".to_owned(), "1 b".to_owned()));
        assert_eq!(fs::metadata(&real).unwrap().mode(), before);
        drop(agent);
        assert!(!path.exists());
    }

    #[test]
    fn an_agent_that_is_gone_is_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let agent = Agent::start(&dir.path().join("none"), (0o600, own.0, own.1)).unwrap();
        assert_eq!(ask(&agent.path(), ""), "");
    }
}
