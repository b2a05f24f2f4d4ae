//! Random writes into one file that wait for the disk, as databases do them: SQLite in a container, and fio.

mod fio;
mod sqlite;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Container, Engine, Error, Journal, Param, Params, Recorder, Result, Scratch, SharedContainers, Workload};

/// The workload `database`.
#[derive(Debug)]
pub(crate) struct Database;

/// The image with a database in it.
const TAG: &str = "workload-database:latest";
const DOCKERFILE: &str = "FROM host\nCOPY image.db /data/image.db\n";

const JOURNALS: [(&str, &[Journal]); 3] =
    [("both", &[Journal::Wal, Journal::Delete]), ("wal", &[Journal::Wal]), ("delete", &[Journal::Delete])];

/// Where the written file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It lies in the image: the first write copies it up, or what of it the driver has to.
    Image,
    /// The container has made it.
    New,
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::New => "new",
        }
    }
}

const ORIGINS: [(&str, &[Origin]); 3] =
    [("both", &[Origin::Image, Origin::New]), ("image", &[Origin::Image]), ("new", &[Origin::New])];

impl Workload for Database {
    fn name(&self) -> &'static str {
        "database"
    }

    fn about(&self) -> &'static str {
        "random writes into one file that wait for the disk: SQLite in a container, and fio where it is installed"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("journal", "both", "both", "SQLite's journal: wal, delete or both"),
            param("file", "both", "both", "image: the file lies in the image; new: the container makes it; both"),
            param("transactions", "40", "10", "durable transactions, each of four rows changed and one added"),
            param("rows", "8192", "2048", "rows of about 1 KiB in the database before that"),
            param("fio", "yes", "yes", "yes: fio's job too, if fio is installed; no"),
            param("writes", "60", "20", "fio's writes of 4 KiB, each followed by fdatasync"),
        ]
    }

    fn setup(&self, params: &Params, _: u64, scratch: &Scratch) -> Result<()> {
        Sizes::of(params)?;
        params.choice("journal", &JOURNALS)?;
        params.choice("file", &ORIGINS)?;
        wants_fio(params)?;
        let context = context(scratch);
        fs::create_dir_all(&context).map_err(Error::io("create", &context))?;
        let dockerfile = context.join("Dockerfile");
        fs::write(&dockerfile, DOCKERFILE).map_err(Error::io("write", &dockerfile))?;
        fio::write_job(scratch.path())
    }

    fn prepare(&self, params: &Params, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        let file = context(scratch).join("image.db");
        // Of all drivers the first makes it, for all of them.
        if !file.exists() {
            engine.make_database(&file, Sizes::of(params)?.rows, sqlite::SEED)?;
        }
        engine.ensure_base("host")?;
        let spec = crate::BuildSpec {
            context: &context(scratch),
            dockerfile: None,
            tag: TAG,
            use_cache: true,
            count_device: false,
            options: crate::BuildOptions::default(),
        };
        engine.build(&spec).map(drop)
    }

    fn run(
        &self,
        params: &Params,
        scratch: &Scratch,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let containers = engine.containers(TAG)?;
        let sizes = Sizes::of(params)?;
        let origins = params.choice("file", &ORIGINS)?;
        for &origin in origins {
            for &journal in params.choice("journal", &JOURNALS)? {
                stop_or(engine)?;
                sqlite::run(&sqlite::Case { origin, journal, sizes }, &containers, engine, recorder)?;
            }
        }
        if wants_fio(params)? {
            let Some(fio) = fio::Fio::find()? else {
                engine.leave_out("fio's job of the workload database", "fio is not installed; install the package fio");
                return Ok(());
            };
            for &origin in origins {
                stop_or(engine)?;
                fio.run(scratch.path(), origin, sizes, &containers, engine, recorder)?;
            }
        }
        Ok(())
    }

    fn conclude(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    fn cleanup(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        match engine.remove_image(TAG) {
            // Preparing may have failed before there was an image.
            Ok(()) | Err(Error::Engine(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How much.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    rows: u64,
    transactions: u64,
    writes: u64,
}

impl Sizes {
    fn of(params: &Params) -> Result<Self> {
        Ok(Self {
            rows: params.number("rows", 1..=10_000_000)?,
            transactions: params.number("transactions", 1..=1_000_000)?,
            writes: params.number("writes", 1..=10_000_000)?,
        })
    }
}

fn wants_fio(params: &Params) -> Result<bool> {
    params.choice("fio", &[("yes", true), ("no", false)])
}

fn context(scratch: &Scratch) -> PathBuf {
    scratch.path().join("context")
}

fn stop_or(engine: &dyn Engine) -> Result<()> {
    if engine.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
}

/// A fresh container for a case: its layer holds what the case writes, and nothing else.
fn mounted(containers: &SharedContainers) -> Result<(Box<dyn Container>, PathBuf)> {
    let mut container = containers.create()?;
    let path = container.mount().map(Path::to_owned)?;
    Ok((container, path))
}

fn take_away(mut container: Box<dyn Container>) -> Result<()> {
    container.unmount()?;
    container.remove()
}
