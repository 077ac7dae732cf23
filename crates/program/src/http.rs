//! A few small pages, such as `/metrics`, for whoever can reach the port.
//!
//! Clients may be slow, endless or broken; neither the jobs nor the other clients must feel it. A
//! connection serves one request, whose head is short and whose body is never read, and ends after
//! 10 s. There are 32 places; when all are taken, the oldest connection makes room for the next, so
//! that those who only hold on to theirs keep nobody out.

use anyhow::Context;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus::{Encoder, Registry, TextEncoder};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Connections at once. Prometheus and an orchestrator need two.
const PLACES: usize = 32;

/// How long a connection may take, from its first byte to the last of its answer. Prometheus' own
/// limit is 10 s.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may take while others wait for its place: enough for a request from the
/// other side of the world, and 1,000 clients that say nothing hold up the next one for 8 s.
const CROWDED_LIMIT: Duration = Duration::from_millis(250);

/// The largest head of a request. A browser with cookies sends 8 KiB.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How long to wait when no connection can be accepted: another try would fail the same way, until
/// some file is closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The HTTP side, bound to its address but not yet serving.
pub struct Endpoint {
    listener: TcpListener,
}

impl Endpoint {
    /// Binds the address, so that a port in use is an error at start.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot serve metrics on {address}; choose another --metrics-addr")
        })?;
        Ok(Self { listener })
    }

    /// Where it listens; with port 0, the port that the system chose.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped. `pages` answers for a path, quickly.
    pub async fn serve(
        self,
        pages: impl Fn(&str) -> Page + Clone + Send + Sync + 'static,
    ) -> Infallible {
        let mut connections = Connections::default();
        loop {
            let stream = self.accept().await;
            connections.make_room().await;
            connections.add(tokio::spawn(serve_one(stream, pages.clone())));
        }
    }

    async fn accept(&self) -> TcpStream {
        let mut told = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) if !told => {
                    told = true;
                    tracing::warn!("cannot accept connections for /metrics: {error}; trying on");
                }
                Err(_) => {}
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// The connections that are served, oldest first; at most [`PLACES`]. Dropping it ends them.
#[derive(Default)]
struct Connections(VecDeque<(Instant, JoinHandle<()>)>);

impl Connections {
    fn add(&mut self, connection: JoinHandle<()>) {
        self.0.push_back((Instant::now(), connection));
    }

    /// Waits until there is a place: until a connection has ended, or the oldest has had its time.
    async fn make_room(&mut self) {
        self.0.retain(|(_, connection)| !connection.is_finished());
        if self.0.len() < PLACES {
            return;
        }
        if let Some((since, mut oldest)) = self.0.pop_front() {
            // Over the limit, or ended, which may be by a panic: its place is free either way.
            if tokio::time::timeout_at(since + CROWDED_LIMIT, &mut oldest)
                .await
                .is_err()
            {
                oldest.abort();
                let _ = oldest.await;
            }
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for (_, connection) in &self.0 {
            connection.abort();
        }
    }
}

async fn serve_one(stream: TcpStream, pages: impl Fn(&str) -> Page) {
    let service = service_fn(|request| {
        let answer = answer(&request, &pages);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        // Who has sent a whole request may have closed its own side.
        .half_close(true)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever goes wrong with a connection is its client's own.
    let _ = tokio::time::timeout(CONNECTION_LIMIT, connection).await;
}

/// One page, or what stands in for it.
pub type Page = Response<Full<Bytes>>;

fn answer<B>(request: &Request<B>, pages: impl Fn(&str) -> Page) -> Page {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allowed = (ALLOW, HeaderValue::from_static("GET, HEAD"));
        return page(
            StatusCode::METHOD_NOT_ALLOWED,
            allowed,
            "only GET and HEAD\n",
        );
    }
    pages(request.uri().path())
}

/// All is well.
pub fn ok(body: impl Into<Bytes>) -> Page {
    text(StatusCode::OK, body)
}

/// Something for programs.
pub fn json(body: impl Into<Bytes>) -> Page {
    let kind = HeaderValue::from_static("application/json");
    page(StatusCode::OK, (CONTENT_TYPE, kind), body)
}

/// There is no such page; `which` says which there are.
#[must_use]
pub fn not_found(which: &'static str) -> Page {
    text(StatusCode::NOT_FOUND, which)
}

/// Not now.
#[must_use]
pub fn unavailable(why: &'static str) -> Page {
    text(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// Figures for Prometheus, in its text format, or why there are none.
#[must_use]
pub fn figures(registry: &Registry) -> Page {
    let mut body = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut body) {
        Ok(()) => {
            let kind = HeaderValue::from_static(prometheus::TEXT_FORMAT);
            page(StatusCode::OK, (CONTENT_TYPE, kind), body)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Page {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    page(status, (CONTENT_TYPE, plain), body)
}

fn page(status: StatusCode, header: (HeaderName, HeaderValue), body: impl Into<Bytes>) -> Page {
    let mut page = Response::new(Full::new(body.into()));
    *page.status_mut() = status;
    page.headers_mut().extend([header]);
    page
}
