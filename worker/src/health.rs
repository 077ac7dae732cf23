//! `ncs-worker health`: is the worker on this host ready? For container engines and supervisors, whose
//! images have no other program to ask with.

use crate::cli::HealthArgs;
use crate::network::announce;
use anyhow::{Context, anyhow, bail};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use ureq::Agent;
use ureq::http::StatusCode;

/// `/readyz` is a line; whatever says more is no worker.
const MAX_ANSWER_BYTES: u64 = 16 << 10;

/// Asks for `/readyz`, and says what it said.
///
/// # Errors
/// When the worker is not ready, with its reason, or when nobody answers in time.
pub fn check(arguments: &HealthArgs) -> anyhow::Result<()> {
    announce(&readiness(
        reachable(arguments.metrics_addr),
        arguments.timeout,
    )?);
    Ok(())
}

/// Where a server that listens on `address` is reached from its own host: one that listens on all
/// addresses, as in a container, on the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn readiness(address: SocketAddr, limit: Duration) -> anyhow::Result<String> {
    let nobody = || format!("no worker answers at {address}");
    let no_worker = || anyhow!("what answers at {address} is no worker");
    // The limit holds for all of it together, so a server that sends byte by byte does not stretch it.
    let config = Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None);
    let agent = Agent::new_with_config(config.build());
    let answer = agent.get(format!("http://{address}/readyz")).call();
    let mut answer = match answer {
        Err(ureq::Error::Protocol(_)) => return Err(no_worker()),
        // It hung up before there was an answer.
        Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(no_worker());
        }
        answer => answer.with_context(nobody)?,
    };
    let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
    let body = match body.read_to_string() {
        Err(ureq::Error::BodyExceedsLimit(_)) => return Err(no_worker()),
        body => body.with_context(nobody)?,
    };
    match answer.status() {
        StatusCode::OK => Ok(body),
        StatusCode::SERVICE_UNAVAILABLE => bail!("{}", body.trim_end()),
        _ => Err(no_worker()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Instant;

    /// Long beside what a busy machine takes to answer.
    const LIMIT: Duration = Duration::from_secs(20);

    /// A server for one connection, which it hands to `serve` once the request is read.
    fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\n"));
            serve(stream);
        });
        address
    }

    fn answering(answer: &'static str) -> SocketAddr {
        server(move |mut stream| stream.write_all(answer.as_bytes()).unwrap())
    }

    #[test]
    fn a_ready_worker_is_healthy() {
        let address = answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n");
        assert_eq!(readiness(address, LIMIT).unwrap(), "ready\n");
    }

    #[test]
    fn one_that_is_not_says_why_in_its_own_words() {
        let address = answering(
            "HTTP/1.1 503 Service Unavailable\r\n\r\nnot consuming: no connection to the broker\n",
        );
        let error = readiness(address, LIMIT).unwrap_err().to_string();
        assert_eq!(error, "not consuming: no connection to the broker");
    }

    #[test]
    fn another_server_is_no_worker() {
        for answer in [
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200",
            "",
        ] {
            let error = readiness(answering(answer), LIMIT).unwrap_err().to_string();
            assert!(error.ends_with("is no worker"), "{answer:?}: {error}");
        }
    }

    #[test]
    fn an_address_where_nobody_listens_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = readiness(address, LIMIT).unwrap_err().to_string();
        assert_eq!(error, format!("no worker answers at {address}"));
    }

    #[test]
    fn a_server_that_says_nothing_or_never_ends_does_not_hold_it_up() {
        let silent = server(|mut stream| {
            let _ = stream.read(&mut [0]);
        });
        let dripping = server(|mut stream| {
            while stream.write_all(b"H").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        for address in [silent, dripping] {
            let begin = Instant::now();
            assert!(readiness(address, Duration::from_millis(200)).is_err());
            assert!(begin.elapsed() < LIMIT);
        }
        let endless = server(|mut stream| while stream.write_all(&[b'x'; 1024]).is_ok() {});
        assert!(readiness(endless, LIMIT).is_err());
    }

    #[test]
    fn a_worker_that_listens_everywhere_is_asked_on_the_loopback() {
        let asked = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(asked("[::]:9464"), "[::1]:9464");
        assert_eq!(asked("10.0.0.7:9464"), "10.0.0.7:9464");
    }
}
