//! The Dockerfiles and their contexts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Params, Result, RunReport, Scratch, tree};

const TUTORIAL: &[(&str, &[u8])] = &[
    ("Dockerfile", include_bytes!("../../build/tutorial/Dockerfile")),
    ("Makefile", include_bytes!("../../build/tutorial/Makefile")),
    ("src/app.sh.in", include_bytes!("../../build/tutorial/src/app.sh.in")),
    ("data/words.txt", include_bytes!("../../build/tutorial/data/words.txt")),
];
const TUTORIAL_OUTPUT: &str = include_str!("../../build/tutorial/expected.txt");

pub(crate) const TEN_STEPS: &[u8] = include_bytes!("../../build/tensteps/Dockerfile");

/// One Dockerfile.
#[derive(Debug)]
pub(super) enum Input {
    Tutorial,
    TenSteps,
    /// Somebody's own, in a directory.
    Own(PathBuf),
}

impl Input {
    pub fn choose(params: &Params) -> Result<Vec<Self>> {
        match params.text("dockerfile") {
            "tutorial" => Ok(vec![Self::Tutorial]),
            "tensteps" => Ok(vec![Self::TenSteps]),
            "both" => Ok(vec![Self::Tutorial, Self::TenSteps]),
            path if Path::new(path).join("Dockerfile").is_file() => Ok(vec![Self::Own(path.into())]),
            other => Err(Error::Parameter {
                name: "dockerfile".to_owned(),
                why: format!("it takes tutorial, tensteps, both or a directory with a Dockerfile, not {other:?}"),
            }),
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Tutorial => "tutorial".to_owned(),
            Self::TenSteps => "tensteps".to_owned(),
            Self::Own(path) => {
                path.file_name().map_or_else(|| "own".to_owned(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    /// What its steps run.
    pub const fn programs(&self) -> &'static [&'static str] {
        match self {
            Self::Tutorial => &["make", "mkdir", "sed", "chmod", "tr", "grep", "sort", "uniq", "awk", "cat"],
            Self::TenSteps => &["mkdir", "seq", "chmod", "mv", "rm", "find", "sort", "xargs", "cat", "wc", "cksum"],
            // What a user's own runs is the user's to know.
            Self::Own(_) => &[],
        }
    }

    /// A name that no image of a user has.
    pub fn tag(&self) -> String {
        let name = match self {
            Self::Own(_) => "own",
            Self::Tutorial => "tutorial",
            Self::TenSteps => "tensteps",
        };
        format!("harness-bench/{name}:latest")
    }

    pub fn context(&self, scratch: &Scratch) -> PathBuf {
        match self {
            Self::Own(path) => path.clone(),
            _ => scratch.path().join(self.name()),
        }
    }

    fn dockerfile(&self) -> Result<Vec<u8>> {
        match self {
            Self::Tutorial => Ok(TUTORIAL[0].1.to_vec()),
            Self::TenSteps => Ok(TEN_STEPS.to_vec()),
            Self::Own(path) => {
                let path = path.join("Dockerfile");
                fs::read(&path).map_err(Error::io("read", path))
            }
        }
    }

    /// Images that FROM names and that are not stages; whether there is such an image is the engine's to say.
    pub fn bases(&self) -> Result<Vec<String>> {
        let text = String::from_utf8_lossy(&self.dockerfile()?).into_owned();
        let mut bases = Vec::new();
        let mut stages = vec!["scratch".to_owned()];
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
                continue;
            }
            let words: Vec<_> = words.filter(|word| !word.starts_with("--")).collect();
            if let [base, rest @ ..] = words.as_slice() {
                if !stages.iter().any(|stage| stage == base) && !base.contains('$') {
                    bases.push((*base).to_owned());
                }
                stages.extend(rest.get(1).map(|stage| (*stage).to_owned()));
            }
        }
        bases.sort();
        bases.dedup();
        Ok(bases)
    }

    pub fn write(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        let context = self.context(scratch);
        let put = |name: &str, content: &[u8]| {
            let path = context.join(name);
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
            }
            fs::write(&path, content).map_err(Error::io("write", path))
        };
        match self {
            Self::Tutorial => TUTORIAL.iter().try_for_each(|(name, content)| put(name, content)),
            Self::TenSteps => {
                put("Dockerfile", TEN_STEPS)?;
                let files = tree::files(seed, params.number("files", 100..=100_000)?);
                let expected = tree::expected(files.clone());
                let path = scratch.path().join(EXPECTED);
                fs::write(&path, expected).map_err(Error::io("write", path))?;
                tree::write(&context, &files)
            }
            Self::Own(_) => Ok(()),
        }
    }

    /// Holds what the image printed against what was worked out without it.
    pub fn check_output(&self, _: &Params, scratch: &Scratch, ran: &RunReport) -> Result<()> {
        let name = self.name();
        if ran.status != 0 {
            let said = String::from_utf8_lossy(&ran.stderr);
            return Err(Error::effect(format!("status of {name}"), 0, format!("{} ({})", ran.status, said.trim())));
        }
        let expected = match self {
            Self::Tutorial => TUTORIAL_OUTPUT.to_owned(),
            Self::TenSteps => {
                let path = scratch.path().join(EXPECTED);
                fs::read_to_string(&path).map_err(Error::io("read", path))?
            }
            Self::Own(_) => return Ok(()),
        };
        let found = String::from_utf8_lossy(&ran.stdout);
        if found == expected {
            return Ok(());
        }
        let line = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        let lines = || (format!("{} lines", expected.lines().count()), format!("{} lines", found.lines().count()));
        let (expected, found) = line.map_or_else(lines, |(found, expected)| (expected.to_owned(), found.to_owned()));
        Err(Error::effect(format!("output of {name}"), expected, found))
    }
}

/// Beside the contexts, so that no COPY sees it.
const EXPECTED: &str = "tensteps.expected";
