//! Where the broker is, and who we are to it.

use crate::BrokerError;
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Seconds between heartbeats. The server's own default of 60 notices a vanished host after two
/// minutes; below 5 there are false alarms on a busy host.
const HEARTBEAT_SECONDS: u16 = 10;

/// A broker's address with its credentials, which neither `Display` nor `Debug` shows.
#[derive(Clone)]
pub struct Address(Arc<AMQPUri>);

impl Address {
    pub(crate) fn uri(&self) -> AMQPUri {
        AMQPUri::clone(&self.0)
    }
}

impl FromStr for Address {
    type Err = BrokerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut uri: AMQPUri =
            text.parse()
                .map_err(|reason: String| BrokerError::InvalidAddress {
                    given: without_credentials(text),
                    reason,
                })?;
        // `amqp://host/` names the empty virtual host to the letter; everybody means the default.
        if uri.vhost.is_empty() {
            uri.vhost.push('/');
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self(Arc::new(uri)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.0.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let authority = &self.0.authority;
        write!(f, "{scheme}://{}:{}", authority.host, authority.port)?;
        if self.0.vhost == "/" {
            Ok(())
        } else {
            write!(f, "/{}", self.0.vhost)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// A broker's address as it was given. Command-line parsers quote what they cannot parse, and with
/// it the password; this takes anything, shows nothing, and is checked afterwards.
#[derive(Clone)]
pub struct UncheckedAddress(String);

impl UncheckedAddress {
    /// Parses it; an error shows no credentials.
    pub fn check(&self) -> Result<Address, BrokerError> {
        self.0.parse()
    }
}

impl From<String> for UncheckedAddress {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for UncheckedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UncheckedAddress(…)")
    }
}

/// What somebody typed, without what stands before an `@`.
fn without_credentials(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let address: Address = "amqps://ann:s3cret@rabbit:5671/fleet".parse().unwrap();
        for shown in [
            address.to_string(),
            format!("{address:?}"),
            format!("{address:#?}"),
        ] {
            assert!(
                !shown.contains("s3cret") && !shown.contains("ann"),
                "{shown}"
            );
        }
        assert_eq!(address.to_string(), "amqps://rabbit:5671/fleet");
    }

    #[test]
    fn a_bad_address_is_refused_without_showing_its_password() {
        let error = "http://ann:s3cret@rabbit"
            .parse::<Address>()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("rabbit") && !error.contains("s3cret"),
            "{error}"
        );
        assert!(!error.contains("ann"), "{error}");
    }

    #[test]
    fn no_path_and_an_empty_path_mean_the_default_virtual_host() {
        for text in ["amqp://h", "amqp://h:5672", "amqp://h/", "amqp://h/%2f"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.uri().vhost, "/", "{text}");
            assert_eq!(address.uri().query.heartbeat, Some(HEARTBEAT_SECONDS));
        }
    }
}
