//! Where the broker is, and who we are to it.

use crate::BrokerError;
use crate::files;
use crate::tls::{Tls, TlsFiles};
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Seconds between heartbeats. RabbitMQ gives a silent client up after two to three of them, 12 to 18 s
/// (with its own default of 60, after two to three minutes); below 5 there are false alarms on a busy
/// host.
const HEARTBEAT_SECONDS: u16 = 6;

/// A file that holds an address and nothing else is no larger.
const MAX_ADDRESS_BYTES: u64 = 4096;

/// A broker's address with its credentials, which neither `Display` nor `Debug` shows.
#[derive(Clone)]
pub struct Address {
    uri: Arc<AMQPUri>,
    /// How to trust it, and who we are: with `amqps://` only.
    tls: Option<Arc<Tls>>,
}

impl Address {
    pub(crate) fn uri(&self) -> AMQPUri {
        AMQPUri::clone(&self.uri)
    }

    /// The name or number of the host, an IPv6 address without brackets, and the port.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (&self.uri.authority.host, self.uri.authority.port)
    }

    pub(crate) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }
}

impl FromStr for Address {
    type Err = BrokerError;

    /// With `amqps://`, reads the system's certificates.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        UncheckedAddress::from(text.to_owned()).check(&TlsFiles::default())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.host_and_port();
        let scheme = &self.uri.scheme;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")?;
        } else {
            write!(f, "{scheme}://{host}:{port}")?;
        }
        if self.uri.vhost == "/" {
            Ok(())
        } else {
            write!(f, "/{}", self.uri.vhost)
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
pub struct UncheckedAddress {
    text: String,
    /// The file that it was read from. Nothing of it is ever shown: whoever mistakes the file may
    /// have named one with other secrets.
    file: Option<PathBuf>,
}

impl UncheckedAddress {
    /// Reads it from a file, whose name came with `flag`. Space around it does not count.
    pub fn read(file: &Path, flag: &str) -> Result<Self, BrokerError> {
        let bytes = files::read(file, flag, MAX_ADDRESS_BYTES)?;
        let Ok(text) = String::from_utf8(bytes) else {
            let problem = format!("{} ({flag}) is not text", file.display());
            return Err(BrokerError::Misconfigured(problem));
        };
        Ok(Self {
            text: text.trim().to_owned(),
            file: Some(file.to_owned()),
        })
    }

    /// Parses it, and reads what TLS needs; an error shows no credentials.
    pub fn check(&self, files: &TlsFiles) -> Result<Address, BrokerError> {
        let uri = parse(&self.text).map_err(|reason| BrokerError::InvalidAddress {
            given: self.without_credentials(),
            reason,
        })?;
        let tls = match (&uri.scheme, files.first_flag()) {
            (AMQPScheme::AMQPS, _) => Some(Arc::new(Tls::read(files)?)),
            (AMQPScheme::AMQP, None) => None,
            (AMQPScheme::AMQP, Some(flag)) => {
                let (host, uri) = (uri.authority.host.clone(), Arc::new(uri));
                let address = Address { uri, tls: None };
                return Err(BrokerError::Misconfigured(format!(
                    "{flag} is for TLS, and {address} goes without; write amqps://{host}, or leave \
                     it away"
                )));
            }
        };
        Ok(Address {
            uri: Arc::new(uri),
            tls,
        })
    }

    /// What somebody typed, without what may be a password: what stands before an `@`, or after a
    /// colon where the `@` was forgotten.
    fn without_credentials(&self) -> String {
        if let Some(file) = &self.file {
            return format!("the content of {}", file.display());
        }
        if let Some((_, host)) = self.text.rsplit_once('@') {
            return format!("'…@{host}'");
        }
        let authority = self.text.find("://").map_or(0, |scheme| scheme + 3);
        match self.text[authority..].find(':') {
            Some(colon) => format!("'{}:…'", &self.text[..authority + colon]),
            None => format!("'{}'", self.text),
        }
    }
}

impl From<String> for UncheckedAddress {
    fn from(text: String) -> Self {
        Self { text, file: None }
    }
}

impl fmt::Debug for UncheckedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UncheckedAddress(…)")
    }
}

