//! Images in and out: archives, layouts, registries.
//!
//! Everything ends or starts at the image store ([`harness_image::Store`]), which keeps what came from elsewhere byte
//! for byte. What comes is checked while it streams: digests, lengths, and what layers unpack to. Nothing that a
//! source says becomes a path, and no declared size is allocated.

#![deny(missing_docs)]

mod archive;
mod check;
mod compress;
mod copy;
mod document;
mod error;
mod fetch;
mod index;
mod lay_out;
mod layer;
mod layout;
mod limits;
mod location;
mod platform;
mod receive;
mod registry;
mod room;
mod source;
mod watch;
mod whole;

pub use archive::{Form, Loaded, load, load_file, save};
pub use check::{check_configuration, check_manifest};
pub use compress::compress;
pub use copy::{copy_in, copy_out};
pub use error::{Error, Result};
pub use location::Location;
pub use platform::Platform;
pub use registry::{
    Credentials, Kept, Mirror, Options, known_credentials, login, logout, pull, push, registry_name, tags,
};
pub use watch::{Done, Watch};
pub use whole::into_file;
