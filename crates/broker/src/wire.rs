//! The stream that lapin reads: what it cannot read is mended before.
//!
//! RabbitMQ passes on whatever a client has put into a message's properties. lapin ends the connection
//! over a string that is not UTF-8, and over headers that have grown beyond the frame's size; and
//! its thread's stack over headers that are nested a few thousand deep. A message like that would take
//! every worker that gets it off the broker, with all that it has in hand, again and again. So the frames
//! with such properties are looked at here, and mended: see [`mend`].

mod kit;
mod mend;

pub(crate) use kit::runtime;

use futures_util::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes before a frame's payload: type, channel, and the payload's size.
const HEAD: usize = 7;
/// Bytes after it.
const END: usize = 1;
const METHOD: u8 = 1;
const HEADER: u8 = 2;

/// More than any frame with properties: a client's fit into 128 KiB, and the broker adds little.
const MOST_COLLECTED: usize = 1 << 20;

const BUFFER: usize = 64 << 10;

/// A stream from the broker whose frames lapin can read. Bodies pass through as they are.
pub(crate) struct Readable<S> {
    inner: BufReader<S>,
    /// A frame, as far as it has come; then what is to be read of it.
    frame: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// `frame` is to become so long.
    Collecting { until: usize },
    /// `frame` is read, from here; then so many bytes of the stream.
    Passing { from: usize, then: usize },
}

const NEXT_FRAME: State = State::Collecting { until: HEAD };

impl<S: AsyncRead> Readable<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner: BufReader::with_capacity(BUFFER, inner),
            frame: Vec::new(),
            state: NEXT_FRAME,
        }
    }
}

impl<S> Readable<S> {
    /// What to do with as much of a frame as was to be collected.
    fn collected(&mut self) {
        let (kind, payload) = match *self.frame {
            [kind, _, _, s0, s1, s2, s3, ..] => {
                let size = u32::from_be_bytes([s0, s1, s2, s3]);
                (kind, usize::try_from(size).unwrap_or(usize::MAX))
            }
            _ => return,
        };
        let whole = payload.saturating_add(HEAD + END);
        let may_need_mending = matches!(kind, METHOD | HEADER) && whole <= MOST_COLLECTED;
        self.state = if !may_need_mending {
            State::Passing {
                from: 0,
                then: payload.saturating_add(END),
            }
        } else if self.frame.len() < whole {
            State::Collecting { until: whole }
        } else {
            match kind {
                HEADER => mend::header(&mut self.frame),
                _ => mend::method(&mut self.frame),
            }
            State::Passing { from: 0, then: 0 }
        };
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Readable<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match this.state {
                State::Collecting { until } => {
                    let come = ready!(Pin::new(&mut this.inner).poll_fill_buf(cx))?;
                    if come.is_empty() {
                        // The end of the stream, and of what has come of a frame.
                        this.state = State::Passing { from: 0, then: 0 };
                        if this.frame.is_empty() {
                            return Poll::Ready(Ok(0));
                        }
                        continue;
                    }
                    let taken = come.len().min(until - this.frame.len());
                    this.frame.extend_from_slice(&come[..taken]);
                    Pin::new(&mut this.inner).consume(taken);
                    if this.frame.len() == until {
                        this.collected();
                    }
                }
                State::Passing { from, then } if from < this.frame.len() => {
                    let left = &this.frame[from..];
                    let taken = left.len().min(into.len());
                    into[..taken].copy_from_slice(&left[..taken]);
                    let from = from + taken;
                    this.state = State::Passing { from, then };
                    return Poll::Ready(Ok(taken));
                }
                State::Passing { then: 0, .. } => {
                    this.frame.clear();
                    this.state = NEXT_FRAME;
                }
                State::Passing { from, then } => {
                    let most = then.min(into.len());
                    let inner = Pin::new(&mut this.inner);
                    let taken = ready!(inner.poll_read(cx, &mut into[..most]))?;
                    let then = then - taken;
                    this.state = State::Passing { from, then };
                    return Poll::Ready(Ok(taken));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Readable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.inner.get_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.inner.get_mut()).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner.get_mut()).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.inner.get_mut()).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::io::AsyncReadExt;
    use futures_util::stream::TryStreamExt;
    use futures_util::{FutureExt, stream};

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind, 0, 1][..], &size, payload, &[0xCE]].concat()
    }

    /// What lapin reads where this comes in chunks of that size.
    fn read(bytes: &[u8], chunk: usize) -> Vec<u8> {
        let chunks = bytes.chunks(chunk).map(|chunk| Ok(chunk.to_vec()));
        let source = stream::iter(chunks.collect::<Vec<io::Result<_>>>()).into_async_read();
        let mut all = Vec::new();
        Readable::new(source)
            .read_to_end(&mut all)
            .now_or_never()
            .unwrap()
            .unwrap();
        all
    }

    #[test]
    fn frames_pass_as_they_are_wherever_they_are_cut() {
        let header = [
            &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x80, 0][..],
            b"\x03a/b",
        ]
        .concat();
        let all = [
            frame(
                METHOD,
                &[0, 60, 0, 60, 1, b'c', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, b'k'],
            ),
            frame(HEADER, &header),
            frame(3, &[0xFF; 3000]),
            frame(8, b""),
            frame(3, b"cut off")[..9].to_vec(),
        ]
        .concat();
        for chunk in [1, 2, 7, 8, 100, 10_000] {
            assert_eq!(read(&all, chunk), all, "{chunk}");
        }
        // A server of another protocol is lapin's to tell.
        assert_eq!(read(b"AMQP\0\0\x09\x01", 3), b"AMQP\0\0\x09\x01");
        assert_eq!(
            read(b"HTTP/1.1 400 Bad Request", 30),
            b"HTTP/1.1 400 Bad Request"
        );
    }

    #[test]
    fn what_is_no_text_is_mended_in_a_header_and_in_a_routing_key() {
        let header = |id: &[u8]| {
            let flags = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x00, 0x80, 4];
            frame(HEADER, &[&flags[..], id].concat())
        };
        let deliver = |key: &[u8]| {
            let method = [0, 60, 0, 60, 1, b'c', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3];
            frame(METHOD, &[&method[..], key].concat())
        };
        let sent = [deliver(b"k\xFFk"), header(b"\xE9t\xE9!")].concat();
        let expected = [deliver(b"k?k"), header(b"?t?!")].concat();
        for chunk in [1, 5, 1000] {
            assert_eq!(read(&sent, chunk), expected);
        }
    }
}
