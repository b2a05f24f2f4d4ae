//! Pictures of a run, drawn from its files alone.
//!
//! Every chart is drawn as SVG, with marks that say their values when they are pointed at; the PNG is made from that with fonts of its
//! own, so that it looks the same on every machine. A driver has the same colour in every chart.

mod amplification;
mod bars;
mod build;
mod canvas;
mod colours;
mod copyup;
mod density;
mod forest;
mod heatmap;
mod history;
mod looks;
mod overview;
mod panels;
mod phases;
mod png;
mod range;
mod scale;
mod scaling;
mod starts;
mod view;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Once,
};

use plotters::style::{FontStyle, register_font};

pub(crate) use self::looks::{Looks, Pattern};
pub(crate) use self::overview::key_figures;
pub(crate) use self::view::on_kernel;
use self::{
    canvas::{Chart, svg},
    view::View,
};
pub use self::{
    history::{History, Moment, history, is_continued},
    ratios::ratios,
};
use crate::{Error, Recorded, Result, RunDir, summarise};

mod ratios;

/// A chart, drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Of the files.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// The picture.
    pub svg: String,
}

/// Draws all charts of a run, the most telling first.
///
/// # Errors
/// [`Error::Chart`].
pub fn draw(run: &Recorded) -> Result<Vec<Picture>> {
    register_fonts();
    let summaries = summarise(&run.with_derived());
    let view = View { record: &run.record, samples: &run.samples, summaries: &summaries };
    let mut charts: Vec<(String, Box<dyn Chart>)> = Vec::new();
    add(&mut charts, overview::charts(&view));
    add(&mut charts, build::charts(&view));
    add(&mut charts, copyup::charts(&view));
    add(&mut charts, phases::charts(&view));
    add(&mut charts, starts::charts(&view));
    add(&mut charts, scaling::charts(&view));
    add(&mut charts, density::charts(&view));
    add(&mut charts, amplification::charts(&view));
    let picture = |(name, chart): (String, Box<dyn Chart>)| match svg(chart.as_ref()) {
        Ok(svg) => Ok(Picture { title: chart.title().to_owned(), name, svg }),
        Err(error) => Err(Error::Chart { path: name.into(), why: error.to_string() }),
    };
    charts.into_iter().map(picture).collect()
}

fn add<C: Chart + 'static>(charts: &mut Vec<(String, Box<dyn Chart>)>, more: Vec<(String, C)>) {
    charts.extend(more.into_iter().map(|(name, chart)| (name, Box::new(chart) as Box<dyn Chart>)));
}

/// Draws all charts of a run into its `charts/`; returns the files.
///
/// # Errors
/// [`Error::Io`], [`Error::Damaged`] for what the run directory has, [`Error::Chart`] for what cannot be drawn.
pub fn render(run: &RunDir) -> Result<Vec<PathBuf>> {
    let pictures = draw(&Recorded::read(run.path())?)?;
    let dir = run.charts();
    fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    let mut files = Vec::new();
    for picture in pictures {
        files.extend(write(&picture, &dir)?);
    }
    Ok(files)
}

/// Writes a picture as NAME.svg and NAME.png.
///
/// # Errors
/// [`Error::Io`], [`Error::Chart`].
pub fn write(picture: &Picture, dir: &Path) -> Result<[PathBuf; 2]> {
    let files = ["svg", "png"].map(|ending| dir.join(format!("{}.{ending}", picture.name)));
    fs::write(&files[0], &picture.svg).map_err(Error::io("write", &files[0]))?;
    let png = png::from_svg(&picture.svg).map_err(|why| Error::Chart { path: files[1].clone(), why })?;
    fs::write(&files[1], png).map_err(Error::io("write", &files[1]))?;
    Ok(files)
}

/// The name under which the embedded fonts are known.
const FONT: &str = "DejaVu Sans";
const REGULAR: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("../../fonts/DejaVuSans-Bold.ttf");

fn register_fonts() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // Both are valid fonts, as every chart test shows.
        let _ = register_font(FONT, FontStyle::Normal, REGULAR);
        let _ = register_font(FONT, FontStyle::Bold, BOLD);
    });
}

#[cfg(test)]
mod tests;
