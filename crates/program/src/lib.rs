//! What both programs do alike: how they begin and end (hiding a password, logging, signals, the exit
//! code), which broker they are told to use, and how they show their figures over HTTP.

pub mod cli;
pub mod exit;
pub mod http;
pub mod logging;
pub mod shutdown;
pub mod start;
