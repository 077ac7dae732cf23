//! RabbitMQ, once: connecting, declaring, publishing with confirms, consuming.
//!
//! Both programs use it; it does not know what a job means. It does not hide a broken connection
//! either: every operation then fails with an error whose [`BrokerError::is_temporary`] is true,
//! and the program drops everything and opens a new [`Link`], paced by [`Outage`]. lapin's own
//! recovery is not used, because it was seen not to come back after a broker's restart.
//!
//! Reading order: [`address`] and [`tls`], then `opening` (with `refusal` and `stranger`, for when it
//! fails) and `wire`, [`link`], [`connection`], [`publisher`], [`consumer`]; and [`management`], which is HTTP.
//!
//! Bounds: every wait on the network ends after [`OPERATION_LIMIT`]; the exception is a publisher
//! that the broker itself has blocked (memory or disk alarm), which waits until it is unblocked.

pub mod address;
pub mod connection;
pub mod consumer;
mod death;
mod error;
mod files;
mod limit;
pub mod link;
pub mod management;
mod opening;
mod properties;
pub mod publisher;
mod reconnect;
mod refusal;
mod stranger;
pub mod tls;
mod wire;

pub use address::{Address, UncheckedAddress};
pub use connection::Connection;
pub use consumer::{Consumer, Delivery, Getter, Settled, Ticket};
pub use death::Death;
pub use error::BrokerError;
pub use limit::OPERATION_LIMIT;
pub use link::{Link, Outage};
pub use management::{Management, ManagementError};
pub use publisher::{Confirm, Confirmed, Message, Publisher, Returned, Tries};
pub use tls::TlsFiles;
