//! `RUN --mount`: what a command sees beside the layer it changes.

mod agent;
mod flag;

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use harness_image::PrepareOptions;
use harness_runtime::config::{Bind, Tmpfs};
use rustix::fs::{FlockOperation, flock};
use storage_driver::{LayerId, MountMode, MountedLayer};
use storage_layer::{Digest, copy, copy::CopyOptions};

use self::{
    agent::Agent,
    flag::{Kind, MountFlag, Sharing},
};
use super::{Build, Secret, config::State, copy::keep, files::Files, step::Step};
use crate::{
    Error, Ignore, Result, builtin,
    cache_key::KeyMaker,
    context::{Found, Jail, clean, walk},
};

/// The mounts of one RUN, as written.
pub struct Mounts(Vec<(MountFlag, Option<Files>)>);

/// The same while the command runs; everything goes with [`finish`](Laid::finish).
#[derive(Default)]
pub struct Laid {
    pub binds: Vec<Bind>,
    pub tmpfs: Vec<Tmpfs>,
    pub env: Vec<String>,
    layers: Vec<(LayerId, MountedLayer, bool)>,
    files: Vec<tempfile::TempDir>,
    locks: Vec<File>,
    agents: Vec<Agent>,
}

impl Mounts {
    pub fn read(build: &Build<'_>, stage: usize, state: &State, step: Step<'_>) -> Result<Self> {
        let mut mounts = Vec::new();
        for flag in step.instruction.flags.iter().filter(|flag| flag.name == "mount") {
            let mount = MountFlag::read(step, flag, state)?;
            let from = mount.from.as_deref().map(|name| build.files_of(stage, step, name, mount.span)).transpose()?;
            mounts.push((mount, from));
        }
        Ok(Self(mounts))
    }

    /// Caches and secrets are no part of what a command makes; files that are bound are.
    pub fn add_to(&self, build: &Build<'_>, step: Step<'_>, key: &mut KeyMaker) -> Result<()> {
        for (mount, from) in &self.0 {
            key.add(mount.text.as_bytes());
            if !matches!(mount.kind, Kind::Bind { .. }) {
                continue;
            }
            match from {
                // Of a part of a tree the content counts, whatever else the stage made.
                Some(Files::State(state)) if !clean(Path::new(&mount.source)).as_os_str().is_empty() => {
                    build.look_into(state, |files| add_selected(files, &Ignore::default(), true, step, mount, key))?;
                }
                Some(Files::State(state)) => {
                    key.add(state.chain.map_or_else(String::new, |chain| chain.to_string()).as_bytes());
                }
                Some(Files::Tree(tree)) => add_selected(&tree.files, &tree.ignore, false, step, mount, key)?,
                None => add_selected(&build.context, &build.ignore, false, step, mount, key)?,
            }
        }
        Ok(())
    }

    /// Brings everything to where it can be bound from.
    pub fn lay(&self, build: &Build<'_>, step: Step<'_>) -> Result<Laid> {
        let mut laid = Laid::default();
        for (mount, from) in &self.0 {
            if let Err(error) = laid.add(build, step, mount, from.as_ref()) {
                laid.finish(build)?;
                return Err(error);
            }
        }
        Ok(laid)
    }
}

