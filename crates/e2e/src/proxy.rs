//! A network between a program and its broker, to be cut, healed, severed and slowed down.
//!
//! A small TCP proxy on loopback, on one thread of ours. Its two parts:
//!
//! - `relay`: the thread: takes orders, accepts, and waits for whatever comes next;
//! - `connection`: what is on its way between one client and the target.

mod connection;
mod relay;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use relay::{Order, Relay, Request};

/// A network path to one address. Dropping it closes every connection through it.
///
/// When a method returns, its order is in force: what a client or the target sends from then on
/// is subject to it, and so is what the proxy had in hand.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    /// `None` only while it is being dropped.
    way_in: Option<WayIn>,
    thread: Option<JoinHandle<()>>,
}

/// To the thread; it ends when this is dropped.
#[derive(Debug)]
struct WayIn {
    requests: Sender<Request>,
    /// A byte on it ends the thread's waiting.
    bell: UnixStream,
}

impl Proxy {
    /// A path to `target`, which need not listen yet: a connection made while nobody does is
    /// reset at once.
    ///
    /// # Errors
    /// When the kernel has no port or no thread left.
    pub fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is left")?;
        let addr = listener.local_addr()?;
        let (requests, inbox) = mpsc::channel();
        let (bell, heard) = UnixStream::pair().context("no socket is left")?;
        let relay = Relay::new(listener, target, heard, inbox)?;
        let thread = std::thread::Builder::new()
            .name(format!("proxy to {target}"))
            .spawn(move || relay.run())
            .context("no thread is left")?;
        Ok(Self {
            addr,
            way_in: Some(WayIn { requests, bell }),
            thread: Some(thread),
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As when a cable is pulled or a host vanishes: nothing passes any more, and nothing is
    /// closed.
    ///
    /// Bytes and ends of streams are neither read nor forwarded; what a client sends fills the
    /// kernel's buffers, then blocks it. A new connection succeeds, because the kernel answers
    /// for us, but nobody at the other end hears of it.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    /// Everything passes again, first of all what was held back, in its order and without loss.
    pub fn heal(&self) {
        self.order(Order::Heal);
    }

    /// Resets every connection there is, and drops what is on its way: both ends see "connection
    /// reset". New connections work, unless the network is cut.
    pub fn sever(&self) {
        self.order(Order::Sever);
    }

    /// How long each byte takes in either direction from now on, so half of what it adds to a
    /// round trip. Making a connection still takes none.
    pub fn delay(&self, one_way: Duration) {
        self.order(Order::Delay(one_way));
    }

    /// Returns when the thread has obeyed.
    fn order(&self, order: Order) {
        let (done, obeyed) = mpsc::sync_channel(1);
        if let Some(WayIn { requests, bell }) = &self.way_in {
            // The thread lives as long as we do: only a panic in it could make these fail, and
            // that is on standard error then.
            let _ = requests.send(Request { order, done });
            let _ = (&*bell).write_all(b"!");
            let _ = obeyed.recv();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.way_in.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
