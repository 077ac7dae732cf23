//! The fleet as child processes: a private RabbitMQ, workers and producers, started, watched and
//! ended from outside. The end-to-end tests and `cargo xtask` are built on it.
//!
//! Read in this order:
//!
//! - [`paths`]: where everything is that `cargo xtask setup` has made, and the built binaries;
//! - [`process`]: one child process, and the leash that ends it when we are killed;
//! - [`rabbitmq`]: a broker of our own, which can be killed and started again with its data;
//! - [`worker`] and [`producer`]: the two programs; [`supervised`]: a worker that is started again;
//! - [`proxy`]: a network between them that can be cut; [`hosts`]: several hosts on one machine, each
//!   a [`place`] of its own;
//! - [`sticks`]: a host with emulated sticks for a worker, to be broken at will;
//! - [`prometheus`]: the real Prometheus, to look at them with; [`targets`] tells it which workers there
//!   are;
//! - [`chaos`]: all of these together, while everything happens that happens to fleets;
//! - [`compose`]: Docker Compose, to read the files of `deploy/` as it does;
//! - [`http`], [`ports`], [`poll`]: asking `/readyz`, choosing a port, waiting without sleeping.
//!
//! It knows no AMQP client and no OpenVINO: it sees the programs as a user does.

#[cfg(unix)]
pub mod chaos;
pub mod compose;
pub mod http;
pub mod paths;
pub mod poll;
pub mod ports;

#[cfg(unix)]
pub mod hosts;
#[cfg(unix)]
mod leash;
#[cfg(unix)]
pub mod place;
#[cfg(unix)]
pub mod process;
#[cfg(unix)]
pub mod producer;
#[cfg(unix)]
pub mod prometheus;
#[cfg(unix)]
pub mod proxy;
#[cfg(unix)]
pub mod rabbitmq;
#[cfg(unix)]
mod run_dir;
#[cfg(unix)]
pub mod sticks;
#[cfg(unix)]
pub mod supervised;
#[cfg(unix)]
pub mod targets;
#[cfg(unix)]
pub mod worker;

pub use poll::poll_until;
pub use ports::free_port;
