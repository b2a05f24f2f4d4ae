//! The measured shapes of real images.
//!
//! `slim` is Debian 12 as its official slim image is made; `apt` is what installing an interpreter with the package
//! manager adds to it; `pip` is a layer of third-party libraries. Counts, sizes, depths and name lengths were
//! measured on the real ones; `tiny` is `slim`'s distribution cut down to the size of a minimal image.

use super::{grow::Shape, random::Quantiles, sizes::SizeClass};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The directories that every image starts with.
pub const SKELETON: &[(&str, u32)] = &[
    ("boot", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib64", 0o755),
    ("usr/local", 0o755),
    ("usr/sbin", 0o755),
    ("usr/share", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/lib/packages", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// Directories of the skeleton that stay empty in an image, or hold nothing but what is named.
pub const CLOSED: &[&str] =
    &["boot", "dev", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr/lib64", "var/tmp"];

/// The fullest directories, in this order.
pub const CROWDED: &[&str] = &["var/lib/packages", "usr/bin", "usr/lib", "usr/sbin", "etc"];

/// The links of a merged `/usr`.
pub const MERGED: &[(&str, &str)] =
    &[("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "usr/sbin")];

/// 3,256 files, 453 directories, 506 symlinks (with [`MERGED`]), 2 hard links, 75.1 MB.
pub const SLIM: Shape = Shape {
    directories: &[15, 45, 113, 140, 60, 33, 47],
    files: &[
        SizeClass::new(20, 0, 1, 0),
        SizeClass::new(1325, 1, KIB, 600_800),
        SizeClass::new(862, KIB, 4 * KIB, 1_802_400),
        SizeClass::new(319, 4 * KIB, 16 * KIB, 2_928_900),
        SizeClass::new(525, 16 * KIB, 64 * KIB, 15_921_200),
        SizeClass::new(167, 64 * KIB, 256 * KIB, 19_150_500),
        SizeClass::new(28, 256 * KIB, MIB, 15_020_000),
        SizeClass::new(10, MIB, 4 * MIB, 19_676_200),
    ],
    symlinks: 502,
    hard_links: 2,
    setuid: 11,
    executable_percent: 14,
    entries: Quantiles(&[
        (0, 0),
        (430, 0),
        (450, 1),
        (640, 1),
        (760, 5),
        (900, 17),
        (980, 70),
        (997, 250),
        (999, 425),
        (1000, 425),
    ]),
    names: Quantiles(&[(0, 2), (250, 5), (500, 8), (750, 13), (900, 21), (990, 34), (1000, 46)]),
};

/// 400 files, 80 directories, 300 symlinks, 8 MB.
pub const TINY: Shape = Shape {
    directories: &[15, 20, 25, 15, 5],
    files: &[
        SizeClass::new(2, 0, 1, 0),
        SizeClass::new(163, 1, KIB, 74_000),
        SizeClass::new(106, KIB, 4 * KIB, 222_000),
        SizeClass::new(39, 4 * KIB, 16 * KIB, 358_000),
        SizeClass::new(65, 16 * KIB, 64 * KIB, 1_971_000),
        SizeClass::new(20, 64 * KIB, 256 * KIB, 2_294_000),
        SizeClass::new(4, 256 * KIB, MIB, 2_031_000),
        SizeClass::new(1, MIB, 2 * MIB, 1_050_000),
    ],
    symlinks: 296,
    hard_links: 0,
    setuid: 2,
    executable_percent: 14,
    entries: Quantiles(&[(0, 0), (350, 0), (370, 1), (560, 1), (750, 5), (900, 15), (980, 70), (1000, 300)]),
    names: SLIM.names,
};

/// 3,817 files, 378 directories, 426 symlinks, 77.7 MB.
pub const APT: Shape = Shape {
    directories: &[0, 0, 20, 110, 100, 60, 40, 20, 16, 12],
    files: &[
        SizeClass::new(382, 1, 382, 42_767),
        SizeClass::new(572, 382, 1655, 430_560),
        SizeClass::new(954, 1655, 4817, 2_457_361),
        SizeClass::new(955, 4817, 14_300, 7_237_635),
        SizeClass::new(572, 14_300, 35_400, 11_694_438),
        SizeClass::new(191, 35_400, 63_800, 8_341_114),
        SizeClass::new(153, 63_800, 208_000, 16_186_554),
        SizeClass::new(34, 208_000, 1_440_000, 19_270_783),
        SizeClass::new(4, 1_440_000, 6_830_001, 12_038_788),
    ],
    symlinks: 426,
    hard_links: 0,
    setuid: 0,
    executable_percent: 10,
    entries: Quantiles(&[(0, 0), (200, 1), (500, 5), (750, 10), (900, 20), (990, 100), (1000, 285)]),
    names: Quantiles(&[(0, 3), (250, 11), (500, 19), (750, 26), (900, 34), (990, 48), (1000, 63)]),
};

/// What an installation writes anew: two large databases with their backups, small state, and empty lock files.
pub const REPLACED: [u64; 13] = [780_000, 780_000, 113_000, 113_000, 2_500, 1_500, 0, 0, 0, 0, 0, 0, 0];

/// How many directories of the layers below it changes, with those above them.
pub const APT_HOSTS: usize = 39;

/// The directories that a tree of libraries is found under.
pub const PIP_SKELETON: &[(&str, u32)] =
    &[("usr/local/lib", 0o755), ("usr/local/lib/runtime", 0o755), ("usr/local/lib/runtime/libraries", 0o755)];

/// 5,763 files, 622 directories, 161.6 MB.
pub const PIP: Shape = Shape {
    directories: &[0, 0, 1, 1, 1, 320, 250, 35, 14],
    files: &[
        SizeClass::new(576, 1, 183, 25_909),
        SizeClass::new(865, 183, 923, 312_975),
        SizeClass::new(1441, 923, 4893, 2_712_470),
        SizeClass::new(1440, 4893, 18_500, 11_780_839),
        SizeClass::new(865, 18_500, 49_500, 22_482_357),
        SizeClass::new(288, 49_500, 80_600, 16_420_415),
        SizeClass::new(230, 80_600, 225_000, 26_563_695),
        SizeClass::new(52, 225_000, 2_080_000, 35_009_604),
        SizeClass::new(6, 2_080_000, 25_400_001, 46_291_736),
    ],
    symlinks: 0,
    hard_links: 0,
    setuid: 0,
    executable_percent: 2,
    entries: Quantiles(&[(0, 0), (100, 1), (500, 6), (750, 12), (900, 22), (990, 80), (1000, 149)]),
    names: Quantiles(&[(0, 4), (250, 11), (500, 17), (750, 23), (900, 30), (990, 42), (1000, 51)]),
};

/// 200 files, 20 directories, 2 MB: an application that is copied in.
pub const COPIED: Shape = Shape {
    directories: &[1, 6, 8, 5],
    files: &[
        SizeClass::new(80, 1, KIB, 36_000),
        SizeClass::new(60, KIB, 4 * KIB, 120_000),
        SizeClass::new(40, 4 * KIB, 16 * KIB, 344_000),
        SizeClass::new(19, 16 * KIB, 128 * KIB, 1_000_000),
        SizeClass::new(1, 256 * KIB, MIB, 500_000),
    ],
    symlinks: 0,
    hard_links: 0,
    setuid: 0,
    executable_percent: 5,
    entries: Quantiles(&[(0, 1), (500, 8), (900, 20), (1000, 40)]),
    names: SLIM.names,
};
