//! COPY and ADD.

mod mode;
mod place;

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use storage_layer::{
    Digest,
    copy::{CopyOptions, Existing, Keep},
};
use storage_sys::userns;

use self::{mode::Mode, place::Placing};
use super::{Build, config::State, files::Files, layer::Ground, owner::find as find_owner, remote::Remote, step::Step};
use crate::{
    Error, Ignore, Result, Span,
    context::{Found, Jail, clean, find, has_wildcards, is_pattern, walk},
    dockerfile::{Kind, Transfer, Word},
    expand::Reading,
    fetch::{Address, without_user},
    ignore::Pattern,
};

/// A COPY whose words and flags are expanded.
pub struct Prepared {
    /// Patterns, and where they stand.
    sources: Vec<(String, Span)>,
    /// What is fetched from elsewhere.
    remote: Vec<Remote>,
    /// Files that the Dockerfile holds itself: name and content.
    inline: Vec<(String, String)>,
    /// The target, absolute in the image.
    target: PathBuf,
    /// It is a directory for certain.
    into_directory: bool,
    owner: Option<String>,
    mode: Option<Mode>,
    exclude: Vec<String>,
    /// The same, read.
    excluding: Ignore,
    /// The directories above a source come with it.
    parents: bool,
    /// The layer is made on nothing, so that links and directories of those below have no part in it.
    link: bool,
    /// Archives are unpacked.
    unpack: bool,
    /// Those from elsewhere, too.
    unpack_remote: bool,
    /// What is copied from another stage, an image or a context of its own.
    other: Option<Files>,
}

impl Prepared {
    /// What its layer is made on.
    pub const fn ground(&self) -> Ground {
        if self.link { Ground::Nothing } else { Ground::Stage }
    }

    /// Files of this machine become root's.
    const fn keeps_owners(&self) -> bool {
        matches!(self.other, Some(Files::State(_)))
    }
}

