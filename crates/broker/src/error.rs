//! What can go wrong with the broker, sorted by what the program does about it.

use crate::refusal;
use crate::{Address, OPERATION_LIMIT};
use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};

/// An operation on the broker failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// The address is not an AMQP URL.
    #[error(
        "{given} is not a broker's address: {reason}; expected amqp://user:password@host:5672/vhost"
    )]
    InvalidAddress {
        /// What was given, without a password.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or flag that says how to reach the broker cannot be used. The sentence names both, and
    /// the remedy.
    #[error("{0}")]
    Misconfigured(String),
    /// Nothing answers there.
    #[error("no broker answers at {address}: {reason}; check the address and that RabbitMQ runs")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the system says.
        reason: String,
    },
    /// Something answers, and it is no broker, or none to be trusted.
    #[error("cannot use the broker at {address}: {reason}; {remedy}")]
    Unusable {
        /// Where.
        address: Address,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: String,
        /// It may pass by itself.
        temporary: bool,
    },
    /// The broker answers and declines: credentials, virtual host, permissions.
    #[error("the broker at {address} declines the connection: {reason}; {remedy}")]
    Declined {
        /// Where.
        address: Address,
        /// What the broker says.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The queue or exchange does not exist.
    #[error("the broker has no such thing: {0}")]
    NotFound(String),
    /// The queue or exchange exists with other arguments, or may not be used.
    #[error("the broker refuses us while {doing}: {reason}; {remedy}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// What the broker says.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The message cannot be sent as it is.
    #[error("the message cannot be sent: {0}")]
    InvalidMessage(String),
    /// The connection broke, or the broker closed it.
    #[error("the connection to the broker was lost while {doing}: {reason}")]
    Lost {
        /// What was going on.
        doing: &'static str,
        /// What is known about it.
        reason: String,
    },
    /// The broker did not answer within [`OPERATION_LIMIT`].
    #[error("the broker did not answer within {} s while {doing}", OPERATION_LIMIT.as_secs())]
    TimedOut {
        /// What was going on.
        doing: &'static str,
    },
}

impl BrokerError {
    /// Connecting anew may help; everything else needs a person.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unusable {
                    temporary: true,
                    ..
                }
                | Self::Lost { .. }
                | Self::TimedOut { .. }
        )
    }

    /// What was declared, and is missing or refused now, is declared again over a new link.
    #[must_use]
    pub fn while_working(self) -> Self {
        match self {
            Self::NotFound(reason) => Self::Lost {
                doing: "working",
                reason,
            },
            Self::Refused { doing, reason, .. } => Self::Lost { doing, reason },
            other => other,
        }
    }

    /// An error while messages flow. Whatever the broker says (it closes a channel for a consumer
    /// that takes too long as for a deleted exchange), connecting and declaring anew is the remedy;
    /// only a missing permission stays missing.
    pub(crate) fn lost(doing: &'static str, error: &lapin::Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::ProtocolError(amqp) if refusal::is_missing_permission(amqp) => {
                return refusal::sort(doing, amqp);
            }
            ErrorKind::ProtocolError(amqp) => amqp.get_message().to_string(),
            _ => error.to_string(),
        };
        Self::Lost { doing, reason }
    }

    /// Sorts an error of declaring, or of looking at what is declared.
    pub(crate) fn of_declaration(doing: &'static str, error: &lapin::Error) -> Self {
        let ErrorKind::ProtocolError(amqp) = error.kind() else {
            return Self::lost(doing, error);
        };
        match amqp.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
                let message = amqp.get_message().to_string();
                // RabbitMQ says this of queues, too, whose node is down, or that are being started.
                if message.contains("no queue") || message.contains("no exchange") {
                    Self::NotFound(message)
                } else {
                    Self::Lost {
                        doing,
                        reason: message,
                    }
                }
            }
            AMQPErrorKind::Soft(
                AMQPSoftError::PRECONDITIONFAILED
                | AMQPSoftError::ACCESSREFUSED
                // Another connection's own.
                | AMQPSoftError::RESOURCELOCKED,
            ) => refusal::sort(doing, amqp),
            _ => Self::lost(doing, error),
        }
    }
}
