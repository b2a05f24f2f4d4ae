//! One layer as data: walk, changes, diff to an OCI layer tar, apply from one, copy, manifest
