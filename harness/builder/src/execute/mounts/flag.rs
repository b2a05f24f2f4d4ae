//! The words of a `--mount` (Dockerfile reference, "RUN --mount").

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    Result, Span,
    dockerfile::Flag,
    execute::{config::State, step::Step},
    near,
};

/// One mount, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// Expanded.
    pub text: String,
    pub span: Span,
    pub kind: Kind,
    /// Absolute.
    pub target: PathBuf,
    /// Below the context, the stage or the image.
    pub source: String,
    /// A stage or an image; the build context for none.
    pub from: Option<String>,
    has_target: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Bind { writable: bool },
    Cache { id: String, sharing: Sharing, read_only: bool, mode: u32, uid: u32, gid: u32 },
    Tmpfs { size: Option<String> },
    Secret { id: String, required: bool, mode: u32, uid: u32, gid: u32, env: Option<String> },
    Ssh { id: String, required: bool, mode: u32, uid: u32, gid: u32 },
}

/// Who else may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Shared,
    Private,
    Locked,
}

impl MountFlag {
    pub fn read(step: Step<'_>, flag: &Flag, state: &State) -> Result<Self> {
        let text = flag.value.as_ref().map(|value| step.expand(value, state)).transpose()?.unwrap_or_default();
        let mut words = Words::read(&text).map_err(|why| step.wrong(flag.span, why))?;
        let made = words.mount(state).and_then(|made| words.nothing_left().map(|()| made));
        let (kind, target, source, from, has_target) = made.map_err(|why| step.wrong(flag.span, why))?;
        Ok(Self { text, span: flag.span, kind, target, source, from, has_target })
    }

    /// A secret that is only a variable has no place among the files.
    pub fn is_environment(&self) -> bool {
        matches!(&self.kind, Kind::Secret { env: Some(_), .. }) && !self.has_target
    }
}

type Parts = (Kind, PathBuf, String, Option<String>, bool);

/// `name=value` with commas between; a name alone is `true`.
struct Words {
    kind: String,
    pairs: BTreeMap<String, String>,
}

