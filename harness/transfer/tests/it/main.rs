//! Images in and out, against files made by hand, and with other tools as the other end.

mod archives_in;
mod archives_out;
mod fake_registry;
mod hostile_archives;
mod hostile_registries;
mod logins;
mod real_registry;
mod support;
mod transports;
