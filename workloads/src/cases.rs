//! What `diff`, `commit` and `apply` are measured with: one changed file in a large tree, many, and a real image.

use std::path::Path;

use storage_driver::LayerId;

use crate::{
    Engine, Param, Params, Result, Scratch,
    content::Seed,
    large::{Changes, LargeTree},
    own_layers::{self, OwnLayers},
};

/// One case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// One changed file in a large tree.
    OneInLarge,
    /// Many changed files in it.
    Many,
    /// All layers of the base image `app`.
    App,
}

const CASES: [(&str, Case); 3] = [("one-in-large", Case::OneInLarge), ("many", Case::Many), ("app", Case::App)];
const LARGE: &str = "large";
const APP: &str = "app";

impl Case {
    pub(crate) fn name(self) -> &'static str {
        CASES.iter().find(|(_, case)| *case == self).map_or("", |(name, _)| name)
    }
}

/// The parameters that all three have.
pub(crate) fn params() -> Vec<Param> {
    let param = |name, default, quick, about| Param { name, default, quick, about };
    vec![
        param("cases", "all", "one-in-large,many", "all, or some with commas: one-in-large, many, app"),
        param("files", "6000", "1000", "files in the large tree"),
        param("changed", "5000", "500", "files of it that the case many changes"),
    ]
}

/// What is to be done on the large tree and with the image.
#[derive(Debug, Clone)]
pub(crate) struct Cases {
    pub(crate) cases: Vec<Case>,
    pub(crate) tree: LargeTree,
    pub(crate) changed: u64,
}

impl Cases {
    /// Reads the parameters, to be refused early, and keeps the seed.
    pub(crate) fn keep(params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        Seed::keep(seed, scratch)?;
        Self::of(params, scratch).map(drop)
    }

    pub(crate) fn of(params: &Params, scratch: &Scratch) -> Result<Self> {
        let files = params.number("files", 1..=10_000_000)?;
        Ok(Self {
            cases: params.choices("cases", &CASES)?,
            tree: LargeTree { seed: Seed::of(scratch)?, files },
            changed: params.number("changed", 1..=files)?,
        })
    }

    /// Lays out what the cases stand on.
    pub(crate) fn prepare(&self, workload: &'static str, engine: &mut dyn Engine) -> Result<()> {
        if self.cases.contains(&Case::App) {
            own_layers::base(engine, APP)?;
        }
        if self.cases.iter().any(|case| *case != Case::App) {
            OwnLayers::new(engine.driver(), workload).sealed(LARGE, None, |root| self.tree.make(root))?;
        }
        Ok(())
    }

    /// Makes the changes of a case on the large tree.
    pub(crate) fn change(&self, case: Case, root: &Path) -> Result<Changes> {
        if case == Case::OneInLarge { self.tree.change_one(root) } else { self.tree.change_many(root, self.changed) }
    }
}

/// The sealed layer with the large tree.
pub(crate) fn large(own: &OwnLayers<'_>) -> Result<LayerId> {
    own.id(LARGE)
}

/// The layers of the image, the lowest first.
pub(crate) fn app(engine: &mut dyn Engine) -> Result<Vec<LayerId>> {
    let top = own_layers::base(engine, APP)?;
    let mut chain = own_layers::chain(engine.driver(), &top)?;
    chain.reverse();
    Ok(chain)
}
