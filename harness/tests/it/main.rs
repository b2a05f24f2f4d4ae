//! The program as people use it: its commands, its answers, its exit statuses, and that nothing is left behind.

mod bad_input;
mod bench;
mod browser;
mod build_features;
mod build_outputs;
mod compare;
mod container_data;
mod containers;
mod crash;
mod debian;
mod detached;
mod dockerfile;
mod engine;
mod full_disk;
mod images_in_and_out;
mod keeps;
mod lab;
mod migrate;
mod networks;
mod ordinary_user;
mod other_runtimes;
mod place;
mod profile;
mod reading_results;
mod report;
mod resume;
