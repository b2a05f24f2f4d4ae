//! Debian's docker-registry, for a test's own.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::place::Place;

/// Debian's docker-registry on a port that the kernel chose.
pub struct Registry {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl Registry {
    /// For anybody.
    pub fn start(place: &Place) -> Self {
        Self::with(place, "")
    }

    /// For the user `me` with the password `secret`.
    pub fn with_password(place: &Place) -> Self {
        // It takes bcrypt alone, here at the least cost.
        let line =
            Command::new("htpasswd").args(["-nbBC", "4", "me", "secret"]).output().expect("install apache2-utils");
        let file = place.dir.path().join("htpasswd");
        fs::write(&file, line.stdout).unwrap();
        Self::with(place, &format!("auth: {{htpasswd: {{realm: here, path: {}}}}}\n", file.display()))
    }

    /// With these lines of its configuration, the first of them below `http`.
    pub fn with(place: &Place, more: &str) -> Self {
        let dir = place.dir.path();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http:\n  addr: 127.0.0.1:0\n{more}",
            dir.join("registry").display()
        );
        fs::write(dir.join("registry.yml"), config).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.join("registry.yml"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run docker-registry: {error}; install docker-registry"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listening = lines.find_map(|line| {
            let (_, after) = line.split_once("listening on ")?;
            Some(after.split([',', '"', ' ']).next()?.to_owned())
        });
        // Its log must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: listening.expect("docker-registry did not start") }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
