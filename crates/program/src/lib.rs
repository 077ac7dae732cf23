//! How both programs begin and end: logging, signals, and the exit code.

pub mod exit;
pub mod logging;
pub mod shutdown;
