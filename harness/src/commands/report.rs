use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use results::{
    Recorded, RunDir, charts,
    report::{self, Run},
};

use crate::{
    failure::{Failure, Result},
    say,
};

/// Tell what runs found, on one HTML page
///
/// The page needs no network and no other file: it can be mailed, or kept with a release. Of several runs, hosts and kernels are
/// shown side by side; their samples are not mixed.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directories
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The page [default: report.html in the first run's directory]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the charts into this directory, too, as SVG and PNG; those of several runs into one named after each run
    #[arg(long, value_name = "DIR")]
    pub charts: Option<PathBuf>,
}

pub fn run(args: &ReportArgs) -> Result {
    let runs = args.runs.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    if let Some(dir) = &args.charts {
        write_charts(&args.runs, dir).map_err(Failure::Environment)?;
    }
    let out = args.out.clone().or_else(|| Some(args.runs.first()?.join("report.html")));
    let out = out.ok_or_else(|| Failure::usage("name a run directory"))?;
    let written = fs::write(&out, report::page(&runs)).with_context(|| format!("cannot write {}", out.display()));
    written.map_err(Failure::Environment)?;
    say(&format!("report in {}", out.display()));
    Ok(())
}

fn write_charts(runs: &[PathBuf], dir: &Path) -> anyhow::Result<()> {
    for path in runs {
        let run = Recorded::read(path)?;
        let dir = if runs.len() > 1 { dir.join(file_name(&run.record.run)) } else { dir.to_owned() };
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let pictures = charts::draw(&run).with_context(|| format!("cannot draw the charts of {}", path.display()))?;
        for picture in &pictures {
            charts::write(picture, &dir)?;
        }
        say(&format!("{} charts in {}", pictures.len(), dir.display()));
    }
    Ok(())
}

/// A run's id may be a stranger's text.
fn file_name(run: &str) -> String {
    run.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

fn read(path: &Path) -> Result<Run> {
    let recorded = Recorded::read(path)?;
    let charts = draw(path).with_context(|| format!("cannot draw the charts of {}", path.display()));
    Ok(Run::new(&recorded, charts.map_err(Failure::Environment)?))
}

/// Draws the charts anew, elsewhere: the run directory may be read-only, and may hold a stranger's pictures.
fn draw(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let run = RunDir::open(path);
    let scratch = tempfile::tempdir()?;
    let copy = RunDir::open(scratch.path());
    copy.write_record(&run.read_record()?)?;
    fs::copy(run.samples(), copy.samples())?;
    let mut drawn = Vec::new();
    for file in charts::render(&copy)? {
        if file.extension().is_some_and(|extension| extension == "svg") {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().replace('-', " ");
            drawn.push((name, fs::read_to_string(&file)?));
        }
    }
    Ok(drawn)
}
