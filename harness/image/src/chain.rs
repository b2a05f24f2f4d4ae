use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use storage_layer::Digest;

/// The digest of a layer's uncompressed tar (OCI image-spec, config.md, "Layer DiffID").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

/// Names a layer together with everything below it (OCI image-spec, config.md, "Layer ChainID").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(Digest);

impl ChainId {
    /// Its digits without the algorithm's name, as a file name.
    pub(crate) fn hex(&self) -> String {
        self.0.hex()
    }

    /// The chain that `layer` makes on top of `parent`: its own diff id at the bottom, above that the digest of
    /// the text `<parent chain id> <diff id>`.
    #[must_use]
    pub fn on(parent: Option<&Self>, layer: &DiffId) -> Self {
        match parent {
            None => Self(layer.0),
            Some(parent) => Self(Digest::of(format!("{parent} {layer}").as_bytes())),
        }
    }

    /// The chains of every prefix of a list of layers, bottom first.
    #[must_use]
    pub fn of_all<'a>(layers: impl IntoIterator<Item = &'a DiffId>) -> Vec<Self> {
        let mut below = None;
        let step = |layer: &DiffId| {
            let chain = Self::on(below.as_ref(), layer);
            below = Some(chain);
            chain
        };
        layers.into_iter().map(step).collect()
    }

    /// The chain id as a digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

macro_rules! like_a_digest {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = <Digest as FromStr>::Err;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

like_a_digest!(DiffId);
like_a_digest!(ChainId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_hashes_the_chain_below_and_its_own_layer() {
        let diffs: Vec<_> = [b"a", b"b", b"c"].map(|bytes| DiffId(Digest::of(bytes))).into();
        let chains = ChainId::of_all(&diffs);
        assert_eq!(chains[0].digest(), &diffs[0].0);
        let second = Digest::of(format!("{} {}", diffs[0], diffs[1]).as_bytes());
        assert_eq!(chains[1].digest(), &second);
        assert_eq!(chains[2].digest(), &Digest::of(format!("{second} {}", diffs[2]).as_bytes()));
    }

    /// Debian's `printf 'sha256:... sha256:...' | sha256sum` gave the expected value.
    #[test]
    fn a_chain_of_two_equals_what_sha256sum_says() {
        let empty: DiffId = DiffId(Digest::of(b""));
        let chain = ChainId::on(Some(&ChainId::on(None, &empty)), &empty);
        assert_eq!(chain.to_string(), "sha256:de9d9016b852e46e9f3973e20d3a6d17e120f7144931d50cd6e2a8ad53e81960");
    }
}