impl Build<'_> {
    /// Expands a COPY or an ADD.
    pub fn prepare_copy(&self, stage: usize, state: &State, step: Step<'_>, transfer: &Transfer) -> Result<Prepared> {
        let is_add = matches!(step.instruction.kind, Kind::Add(_));
        let (mut sources, mut inline) = (Vec::new(), Vec::new());
        for source in &transfer.sources {
            match source.heredoc.and_then(|number| step.instruction.heredocs.get(number)) {
                Some(heredoc) if heredoc.expand => {
                    let content = Reading::heredoc().word(&heredoc.content(), state);
                    inline.push((heredoc.name.clone(), content.map_err(|why| step.wrong(heredoc.span, why.message))?));
                }
                Some(heredoc) => inline.push((heredoc.name.clone(), heredoc.content())),
                None => sources.push((step.expand(&source.word, state)?, source.word.span)),
            }
        }
        let remote = remote(step, state, is_add, &mut sources)?;
        let target_text = step.expand(&transfer.destination, state)?;
        let target = Path::new(if state.workdir.is_empty() { "/" } else { &state.workdir }).join(&target_text);
        let ends_as_directory = target_text.ends_with('/') || target_text == "." || target_text.ends_with("/.");
        let on = |name: &str| step.instruction.flag(name).is_some_and(crate::dockerfile::Flag::is_on);
        for (text, span) in sources.iter().filter(|(text, _)| is_pattern(text)) {
            Pattern::of_path(text).map_err(|why| step.wrong(*span, format!("{text:?} is no pattern: {why}")))?;
        }
        let (exclude, excluding) = excluded(step, state)?;
        let several = sources.len() + remote.len() + inline.len() > 1;
        Ok(Prepared {
            into_directory: ends_as_directory || several || on("parents"),
            sources,
            remote,
            inline,
            target,
            owner: step.option("chown", state)?,
            mode: mode(step, state)?,
            exclude,
            excluding,
            parents: on("parents"),
            link: on("link"),
            unpack: if step.instruction.flag("unpack").is_some() { on("unpack") } else { is_add },
            unpack_remote: on("unpack"),
            other: self.other(stage, state, step)?,
        })
    }

    fn other(&self, stage: usize, state: &State, step: Step<'_>) -> Result<Option<Files>> {
        let Some(name) = step.option("from", state)? else { return Ok(None) };
        self.files_of(stage, step, &name, step.place_of("from")).map(Some)
    }

    /// The step's key: what is said, and what the files are.
    pub fn copy_key(&self, state: &State, step: Step<'_>, copy: &Prepared) -> Result<Digest> {
        let word = if copy.unpack { "ADD" } else { "COPY" };
        let mut key = if copy.link { State::scratch().key(word) } else { state.key(word) };
        key.add(copy.target.as_os_str().as_bytes());
        key.add(&[copy.into_directory, copy.parents, copy.link].map(u8::from));
        key.add(copy.owner.as_deref().unwrap_or_default().as_bytes());
        key.add(copy.mode.as_ref().map_or_else(String::new, ToString::to_string).as_bytes());
        key.add_list(&copy.exclude);
        for (name, content) in &copy.inline {
            key.add(name.as_bytes());
            key.add(content.as_bytes());
        }
        key.add(&[u8::from(copy.unpack_remote)]);
        copy.remote.iter().try_for_each(|remote| remote.add_to(self, step, &mut key))?;
        self.with_source(step, copy, |from, ignore| {
            for found in find_all(from, step, copy, ignore)? {
                let filter = ignore_below(ignore, copy, &found);
                key.add(&[u8::from(found.is_dir)]);
                if copy.parents {
                    key.add(found.kept.as_os_str().as_bytes());
                }
                let add = &mut |name: &Path, path: &Path| {
                    if copy.keeps_owners() {
                        key.add_owner(path)?;
                    }
                    key.add_file(name, path)
                };
                walk(&found, &filter, add).map_err(Error::io("read", &found.path))?;
            }
            Ok(())
        })?;
        Ok(key.finish())
    }

    /// Copies into the mounted tree at `root`.
    pub fn copy(&self, step: Step<'_>, copy: &Prepared, root: &Path) -> Result<()> {
        let to = Jail::open(root).map_err(Error::io("open", root))?;
        let given = copy
            .owner
            .as_ref()
            .map(|owner| find_owner(owner, &to).map_err(|why| step.wrong(step.place_of("chown"), why)))
            .transpose()?;
        let change = copy.mode.as_ref().map(|mode| |old, is_dir| mode.change(old, is_dir));
        let options = CopyOptions {
            owner: given.or((!copy.keeps_owners()).then_some((0, 0))),
            mode: change.as_ref().map(|change| change as &(dyn Fn(u32, bool) -> u32 + Sync)),
            existing: Existing::Overwrite,
            skip_privileged_xattrs: userns::is_active(),
            ..CopyOptions::default()
        };
        let placing = Placing { step, copy, to: &to, target: clean(&copy.target), options };
        self.with_source(step, copy, |from, ignore| {
            let all = find_all(from, step, copy, ignore)?;
            let several = all.len() + copy.inline.len() > 1;
            all.iter().try_for_each(|found| placing.put(found, several, copy.unpack, ignore))
        })?;
        for remote in &copy.remote {
            placing.put(remote.found(self, step)?, copy.into_directory, copy.unpack_remote, &Ignore::default())?;
        }
        copy.inline.iter().try_for_each(|(name, content)| placing.write(name, content))
    }

    /// Where the files come from, for as long as `work` takes.
    fn with_source(
        &self,
        step: Step<'_>,
        copy: &Prepared,
        work: impl FnOnce(&Jail, &Ignore) -> Result<()>,
    ) -> Result<()> {
        let other = match &copy.other {
            None => return work(&self.context, &self.ignore),
            Some(Files::Tree(tree)) => return work(&tree.files, &tree.ignore),
            Some(Files::State(state)) => state,
        };
        self.look_into(other, |from| work(from, &Ignore::default()))?
            .ok_or_else(|| step.wrong(step.place_of("from"), "there is nothing to copy from an empty stage"))
    }
}

