//! How a driver is told from the others: by its colour, the same in every chart, and by its kernel's pattern where there are several.
//!
//! Patterns stand beside colours and do not replace them, so that one driver's bars and lines belong together at a glance.

use std::collections::BTreeSet;

use plotters::style::RGBColor;

use super::{colours, view::on_kernel};

/// Of a bar, a line and its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub colour: RGBColor,
    pub pattern: Pattern,
}

/// Of a kernel; the first one's is plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    Plain,
    Rising,
    Falling,
    Crossed,
}

impl Pattern {
    const ALL: [Self; 4] = [Self::Plain, Self::Rising, Self::Falling, Self::Crossed];

    /// Lengths of a line's dashes and of the gaps between them, in turn; none for a line without gaps.
    const fn dashes(self) -> &'static [f64] {
        match self {
            Self::Plain => &[],
            Self::Rising => &[9.0, 5.0],
            Self::Falling => &[2.0, 4.0],
            Self::Crossed => &[12.0, 4.0, 2.0, 4.0],
        }
    }

    /// Whether hatching has lines that rise, and lines that fall.
    const fn strokes(self) -> (bool, bool) {
        match self {
            Self::Plain => (false, false),
            Self::Rising => (true, false),
            Self::Falling => (false, true),
            Self::Crossed => (true, true),
        }
    }

    /// Hatching of a rectangle: lines from edge to edge, each going on along the edge to where the next one begins.
    pub fn hatching(self, left: i32, top: i32, right: i32, bottom: i32) -> Vec<Vec<Place>> {
        let (rises, falls) = self.strokes();
        let rising = || serpentine(left, top, right, bottom);
        let falling = || rising().into_iter().map(|(x, y)| (x, top + bottom - y)).collect();
        rises.then(rising).into_iter().chain(falls.then(falling)).collect()
    }

    /// The pieces of a line that are drawn.
    pub fn pieces(self, line: &[Place]) -> Vec<Vec<Place>> {
        if self.dashes().is_empty() {
            return vec![line.to_vec()];
        }
        let mut lengths = self.dashes().iter().copied().enumerate().cycle();
        let (mut index, mut left) = lengths.next().unwrap_or_default();
        let mut pieces: Vec<Vec<Place>> = vec![line.first().copied().into_iter().collect()];
        for (from, to) in line.iter().zip(line.iter().skip(1)) {
            let (mut at, end) = (point(*from), point(*to));
            loop {
                let rest = (end.0 - at.0).hypot(end.1 - at.1);
                let is_drawn = index % 2 == 0;
                let share = if rest > left { left / rest } else { 1.0 };
                at = (at.0 + share * (end.0 - at.0), at.1 + share * (end.1 - at.1));
                if let Some(piece) = pieces.last_mut().filter(|_| is_drawn) {
                    piece.push((at.0.round() as i32, at.1.round() as i32));
                }
                if rest <= left {
                    left -= rest;
                    break;
                }
                (index, left) = lengths.next().unwrap_or_default();
                if !is_drawn {
                    pieces.push(vec![(at.0.round() as i32, at.1.round() as i32)]);
                }
            }
        }
        pieces.retain(|piece| piece.len() > 1);
        pieces
    }
}

/// In pixels.
type Place = (i32, i32);

fn point((x, y): Place) -> (f64, f64) {
    (f64::from(x), f64::from(y))
}

/// Between two lines of hatching.
const APART: i32 = 7;

/// One line that rises through the rectangle again and again.
fn serpentine(left: i32, top: i32, right: i32, bottom: i32) -> Vec<Place> {
    let height = bottom - top;
    // Of each line, where it would meet the lower edge; it may begin left of the rectangle and end right of it.
    let feet = (left - height + APART..right).step_by(APART as usize);
    let ends = |foot: i32| {
        let (below, beside) = (left - foot, foot + height - right);
        let low = if below > 0 { (left, bottom - below) } else { (foot, bottom) };
        let high = if beside > 0 { (right, top + beside) } else { (foot + height, top) };
        (low, high)
    };
    let mut line: Vec<Place> = Vec::new();
    for (index, foot) in feet.enumerate() {
        let (low, high) = ends(foot);
        let (next, corner) = if index % 2 == 0 { ([low, high], (left, bottom)) } else { ([high, low], (right, top)) };
        // Around the corner, and not across it.
        let turns = line.last().is_some_and(|last| last.0 != next[0].0 && last.1 != next[0].1);
        line.extend(turns.then_some(corner));
        line.extend(next);
    }
    line
}

/// The kernels of a run, each with its pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks<'a> {
    kernels: BTreeSet<&'a str>,
}

