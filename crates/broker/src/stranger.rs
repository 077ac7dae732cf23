//! Who answers instead of a broker.

use crate::{Address, BrokerError};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a client of AMQP 0-9-1 says first.
const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";

/// It has answered at once a moment ago.
const LIMIT: Duration = Duration::from_secs(2);

/// What to say of a server whose answer is no AMQP 0-9-1.
pub(crate) async fn introduce(address: &Address) -> BrokerError {
    let (reason, remedy) = if address.tls().is_some() {
        ("it speaks TLS, but not AMQP 0-9-1".to_owned(), OTHER_PORT)
    } else {
        // Asked once more, because lapin does not tell what it could not read.
        match timeout(LIMIT, ask(address)).await {
            Ok(Ok(answer)) => recognise(&answer),
            _ => recognise(b""),
        }
    };
    unusable(address, reason, remedy)
}

/// What to say of a server that hung up on us; `None` if it does so again without a word, or speaks AMQP.
pub(crate) async fn overhear(address: &Address) -> Option<BrokerError> {
    /// How a broker's first frame begins.
    const METHOD: u8 = 1;
    let answer = timeout(LIMIT, ask(address)).await.ok()?.ok()?;
    if matches!(answer[..], [] | [METHOD, ..]) {
        return None;
    }
    let (reason, remedy) = recognise(&answer);
    Some(unusable(address, reason, remedy))
}

fn unusable(address: &Address, reason: String, remedy: &str) -> BrokerError {
    BrokerError::Unusable {
        address: address.clone(),
        reason,
        remedy: remedy.to_owned(),
        temporary: false,
    }
}

/// The beginning of the answer.
async fn ask(address: &Address) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(address.host_and_port()).await?;
    stream.writable().await?;
    stream.try_write(GREETING)?;
    let mut answer = vec![0; 24];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => {
                answer.truncate(read?);
                return Ok(answer);
            }
        }
    }
}

const OTHER_PORT: &str = "give the broker's port for AMQP, usually 5672, or 5671 for amqps://";

fn recognise(answer: &[u8]) -> (String, &'static str) {
    match answer {
        // An alert (0x15), or anything else in a record of TLS 1.x.
        [0x14..=0x17, 3, ..] => ("it speaks TLS on this port".to_owned(), "write amqps://"),
        [b'H', b'T', b'T', b'P', b'/', ..] => ("it is an HTTP server".to_owned(), OTHER_PORT),
        [] => ("it does not speak AMQP 0-9-1".to_owned(), OTHER_PORT),
        _ => {
            let answer = String::from_utf8_lossy(answer);
            let answer = answer.trim_end().escape_debug();
            (
                format!("it does not speak AMQP 0-9-1, but says '{answer}'"),
                OTHER_PORT,
            )
        }
    }
}
