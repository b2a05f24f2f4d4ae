//! Layer tars of the cases, made once by the first driver: every driver gets the same bytes.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::PathBuf,
};

use storage_driver::LayerId;

use crate::{
    Engine, Error, Result, Scratch,
    cases::{self, Case, Cases},
    own_layers::OwnLayers,
};

/// Where a case's tars are, the lowest layer's first.
pub(crate) fn of(case: Case, scratch: &Scratch) -> Result<Vec<PathBuf>> {
    let dir = directory(case, scratch);
    let fail = || Error::io("list", &dir);
    let paths = fs::read_dir(&dir).map_err(fail())?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(fail())?;
    paths.sort();
    Ok(paths)
}

/// Makes those that are not there yet.
pub(crate) fn make(cases: &Cases, workload: &'static str, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()> {
    for &case in &cases.cases {
        let dir = directory(case, scratch);
        if dir.exists() {
            continue;
        }
        let layers = match case {
            Case::App => cases::app(engine)?,
            Case::OneInLarge | Case::Many => {
                let own = OwnLayers::new(engine.driver(), workload);
                vec![own.sealed("source", Some(&cases::large(&own)?), |root| cases.change(case, root).map(drop))?]
            }
        };
        fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
        for (number, layer) in layers.iter().enumerate() {
            export(layer, dir.join(format!("{number:03}.tar")), engine)?;
        }
        OwnLayers::new(engine.driver(), workload).remove("source")?;
    }
    Ok(())
}

fn export(layer: &LayerId, path: PathBuf, engine: &dyn Engine) -> Result<()> {
    let mut out = BufWriter::new(File::create(&path).map_err(Error::io("create", &path))?);
    engine.driver().diff(layer, &mut out)?;
    out.into_inner().map_err(|error| Error::io("write", path)(error.into_error())).map(drop)
}

fn directory(case: Case, scratch: &Scratch) -> PathBuf {
    scratch.path().join(case.name())
}
