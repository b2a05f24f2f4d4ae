//! Colours that people with any colour vision tell apart (Okabe and Ito for drivers, Tol for phases).

use plotters::style::RGBColor;

/// The same colour for a driver everywhere.
pub fn driver(name: &str) -> RGBColor {
    // `engine/driver` and `driver@release` are their driver's.
    let base = name.rsplit('/').next().unwrap_or(name).split('@').next().unwrap_or(name);
    match base {
        "overlay2" => RGBColor(0, 114, 178),
        "vfs" => RGBColor(213, 94, 0),
        "btrfs" => RGBColor(0, 158, 115),
        "devicemapper" => RGBColor(204, 121, 167),
        _ => RGBColor(110, 110, 110),
    }
}

/// The same colour for a phase everywhere.
pub fn phase(name: &str) -> RGBColor {
    match name {
        "prepare" | "create" | "container prepare" => RGBColor(68, 119, 170),
        "mount" | "container start" => RGBColor(102, 204, 238),
        "run" | "start" | "container run" => RGBColor(204, 187, 68),
        "diff" | "exec" => RGBColor(238, 102, 119),
        "commit" | "remove" | "container remove" => RGBColor(170, 51, 119),
        "exit" => RGBColor(34, 136, 51),
        "unmount" => RGBColor(187, 187, 187),
        _ => RGBColor(150, 150, 150),
    }
}

pub const TEXT: RGBColor = RGBColor(30, 30, 30);
pub const FAINT: RGBColor = RGBColor(105, 105, 105);
pub const GRID: RGBColor = RGBColor(222, 222, 222);
pub const PAPER: RGBColor = RGBColor(255, 255, 255);
/// A threshold, and what is beyond it.
pub const ALARM: RGBColor = RGBColor(190, 30, 45);
