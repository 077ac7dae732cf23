//! `ncs-producer`: sends images to the fleet and collects the answers, and looks after those that
//! nobody could answer.
//!
//! Reading order:
//!
//! 1. [`images`] and [`synthetic`]: where images come from;
//! 2. [`flood`]: the load generator: publish within a window, collect, connect again;
//! 3. [`ledger`]: which jobs are unanswered, and what became of the others;
//! 4. [`report`]: the ledger's figures, as JSON and for people;
//! 5. [`dead`]: what is in the dead letters, and what becomes of it.
//!
//! It knows no OpenVINO. What grows is bounded: unanswered jobs by the window, unconfirmed messages
//! by [`flood::MAX_UNCONFIRMED`], images in memory by [`images::MAX_BYTES`], dead letters in hand by
//! [`dead::MOST_IN_HAND`], and the bodies that are kept of them by [`dead::MOST_BYTES_IN_HAND`]. Those
//! that are on their way to us have no bound of their own: at worst they are the bodies of all letters
//! in hand, so as much as the queue holds.

pub mod cli;
pub mod dead;
pub mod flood;
pub mod images;
pub mod ledger;
mod process;
mod progress;
pub mod report;
pub mod synthetic;
