//! What every chart is drawn with: fonts, texts, legends, and what a mark says when it is pointed at.

use std::cell::RefCell;

use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    element::{Circle, PathElement, Rectangle, Text},
    style::{
        Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    FONT, colours,
    looks::{Look, Pattern},
};
use crate::{Unit, table::quantity};

pub type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Of every chart, in pixels.
pub const WIDTH: i32 = 1280;
pub const MARGIN: i32 = 24;
/// Title, subtitle and legend end here.
pub const TOP: i32 = 112;
const CAPTION_LINE: i32 = 19;
/// Size of the letters below the chart.
const CAPTION: i32 = 12;

/// Something that can be drawn.
pub trait Chart {
    /// What it is about.
    fn title(&self) -> &str;

    /// Height in pixels.
    fn height(&self) -> i32;

    /// Draws it.
    fn draw(&self, canvas: &Canvas<'_>) -> Drawn;
}

/// A chart's names, in the same places on every chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    pub title: String,
    /// What is shown.
    pub subtitle: String,
    /// Names, and what has them.
    pub legend: Vec<(String, Look)>,
    /// Below the chart: how and where it was measured.
    pub caption: Vec<String>,
}

impl Frame {
    /// What the lines below the chart take.
    pub fn caption_height(&self) -> i32 {
        CAPTION_LINE * self.caption_lines().len() as i32 + MARGIN
    }

    /// None of them wider than the chart.
    fn caption_lines(&self) -> Vec<String> {
        self.caption.iter().flat_map(|text| wrapped(text, WIDTH - 2 * MARGIN, CAPTION)).collect()
    }

    pub fn draw(&self, canvas: &Canvas<'_>, caption_top: i32) -> Drawn {
        canvas.text(&self.title, MARGIN, 20, &font(21, true), HPos::Left)?;
        canvas.text(&self.subtitle, MARGIN, 48, &font(14, false), HPos::Left)?;
        let mut x = MARGIN;
        for (name, look) in &self.legend {
            canvas.bar(x, 76, x + 14, 90, *look)?;
            canvas.text(name, x + 20, 75, &font(13, false), HPos::Left)?;
            x += 20 + width(name, 13) + 26;
        }
        for (line, index) in self.caption_lines().iter().zip(0..) {
            canvas.text(line, MARGIN, caption_top + index * CAPTION_LINE, &faint(CAPTION), HPos::Left)?;
        }
        Ok(())
    }
}

/// Where a chart is drawn.
pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    tips: RefCell<String>,
}

/// Draws a chart as SVG.
pub fn svg(chart: &dyn Chart) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
    let mut text = String::new();
    let tips = {
        let area = SVGBackend::with_string(&mut text, (WIDTH as u32, chart.height() as u32)).into_drawing_area();
        area.fill(&colours::PAPER)?;
        let canvas = Canvas { area, tips: RefCell::default() };
        chart.draw(&canvas)?;
        canvas.area.present()?;
        canvas.tips.into_inner()
    };
    // Where the font is not installed, another of about its width.
    let text =
        text.replace(&format!("font-family=\"{FONT}\""), &format!("font-family=\"{FONT}, Verdana, sans-serif\""));
    Ok(text.replace("</svg>", &(tips + "</svg>")))
}

