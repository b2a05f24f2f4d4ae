//! Colours that people with any colour vision tell apart (Okabe and Ito for drivers, Tol for phases).

use plotters::style::RGBColor;

/// The same colour for a driver everywhere. An engine of its own, `engine/driver`, has another one, and `driver/option` is paler.
pub fn driver(name: &str) -> RGBColor {
    // `driver@release` is its driver's.
    let base = name.split('@').next().unwrap_or(name);
    match base.split_once('/') {
        None => plain(base),
        Some(("dockerd", _)) => RGBColor(230, 159, 0),
        Some(("podman", _)) => RGBColor(136, 34, 85),
        Some(("containerd", _)) => RGBColor(86, 180, 233),
        Some((driver, _)) => paler(plain(driver)),
    }
}

fn plain(driver: &str) -> RGBColor {
    match driver {
        "overlay2" => RGBColor(0, 114, 178),
        "vfs" => RGBColor(213, 94, 0),
        "btrfs" => RGBColor(0, 158, 115),
        "devicemapper" => RGBColor(204, 121, 167),
        _ => RGBColor(110, 110, 110),
    }
}

const fn paler(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    const fn half(part: u8) -> u8 {
        u8::MAX - (u8::MAX - part) / 2
    }
    RGBColor(half(red), half(green), half(blue))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn engines_and_options_beside_each_other_are_told_apart() {
        for driver_name in ["overlay2", "vfs", "btrfs"] {
            let others = ["dockerd", "podman", "containerd"].map(|engine| format!("{engine}/{driver_name}"));
            let mut names = vec![driver_name.to_owned(), format!("{driver_name}/sync=off"), "plain".to_owned()];
            names.extend(others);
            let colours: BTreeSet<_> =
                names.iter().map(|name| driver(name)).map(|RGBColor(r, g, b)| (r, g, b)).collect();
            assert_eq!(colours.len(), names.len(), "{names:?}");
        }
        assert_eq!(driver("overlay2@6.12"), driver("overlay2"));
    }
}
