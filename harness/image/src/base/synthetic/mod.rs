//! Made-up images with the shape of real ones; the same bytes on every machine.

mod app;
pub mod content;
mod grow;
mod names;
mod random;
mod shapes;
mod sizes;

use std::{fmt, str::FromStr};

use self::grow::{Ground, Shape, grow};
use super::{
    Made,
    tree::{LayerTree, Source},
};
use crate::{Error, LayerBlob, Result, Store};

/// The longest chain that `deep-N` makes: what overlayfs mounts at most.
pub const MAX_DEPTH: u32 = 500;

/// A made-up image.
///
/// All content comes from ChaCha streams that are keyed by the image's and the file's names, about as compressible
/// as real layers; all times are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Synthetic {
    /// 400 files, 8 MB: a minimal distribution.
    Tiny,
    /// 3,256 files, 75 MB: a slim distribution.
    Slim,
    /// Six layers, 13,050 files, 316 MB: slim, packages, libraries, a copied application, changed owners and modes,
    /// deletions.
    App,
    /// `slim` and further layers of one file each; so many layers in all, 1 to 500.
    Deep(u32),
    /// `slim`, and a layer of files of 1, 16, 64 and 256 MiB and 1 GiB.
    Big,
    /// `slim`, and a layer of 100,000 files of 1 to 10 KiB.
    Many,
}

impl Synthetic {
    /// The layers, bottom first, written into the store as they are made.
    pub(super) fn make(self, store: &Store) -> Result<Made> {
        let mut made = Made { about: self.about(), ..Made::default() };
        let mut add = |text: &str, layer: LayerBlob| made.layers.push((text.to_owned(), layer));
        if self == Self::Tiny {
            add("tiny: a minimal distribution", distribution("tiny", &shapes::TINY).store(store)?);
            return Ok(made);
        }
        let slim = distribution("slim", &shapes::SLIM);
        add("slim: a distribution", slim.store(store)?);
        match self {
            Self::Tiny | Self::Slim => {}
            Self::App => {
                let texts = ["packages", "libraries", "a copied application", "changed owners and modes", "deletions"];
                for (text, layer) in texts.iter().zip(app::layers(&slim)) {
                    add(&format!("app: {text}"), layer.store(store)?);
                }
            }
            Self::Deep(depth) => {
                for number in 2..=depth {
                    add(&format!("deep: file {number}"), deep(&slim, number).store(store)?);
                }
            }
            Self::Big => add("big: large files", big().store(store)?),
            Self::Many => add("many: small files", many().store(store)?),
        }
        Ok(made)
    }

    fn about(self) -> String {
        match self {
            Self::Tiny => "seeded image like a minimal distribution".to_owned(),
            Self::Slim => "seeded image like a slim distribution".to_owned(),
            Self::App => "seeded image like an application on a slim distribution".to_owned(),
            Self::Deep(depth) => format!("seeded image of {depth} layers"),
            Self::Big => "seeded image with large files".to_owned(),
            Self::Many => "seeded image with 100,000 small files".to_owned(),
        }
    }
}

impl fmt::Display for Synthetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tiny => f.pad("tiny"),
            Self::Slim => f.pad("slim"),
            Self::App => f.pad("app"),
            Self::Deep(depth) => f.pad(&format!("deep-{depth}")),
            Self::Big => f.pad("big"),
            Self::Many => f.pad("many"),
        }
    }
}

impl FromStr for Synthetic {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = |why| Error::InvalidName { name: name.to_owned(), why };
        Ok(match name {
            "tiny" => Self::Tiny,
            "slim" => Self::Slim,
            "app" => Self::App,
            "big" => Self::Big,
            "many" => Self::Many,
            _ => {
                let depth = name.strip_prefix("deep-").and_then(|depth| depth.parse().ok());
                let depth = depth.ok_or_else(|| unknown("made-up images are tiny, slim, app, deep-N, big and many"))?;
                if !(1..=MAX_DEPTH).contains(&depth) {
                    return Err(unknown("deep-N has 1 to 500 layers"));
                }
                Self::Deep(depth)
            }
        })
    }
}

fn distribution(name: &str, shape: &Shape) -> LayerTree {
    let ground = Ground {
        name,
        skeleton: shapes::SKELETON,
        closed: shapes::CLOSED,
        crowded: shapes::CROWDED,
        ..Ground::default()
    };
    let mut tree = grow(shape, &ground);
    for (path, target) in shapes::MERGED {
        tree.symlink(path.as_bytes(), target.as_bytes());
    }
    tree
}

fn deep(slim: &LayerTree, number: u32) -> LayerTree {
    let mut layer = LayerTree::default();
    let path = format!("srv/layer-{number:03}");
    layer.file(path.as_bytes(), 0o644, 1000, Source::Seed(path.clone()));
    layer.add_parents(slim);
    layer
}

fn big() -> LayerTree {
    let mut layer = LayerTree::default();
    layer.directory(b"big", 0o755);
    for mib in [1, 16, 64, 256, 1024] {
        let path = format!("big/{mib:04}MiB");
        layer.file(path.as_bytes(), 0o644, mib << 20, Source::Seed(path.clone()));
    }
    layer
}

fn many() -> LayerTree {
    const DIRECTORIES: u32 = 1000;
    const FILES: u32 = 100;
    let mut rng = content::generator("many");
    let mut layer = LayerTree::default();
    layer.directory(b"many", 0o755);
    for directory in 0..DIRECTORIES {
        let directory = format!("many/{directory:03}");
        layer.directory(directory.as_bytes(), 0o755);
        for file in 0..FILES {
            let path = format!("{directory}/{file:02}");
            let size = 1024 + random::below(&mut rng, 9 * 1024);
            layer.file(path.as_bytes(), 0o644, size, Source::Seed(path.clone()));
        }
    }
    layer
}

#[cfg(test)]
mod tests;
