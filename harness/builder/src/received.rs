//! A build context that comes as a stream.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use storage_driver::Bytes;
use storage_layer::{ApplyOptions, Devices, Limits, Owners, Whiteouts};
use storage_sys::statfs;

use crate::{Error, Result, archive};

/// Longer texts are no Dockerfiles.
const MOST_TEXT: u64 = 16 << 20;

/// Takes what comes for a build: an archive, plain or compressed as for ADD, is unpacked into `context`; anything else is
/// the answer, the text of a Dockerfile that needs no context.
///
/// # Errors
/// What cannot be read or unpacked; an archive is as untrusted as a layer.
pub fn receive_context(input: &mut (dyn Read + Send), context: &Path) -> Result<Option<Vec<u8>>> {
    let mut kept = tempfile::NamedTempFile::new().map_err(Error::io("create a file in", std::env::temp_dir()))?;
    let most = room(&std::env::temp_dir())?;
    let came = io::copy(&mut input.take(most + 1), &mut kept).map_err(Error::io("keep what came in", kept.path()))?;
    let path = kept.path();
    if came > most {
        let why = format!("it does not end, or is longer than the {} that there is room for", Bytes(most));
        return Err(Error::io("build from", "-")(io::Error::other(why)));
    }
    if !archive::is_tar(path).map_err(Error::io("read", path))? {
        let length = fs::metadata(path).map_err(Error::io("read", path))?.len();
        if length > MOST_TEXT {
            let why = io::Error::other("it is neither an archive nor a Dockerfile, which has at most 16 MiB");
            return Err(Error::io("build from", "-")(why));
        }
        return Ok(Some(fs::read(path).map_err(Error::io("read", path))?));
    }
    let tar = File::open(path).map_err(Error::io("open", path))?;
    let mut tar = archive::open(tar).map_err(Error::io("read", path))?;
    let limits = Limits { size: Bytes(room(context)?), ..Limits::default() };
    let options = ApplyOptions {
        owners: Owners::Squash,
        devices: Devices::Skip,
        whiteouts: Whiteouts::Literal,
        limits,
        ..ApplyOptions::default()
    };
    storage_layer::apply(context, &mut tar, &options)?;
    Ok(None)
}

/// Bytes that may be written to a directory, such that others have a little left.
fn room(dir: &Path) -> Result<u64> {
    let available = statfs::room(dir).map_err(Error::io("examine", dir))?.available;
    Ok(available - available / 16)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn archives_and_texts_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        let tar = Command::new("tar").args(["-cz", "-C"]).arg(dir.path()).arg("Dockerfile").output().unwrap().stdout;
        let context = tempfile::tempdir().unwrap();
        assert_eq!(receive_context(&mut &tar[..], context.path()).unwrap(), None);
        assert_eq!(fs::read_to_string(context.path().join("Dockerfile")).unwrap(), "FROM scratch\n");
        let text = receive_context(&mut &b"FROM scratch\n"[..], context.path()).unwrap();
        assert_eq!(text.as_deref(), Some(&b"FROM scratch\n"[..]));
        assert!(receive_context(&mut io::repeat(b'x').take(MOST_TEXT + 1), context.path()).is_err());
    }
}
