//! The Dockerfile builder: parser, build context, layer cache, execution on any storage driver.
//!
//! A Dockerfile becomes stages of instructions with the place of every word ([`parse()`]); only the stages that the
//! target needs are built. Each `RUN`, `COPY`, `ADD` and `WORKDIR` makes a layer: a writable layer is prepared on the
//! driver, mounted, changed, unmounted and committed; everything else changes the image's configuration. What each
//! phase took and what the driver had to copy is told to an [`Observer`].
//!
//! The syntax is that of the Dockerfile reference; what is not supported yet is refused by name, never ignored.

#![deny(missing_docs)]

mod archive;
mod builtin;
mod cache_key;
mod check;
mod context;
mod contexts;
mod diagnostic;
pub mod dockerfile;
mod error;
mod execute;
mod expand;
mod fetch;
mod ignore;
mod images;
mod near;
mod observe;
mod outline;
mod parse;
mod received;
mod source;
mod stages;

pub use builtin::{keeps_git_dir, switch};
pub use check::{Rule, Warning, check_text};
pub use contexts::{NamedContext, NamedContexts};
pub use diagnostic::Diagnostic;
pub use error::{Error, Result};
pub use execute::{
    BuildNetwork, BuildOutcome, BuildRequest, Builder, CachedStep, Entitlements, RunLimits, Secret, base_images,
    configure, configure_on, is_network_of_a_build,
};
pub use fetch::{fetch_file, without_user};
pub use ignore::Ignore;
pub use images::{Images, Stored};
pub use observe::{LayerSummary, Observer, StepReport, StepStart, StepTimes, Stream};
pub use outline::{Outline, Parameter, Target, outline, targets};
pub use parse::{parse, parse_named};
pub use received::{Access, ReceivedContext, is_address};
pub use source::{Source, Span};