fn find_all(from: &Jail, step: Step<'_>, copy: &Prepared, ignore: &Ignore) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for (source, span) in &copy.sources {
        let found =
            find(from, source, ignore, copy.parents).map_err(Error::io("look for", from.root().join(source)))?;
        // A pattern may match nothing, as `go.su[m]` is meant to; a name has to be there.
        if found.is_empty() && !has_wildcards(source) {
            let ignored = find(from, source, &Ignore::default(), copy.parents).is_ok_and(|found| !found.is_empty());
            let place = match &copy.other {
                None => "the build context",
                Some(Files::Tree(_)) => "that build context",
                Some(Files::State(_)) => "that stage or image",
            };
            let why =
                if ignored { "it is excluded by .dockerignore".to_owned() } else { format!("it is not in {place}") };
            return Err(step.wrong(*span, format!("cannot copy {source:?}: {why}")));
        }
        all.extend(found.into_iter().filter(|found| found.is_dir || !is_excluded(copy, &found.name)));
    }
    Ok(all)
}

fn is_excluded(copy: &Prepared, name: &Path) -> bool {
    copy.excluding.excludes(Path::new(name.file_name().unwrap_or_default()))
}

/// What is left out below a source: what `.dockerignore` says, and what `--exclude` says of names below the source.
fn ignore_below(ignore: &Ignore, copy: &Prepared, found: &Found) -> Ignore {
    if copy.exclude.is_empty() || !found.is_dir {
        return ignore.clone();
    }
    ignore.with_more(&found.name, &copy.excluding)
}

/// The patterns of `--exclude`, as text and read.
fn excluded(step: Step<'_>, state: &State) -> Result<(Vec<String>, Ignore)> {
    let flags = step.instruction.flags.iter().filter(|flag| flag.name == "exclude");
    let words: Vec<&Word> = flags.filter_map(|flag| flag.value.as_ref()).collect();
    let texts: Vec<String> = words.iter().map(|word| step.expand(word, state)).collect::<Result<_>>()?;
    let read = Ignore::of(&texts).map_err(|(number, why)| step.wrong(words[number].span, why))?;
    Ok((texts, read))
}

/// Decides on what is below a source by what is ignored.
pub fn keep<'a>(ignore: &'a Ignore, name: &'a Path) -> impl Fn(&Path, bool) -> Keep + Sync + 'a {
    |below, is_dir| {
        if !ignore.excludes(&name.join(below)) {
            Keep::Yes
        } else if is_dir && ignore.takes_something_back() {
            Keep::Within
        } else {
            Keep::No
        }
    }
}

/// Takes what is not in the build context out of `sources`.
fn remote(step: Step<'_>, state: &State, is_add: bool, sources: &mut Vec<(String, Span)>) -> Result<Vec<Remote>> {
    let checksum = step.option("checksum", state)?;
    let several = sources.len() > 1;
    let mut remote = Vec::new();
    let mut here = Vec::new();
    for (text, span) in sources.drain(..) {
        let fails = |why| step.wrong(span, format!("cannot fetch {}: {why}", without_user(&text)));
        match Address::read(&text).map_err(fails)? {
            None => here.push((text, span)),
            Some(_) if !is_add => {
                return Err(step.wrong(span, format!("COPY takes files of the build context; write ADD for {text}")));
            }
            Some(address) => remote.push(Remote::new(step, address, span, checksum.as_deref())?),
        }
    }
    *sources = here;
    let for_one = if checksum.is_some() { Some("checksum") } else { None };
    if let Some(flag) = for_one.filter(|_| several || remote.is_empty()) {
        let why = format!("--{flag} is for one source from the network");
        return Err(step.wrong(step.place_of(flag), why));
    }
    if remote.is_empty() && step.instruction.flag("keep-git-dir").is_some_and(crate::dockerfile::Flag::is_on) {
        return Err(step.wrong(step.place_of("keep-git-dir"), "--keep-git-dir is for git repositories only"));
    }
    Ok(remote)
}

fn mode(step: Step<'_>, state: &State) -> Result<Option<Mode>> {
    let Some(text) = step.option("chmod", state)? else { return Ok(None) };
    let mode = Mode::parse(&text).ok_or_else(|| {
        let why = format!("--chmod takes a mode such as 755 or u=rwX,go=rX, not {text:?}");
        step.wrong(step.place_of("chmod"), why)
    })?;
    Ok(Some(mode))
}
