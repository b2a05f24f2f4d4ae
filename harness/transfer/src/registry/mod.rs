//! Registries, over the OCI distribution protocol (distribution-spec 1.1).

mod challenge;
mod client;
mod credentials;
mod login;
mod options;
mod pull;
mod push;
mod tls;
mod token;
mod url;

pub use self::{
    credentials::{Credentials, Kept},
    login::{known_credentials, login, logout, registry_name},
    options::{Mirror, Options},
    pull::{pull, tags},
    push::push,
};
