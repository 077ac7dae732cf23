//! What the broker says when it declines us, or what we ask of it, and what to do about it.

use crate::{Address, BrokerError};
use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};

/// Sorts what the broker says instead of letting us in.
pub(crate) fn of_connection(address: &Address, amqp: &AMQPError) -> BrokerError {
    let address = address.clone();
    let reason = said(amqp);
    // A node that shuts down, or whose virtual host is still starting; or another client has to leave.
    let passes = matches!(
        amqp.kind(),
        AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED | AMQPHardError::INTERNALERROR)
    ) || reason.ends_with("is reached");
    if passes {
        return BrokerError::Unreachable { address, reason };
    }
    let remedy = match amqp.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) if address.user() == "guest" => {
            "check user and password; guest may only log in on the broker's own host".to_owned()
        }
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => "check user and password".to_owned(),
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if reason.ends_with("not found") => {
            format!(
                "create it with rabbitmqctl add_vhost {}, or give another in the address",
                address.uri().vhost
            )
        }
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => permit(&reason),
        _ => SEE_LOG.to_owned(),
    };
    BrokerError::Declined {
        address,
        reason,
        remedy,
    }
}

/// A permission that a user does not have. (The same code stands for a queue that another client has
/// for itself, which passes.)
pub(crate) fn is_missing_permission(amqp: &AMQPError) -> bool {
    matches!(
        amqp.kind(),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
    ) && amqp.get_message().as_str().contains("refused for user '")
}

/// Sorts what the broker says instead of doing what we ask of it.
pub(crate) fn sort(doing: &'static str, amqp: &AMQPError) -> BrokerError {
    let said = said(amqp);
    let (reason, remedy) = if let Some(mismatch) = Mismatch::in_words(&said) {
        (mismatch.to_string(), mismatch.remedy())
    } else if is_missing_permission(amqp) {
        let remedy = permit(&said);
        (said, remedy)
    } else {
        (said, SEE_LOG.to_owned())
    };
    BrokerError::Refused {
        doing,
        reason,
        remedy,
    }
}

const SEE_LOG: &str = "see the broker's log";

fn said(amqp: &AMQPError) -> String {
    let message = amqp.get_message().to_string();
    message.trim_end_matches('.').to_owned()
}

/// `… in vhost '/' refused for user 'ann'` → what gives ann everything there.
fn permit(said: &str) -> String {
    let vhost = quoted_after("vhost ", said).unwrap_or("VHOST");
    let user = quoted_after("user ", said).unwrap_or("USER");
    format!("allow it with rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'")
}

fn quoted_after<'a>(what: &str, said: &'a str) -> Option<&'a str> {
    let (_, rest) = said.split_once(what)?;
    let (quoted, _) = rest.strip_prefix('\'')?.split_once('\'')?;
    Some(quoted)
}

/// A queue or an exchange that exists, and not as we want it.
#[derive(Debug, PartialEq, Eq)]
struct Mismatch<'a> {
    /// `queue` or `exchange`.
    kind: &'a str,
    name: &'a str,
    vhost: &'a str,
    argument: &'a str,
    wanted: &'a str,
    there: &'a str,
}

impl<'a> Mismatch<'a> {
    /// Reads RabbitMQ's sentence, the same from 3.10 to 4.x: `PRECONDITION_FAILED - inequivalent arg
    /// 'x-delivery-limit' for queue 'q' in vhost '/': received the value '20' of type 'long' but current
    /// is none`. It is cut after 255 bytes, which a long name may use up; then there is nothing to read.
    fn in_words(said: &'a str) -> Option<Self> {
        let (_, rest) = said.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once("' for ")?;
        let (kind, rest) = rest.split_once(" '")?;
        let (place, values) = rest.split_once("': received ")?;
        let (name, vhost) = place.rsplit_once("' in vhost '")?;
        let (wanted, there) = values.split_once(" but current is ")?;
        Some(Self {
            kind,
            name,
            vhost,
            argument,
            wanted: bare(wanted),
            there: bare(there),
        })
    }

    fn remedy(&self) -> String {
        let Self {
            kind, name, vhost, ..
        } = self;
        if *kind == "queue" {
            let vhost = match *vhost {
                "/" => String::new(),
                other => format!("-p {other} "),
            };
            format!(
                "when the release that made it has emptied it, delete it with rabbitmqctl \
                 delete_queue {vhost}{name}, and start again"
            )
        } else {
            format!("delete this {kind} in RabbitMQ's management, and start again")
        }
    }
}

