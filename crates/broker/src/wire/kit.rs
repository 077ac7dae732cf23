//! lapin on tokio, with [`Readable`] streams.

use super::Readable;
use async_compat::Compat;
use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::AsyncTcpStream;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

type Kit = RuntimeParts<Tokio, Wire>;

/// What lapin runs on.
pub(crate) fn runtime() -> Runtime<Kit> {
    let tokio = Tokio::current();
    Runtime::new(RuntimeParts::new(tokio.clone(), Wire(tokio)))
}

/// tokio's reactor, but for the kind of streams.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Tokio);

impl Reactor for Wire {
    type TcpStream = Readable<AsyncTcpStream<Compat<TcpStream>>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// For sockets of somebody else's, which lapin has none of. (tokio's own wants a trait that nobody
    /// else can name.)
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Self::TcpStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async { Ok(Readable::new(AsyncTcpStream::Plain(connecting.await?))) }
    }
}