impl Words {
    fn read(text: &str) -> Result<Self, String> {
        let mut pairs = BTreeMap::new();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').unwrap_or((word, "true"));
            let name = match name.to_ascii_lowercase().as_str() {
                "dst" | "destination" => "target".to_owned(),
                "src" => "source".to_owned(),
                "ro" => "readonly".to_owned(),
                "rw" => "readwrite".to_owned(),
                other => other.to_owned(),
            };
            if pairs.insert(name.clone(), value.to_owned()).is_some() {
                return Err(format!("--mount says {name} twice"));
            }
        }
        let kind = pairs.remove("type").unwrap_or_else(|| "bind".to_owned());
        Ok(Self { kind, pairs })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.pairs.remove(name)
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(format!("{name} is true or false, not {other:?}")),
        }
    }

    fn number(&mut self, name: &str, radix: u32, default: u32) -> Result<u32, String> {
        let Some(text) = self.take(name) else { return Ok(default) };
        u32::from_str_radix(&text, radix).map_err(|_| format!("{name} takes a number, not {text:?}"))
    }

    fn mount(&mut self, state: &State) -> Result<Parts, String> {
        let workdir = if state.workdir.is_empty() { "/" } else { &state.workdir };
        let given = self.take("target");
        let has_target = given.is_some();
        let absolute = |target: &str| PathBuf::from("/").join(workdir).join(target);
        let needed =
            |kind: &str| given.as_deref().map(absolute).ok_or(format!("a mount of type {kind} needs a target"));
        let kind = self.kind.clone();
        let (kind, target) = match kind.as_str() {
            "bind" => {
                let read_only = self.flag("readonly")?;
                let writable = self.flag("readwrite")?.or(read_only.map(|read_only| !read_only)).unwrap_or(false);
                (Kind::Bind { writable }, needed("bind")?)
            }
            "tmpfs" => (Kind::Tmpfs { size: self.size()? }, needed("tmpfs")?),
            "cache" => (self.cache(given.as_deref())?, needed("cache")?),
            "secret" => {
                let secret = self.secret(given.as_deref())?;
                let default = match &secret {
                    Kind::Secret { id, .. } => PathBuf::from("/run/secrets").join(base_name(id)),
                    _ => PathBuf::new(),
                };
                (secret, given.as_deref().map_or(default, absolute))
            }
            "ssh" => {
                let (id, required) = (self.take("id").unwrap_or("default".to_owned()), self.flag("required")?);
                let target = given.as_deref().map_or_else(|| PathBuf::from("/run/buildkit/ssh_agent.0"), absolute);
                let (mode, uid, gid) = self.owned(0o600)?;
                (Kind::Ssh { id, required: required.unwrap_or(false), mode, uid, gid }, target)
            }
            other => {
                let known = ["bind", "cache", "tmpfs", "secret", "ssh"];
                let near =
                    near::nearest(other, known).map_or_else(String::new, |near| format!("; did you mean {near}?"));
                return Err(format!("there is no mount of type {other}{near}"));
            }
        };
        let takes_files = matches!(kind, Kind::Bind { .. } | Kind::Cache { .. });
        let (source, from) = if takes_files { (self.take("source"), self.take("from")) } else { (None, None) };
        Ok((kind, target, source.unwrap_or_default(), from, has_target))
    }

    fn cache(&mut self, target: Option<&str>) -> Result<Kind, String> {
        let sharing = match self.take("sharing").as_deref() {
            None | Some("shared") => Sharing::Shared,
            Some("private") => Sharing::Private,
            Some("locked") => Sharing::Locked,
            Some(other) => return Err(format!("sharing is shared, private or locked, not {other:?}")),
        };
        let (mode, uid, gid) = self.owned(0o755)?;
        Ok(Kind::Cache {
            id: self.take("id").unwrap_or_else(|| target.unwrap_or_default().to_owned()),
            sharing,
            read_only: self.flag("readonly")?.unwrap_or(false),
            mode,
            uid,
            gid,
        })
    }

    fn secret(&mut self, target: Option<&str>) -> Result<Kind, String> {
        let (id, source) = (self.take("id"), self.take("source"));
        let last = target.map(base_name).filter(|name| !name.is_empty());
        let id = source.or(id).or_else(|| last.map(str::to_owned));
        let (mode, uid, gid) = self.owned(0o400)?;
        Ok(Kind::Secret {
            id: id.ok_or("a secret needs an id")?,
            required: self.flag("required")?.unwrap_or(false),
            mode,
            uid,
            gid,
            env: self.take("env"),
        })
    }

    /// Mode and owner, root where none is given.
    fn owned(&mut self, mode: u32) -> Result<(u32, u32, u32), String> {
        Ok((self.number("mode", 8, mode)?, self.number("uid", 10, 0)?, self.number("gid", 10, 0)?))
    }

    fn size(&mut self) -> Result<Option<String>, String> {
        let Some(size) = self.take("size") else { return Ok(None) };
        let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        // As docker has them: 64m, 64mb and 64MiB are the same.
        let unit = size[digits.len()..].to_ascii_lowercase();
        let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
        if digits.parse::<u64>().is_ok() && ["", "k", "m", "g"].contains(&unit) {
            return Ok(Some(format!("{digits}{unit}")));
        }
        Err(format!("size takes a number of bytes, such as 64m, not {size:?}"))
    }

    fn nothing_left(&self) -> Result<(), String> {
        match self.pairs.keys().next() {
            Some(name) => Err(format!("a mount of type {} has no option {name}", self.kind)),
            None => Ok(()),
        }
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Parts, String> {
        let mut words = Words::read(text)?;
        let made = words.mount(&State { workdir: "/w".to_owned(), ..State::scratch() })?;
        words.nothing_left().map(|()| made)
    }

    #[test]
    fn forms_of_the_reference() {
        let (kind, target, source, from, _) = read("target=/x,source=a/b,from=stage").unwrap();
        assert_eq!((kind, target), (Kind::Bind { writable: false }, PathBuf::from("/x")));
        assert_eq!((source.as_str(), from.as_deref()), ("a/b", Some("stage")));
        assert_eq!(read("type=bind,dst=rel,rw").unwrap().0, Kind::Bind { writable: true });
        assert_eq!(read("type=bind,dst=rel").unwrap().1, PathBuf::from("/w/rel"));
        assert_eq!(read("type=tmpfs,target=/t,size=64m").unwrap().0, Kind::Tmpfs { size: Some("64m".to_owned()) });
        assert_eq!(read("type=tmpfs,target=/t,size=1GiB").unwrap().0, Kind::Tmpfs { size: Some("1g".to_owned()) });
        let cache = read("type=cache,target=/var/cache/apt,sharing=locked").unwrap().0;
        assert!(
            matches!(cache, Kind::Cache { id, sharing: Sharing::Locked, mode: 0o755, .. } if id == "/var/cache/apt")
        );
        let secret = read("type=secret,id=token").unwrap();
        assert_eq!(secret.1, PathBuf::from("/run/secrets/token"));
        assert!(matches!(read("type=secret,target=/a/b").unwrap().0, Kind::Secret { id, .. } if id == "b"));
        assert_eq!(read("type=secret,id=team/token").unwrap().1, PathBuf::from("/run/secrets/token"));
        let secret = read("type=secret,source=s,id=i,env=TOKEN,mode=440,uid=1,gid=2").unwrap().0;
        assert!(
            matches!(secret, Kind::Secret { id, mode: 0o440, uid: 1, gid: 2, env: Some(name), .. } if id == "s" && name == "TOKEN")
        );
        let ssh = Kind::Ssh { id: "default".to_owned(), required: true, mode: 0o660, uid: 7, gid: 0 };
        assert_eq!(read("type=ssh,required,mode=0660,uid=7").unwrap().0, ssh);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "type=bnd,target=/x",
            "type=bind",
            "target=/x,target=/y",
            "type=cache,target=/x,sharing=some",
            "type=tmpfs,target=/x,size=big",
            "type=bind,target=/x,uid=1",
            "type=secret,mode=9x,id=a",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
