//! What both programs do alike: how they begin and end (hiding a password, logging, signals, the exit
//! code), and which broker they are told to use.

pub mod cli;
pub mod exit;
pub mod logging;
pub mod shutdown;
pub mod start;
