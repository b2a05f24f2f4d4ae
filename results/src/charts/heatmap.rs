//! Rows of cases, columns of drivers, in each cell how many times the best one's cost.

use plotters::style::{RGBColor, text_anchor::HPos};

use super::canvas::{Canvas, Chart, Drawn, Frame, MARGIN, TOP, WIDTH, faint, fitting, font};
use super::colours;

/// A chart, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    pub frame: Frame,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub label: String,
    /// One a column.
    pub cells: Vec<Option<Cell>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// To the best of the row: 1 or more.
    pub ratio: f64,
    /// The cost itself.
    pub text: String,
    /// Its interval overlaps the best one's: nobody can tell which is better.
    pub tied: bool,
}

const ROW: i32 = 30;
const LEFT: i32 = 430;
const HEAD: i32 = 26;

impl Chart for Heatmap {
    fn title(&self) -> &str {
        &self.frame.title
    }

    fn height(&self) -> i32 {
        self.bottom() + 16 + self.frame.caption_height()
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        self.frame.draw(canvas, self.bottom() + 16)?;
        for (name, column) in self.columns.iter().zip(0..) {
            let middle = (self.left(column) + self.left(column + 1)) / 2;
            canvas.text(name, middle, TOP - 14, &font(13, true), HPos::Center)?;
        }
        for (row, index) in self.rows.iter().zip(0..) {
            let top = TOP + HEAD - 20 + index * ROW;
            canvas.text(&fitting(&row.label, LEFT - MARGIN - 12, 13), MARGIN, top + 8, &font(13, false), HPos::Left)?;
            for (cell, column) in row.cells.iter().zip(0..) {
                self.draw_cell(canvas, row, cell.as_ref(), column, top)?;
            }
        }
        Ok(())
    }
}

impl Heatmap {
    fn bottom(&self) -> i32 {
        TOP + HEAD - 20 + self.rows.len() as i32 * ROW
    }

    fn left(&self, column: i32) -> i32 {
        LEFT + column * (WIDTH - LEFT - MARGIN) / (self.columns.len() as i32).max(1)
    }

    fn draw_cell(&self, canvas: &Canvas<'_>, row: &Row, cell: Option<&Cell>, column: i32, top: i32) -> Drawn {
        let (left, right) = (self.left(column) + 1, self.left(column + 1) - 1);
        let middle = (left + right) / 2;
        let Some(cell) = cell else {
            return canvas.text("-", middle, top + 8, &faint(12), HPos::Center);
        };
        let (fill, ink) = shade(cell.ratio);
        canvas.rectangle(left, top, right, top + ROW - 2, fill)?;
        let mark = if cell.tied { " =" } else { "" };
        let ratio = if cell.ratio >= 9.95 { format!("{:.0}", cell.ratio) } else { format!("{:.1}", cell.ratio) };
        let text = format!("{ratio}x{mark}");
        canvas.text(&text, left + 12, top + 7, &font(13, cell.ratio < 1.005).color(&ink), HPos::Left)?;
        canvas.text(&cell.text, right - 10, top + 8, &font(12, false).color(&ink), HPos::Right)?;
        let name = &self.columns[column as usize];
        canvas.tip(left, top, right, top + ROW - 2, &format!("{}, {name}: {} ({text})", row.label, cell.text));
        Ok(())
    }
}

/// From white (the best) over blue to dark at a hundred times: lightness alone tells, so that any eye can.
fn shade(ratio: f64) -> (RGBColor, RGBColor) {
    let depth = (ratio.max(1.0).log10() / 2.0).clamp(0.0, 1.0);
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * depth).round() as u8;
    let fill = RGBColor(mix(237, 8), mix(246, 48), mix(252, 107));
    // Both inks are equally far from this luminance (WCAG 2, "contrast ratio").
    let ink = if luminance(fill) > 0.19 { INK } else { colours::PAPER };
    (fill, ink)
}

/// In cells, which keep their colours where a page is dark: not the charts' own text colour, which does not.
const INK: RGBColor = RGBColor(16, 16, 16);

/// Relative luminance, as WCAG 2 defines it.
fn luminance(RGBColor(red, green, blue): RGBColor) -> f64 {
    let linear = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shade_can_be_read() {
        for step in 0..200 {
            let (fill, ink) = shade(10_f64.powf(f64::from(step) / 80.0));
            let (one, other) = (luminance(fill) + 0.05, luminance(ink) + 0.05);
            let contrast = one.max(other) / one.min(other);
            assert!(contrast >= 4.3, "{contrast:.1} at step {step}: {ink:?} on {fill:?}");
        }
    }
}
