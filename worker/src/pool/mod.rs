//! The threads that infer, and the jobs that they take.
//!
//! [`jobs`] is the queue of the jobs in hand; it outlives networks. A [`Generation`] is the threads
//! of one network, one per infer request; when the network is rebuilt, the next generation takes
//! over the queue. `infer` is what one thread does with one job; a [`Gate`] bounds how many of them
//! decode at once.

mod gate;
mod generation;
mod infer;
pub mod jobs;

pub use gate::Gate;
pub use generation::{Cause, Generation, Trouble};
pub use infer::Shared;
pub use jobs::Jobs;