impl Canvas<'_> {
    pub fn text(&self, text: &str, x: i32, y: i32, style: &TextStyle<'_>, at: HPos) -> Drawn {
        let style = style.clone().pos(Pos::new(at, VPos::Top));
        self.area.draw(&Text::new(writable(text), (x, y), style))
    }

    pub fn rectangle(&self, left: i32, top: i32, right: i32, bottom: i32, colour: RGBColor) -> Drawn {
        self.area.draw(&Rectangle::new([(left, top), (right, bottom)], colour.filled()))
    }

    pub fn line(&self, points: Vec<(i32, i32)>, colour: RGBColor, thickness: u32) -> Drawn {
        let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: thickness };
        self.area.draw(&PathElement::new(points, style))
    }

    /// A rectangle in its colour, hatched where its pattern is not plain.
    pub fn bar(&self, left: i32, top: i32, right: i32, bottom: i32, look: Look) -> Drawn {
        let Look { colour, pattern } = look;
        if pattern == Pattern::Plain {
            return self.rectangle(left, top, right, bottom, colour);
        }
        let ends = [(left, top), (right, bottom)];
        self.area.draw(&Rectangle::new(ends, colour.mix(0.2).filled()))?;
        self.area.draw(&Rectangle::new(ends, colour.stroke_width(1)))?;
        let hatching = pattern.hatching(left, top, right, bottom);
        hatching.into_iter().try_for_each(|line| self.line(line, colour, 1))
    }

    /// A line in its colour, dashed where its pattern is not plain.
    pub fn course(&self, points: &[(i32, i32)], look: Look, thickness: u32) -> Drawn {
        look.pattern.pieces(points).into_iter().try_for_each(|piece| self.line(piece, look.colour, thickness))
    }

    /// Of one point of a line.
    pub fn mark(&self, x: i32, y: i32, radius: i32, look: Look) -> Drawn {
        let (filled, hollow) = (look.colour.filled(), look.colour.stroke_width(2));
        let square = [(x - radius, y - radius), (x + radius, y + radius)];
        match look.pattern {
            Pattern::Plain => self.area.draw(&Circle::new((x, y), radius, filled)),
            Pattern::Rising => self.area.draw(&Circle::new((x, y), radius + 1, hollow)),
            Pattern::Falling => self.area.draw(&Rectangle::new(square, filled)),
            Pattern::Crossed => self.area.draw(&Rectangle::new(square, hollow)),
        }
    }

    /// A single value; hollow where it is an outlier.
    pub fn spot(&self, x: i32, y: i32, radius: i32, hollow: bool) -> Drawn {
        let style = ShapeStyle { color: colours::TEXT.mix(0.55), filled: !hollow, stroke_width: 1 };
        self.area.draw(&Circle::new((x, y), radius, style))
    }

    /// What a viewer says of this place.
    pub fn tip(&self, left: i32, top: i32, right: i32, bottom: i32, text: &str) {
        let (width, height) = ((right - left).max(6), (bottom - top).max(6));
        let text = escaped(text);
        self.tips.borrow_mut().push_str(&format!(
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"#fff\" \
             fill-opacity=\"0\"><title>{text}</title></rect>\n"
        ));
    }
}

/// Without the characters that XML 1.0 has no way to write.
fn writable(text: &str) -> String {
    text.chars().filter(|c| *c >= ' ').collect()
}

/// Text inside an element of XML.
fn escaped(text: &str) -> String {
    writable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub fn font(size: i32, bold: bool) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    TextStyle::from((FONT, size).into_font().style(style)).color(&colours::TEXT)
}

pub fn faint(size: i32) -> TextStyle<'static> {
    font(size, false).color(&colours::FAINT)
}

/// About how wide a text is: the font's average is a little over half its size.
pub fn width(text: &str, size: i32) -> i32 {
    text.chars().count() as i32 * size * 58 / 100
}

/// As much of a text as fits, with dots where it was cut.
pub fn fitting(text: &str, room: i32, size: i32) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let length = (room / (size * 58 / 100) - 1).max(1) as usize;
    text.chars().take(length).collect::<String>() + "…"
}

/// A text in lines that fit, broken between words.
fn wrapped(text: &str, room: i32, size: i32) -> Vec<String> {
    // Running text is narrower than names are, for which `width` leaves room.
    let most = (room / (size * 50 / 100)).unsigned_abs() as usize;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= most {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A tick's label: no digits that say nothing.
pub fn short(value: f64, unit: Unit) -> String {
    let text = quantity(value, unit);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}").trim_end().to_owned()
}

/// A size that is a power of two, in binary units: `4 KiB`.
pub fn binary(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = format!("{value:.1}");
    format!("{} {}", number.trim_end_matches(".0"), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_caption_goes_on_in_the_next_line_and_loses_no_word() {
        let text = "a caption that names many drivers ".repeat(12);
        let frame = Frame { caption: vec![text.trim_end().to_owned(), "short".to_owned()], ..Frame::default() };
        let lines = frame.caption_lines();
        // DejaVu Sans has six pixels a letter at this size, and less in running text.
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() as i32 * 6 <= WIDTH - 2 * MARGIN), "{lines:?}");
        assert_eq!(lines.join(" "), format!("{text}short"));
        assert_eq!(frame.caption_height(), CAPTION_LINE * lines.len() as i32 + MARGIN);
    }
}