/// An error is the reason, and quotes nothing.
fn parse(text: &str) -> Result<AMQPUri, String> {
    // The parser's own error for this quotes the whole text.
    let scheme = ["amqp://", "amqps://"].into_iter().find(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else {
        return Err("it does not begin with amqp:// or amqps://".to_owned());
    };
    // The parser would drop line breaks, and join the lines of a file.
    if text.contains(char::is_whitespace) {
        return Err("it has a space or a line break in it".to_owned());
    }
    let rest = &text[scheme.len()..];
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if rest.contains('@') {
        // Read to the letter, a part of the password would be the virtual host, which is shown.
        return Err(
            "in a user or password write %2F for '/', %3F for '?', %23 for '#'; in a virtual host \
             %40 for '@'"
                .to_owned(),
        );
    }
    check_options(rest)?;
    let mut uri: AMQPUri = text.parse()?;
    // The parser takes an IPv6 address for no host at all, and no host for localhost.
    if let Some(host) = ipv6_host(authority) {
        host.clone_into(&mut uri.authority.host);
    }
    // `amqp://host/` names the empty virtual host to the letter; everybody means the default.
    if uri.vhost.is_empty() {
        uri.vhost.push('/');
    }
    if uri.query.heartbeat == Some(0) {
        let problem = "heartbeat=0 would let a lost connection go unnoticed; leave it away";
        return Err(problem.to_owned());
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    Ok(uri)
}

/// What may follow a `?`. The parser passes over options that it does not know, and does not say which of
/// those that it does know is wrong.
fn check_options(rest: &str) -> Result<(), String> {
    const KNOWN: [&str; 4] = [
        "heartbeat",
        "frame_max",
        "channel_max",
        "connection_timeout",
    ];
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if !KNOWN.contains(&name) {
            let known = KNOWN.join(", ");
            return Err(format!("'{name}' is no option of it; known are {known}"));
        }
        if value.parse::<u32>().is_err() {
            return Err(format!("its option {name} is no number"));
        }
    }
    Ok(())
}

/// `user:password@[::1]:5672` → `::1`
fn ipv6_host(authority: &str) -> Option<&str> {
    let host = authority.rsplit('@').next()?.strip_prefix('[')?;
    let (host, _) = host.split_once(']')?;
    host.parse::<Ipv6Addr>().is_ok().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Address {
        Address {
            uri: Arc::new(parse(text).unwrap()),
            tls: None,
        }
    }

    fn error(text: &str) -> String {
        let address = UncheckedAddress::from(text.to_owned());
        address.check(&TlsFiles::default()).unwrap_err().to_string()
    }

    #[test]
    fn credentials_are_never_shown() {
        let address = plain("amqps://ann:s3cret@rabbit:5671/fleet");
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
        for text in [
            "http://ann:s3cret@rabbit",
            "amqp:ann:s3cret@rabbit",
            "ann:s3cret@rabbit",
            "amqp://ann:s3cret@rabbit:port",
            "amqp://ann:s3cret@rabbit?heartbeat=soon",
            "amqp://ann:s3cret@rabbit?heartbeat=0",
            "amqp://ann:s3cret@rabbit?heatbeat=20",
        ] {
            let error = error(text);
            assert!(error.contains("'…@rabbit"), "{error}");
            assert!(
                !error.contains("s3cret") && !error.contains("ann:"),
                "{error}"
            );
        }
        // The host was forgotten.
        for text in ["amqp://ann:s3cret", "ann:s3cret"] {
            assert!(!error(text).contains("s3cret"), "{}", error(text));
        }
    }

    #[test]
    fn a_password_that_would_be_read_as_a_virtual_host_is_refused() {
        for text in [
            "amqp://ann:12/s3cret@rabbit",
            "amqp://ann:12?s3cret@rabbit",
            "amqp://ann:#s3cret@rabbit",
            "amqp://ann:p@12/s3cret@rabbit",
        ] {
            let error = error(text);
            assert!(
                error.contains("%2F") && !error.contains("s3cret"),
                "{error}"
            );
        }
        let escaped = plain("amqp://ann:12%2Fs3cret@rabbit/a%40b");
        assert_eq!(escaped.to_string(), "amqp://rabbit:5672/a@b");
        assert_eq!(escaped.uri().authority.userinfo.password, "12/s3cret");
    }

    #[test]
    fn no_path_and_an_empty_path_mean_the_default_virtual_host() {
        for text in ["amqp://h", "amqp://h:5672", "amqp://h/", "amqp://h/%2f"] {
            let uri = plain(text).uri();
            assert_eq!(uri.vhost, "/", "{text}");
            assert_eq!(uri.query.heartbeat, Some(HEARTBEAT_SECONDS));
        }
        let chosen = plain("amqp://h?heartbeat=30").uri();
        assert_eq!(chosen.query.heartbeat, Some(30));
    }

    #[test]
    fn an_ipv6_address_is_not_taken_for_localhost() {
        for text in [
            "amqp://[fd00::7]:5673/v",
            "amqp://ann:p%5Bx@[fd00::7]:5673/v",
        ] {
            let address = plain(text);
            assert_eq!(address.host_and_port(), ("fd00::7", 5673));
            assert_eq!(address.to_string(), "amqp://[fd00::7]:5673/v");
        }
    }

    #[test]
    fn a_file_of_tls_is_no_use_to_an_address_without() {
        let files = TlsFiles {
            ca: Some("ca.pem".into()),
            ..TlsFiles::default()
        };
        let address = UncheckedAddress::from("amqp://ann:s3cret@rabbit".to_owned());
        let error = address.check(&files).unwrap_err().to_string();
        assert!(
            error.contains("--tls-ca") && error.contains("amqps://rabbit"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn an_address_from_a_file_is_trimmed_and_never_shown() {
        let dir = std::env::temp_dir().join(format!("ncs-address-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("url");
        let check = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            UncheckedAddress::read(&file, "--amqp-url-file")
                .and_then(|address| address.check(&TlsFiles::default()))
        };
        let address = check(b"\n amqp://ann:s3cret@rabbit/v \r\n\n").unwrap();
        assert_eq!(address.to_string(), "amqp://rabbit:5672/v");
        for content in [
            b"ann:s3cret@rabbit".as_slice(),
            b"amqp://ann:s3cret@rabbit\nmore",
            b"s3cret \xff",
            b"",
            &[b's'; 5000],
        ] {
            let error = check(content).unwrap_err().to_string();
            assert!(
                error.contains("url") && !error.contains("s3cret") && !error.contains("rabbit"),
                "{error}"
            );
        }
        std::fs::remove_dir_all(&dir).unwrap();
        let missing = UncheckedAddress::read(&file, "--amqp-url-file").unwrap_err();
        assert!(missing.to_string().contains("--amqp-url-file"), "{missing}");
    }
}
