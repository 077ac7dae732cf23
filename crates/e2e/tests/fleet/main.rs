//! The fleet as a whole: real workers and producers, a real broker, the real OpenVINO.
//!
//! Each test serves a model name of its own, so that tests share a broker and no queue.
#![cfg(unix)]

mod bed;
mod client;
mod digits;
mod doctor;
mod drain;
mod figures;
mod flood;
mod http_flood;
mod large;
mod limits;
mod prepare;
mod python_client;
mod recovery;
mod refused;
mod worker_http;