impl Laid {
    fn add(&mut self, build: &Build<'_>, step: Step<'_>, mount: &MountFlag, from: Option<&Files>) -> Result<()> {
        match &mount.kind {
            Kind::Tmpfs { size } => {
                let options = size.iter().map(|size| format!("size={size}")).collect();
                self.tmpfs.push(Tmpfs { target: mount.target.clone(), options });
            }
            Kind::Bind { writable } => {
                let root = self.source(build, from, *writable)?;
                let source = below(step, mount, &root)?;
                self.bind(mount, source, !writable);
            }
            Kind::Cache { sharing, read_only, mode, uid, gid, id } => {
                let dir = self.cache(build, id, *sharing)?;
                if !dir.exists() {
                    let failed = |error| step.wrong(mount.span, format!("cannot make the cache: {error}"));
                    let new = self.new_cache(build, step, mount, from, &dir)?;
                    fs::set_permissions(new.path(), Permissions::from_mode(*mode)).map_err(failed)?;
                    chown(new.path(), Some(*uid), Some(*gid)).map_err(failed)?;
                    // Another step may have made it meanwhile; it is shared then.
                    match fs::rename(new.path(), &dir) {
                        Ok(()) => _ = new.keep(),
                        Err(error) if !dir.exists() => return Err(failed(error)),
                        Err(_) => {}
                    }
                }
                self.bind(mount, dir, *read_only);
            }
            Kind::Secret { id, required, mode, uid, gid, env } => match build.request.secrets.get(id) {
                Some(secret) => self.secret(step, mount, secret, (*mode, *uid, *gid), env.as_deref())?,
                None if *required => {
                    return Err(
                        step.wrong(mount.span, format!("no secret {id:?} was given; add --secret id={id},src=FILE"))
                    );
                }
                None => {}
            },
            Kind::Ssh { id, required, mode, uid, gid } => match build.request.ssh.get(id) {
                Some(socket) => {
                    let agent = Agent::start(socket, (*mode, *uid, *gid));
                    let agent = agent.map_err(Error::io("pass on the agent", socket))?;
                    self.bind(mount, agent.path(), false);
                    self.agents.push(agent);
                    self.env.push(format!("SSH_AUTH_SOCK={}", mount.target.display()));
                }
                None if *required => {
                    return Err(step.wrong(mount.span, format!("no agent {id:?} was given; add --ssh {id}")));
                }
                None => {}
            },
        }
        Ok(())
    }

    fn bind(&mut self, mount: &MountFlag, source: PathBuf, read_only: bool) {
        self.binds.push(Bind { read_only, ..Bind::new(source, mount.target.clone()) });
    }

    /// The tree that is bound. What is written to it never reaches the build context, a stage or an image.
    fn source(&mut self, build: &Build<'_>, from: Option<&Files>, writable: bool) -> Result<PathBuf> {
        let (files, ignore) = match from {
            None => (&build.context, &build.ignore),
            Some(Files::Tree(tree)) => (&tree.files, &tree.ignore),
            Some(Files::State(state)) => return self.source_of_state(build, state, writable),
        };
        if !writable && ignore.is_empty() {
            return Ok(files.root().to_owned());
        }
        let root = self.scratch(build, None)?;
        let all = Path::new("").to_owned();
        let filter = keep(ignore, &all);
        copy::tree(files.root(), &root, &CopyOptions { filter: Some(&filter), ..CopyOptions::default() })?;
        Ok(root)
    }

    fn source_of_state(&mut self, build: &Build<'_>, state: &State, writable: bool) -> Result<PathBuf> {
        let top = build.lay_out(state)?;
        match top {
            Some(layer) if !writable => {
                let mounted = build.layers.driver().mount(&layer, MountMode::ReadOnly)?;
                let path = mounted.path().to_owned();
                self.layers.push((layer, mounted, false));
                Ok(path)
            }
            top => self.scratch(build, top.as_ref()),
        }
    }

    /// A layer that goes after the command.
    fn scratch(&mut self, build: &Build<'_>, parent: Option<&LayerId>) -> Result<PathBuf> {
        let id = build.layers.prepare(parent, &PrepareOptions::default())?;
        match build.layers.driver().mount(&id, MountMode::ReadWrite) {
            Ok(mounted) => {
                let path = mounted.path().to_owned();
                self.layers.push((id, mounted, true));
                Ok(path)
            }
            Err(error) => {
                build.layers.discard(&id)?;
                Err(error.into())
            }
        }
    }

