//! One client's connection, and the bytes that are on their way through it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt::set_socket_linger;

/// How much may be on its way in one direction, so what passes within one delay: with 20 ms that
/// is 50 MB/s. The next bytes wait at their sender, as with TCP's own window.
pub(super) const WINDOW: usize = 1024 * 1024;
/// What is read at once.
const PIECE: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Connection {
    client: TcpStream,
    target: TcpStream,
    to_target: Flow,
    to_client: Flow,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    pieces: VecDeque<Piece>,
    /// Bytes in them.
    held: usize,
    /// When the end of the stream arrives, once its sender has ended it.
    end: Option<Instant>,
    /// The end was passed on.
    has_ended: bool,
}

#[derive(Debug)]
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    sent: usize,
}

impl Connection {
    /// `None` when one of them is gone already.
    pub(super) fn new(client: TcpStream, target: TcpStream) -> Option<Self> {
        for stream in [&client, &target] {
            stream.set_nonblocking(true).ok()?;
            // We pass on what we are given, when we are given it.
            stream.set_nodelay(true).ok()?;
        }
        Some(Self {
            client,
            target,
            to_target: Flow::default(),
            to_client: Flow::default(),
        })
    }

    /// Moves whatever can be moved. Whether the connection goes on.
    pub(super) fn forward(&mut self, now: Instant, delay: Duration) -> bool {
        let moved = self
            .to_target
            .forward(&self.client, &self.target, now, delay)
            .and_then(|()| {
                self.to_client
                    .forward(&self.target, &self.client, now, delay)
            });
        if moved.is_err() {
            // One end was reset, so the other is to be.
            refuse_to_linger(&self.client);
            refuse_to_linger(&self.target);
            return false;
        }
        !(self.to_target.has_ended && self.to_client.has_ended)
    }

    /// What to wait for. A socket that nothing is wanted from is left out: `poll` would report
    /// its end all the time.
    pub(super) fn awaited(&self, now: Instant) -> impl Iterator<Item = PollFd<'_>> {
        let events = |incoming: &Flow, outgoing: &Flow| {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, incoming.has_room());
            events.set(PollFlags::OUT, outgoing.is_due(now));
            events
        };
        [
            (&self.client, events(&self.to_target, &self.to_client)),
            (&self.target, events(&self.to_client, &self.to_target)),
        ]
        .into_iter()
        .filter(|(_, events)| !events.is_empty())
        .map(|(stream, events)| PollFd::new(stream, events))
    }

    /// When something that is on its way arrives next.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let dues = [self.to_target.next_due(), self.to_client.next_due()];
        dues.into_iter().flatten().filter(|&due| due > now).min()
    }

    pub(super) fn reset(self) {
        reset(self.client);
        reset(self.target);
    }
}

impl Flow {
    fn forward(
        &mut self,
        mut from: &TcpStream,
        mut to: &TcpStream,
        now: Instant,
        delay: Duration,
    ) -> io::Result<()> {
        let mut buffer = [0; PIECE];
        while self.has_room() {
            match attempt(|| from.read(&mut buffer))? {
                None => break,
                Some(0) => self.end = Some(now + delay),
                Some(length) => {
                    self.held += length;
                    self.pieces.push_back(Piece {
                        due: now + delay,
                        bytes: buffer[..length].to_vec(),
                        sent: 0,
                    });
                }
            }
        }
        while let Some(piece) = self.pieces.front_mut().filter(|piece| piece.due <= now) {
            let Some(length) = attempt(|| to.write(&piece.bytes[piece.sent..]))? else {
                break;
            };
            piece.sent += length;
            if piece.sent == piece.bytes.len() {
                self.held -= piece.sent;
                self.pieces.pop_front();
            }
        }
        let all_is_there = self.pieces.is_empty() && self.end.is_some_and(|end| end <= now);
        if all_is_there && !self.has_ended {
            to.shutdown(Shutdown::Write)?;
            self.has_ended = true;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.end.is_none() && self.held < WINDOW
    }

    fn is_due(&self, now: Instant) -> bool {
        self.pieces.front().is_some_and(|piece| piece.due <= now)
    }

    fn next_due(&self) -> Option<Instant> {
        let end = self.end.filter(|_| !self.has_ended);
        self.pieces.front().map(|piece| piece.due).or(end)
    }
}

/// `None` when it cannot be done without waiting.
fn attempt(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match operation() {
            Ok(length) => return Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Closes it so that the other end sees "connection reset".
pub(super) fn reset(stream: TcpStream) {
    refuse_to_linger(&stream);
    drop(stream);
}

fn refuse_to_linger(stream: &TcpStream) {
    // If it is gone already, so much the better.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}
