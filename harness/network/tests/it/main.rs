//! Tests with real interfaces, in network namespaces of their own: nothing leaves them.

mod addresses;
mod leftovers;
mod namespaces;
mod ports;
mod traffic;
