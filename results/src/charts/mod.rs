//! Pictures of a run, drawn from its files alone.
//!
//! Every chart is drawn once for SVG and once for PNG by the same code, with fonts of its own, so that it looks the
//! same on every machine. A driver has the same colour in every chart.

mod bars;
mod build;
mod colours;
mod scale;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Once,
};

use plotters::{
    backend::{BitMapBackend, SVGBackend},
    drawing::IntoDrawingArea,
    style::{FontStyle, register_font},
};

use self::bars::Bars;
pub(crate) use self::colours::driver as driver_colour;
use crate::{Error, Result, RunDir, read_samples, summarise};

/// Draws all charts of a run into its `charts/`; returns the files.
///
/// # Errors
/// [`Error::Io`], [`Error::Damaged`] for what the run directory has, [`Error::Chart`] for what cannot be drawn.
pub fn render(run: &RunDir) -> Result<Vec<PathBuf>> {
    register_fonts();
    let record = run.read_record()?;
    let samples = read_samples(&run.samples())?;
    let charts = build::charts(&record, &samples, &summarise(&samples));
    let dir = run.charts();
    fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    let mut files = Vec::new();
    for (name, chart) in charts {
        files.push(svg(&chart, &dir.join(format!("{name}.svg")))?);
        files.push(png(&chart, &dir.join(format!("{name}.png")))?);
    }
    Ok(files)
}

/// The name under which the embedded fonts are known.
const FONT: &str = "DejaVu Sans";

fn register_fonts() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // Both are valid fonts, as every chart test shows.
        let _ = register_font(FONT, FontStyle::Normal, include_bytes!("../../fonts/DejaVuSans.ttf"));
        let _ = register_font(FONT, FontStyle::Bold, include_bytes!("../../fonts/DejaVuSans-Bold.ttf"));
    });
}

fn svg(chart: &Bars, path: &Path) -> Result<PathBuf> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, chart.size()).into_drawing_area();
        chart.draw(&area).and_then(|()| area.present()).map_err(failed(path))?;
    }
    // Where the font is not installed, another of about its width.
    let text =
        text.replace(&format!("font-family=\"{FONT}\""), &format!("font-family=\"{FONT}, Verdana, sans-serif\""));
    fs::write(path, text).map_err(Error::io("write", path))?;
    Ok(path.to_owned())
}

fn png(chart: &Bars, path: &Path) -> Result<PathBuf> {
    let area = BitMapBackend::new(path, chart.size()).into_drawing_area();
    chart.draw(&area).and_then(|()| area.present()).map_err(failed(path))?;
    Ok(path.to_owned())
}

fn failed<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Error {
    move |error| Error::Chart { path: path.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests;