    /// The directory of a cache, locked as it is shared.
    fn cache(&mut self, build: &Build<'_>, id: &str, sharing: Sharing) -> Result<PathBuf> {
        let caches = build.layers.store().root().join("cache-mounts");
        fs::create_dir_all(&caches).map_err(Error::io("create", &caches))?;
        let namespace = build.request.build_args.get(builtin::CACHE_NAMESPACE).filter(|name| !name.is_empty());
        let id = namespace.map_or_else(|| id.to_owned(), |namespace| format!("{namespace}/{id}"));
        let name = Digest::of(id.as_bytes()).hex();
        for number in 0.. {
            let name = if number == 0 { name.clone() } else { format!("{name}-{number}") };
            let path = caches.join(format!("{name}.lock"));
            let lock = File::create(&path).map_err(Error::io("create", &path))?;
            let how = match sharing {
                Sharing::Shared => FlockOperation::LockShared,
                Sharing::Locked => FlockOperation::LockExclusive,
                // Another build that has it gets to keep it to itself.
                Sharing::Private => FlockOperation::NonBlockingLockExclusive,
            };
            match flock(&lock, how) {
                Ok(()) => {
                    self.locks.push(lock);
                    return Ok(caches.join(name));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(Error::io("lock", path)(error)),
            }
        }
        unreachable!("there are more numbers than builds")
    }

    /// A directory with what the cache begins with, beside the place where it belongs.
    fn new_cache(
        &mut self,
        build: &Build<'_>,
        step: Step<'_>,
        mount: &MountFlag,
        from: Option<&Files>,
        dir: &Path,
    ) -> Result<tempfile::TempDir> {
        let beside = dir.parent().unwrap_or(dir);
        let new = tempfile::tempdir_in(beside).map_err(Error::io("create a directory in", beside))?;
        if from.is_some() {
            let root = self.source(build, from, false)?;
            let source = below(step, mount, &root)?;
            copy::tree(&source, new.path(), &CopyOptions::default())?;
        }
        Ok(new)
    }

    fn secret(
        &mut self,
        step: Step<'_>,
        mount: &MountFlag,
        secret: &Secret,
        (mode, uid, gid): (u32, u32, u32),
        env: Option<&str>,
    ) -> Result<()> {
        let content = secret.read()?;
        if let Some(name) = env {
            let text = String::from_utf8(content.clone())
                .map_err(|_| step.wrong(mount.span, "a secret that is no text cannot go into the environment"))?;
            self.env.push(format!("{name}={text}"));
        }
        if mount.is_environment() {
            return Ok(());
        }
        // In memory where that is possible, and for us alone.
        let memory = Path::new("/dev/shm");
        let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
        let dir = dir.map_err(Error::io("create a directory in", memory))?;
        let file = dir.path().join("secret");
        fs::write(&file, content).map_err(Error::io("write", &file))?;
        fs::set_permissions(&file, Permissions::from_mode(mode)).map_err(Error::io("set the mode of", &file))?;
        chown(&file, Some(uid), Some(gid)).map_err(Error::io("set the owner of", &file))?;
        self.files.push(dir);
        self.bind(mount, file, true);
        Ok(())
    }

    /// Undoes all of it.
    pub fn finish(mut self, build: &Build<'_>) -> Result<()> {
        let mut outcome = Ok(());
        for (id, mounted, ours) in self.layers.drain(..).rev() {
            let closed = mounted.close().map_err(Error::from);
            let removed = if ours { build.layers.discard(&id).map_err(Error::from) } else { Ok(()) };
            outcome = outcome.and(closed).and(removed);
        }
        outcome
    }
}

/// What a mount selects of a tree, with owners where those are kept.
fn add_selected(
    tree: &Jail,
    ignore: &Ignore,
    owners: bool,
    step: Step<'_>,
    mount: &MountFlag,
    key: &mut KeyMaker,
) -> Result<()> {
    let name = clean(Path::new(&mount.source));
    let path = tree.resolve(&name).map_err(|error| no_source(step, mount, &error))?;
    let found = Found { is_dir: path.is_dir(), kept: name.clone(), name, path };
    key.add(&[u8::from(found.is_dir)]);
    let add = &mut |name: &Path, path: &Path| {
        if owners {
            key.add_owner(path)?;
        }
        key.add_file(name, path)
    };
    walk(&found, ignore, add).map_err(|error| step.wrong(mount.span, format!("cannot read it: {error}")))
}

fn no_source(step: Step<'_>, mount: &MountFlag, error: &std::io::Error) -> Error {
    step.wrong(mount.span, format!("cannot mount {:?}: {error}", mount.source))
}

/// `source` below a tree, wherever links in it point.
fn below(step: Step<'_>, mount: &MountFlag, root: &Path) -> Result<PathBuf> {
    let jail = Jail::open(root).map_err(Error::io("open", root))?;
    jail.resolve(&clean(Path::new(&mount.source))).map_err(|error| no_source(step, mount, &error))
}
