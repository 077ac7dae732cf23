//! Opening a connection: TCP, TLS, then AMQP's own handshake.
//!
//! lapin would do the first two itself, on a thread of its own for each connection, and would wait
//! there without limit for a server that accepts and never says a word: giving up on it would leave
//! the thread behind. So they are done here, where giving up is dropping a future, and lapin is handed
//! a stream that is ready; of that, a second handle is kept, to hang up with.

use crate::tls::{self, Tls};
use crate::wire::{self, Readable};
use crate::{Address, BrokerError, refusal, stranger};
use async_compat::Compat;
use futures_util::AsyncReadExt;
use lapin::{AsyncTcpStream, ConnectionProperties, ErrorKind};
use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

type Stream = AsyncTcpStream<Compat<TcpStream>>;

/// How long a host that others can stand in for may be silent when it is called. Whoever is there answers
/// within a round trip; the second and the third call, for one that was lost, come after 1 and 3 s.
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(4);

/// What RabbitMQ shows of all our connections, beside their names.
const PRODUCT: &str = "ncs-fleet";

/// Opens a connection to one node, and says which of our addresses it is from. Has no limit of its own, but
/// `connect_limit` for each of the node's addresses: it may be dropped at any time, and then nothing of it is
/// left, neither a socket nor a thread.
pub(crate) async fn open(
    address: &Address,
    name: &str,
    connect_limit: Option<Duration>,
) -> Result<(lapin::Connection, IpAddr), BrokerError> {
    let (stream, line) = match connect(address, connect_limit).await {
        Ok(connected) => connected,
        Err(error) => return Err(unreachable(address, &error)),
    };
    let local = match line.local_ip() {
        Ok(local) => local,
        Err(error) => return Err(unreachable(address, &error)),
    };
    let stream = match address.tls() {
        None => stream,
        Some(tls) => match shake_hands(stream, tls, address).await {
            Ok(stream) => stream,
            Err(error) => return Err(broken(address, &error).await),
        },
    };
    match log_in(stream, address, name).await {
        Ok(connection) => {
            line.keep();
            Ok((connection, local))
        }
        Err(error) => Err(sort(address, &error).await),
    }
}

/// Connects, and returns the stream and what hangs up.
async fn connect(address: &Address, limit: Option<Duration>) -> io::Result<(Stream, Line)> {
    let stream = reach(address, limit).await?;
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let line = Line(Some(stream.try_clone()?));
    let stream = Compat::new(TcpStream::from_std(stream)?);
    Ok((Stream::Plain(stream), line))
}

/// Connects to the first of the host's addresses that answers. With a limit, or several addresses, one that
/// is silent takes no longer than [`SILENCE_LIMIT`].
async fn reach(address: &Address, limit: Option<Duration>) -> io::Result<TcpStream> {
    let found: Vec<_> = lookup_host(address.host_and_port()).await?.collect();
    let limit = limit.or((found.len() > 1).then_some(SILENCE_LIMIT));
    let mut error = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in found {
        let connecting = TcpStream::connect(address);
        let connected = match limit {
            None => connecting.await,
            Some(limit) => timeout(limit, connecting).await.unwrap_or_else(|_elapsed| {
                let words = format!("no answer within {} s", limit.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, words))
            }),
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

async fn shake_hands(stream: Stream, tls: &Tls, address: &Address) -> io::Result<Stream> {
    let (host, _) = address.host_and_port();
    stream.into_rustls(tls.connector(), host).await
}

async fn log_in(stream: Stream, address: &Address, name: &str) -> lapin::Result<lapin::Connection> {
    let properties = ConnectionProperties::default()
        .with_connection_name(name.into())
        // lapin's own name and version stand there unless both are given.
        .with_client_property("product".into(), PRODUCT.into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
    // lapin asks for a stream whenever it connects. It does so once: its own recovery is off.
    let stream = AsyncTcpStream::Plain(Readable::new(stream));
    let stream = Mutex::new(Some(stream));
    let connect = async move |_, _| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    };
    lapin::Connection::connector(address.uri(), wire::runtime(), connect, properties).await
}

/// A second handle of a socket. Dropping it hangs up, which ends whatever waits for the other.
struct Line(Option<std::net::TcpStream>);

impl Line {
    fn local_ip(&self) -> io::Result<IpAddr> {
        let socket = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(socket.local_addr()?.ip())
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            // An error: it is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Sorts an error of AMQP's handshake.
async fn sort(address: &Address, error: &lapin::Error) -> BrokerError {
    match error.kind() {
        ErrorKind::ProtocolError(amqp) => refusal::of_connection(address, amqp),
        ErrorKind::IOError(error) => broken(address, error).await,
        ErrorKind::InvalidProtocolVersion(_) | ErrorKind::ParsingError(_) => {
            stranger::introduce(address).await
        }
        _ => BrokerError::Unreachable {
            address: address.clone(),
            reason: error.to_string(),
        },
    }
}

/// Sorts an error of a connection that was there.
async fn broken(address: &Address, error: &io::Error) -> BrokerError {
    if let Some(sorted) = tls::sort(address, error) {
        return sorted;
    }
    match timeout(VERDICT_LIMIT, verdict(address)).await {
        Ok(Some(verdict)) => verdict,
        _ => unreachable(address, error),
    }
}

/// A broker that has just hung up on us does so again at once; a handshake takes long on a busy host.
const VERDICT_LIMIT: Duration = Duration::from_secs(8);
/// How often it is listened to. It is mostly heard the first time.
const VERDICT_TRIES: usize = 10;
const VERDICT_PAUSE: Duration = Duration::from_millis(20);

/// Why a server has hung up.
///
/// It says so before that, but the system drops its last words together with the connection if we have
/// talked on meanwhile. So this connects anew, and says as little as it can.
async fn verdict(address: &Address) -> Option<BrokerError> {
    for _ in 0..VERDICT_TRIES {
        let verdict = match address.tls() {
            Some(tls) => verdict_on_us(address, tls).await,
            None => stranger::overhear(address).await,
        };
        if verdict.is_some() {
            return verdict;
        }
        tokio::time::sleep(VERDICT_PAUSE).await;
    }
    None
}

/// What a broker with TLS thinks of our certificate. With TLS 1.3 lapin has talked on, since for us the
/// handshake was over; before 1.3 rustls has finished it.
async fn verdict_on_us(address: &Address, tls: &Tls) -> Option<BrokerError> {
    let (stream, _line) = connect(address, None).await.ok()?;
    let error = match shake_hands(stream, tls, address).await {
        Ok(mut stream) => stream.read(&mut [0]).await.err()?,
        Err(error) => error,
    };
    tls::sort(address, &error)
}

fn unreachable(address: &Address, error: &io::Error) -> BrokerError {
    BrokerError::Unreachable {
        address: address.clone(),
        reason: match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => HUNG_UP.to_owned(),
            _ => error.to_string(),
        },
    }
}

/// A proxy before a broker that is starting does this too, Docker's among them, so it may pass.
const HUNG_UP: &str = "the connection is closed without a word, as by a broker that starts or \
                       stops, or by another server";
