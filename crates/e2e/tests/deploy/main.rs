//! What can be said of the compose files, the images and the unit without a Docker engine: each file is
//! read and merged by Docker Compose itself, and what comes out fits the repository and the programs.
#![cfg(unix)]

mod compose_files;
mod dockerfile;
mod models_script;
mod project;
mod scratch;
mod service;
mod settings;
mod unit;
