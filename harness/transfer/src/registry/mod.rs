//! Registries, over the OCI distribution protocol (distribution-spec 1.1).

mod challenge;
mod client;
mod credentials;
mod options;
mod pull;
mod push;
mod tls;
mod token;
mod url;

pub use self::{
    options::{Mirror, Options},
    pull::pull,
    push::push,
};
