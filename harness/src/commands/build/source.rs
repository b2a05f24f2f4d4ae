//! Where a build's context and Dockerfile come from: directories and files, standard input, addresses.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Context;
use harness_builder::{Access, NamedContext, NamedContexts, ReceivedContext, Secret};
use harness_image::{Digest, Store};

use super::{BuildArgs, failed, words};
use crate::{
    engine::Session,
    failure::{Failure, Result},
    place::Place,
    signals,
};

/// Standard input, in the place of a path.
const STDIN: &str = "-";

/// What a build is made of.
pub struct Sources {
    pub context: PathBuf,
    pub dockerfile: PathBuf,
    /// Of the Dockerfile, where that is no file.
    pub text: Option<Vec<u8>>,
    /// What came, for as long as it is needed.
    _received: Option<ReceivedContext>,
}

/// How contexts come to this machine.
pub struct Fetching<'a> {
    place: &'a Place,
    agent: Option<PathBuf>,
    keep_git_dir: bool,
    secrets: BTreeMap<String, Secret>,
    cancel: OnceCell<Arc<AtomicBool>>,
}

impl<'a> Fetching<'a> {
    pub fn new(args: &BuildArgs, place: &'a Place) -> Result<Self> {
        let agents = args.ssh.iter().map(|agent| words::agent(agent)).collect::<Result<Vec<_>>>()?;
        let given = agents.into_iter().find(|(id, _)| id == "default").map(|(_, socket)| socket);
        // Whoever names a repository means to go there as oneself.
        let agent = given.or_else(|| std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from));
        let arguments = args.build_arg.iter().filter_map(|pair| words::argument(pair)).collect();
        let keep_git_dir = harness_builder::keeps_git_dir(&arguments).map_err(failed)?;
        let secrets = args.secret.iter().map(|secret| words::secret(secret)).collect::<Result<_>>()?;
        Ok(Self { place, agent, keep_git_dir, secrets, cancel: OnceCell::new() })
    }

    /// The wish to stop, from the first time that this is asked for: whoever waits for standard input is stopped by the
    /// signals themselves.
    pub fn cancel(&self) -> Result<Arc<AtomicBool>> {
        if self.cancel.get().is_none() {
            let _ = self.cancel.set(signals::stop_flag()?);
        }
        Ok(self.cancel.get().cloned().unwrap_or_default())
    }

    fn store(&self) -> Result<Arc<Store>> {
        Ok(Store::open(&self.place.images())?)
    }

    fn stream(&self) -> Result<ReceivedContext> {
        ReceivedContext::from_stream(self.store()?.root(), &mut std::io::stdin()).map_err(failed)
    }

    fn address(&self, address: &str) -> Result<ReceivedContext> {
        let cancel = self.cancel()?;
        let access = Access {
            agent: self.agent.as_deref(),
            cancel: &cancel,
            keep_git_dir: self.keep_git_dir,
            secrets: &self.secrets,
        };
        ReceivedContext::from_address(self.store()?.root(), address, &access).map_err(failed)
    }
}

/// What the arguments name.
pub fn sources(args: &BuildArgs, fetching: &Fetching<'_>) -> Result<Sources> {
    let is_stdin = |path: &Path| path == Path::new(STDIN);
    let file_on_stdin = args.file.as_deref().is_some_and(is_stdin);
    let received = match address(&args.context) {
        _ if is_stdin(&args.context) && file_on_stdin => {
            return Err(Failure::usage("standard input is either the context or the Dockerfile, not both"));
        }
        _ if is_stdin(&args.context) => Some(fetching.stream()?),
        Some(address) => Some(fetching.address(address)?),
        None => None,
    };
    let context = received.as_ref().map_or(args.context.as_path(), ReceivedContext::path).to_owned();
    let default = context.join("Dockerfile");
    let text = match args.file.as_deref() {
        Some(file) if is_stdin(file) => {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).context("cannot read the Dockerfile on standard input")?;
            Some(text)
        }
        Some(file) if let Some(address) = address(file) => {
            let came = fetching.address(address)?;
            let text = came.dockerfile().ok_or_else(|| Failure::usage(format!("{address} is no Dockerfile")))?;
            Some(text.to_owned())
        }
        _ => received.as_ref().and_then(ReceivedContext::dockerfile).map(<[u8]>::to_owned),
    };
    let dockerfile = match (&received, args.file.as_deref()) {
        _ if text.is_some() => default,
        // What came is not to be trusted: a link must not lead to a file of this machine.
        (Some(received), file) => {
            let name = file.unwrap_or(Path::new("Dockerfile"));
            let missing = || Failure::failed(format!("{} has no file {}", shown(&args.context), name.display()));
            received.file(name).ok_or_else(missing)?
        }
        (None, file) => file.map_or(default, Path::to_owned),
    };
    if text.is_none() {
        std::fs::metadata(&dockerfile).with_context(|| format!("cannot read {}", dockerfile.display()))?;
    }
    Ok(Sources { context, dockerfile, text, _received: received })
}

/// A directory or a file of this machine comes before an address that looks like it.
fn address(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| harness_builder::is_address(text) && !path.exists())
}

fn shown(context: &Path) -> &'static str {
    if context == Path::new(STDIN) { "the context on standard input" } else { "the context that was fetched" }
}

/// What `--build-context` gives, for as long as the build takes.
#[derive(Default)]
pub struct Named {
    /// Images of layouts that the store did not have before.
    brought: Vec<Digest>,
    received: Vec<ReceivedContext>,
}

impl Named {
    /// Brings what is not here.
    pub fn bring(&mut self, args: &BuildArgs, session: &Session, fetching: &Fetching<'_>) -> Result<NamedContexts> {
        let mut contexts = NamedContexts::new();
        for (name, context) in &args.build_context {
            let context = match context {
                words::Context::Here(context) => context.clone(),
                words::Context::Address(address) => self.fetch(name, address, fetching)?,
                words::Context::Layout(location) => {
                    let before: Vec<_> = session.store.list()?.iter().map(|image| image.manifest_digest).collect();
                    let image = harness_transfer::copy_in(&session.store, location, &[], &args.registry.options(), &())
                        .map_err(|error| Failure::Failed(error.into()))?;
                    if !before.contains(&image.manifest_digest) {
                        self.brought.push(image.id);
                    }
                    NamedContext::Image(image.id.to_string())
                }
            };
            contexts.insert(name.clone(), context);
        }
        Ok(contexts)
    }

    fn fetch(&mut self, name: &str, address: &str, fetching: &Fetching<'_>) -> Result<NamedContext> {
        let came = fetching.address(address)?;
        if came.dockerfile().is_some() {
            let why = format!("the build context {name:?} is neither an archive nor a repository");
            return Err(Failure::failed(why));
        }
        let path = came.path().to_owned();
        self.received.push(came);
        Ok(NamedContext::Directory(path))
    }

    /// Takes away what was brought.
    pub fn end(self, session: &Session) -> Result<()> {
        self.brought.iter().try_for_each(|image| session.store.remove(&image.to_string(), false).map(drop))?;
        Ok(())
    }
}
