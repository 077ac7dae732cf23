//! `ncs-producer`: sends images to the fleet and collects the answers, and looks after those that
//! nobody could answer.
//!
//! Reading order:
//!
//! 1. [`source`]: where images come from, and what becomes of them before they are sent;
//! 2. `traffic`: jobs out, results in, over as many links as it takes;
//! 3. [`flood`]: the load generator: when each job is due, what it measures, its report;
//! 4. `submit`: a batch of images, one line for each, however often it is interrupted;
//! 5. [`dead`]: what is in the dead letters, and what becomes of it;
//! 6. `workers`: which workers there are, from what they announce;
//! 7. [`status`]: what the fleet is doing now, from the broker;
//! 8. [`targets`]: which workers Prometheus shall scrape.
//!
//! It knows no OpenVINO. What grows is bounded: unanswered jobs by the window, unconfirmed messages
//! by `traffic::sending`, images in memory by [`source::MAX_BYTES`], dead letters in hand by
//! [`dead::MOST_IN_HAND`], and the bodies that are kept of them by [`dead::MOST_BYTES_IN_HAND`]. Those
//! that are on their way to us have no bound of their own: at worst they are the bodies of all letters
//! in hand, so as much as the queue holds.

pub mod cli;
pub mod dead;
pub mod flood;
mod process;
mod progress;
pub mod source;
pub mod status;
#[cfg(unix)]
pub mod submit;
pub mod targets;
mod traffic;
mod workers;

pub use progress::AboveProgress;