impl std::fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            name,
            argument,
            wanted,
            there,
            ..
        } = self;
        write!(
            f,
            "the {kind} '{name}' exists with {argument} {there}, and {wanted} is wanted"
        )
    }
}

/// `the value '20' of type 'long'` → `20`, `'quorum'` → `quorum`, `none` → `none`
fn bare(value: &str) -> &str {
    let value = value.strip_prefix("the value ").unwrap_or(value);
    let value = value
        .split_once("' of type ")
        .map_or(value, |(value, _)| value);
    value.trim_matches('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft(kind: AMQPSoftError, message: &str) -> AMQPError {
        AMQPError::new(kind.into(), message.into())
    }

    fn hard(kind: AMQPHardError, message: &str) -> AMQPError {
        AMQPError::new(kind.into(), message.into())
    }

    fn connecting(url: &str, amqp: &AMQPError) -> BrokerError {
        of_connection(&url.parse().unwrap(), amqp)
    }

    #[test]
    fn a_queue_with_other_arguments_is_named_with_both_values_and_the_remedy() {
        let said = "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'it's' in \
                    vhost '/fleet': received the value '20' of type 'long' but current is none";
        let error = sort(
            "declaring a queue",
            &soft(AMQPSoftError::PRECONDITIONFAILED, said),
        );
        assert_eq!(
            error.to_string(),
            "the broker refuses us while declaring a queue: the queue 'it's' exists with x-delivery-limit \
             none, and 20 is wanted; when the release that made it has emptied it, delete it with \
             rabbitmqctl delete_queue -p /fleet it's, and start again"
        );
    }

    #[test]
    fn values_are_read_in_each_way_that_rabbitmq_writes_them() {
        for (said, wanted, there) in [
            (
                "received 'quorum' but current is 'classic'",
                "quorum",
                "classic",
            ),
            (
                "received none but current is the value 'a' of type 'longstr'",
                "none",
                "a",
            ),
            ("received 'true' but current is 'false'", "true", "false"),
        ] {
            let said = format!("inequivalent arg 'x' for exchange 'q' in vhost '/': {said}");
            let mismatch = Mismatch::in_words(&said).unwrap();
            assert_eq!((mismatch.wanted, mismatch.there), (wanted, there));
        }
    }

    #[test]
    fn a_sentence_that_was_cut_is_shown_as_it_is() {
        let said =
            "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'aaaaaaaa...";
        let error = sort(
            "declaring a queue",
            &soft(AMQPSoftError::PRECONDITIONFAILED, said),
        );
        assert!(error.to_string().contains("for queue 'aaaaaaaa"), "{error}");
    }

    #[test]
    fn a_missing_permission_is_for_a_person_and_a_queue_in_use_is_not() {
        let missing = "ACCESS_REFUSED - access to queue 'ncs.jobs.m' in vhost '/fleet' refused for \
                       user 'ann'";
        let error = |said| {
            let amqp = soft(AMQPSoftError::ACCESSREFUSED, said);
            let error = lapin::ErrorKind::ProtocolError(amqp).into();
            BrokerError::lost("starting to consume", &error)
        };
        let permit = "set_permissions -p /fleet ann";
        assert!(error(missing).to_string().contains(permit));
        assert!(!error(missing).is_temporary());
        let used = "ACCESS_REFUSED - queue 'ncs.jobs.m' in vhost '/' in exclusive use";
        assert!(error(used).is_temporary());
    }

    #[test]
    fn a_broker_that_starts_stops_or_is_full_is_tried_again() {
        for amqp in [
            hard(
                AMQPHardError::CONNECTIONFORCED,
                "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
            ),
            hard(
                AMQPHardError::INTERNALERROR,
                "INTERNAL_ERROR - access to vhost '/' refused for user 'ann': vhost '/' is down",
            ),
            hard(
                AMQPHardError::NOTALLOWED,
                "NOT_ALLOWED - access to vhost '/' refused for user 'ann': connection limit (9) is \
                 reached",
            ),
        ] {
            assert!(connecting("amqp://ann:x@h", &amqp).is_temporary(), "{amqp}");
        }
    }

    #[test]
    fn who_is_declined_is_told_the_remedy() {
        let login = soft(
            AMQPSoftError::ACCESSREFUSED,
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details \
             see the broker logfile.",
        );
        for (url, remedy) in [
            ("amqp://ann:x@h", "; check user and password"),
            ("amqp://h", "guest may only log in on the broker's own host"),
        ] {
            let error = connecting(url, &login);
            assert!(error.to_string().ends_with(remedy), "{error}");
            assert!(!error.is_temporary());
        }
    }
}