impl<'a> Looks<'a> {
    /// Of these drivers, `driver@release` on one of several kernels.
    pub fn of(drivers: impl IntoIterator<Item = &'a str>) -> Self {
        Self { kernels: drivers.into_iter().filter_map(|driver| on_kernel(driver).1).collect() }
    }

    /// One driver's. With more kernels than patterns the first ones are taken again; the names are there, too.
    pub fn driver(&self, driver: &str) -> Look {
        self.part(driver, colours::driver(driver))
    }

    /// Of a part of a driver's bar that has a colour of its own.
    pub fn part(&self, driver: &str, colour: RGBColor) -> Look {
        let kernel = on_kernel(driver).1;
        let index = self.kernels.iter().position(|known| Some(*known) == kernel).unwrap_or(0);
        Look { colour, pattern: Pattern::ALL[index % Pattern::ALL.len()] }
    }
}

impl From<RGBColor> for Look {
    /// Of something that is no driver.
    fn from(colour: RGBColor) -> Self {
        Self { colour, pattern: Pattern::Plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_one_driver_share_its_colour_and_no_pattern() {
        let kernels = ["6.1", "6.12", "6.18", "6.6"];
        let drivers: Vec<_> =
            ["overlay2", "vfs"].iter().flat_map(|name| kernels.map(|kernel| format!("{name}@{kernel}"))).collect();
        let looks = Looks::of(drivers.iter().map(String::as_str));
        let overlay2: Vec<_> = drivers[..4].iter().map(|driver| looks.driver(driver)).collect();
        assert!(overlay2.iter().all(|look| look.colour == colours::driver("overlay2")));
        assert_eq!(overlay2.iter().map(|look| look.pattern).collect::<BTreeSet<_>>().len(), 4);
        for (driver, look) in drivers[4..].iter().zip(overlay2) {
            assert_eq!(looks.driver(driver).pattern, look.pattern, "a kernel's pattern is the same on every driver");
        }
        let dashes: BTreeSet<_> = Pattern::ALL.map(|pattern| format!("{:?}", pattern.dashes())).into();
        assert_eq!(dashes.len(), 4);
    }

    #[test]
    fn where_there_is_one_kernel_all_is_plain() {
        for drivers in [["overlay2", "vfs"], ["overlay2@6.1", "vfs@6.1"]] {
            let looks = Looks::of(drivers);
            assert!(drivers.iter().all(|driver| looks.driver(driver).pattern == Pattern::Plain));
        }
    }

    #[test]
    fn hatching_stays_inside_and_differs() {
        for (right, bottom) in [(300, 37), (14, 34), (13, 200), (11, 21)] {
            let of = |pattern: Pattern| pattern.hatching(10, 20, right, bottom);
            let inside = |(x, y): &(i32, i32)| (10..=right).contains(x) && (20..=bottom).contains(y);
            for pattern in Pattern::ALL {
                assert!(of(pattern).iter().flatten().all(inside), "{pattern:?} in {right}, {bottom}");
            }
            assert!(of(Pattern::Plain).is_empty());
        }
        let of = |pattern: Pattern| pattern.hatching(10, 20, 300, 37);
        // All of it is covered, up to both ends.
        let xs: Vec<_> = of(Pattern::Rising).concat().iter().map(|(x, _)| *x).collect();
        assert!(xs.iter().min() == Some(&10) && xs.iter().max() == Some(&300));
        assert_ne!(of(Pattern::Rising), of(Pattern::Falling));
        assert_eq!(of(Pattern::Crossed), [of(Pattern::Rising), of(Pattern::Falling)].concat());
    }

    #[test]
    fn a_dashed_line_goes_on_around_corners_and_ends_where_it_should() {
        let line = [(0, 0), (30, 0), (30, 40)];
        assert_eq!(Pattern::Plain.pieces(&line), [line.to_vec()]);
        let pieces = Pattern::Rising.pieces(&line);
        // 9 of every 14 pixels of 70.
        assert_eq!(pieces[0], [(0, 0), (9, 0)]);
        assert_eq!(pieces[2], [(28, 0), (30, 0), (30, 7)], "one dash around the corner");
        assert_eq!(pieces.len(), 5);
        let total: f64 = pieces.iter().flat_map(|piece| piece.windows(2)).map(|w| length(w[0], w[1])).sum();
        assert_eq!(total, 45.0);
        assert_eq!(Pattern::Rising.pieces(&[(3, 3)]), [[(0, 0); 0]; 0]);
    }

    fn length(from: Place, to: Place) -> f64 {
        let ((x, y), (u, v)) = (point(from), point(to));
        (x - u).hypot(y - v)
    }
}
