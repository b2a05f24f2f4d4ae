//! What `login` keeps and `logout` forgets.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, fchown},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Map, Value, json, ser::PrettyFormatter};

use super::{Config, Credentials, helper, key, names, text_of};
use crate::{Error, Result, whole};

/// Where credentials are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In the file itself, in base64: whoever reads the file has them.
    File(PathBuf),
    /// With a credential helper.
    Helper(String),
}

/// Keeps credentials for a registry: with the helper that the file names for it, or in the file.
///
/// # Errors
/// [`Error::Credentials`] for a file that is damaged or cannot be written, or a helper that fails.
pub fn keep(file: &Path, host: &str, credentials: &Credentials) -> Result<Kept> {
    let mut config = Document::read(file)?;
    let (entry, kept) = match config.parsed.helper(host) {
        // As docker has it: that there is something to know is in the file, and what is not.
        Some(helper) => {
            helper::store(helper, key(host), credentials).map_err(|why| config.wrong(why))?;
            (json!({}), Kept::Helper(helper.to_owned()))
        }
        None => (entry(credentials), Kept::File(file.to_owned())),
    };
    let auths = config.auths()?;
    names(host).iter().for_each(|name| _ = auths.remove(name));
    auths.insert(key(host).to_owned(), entry);
    config.write()?;
    Ok(kept)
}

/// Forgets what is known of a registry, under all its names; whether anything was.
///
/// # Errors
/// As [`keep`].
pub fn forget(file: &Path, host: &str) -> Result<bool> {
    let mut config = Document::read(file)?;
    let mut known = false;
    if let Some(helper) = config.parsed.helper(host) {
        for name in names(host) {
            // Helpers tell differently, or not at all, that they knew nothing: it is asked before.
            if helper::get(helper, &name).map_err(|why| config.wrong(why))?.is_some() {
                known |= helper::erase(helper, &name).map_err(|why| config.wrong(why))?;
            }
        }
    }
    let auths = config.auths()?;
    let before = auths.len();
    names(host).iter().for_each(|name| _ = auths.remove(name));
    if auths.len() < before {
        known = true;
        config.write()?;
    }
    Ok(known)
}

fn entry(credentials: &Credentials) -> Value {
    match credentials {
        Credentials::Password(name, password) => json!({"auth": STANDARD.encode(format!("{name}:{password}"))}),
        Credentials::Identity(token) => json!({"identitytoken": token}),
    }
}

/// The file, with all that it says of other things.
struct Document {
    file: PathBuf,
    parsed: Config,
    all: Map<String, Value>,
}

impl Document {
    fn read(file: &Path) -> Result<Self> {
        // One that is a link stays one.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let text = text_of(&file)?.unwrap_or_else(|| b"{}".to_vec());
        let malformed = |error| Error::Credentials { file: file.clone(), why: format!("it is malformed: {error}") };
        let parsed = serde_json::from_slice(&text).map_err(malformed)?;
        let all = serde_json::from_slice(&text).map_err(malformed)?;
        Ok(Self { file, parsed, all })
    }

    fn wrong(&self, why: String) -> Error {
        Error::Credentials { file: self.file.clone(), why }
    }

    fn auths(&mut self) -> Result<&mut Map<String, Value>> {
        let auths = self.all.entry("auths").or_insert_with(|| json!({}));
        auths
            .as_object_mut()
            .ok_or_else(|| Error::Credentials { file: self.file.clone(), why: "its auths are no object".to_owned() })
    }

    /// For its owner alone; who that is stays.
    fn write(&self) -> Result<()> {
        let dir = self.file.parent().unwrap_or(Path::new("."));
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(Error::io("create", dir))?;
        let owner = fs::metadata(&self.file).ok();
        let mut text = Vec::new();
        let mut json = serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
        self.all.serialize(&mut json).map_err(|error| Error::io("write", &self.file)(error.into()))?;
        whole::replace(&self.file, 0o600, |out| {
            if let Some(owner) = &owner {
                // Only root can give a file away; whoever else may write here is the owner.
                _ = fchown(&*out, Some(owner.uid()), Some(owner.gid()));
            }
            out.write_all(&text).map_err(Error::io("write", &self.file))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::registry::credentials::{DOCKER_HUB, find};

    fn me() -> Credentials {
        Credentials::Password("me".into(), "se:cret".into())
    }

    #[test]
    fn what_is_kept_is_found_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/config.json");
        let token = Credentials::Identity("token".into());
        for (host, credentials) in [("localhost:5000", me()), ("docker.io", me()), ("x.org", token)] {
            assert_eq!(keep(&file, host, &credentials).unwrap(), Kept::File(file.clone()));
            assert_eq!(find(&file, host).unwrap(), Some(credentials), "{host}");
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert!(fs::read_to_string(&file).unwrap().contains(DOCKER_HUB));
        assert!(forget(&file, "docker.io").unwrap());
        assert!(!forget(&file, "docker.io").unwrap());
        assert_eq!(find(&file, "docker.io").unwrap(), None);
        assert_eq!(find(&file, "localhost:5000").unwrap(), Some(me()));
        assert!(!forget(&dir.path().join("none.json"), "x.org").unwrap());
    }

    #[test]
    fn the_rest_of_the_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real.json"), dir.path().join("config.json"));
        let text = r#"{"detachKeys": "ctrl-x", "auths": {"https://x.org/v1/": {"auth": "b2xkOm9sZA==", "email": "e"},
            "y.org": {"auth": "eTp5"}}, "HttpHeaders": {"A": "b"}}"#;
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("real.json", &link).unwrap();
        keep(&link, "x.org", &me()).unwrap();
        let expected = json!({"detachKeys": "ctrl-x", "HttpHeaders": {"A": "b"},
            "auths": {"x.org": {"auth": "bWU6c2U6Y3JldA=="}, "y.org": {"auth": "eTp5"}}});
        let now: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(now, expected);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for damaged in ["{", "[]", r#"{"auths": []}"#] {
            fs::write(&file, damaged).unwrap();
            assert!(keep(&file, "x.org", &me()).unwrap_err().to_string().contains("real.json"), "{damaged}");
            assert_eq!(fs::read_to_string(&file).unwrap(), damaged, "what is damaged was overwritten");
        }
    }
}
