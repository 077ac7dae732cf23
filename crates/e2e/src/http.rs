//! Just enough HTTP/1.1 to ask a worker for `/readyz` and `/metrics`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The programs answer from memory; whoever takes longer is not well.
const LIMIT: Duration = Duration::from_secs(5);
/// A metrics page has some 20 kB; this only keeps a mistake from filling the memory.
const MAX_BYTES: u64 = 16 << 20;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// For example 200 or 503.
    pub status: u16,
    /// The body, without its transfer encoding.
    pub body: String,
}

/// `GET http://<addr><path>`.
///
/// # Errors
/// When nobody answers within 5 seconds, or with something that is not HTTP/1.1 text.
pub fn http_get(addr: SocketAddr, path: &str) -> Result<HttpResponse> {
    get(addr, path).with_context(|| format!("GET http://{addr}{path}"))
}

fn get(addr: SocketAddr, path: &str) -> Result<HttpResponse> {
    let mut stream = TcpStream::connect_timeout(&addr, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer)?;
    parse(&String::from_utf8(answer).context("the answer is not UTF-8")?)
}

fn parse(answer: &str) -> Result<HttpResponse> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer ends within its head")?;
    let mut lines = head.lines();
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("expected an HTTP/1.1 status line, got {status_line:?}"))?;
    let chunked =
        lines.any(|line| line.to_ascii_lowercase().replace(' ', "") == "transfer-encoding:chunked");
    let body = if chunked {
        dechunk(body)?
    } else {
        body.to_owned()
    };
    Ok(HttpResponse { status, body })
}

fn dechunk(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("a chunk without a size")?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .with_context(|| format!("{size:?} is no chunk size"))?;
        if size == 0 {
            return Ok(body);
        }
        match (
            after.get(..size),
            after.get(size..).and_then(|tail| tail.strip_prefix("\r\n")),
        ) {
            (Some(chunk), Some(tail)) => {
                body.push_str(chunk);
                rest = tail;
            }
            _ => bail!("the answer ends within a chunk"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer_is_read() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\nno sticks";
        let expected = HttpResponse {
            status: 503,
            body: "no sticks".to_owned(),
        };
        assert_eq!(parse(answer).expect("an answer"), expected);
    }

    #[test]
    fn a_chunked_answer_is_put_together() {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nncs\r\n6\r\n-fleet\r\n0\r\n\r\n";
        assert_eq!(parse(answer).expect("an answer").body, "ncs-fleet");
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        for answer in [
            "",
            "AMQP\0\0\x09\x01",
            "HTTP/1.1 OK\r\n\r\n",
            "SSH-2.0\r\n\r\n",
        ] {
            assert!(parse(answer).is_err(), "{answer:?}");
        }
        let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nncs";
        assert!(parse(cut).is_err());
    }
}
