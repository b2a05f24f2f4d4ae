//! Horizontal bars in groups: one group a row of the table behind it, one bar a driver.

use plotters::{
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind},
    element::{Circle, PathElement, Rectangle, Text},
    prelude::DrawingBackend,
    style::{
        Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{FONT, colours, scale::Scale};
use crate::{Unit, table::quantity};

/// A chart, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    pub title: String,
    /// What the bars are.
    pub subtitle: String,
    pub unit: Unit,
    /// Names and colours of bars or their parts.
    pub legend: Vec<(String, RGBColor)>,
    pub groups: Vec<Group>,
    /// Below the chart.
    pub caption: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub label: String,
    pub bars: Vec<Bar>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub driver: String,
    /// One after the other; one for a plain bar.
    pub parts: Vec<(f64, RGBColor)>,
    pub interval: Option<(f64, f64)>,
    /// The single measurements.
    pub points: Vec<f64>,
}

impl Bar {
    fn total(&self) -> f64 {
        self.parts.iter().map(|(value, _)| value).sum()
    }
}

type Area<DB> = DrawingArea<DB, Shift>;
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

const WIDTH: i32 = 1280;
const LEFT: i32 = 400;
const RIGHT: i32 = 130;
const TOP: i32 = 112;
const BAR: i32 = 17;
const BETWEEN_BARS: i32 = 3;
const BETWEEN_GROUPS: i32 = 13;
const AXIS: i32 = 44;
const CAPTION_LINE: i32 = 19;
const MARGIN: i32 = 24;

impl Bars {
    fn rows_height(&self) -> i32 {
        let group = |group: &Group| group.bars.len() as i32 * (BAR + BETWEEN_BARS) + BETWEEN_GROUPS;
        self.groups.iter().map(group).sum()
    }

    pub fn size(&self) -> (u32, u32) {
        let height = TOP + self.rows_height() + AXIS + CAPTION_LINE * self.caption.len() as i32 + MARGIN;
        (WIDTH as u32, height as u32)
    }

    fn scale(&self) -> Scale {
        let bars = || self.groups.iter().flat_map(|group| &group.bars);
        let stacked = bars().any(|bar| bar.parts.len() > 1);
        let values: Vec<f64> = bars()
            .flat_map(|bar| {
                let ends = bar.interval.map_or([0.0; 2], |(low, high)| [low, high]);
                bar.points.iter().copied().chain([bar.total()]).chain(ends).collect::<Vec<_>>()
            })
            .collect();
        Scale::new(values.iter().copied(), stacked)
    }

