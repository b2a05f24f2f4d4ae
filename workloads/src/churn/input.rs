//! The image that is built over and over.

use std::{fs, path::PathBuf};

use crate::{Error, Params, Result, RunReport, Scratch, tree};

pub(super) const BASE: &str = "host";
pub(super) const TAG: &str = "workload-churn:latest";

/// Makes, changes in place, replaces and removes, so that free space comes in pieces of many sizes.
const DOCKERFILE: &str = "FROM host
COPY files /work/files
RUN cd /work && for f in $(find files -type f -name '*[05]'); do cat $f $f > $f.two; done
RUN cd /work && for f in $(find files -type f -name '*[13]'); do echo appended >> $f; done && rm $(find files -type f -name '*[27]')
RUN cat /usr/bin/* > /work/all && head -c 1000000 /work/all > /work/part && rm /work/all
CMD [\"sh\", \"-c\", \"find /work/files -type f | wc -l\"]
";

pub(super) fn files(params: &Params) -> Result<u64> {
    params.number("files", 10..=99_999)
}

pub(super) fn context(scratch: &Scratch) -> PathBuf {
    scratch.path().join("context")
}

pub(super) fn write(scratch: &Scratch, seed: u64, files: u64) -> Result<()> {
    let context = context(scratch);
    fs::create_dir_all(&context).map_err(Error::io("create", &context))?;
    tree::write(&context, &tree::files(seed, files))?;
    let dockerfile = context.join("Dockerfile");
    fs::write(&dockerfile, DOCKERFILE).map_err(Error::io("write", &dockerfile))
}

/// Numbers from 0 that end with one of these digits, two in ten, are there twice or are removed: as many as at first.
pub(super) fn check(files: u64, ran: &RunReport) -> Result<()> {
    let ending = |digits: [u64; 2]| (0..files).filter(|number| digits.contains(&(number % 10))).count() as u64;
    let expected = files + ending([0, 5]) - ending([2, 7]);
    let found = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
    if ran.status == 0 && found == expected.to_string() {
        return Ok(());
    }
    let found = format!("{found:?}, status {}, {}", ran.status, String::from_utf8_lossy(&ran.stderr).trim());
    Err(Error::effect("files of the image that was built again", expected, found))
}
