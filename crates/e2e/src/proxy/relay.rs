//! The proxy's thread.

use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::{Connection, reset};

/// More than any test's fleet needs. Further ones wait in the kernel, as if the network were cut
/// for them.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Targets are on this machine: they accept at once, unless their backlog is full.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Until the next try after the kernel had no file handle for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Cut,
    Heal,
    Sever,
    Delay(Duration),
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) order: Order,
    /// Told when the order is in force.
    pub(super) done: SyncSender<()>,
}

#[derive(Debug)]
pub(super) struct Relay {
    listener: TcpListener,
    target: SocketAddr,
    bell: UnixStream,
    requests: Receiver<Request>,
    is_cut: bool,
    delay: Duration,
    connections: Vec<Connection>,
    accept_again: Option<Instant>,
}

impl Relay {
    pub(super) fn new(
        listener: TcpListener,
        target: SocketAddr,
        bell: UnixStream,
        requests: Receiver<Request>,
    ) -> Result<Self> {
        listener
            .set_nonblocking(true)
            .and_then(|()| bell.set_nonblocking(true))
            .context("cannot make a socket non-blocking")?;
        Ok(Self {
            listener,
            target,
            bell,
            requests,
            is_cut: false,
            delay: Duration::ZERO,
            connections: Vec::new(),
            accept_again: None,
        })
    }

    /// Until the other end of the bell is closed.
    pub(super) fn run(mut self) {
        while self.obey() {
            if !self.is_cut {
                self.accept();
                self.forward();
            }
            self.wait();
        }
    }

    /// Does what was ordered. Whether to go on.
    fn obey(&mut self) -> bool {
        loop {
            match self.bell.read(&mut [0; 64]) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        while let Ok(Request { order, done }) = self.requests.try_recv() {
            match order {
                Order::Cut => self.is_cut = true,
                Order::Heal => self.is_cut = false,
                Order::Sever => self.sever(),
                Order::Delay(delay) => self.delay = delay,
            }
            let _ = done.send(());
        }
        true
    }

    fn sever(&mut self) {
        for connection in self.connections.drain(..) {
            connection.reset();
        }
        // Those that the kernel has accepted for us are connections too, as clients see it.
        while let Ok((client, _)) = self.listener.accept() {
            reset(client);
        }
    }

    fn accept(&mut self) {
        self.accept_again = None;
        while self.connections.len() < MAX_CONNECTIONS {
            match self.listener.accept() {
                Ok((client, _)) => match self.connect() {
                    Ok(target) => self.connections.extend(Connection::new(client, target)),
                    Err(_) => reset(client),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The client has given up already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&self.target, CONNECT_LIMIT)
    }

    fn forward(&mut self) {
        let now = Instant::now();
        let delay = self.delay;
        // All of them: trying costs little, and there are few.
        self.connections
            .retain_mut(|connection| connection.forward(now, delay));
    }

    /// Until there is something to do. While the network is cut, only orders are.
    fn wait(&self) {
        let now = Instant::now();
        let mut sockets = vec![PollFd::new(&self.bell, PollFlags::IN)];
        let mut wake = None;
        if !self.is_cut {
            if self.accept_again.is_none() && self.connections.len() < MAX_CONNECTIONS {
                sockets.push(PollFd::new(&self.listener, PollFlags::IN));
            }
            for connection in &self.connections {
                sockets.extend(connection.awaited(now));
            }
            let due = self.connections.iter().filter_map(|c| c.next_due(now));
            wake = due.chain(self.accept_again).min();
        }
        let timeout = wake.and_then(|at| Timespec::try_from(at.duration_since(now)).ok());
        // Interrupted or not, the loop looks at everything.
        let _ = poll(&mut sockets, timeout.as_ref());
    }
}
