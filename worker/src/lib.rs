//! `ncs-worker`: takes image jobs from the broker, infers them on the sticks of this host, and
//! answers.
//!
//! One job's way, and the reading order:
//!
//! 1. [`service`]: what `run` sets up, and its life from connection to connection until shutdown;
//! 2. [`session`]: one connection's life: consume → queue; finished → publish → confirm → ack;
//! 3. [`received`]: a job in hand, from its arrival to its answer;
//! 4. [`pool`]: one thread per infer request: decode → infer → top-k;
//! 5. [`answer`]: what a job comes to: a result, an error result, or a dead letter;
//! 6. [`supervisor`]: keeps a network running over the devices that answer.
//!
//! Beside it: [`prefetch`] (how many jobs are taken at once), [`network`] (load a network and say so),
//! [`metrics`] and [`pages`], and the commands that serve no jobs, [`devices`], [`doctor`],
//! [`health`] and [`mod@bench`].
//!
//! Everything that can grow is bounded: jobs in hand by the prefetch, what each of them may cost by
//! [`cli::LimitArgs`], connections by [`ncs_program::http`]. Whatever blocks (OpenVINO, decoding) runs on the
//! pool's threads and never on the async ones.

pub mod answer;
pub mod bench;
pub mod cli;
pub mod devices;
pub mod doctor;
pub mod health;
pub mod identity;
mod in_hand;
pub mod labels;
pub mod metrics;
pub mod network;
pub mod pages;
pub mod pool;
pub mod prefetch;
pub mod received;
pub mod service;
pub mod session;
pub mod supervisor;