    pub fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        area.fill(&colours::PAPER)?;
        let scale = self.scale();
        text(area, &self.title, MARGIN, 20, &font(21, true), HPos::Left)?;
        text(area, &self.subtitle, MARGIN, 48, &font(14, false), HPos::Left)?;
        self.draw_legend(area)?;
        self.draw_axis(area, &scale)?;
        self.draw_rows(area, &scale)?;
        let top = TOP + self.rows_height() + AXIS;
        for (line, index) in self.caption.iter().zip(0..) {
            let style = font(12, false).color(&colours::FAINT);
            text(area, line, MARGIN, top + index * CAPTION_LINE, &style, HPos::Left)?;
        }
        Ok(())
    }

    fn draw_legend<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        let mut x = MARGIN;
        for (name, colour) in &self.legend {
            area.draw(&Rectangle::new([(x, 76), (x + 14, 90)], colour.filled()))?;
            text(area, name, x + 20, 75, &font(13, false), HPos::Left)?;
            x += 20 + width(name, 13) + 26;
        }
        Ok(())
    }

    fn draw_axis<DB: DrawingBackend>(&self, area: &Area<DB>, scale: &Scale) -> Drawn<DB> {
        let bottom = TOP + self.rows_height();
        for tick in scale.ticks() {
            let x = place(scale, tick);
            area.draw(&PathElement::new([(x, TOP - 6), (x, bottom)], colours::GRID))?;
            let label = if tick == 0.0 { "0".to_owned() } else { short(tick, self.unit) };
            text(area, &label, x, bottom + 6, &font(12, false).color(&colours::FAINT), HPos::Center)?;
        }
        let note = if scale.is_log() { "logarithmic axis" } else { "" };
        text(area, note, WIDTH - MARGIN, bottom + 6, &font(12, false).color(&colours::FAINT), HPos::Right)
    }

    fn draw_rows<DB: DrawingBackend>(&self, area: &Area<DB>, scale: &Scale) -> Drawn<DB> {
        let several = self.groups.iter().any(|group| group.bars.len() > 1);
        let mut y = TOP;
        for group in &self.groups {
            let room = if several { LEFT - MARGIN - 96 } else { LEFT - MARGIN - 14 };
            text(area, &fitting(&group.label, room, 13), MARGIN, y + 1, &font(13, false), HPos::Left)?;
            for bar in &group.bars {
                if several {
                    let style = font(12, false).color(&colours::FAINT);
                    text(area, &bar.driver, LEFT - 8, y + 1, &style, HPos::Right)?;
                }
                self.draw_bar(area, scale, bar, y)?;
                y += BAR + BETWEEN_BARS;
            }
            y += BETWEEN_GROUPS;
        }
        area.draw(&PathElement::new([(LEFT, TOP - 6), (LEFT, TOP + self.rows_height())], colours::FAINT))
    }

    fn draw_bar<DB: DrawingBackend>(&self, area: &Area<DB>, scale: &Scale, bar: &Bar, y: i32) -> Drawn<DB> {
        let mut sum = 0.0;
        for (value, colour) in &bar.parts {
            let (from, to) = (place(scale, sum), place(scale, sum + value));
            sum += value;
            if to > from {
                area.draw(&Rectangle::new([(from.max(LEFT), y), (to, y + BAR)], colour.filled()))?;
            }
        }
        let middle = y + BAR / 2;
        for point in &bar.points {
            let mark = ShapeStyle { color: colours::TEXT.mix(0.45), filled: false, stroke_width: 1 };
            area.draw(&Circle::new((place(scale, *point), middle), 3, mark))?;
        }
        let mut end = place(scale, sum);
        if let Some((low, high)) = bar.interval.filter(|(low, high)| high > low) {
            let (low, high) = (place(scale, low), place(scale, high));
            let line = ShapeStyle { color: colours::TEXT.to_rgba(), filled: false, stroke_width: 2 };
            area.draw(&PathElement::new([(low, middle), (high, middle)], line))?;
            for x in [low, high] {
                area.draw(&PathElement::new([(x, middle - 4), (x, middle + 4)], line))?;
            }
            end = end.max(high);
        }
        let furthest = bar.points.iter().map(|point| place(scale, *point) + 3).max();
        let end = end.max(furthest.unwrap_or(0));
        let value = if sum == 0.0 { "0".to_owned() } else { quantity(sum, self.unit) };
        text(area, &value, end.max(LEFT) + 7, y + 1, &font(12, false), HPos::Left)
    }
}

fn place(scale: &Scale, value: f64) -> i32 {
    LEFT + (scale.at(value) * f64::from(WIDTH - LEFT - RIGHT)).round() as i32
}

fn font(size: i32, bold: bool) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    TextStyle::from((FONT, size).into_font().style(style)).color(&colours::TEXT)
}

fn text<DB: DrawingBackend>(area: &Area<DB>, text: &str, x: i32, y: i32, style: &TextStyle<'_>, at: HPos) -> Drawn<DB> {
    let style = style.clone().pos(Pos::new(at, VPos::Top));
    area.draw(&Text::new(text.to_owned(), (x, y), style))
}

/// About how wide a text is: the font's average is a little over half its size.
fn width(text: &str, size: i32) -> i32 {
    text.chars().count() as i32 * size * 58 / 100
}

/// As much of a text as fits, with dots where it was cut.
fn fitting(text: &str, room: i32, size: i32) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let length = (room / (size * 58 / 100) - 1).max(1) as usize;
    text.chars().take(length).collect::<String>() + "…"
}

/// A tick's label: no digits that say nothing.
fn short(value: f64, unit: Unit) -> String {
    let text = quantity(value, unit);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}").trim_end().to_owned()
}
