//! Where the broker is, and who we are to it.

use crate::BrokerError;
use crate::files;
use crate::tls::{Tls, TlsFiles};
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds between heartbeats. RabbitMQ gives a silent client up after two to three of them, 12 to 18 s
/// (with its own default of 60, after two to three minutes); below 5 there are false alarms on a busy
/// host.
const HEARTBEAT_SECONDS: u16 = 6;

/// A file that holds an address and nothing else is no larger.
const MAX_ADDRESS_BYTES: u64 = 4096;

/// A broker's address with its credentials, which neither `Display` nor `Debug` shows. Where the broker
/// is a cluster, it may name several nodes.
#[derive(Clone)]
pub struct Address {
    /// They differ in host and port; never empty.
    nodes: Arc<[AMQPUri]>,
    /// The node that has answered last, by its place among them; all clones know it.
    last: Arc<AtomicUsize>,
    /// How to trust it, and who we are: with `amqps://` only.
    tls: Option<Arc<Tls>>,
}

impl Address {
    /// A program begins with any of the nodes, so that those of a fleet are spread over them.
    fn new(nodes: Vec<AMQPUri>, tls: Option<Arc<Tls>>) -> Self {
        let any = RandomState::new().build_hasher().finish() % nodes.len() as u64;
        Self {
            nodes: nodes.into(),
            last: Arc::new(AtomicUsize::new(usize::try_from(any).unwrap_or(0))),
            tls,
        }
    }

    /// The addresses of its nodes, each with its place: first the one that has answered last, then those
    /// after it.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = (usize, Self)> {
        let count = self.nodes.len();
        let first = self.last.load(Ordering::Relaxed);
        (0..count).map(move |number| {
            let place = (first + number) % count;
            let node = Self {
                nodes: [self.nodes[place].clone()].into(),
                last: Arc::default(),
                tls: self.tls.clone(),
            };
            (place, node)
        })
    }

    /// The node at this place has answered.
    pub(crate) fn has_answered(&self, place: usize) {
        self.last.store(place, Ordering::Relaxed);
    }

    /// Whether it names several nodes: any of them may go away, and the others go on.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.nodes.len() > 1
    }

    /// The node that has answered last.
    fn node(&self) -> &AMQPUri {
        &self.nodes[self.last.load(Ordering::Relaxed) % self.nodes.len()]
    }

    pub(crate) fn uri(&self) -> AMQPUri {
        self.node().clone()
    }

    /// The name or number of the host, an IPv6 address without brackets, and the port.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        let authority = &self.node().authority;
        (&authority.host, authority.port)
    }

    pub(crate) fn user(&self) -> &str {
        &self.node().authority.userinfo.username
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
        let AMQPUri { scheme, vhost, .. } = self.node();
        write!(f, "{scheme}://")?;
        for (place, node) in self.nodes.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let (host, port) = (&node.authority.host, node.authority.port);
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        if vhost == "/" {
            Ok(())
        } else {
            write!(f, "/{vhost}")
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
        let nodes = parse(&self.text).map_err(|reason| BrokerError::InvalidAddress {
            given: self.without_credentials(),
            reason,
        })?;
        let scheme = nodes.first().map(|node| &node.scheme);
        let tls = match (scheme.unwrap_or(&AMQPScheme::AMQP), files.first_flag()) {
            (AMQPScheme::AMQPS, _) => Some(Arc::new(Tls::read(files)?)),
            (AMQPScheme::AMQP, None) => None,
            (AMQPScheme::AMQP, Some(flag)) => {
                let address = Address::new(nodes, None);
                let (host, _) = address.host_and_port();
                return Err(BrokerError::Misconfigured(format!(
                    "{flag} is for TLS, and {address} goes without; write amqps://{host}, or leave \
                     it away"
                )));
            }
        };
        Ok(Address::new(nodes, tls))
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

/// The address of each node; at least one. An error is the reason, and quotes nothing.
fn parse(text: &str) -> Result<Vec<AMQPUri>, String> {
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
    // `user:password@rabbit-1,rabbit-2:5673`: the nodes of a cluster share users and virtual hosts.
    let (user, hosts) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    let several = hosts.contains(',');
    let nodes = hosts.split(',').map(|host| {
        if several && (host.is_empty() || host.starts_with(':')) {
            return Err("it has a comma without a host before or after it".to_owned());
        }
        parse_node(&format!("{scheme}{user}{host}{rest}"), host)
    });
    nodes.collect()
}

fn parse_node(text: &str, host: &str) -> Result<AMQPUri, String> {
    let mut uri: AMQPUri = text.parse()?;
    // The parser takes an IPv6 address for no host at all, and no host for localhost.
    if let Some(host) = ipv6_host(host) {
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

/// `[::1]:5672` → `::1`
fn ipv6_host(host: &str) -> Option<&str> {
    let host = host.strip_prefix('[')?;
    let (host, _) = host.split_once(']')?;
    host.parse::<Ipv6Addr>().is_ok().then_some(host)
}

#[cfg(test)]
mod tests;
