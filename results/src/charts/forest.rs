//! Quotients of two runs with their intervals, and the threshold that fails.

use plotters::style::{RGBColor, text_anchor::HPos};

use super::{
    canvas::{Canvas, Chart, Drawn, Frame, MARGIN, TOP, WIDTH, faint, fitting, font},
    colours,
};

/// A chart, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    pub frame: Frame,
    pub rows: Vec<Quotient>,
    /// Where it fails.
    pub threshold: f64,
}

/// One cell: new by base.
#[derive(Debug, Clone, PartialEq)]
pub struct Quotient {
    pub label: String,
    pub ratio: f64,
    pub interval: (f64, f64),
    pub colour: RGBColor,
}

const LEFT: i32 = 560;
const RIGHT: i32 = 170;
const ROW: i32 = 22;
const AXIS: i32 = 40;

impl Chart for Forest {
    fn title(&self) -> &str {
        &self.frame.title
    }

    fn height(&self) -> i32 {
        self.bottom() + AXIS + self.frame.caption_height()
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        self.frame.draw(canvas, self.bottom() + AXIS)?;
        let reach = self.reach();
        for tick in [0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 8.0, 16.0].into_iter().filter(|tick| within(*tick, reach)) {
            let x = place(tick, reach);
            let colour = if tick == 1.0 { colours::FAINT } else { colours::GRID };
            canvas.line(vec![(x, TOP - 6), (x, self.bottom())], colour, 1)?;
            canvas.text(&format!("{tick}x"), x, self.bottom() + 6, &faint(11), HPos::Center)?;
        }
        let x = place(self.threshold, reach);
        canvas.line(vec![(x, TOP - 6), (x, self.bottom())], colours::ALARM, 2)?;
        self.rows.iter().zip(0..).try_for_each(|(row, index)| draw_row(canvas, row, TOP + index * ROW, reach))
    }
}

impl Forest {
    fn bottom(&self) -> i32 {
        TOP + self.rows.len() as i32 * ROW
    }

    /// As far as any interval, the same to both sides.
    fn reach(&self) -> f64 {
        let ends = self.rows.iter().flat_map(|row| [row.interval.0, row.interval.1, row.ratio]);
        let furthest =
            ends.filter(|end| *end > 0.0).map(|end| end.ln().abs()).fold(self.threshold.ln().abs(), f64::max);
        (furthest * 1.1).clamp(0.3, 3.0)
    }
}

fn draw_row(canvas: &Canvas<'_>, row: &Quotient, top: i32, reach: f64) -> Drawn {
    let middle = top + 9;
    canvas.text(&fitting(&row.label, LEFT - MARGIN - 12, 12), MARGIN, top + 2, &font(12, false), HPos::Left)?;
    let (low, high) = (place(row.interval.0, reach), place(row.interval.1, reach));
    canvas.line(vec![(low, middle), (high, middle)], row.colour, 2)?;
    let at = place(row.ratio, reach);
    canvas.rectangle(at - 4, middle - 4, at + 4, middle + 4, row.colour)?;
    let text = format!("{:.2}x ({:.2} to {:.2})", row.ratio, row.interval.0, row.interval.1);
    canvas.text(&text, WIDTH - MARGIN, top + 2, &font(12, false), HPos::Right)?;
    canvas.tip(LEFT, top, WIDTH - RIGHT, top + ROW, &format!("{}: {text}", row.label));
    Ok(())
}

fn within(ratio: f64, reach: f64) -> bool {
    ratio.ln().abs() <= reach
}

fn place(ratio: f64, reach: f64) -> i32 {
    let fraction = (ratio.max(1e-9).ln() / reach).clamp(-1.0, 1.0);
    LEFT + ((fraction + 1.0) / 2.0 * f64::from(WIDTH - LEFT - RIGHT)).round() as i32
}
