use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::Proxy;
use super::connection::{WINDOW, reset};
use super::relay::MAX_CONNECTIONS;
use crate::poll_until;

/// Within it everything arrives that is to arrive.
const LIMIT: Duration = Duration::from_secs(10);
/// Within it something would have arrived that is not to: loopback takes microseconds.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn bytes_and_ends_of_streams_pass_both_ways() {
    let (proxy, target) = proxy();
    let (mut client, mut server) = connect(&proxy, &target);
    // More than fits on its way at once.
    let sent: Vec<u8> = (0..=250).cycle().take(4 * WINDOW).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.write_all(&sent).expect("it is taken");
            client.shutdown(Shutdown::Write).expect("the end is taken");
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received).expect("all of it");
        assert!(received == sent, "{} of {}", received.len(), sent.len());
    });
    server.write_all(b"answer").expect("it is taken");
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the answer");
    assert_eq!(answer, "answer");
}

#[test]
fn a_cut_network_holds_everything_back_and_a_healed_one_delivers_it() {
    let (proxy, target) = proxy();
    let (mut client, mut server) = connect(&proxy, &target);
    proxy.cut();
    client.write_all(b"job").expect("the kernel takes it");
    server.write_all(b"ack").expect("the kernel takes it");
    client.shutdown(Shutdown::Write).expect("and the end");
    assert_silent(&mut client);
    assert_silent(&mut server);
    proxy.heal();
    assert_eq!(read(&mut client, 3), b"ack");
    let mut received = Vec::new();
    server.read_to_end(&mut received).expect("bytes and end");
    assert_eq!(received, b"job");
}

#[test]
fn what_was_on_its_way_when_the_network_was_cut_arrives_after_it() {
    let (proxy, target) = proxy();
    let (mut client, mut server) = connect(&proxy, &target);
    proxy.delay(QUIET / 2);
    client.write_all(b"job").expect("it is taken");
    proxy.cut();
    assert_silent(&mut server);
    proxy.heal();
    assert_eq!(read(&mut server, 3), b"job");
}

#[test]
fn a_connection_made_while_the_network_is_cut_is_answered_when_it_is_healed() {
    let (proxy, target) = proxy();
    proxy.cut();
    let mut client = connect_to(proxy.addr());
    client.write_all(b"hello").expect("the kernel takes it");
    assert_silent(&mut client);
    assert_nobody_comes(&target);
    proxy.heal();
    let (mut server, _) = target.accept().expect("the connection");
    assert_eq!(read(&mut server, 5), b"hello");
}

#[test]
fn a_severed_network_resets_every_connection_and_takes_new_ones() {
    let (proxy, target) = proxy();
    let mut ends: Vec<_> = (0..3).map(|_| connect(&proxy, &target)).collect();
    proxy.sever();
    for (client, server) in &mut ends {
        assert_reset(client);
        assert_reset(server);
    }
    let (mut client, mut server) = connect(&proxy, &target);
    client.write_all(b"again").expect("it is taken");
    assert_eq!(read(&mut server, 5), b"again");
}

#[test]
fn severing_a_cut_network_resets_also_those_that_nobody_has_answered() {
    let (proxy, target) = proxy();
    let (mut old, _server) = connect(&proxy, &target);
    proxy.cut();
    let mut new = connect_to(proxy.addr());
    proxy.sever();
    assert_reset(&mut old);
    assert_reset(&mut new);
    let mut later = connect_to(proxy.addr());
    assert_silent(&mut later);
}

#[test]
fn a_reset_at_one_end_reaches_the_other() {
    let (proxy, target) = proxy();
    let (client, mut server) = connect(&proxy, &target);
    reset(client);
    assert_reset(&mut server);
}

#[test]
fn delayed_bytes_take_as_long_as_was_said_and_are_on_their_way_together() {
    let (proxy, target) = proxy();
    let (mut client, mut server) = connect(&proxy, &target);
    let delay = Duration::from_millis(200);
    proxy.delay(delay);
    let begin = Instant::now();
    client.write_all(&vec![1; WINDOW]).expect("it is taken");
    read(&mut server, 1);
    assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
    read(&mut server, WINDOW - 1);
    // One piece after the other would take 64 delays.
    assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
    server.write_all(b"answer").expect("it is taken");
    read(&mut client, 6);
    assert!(begin.elapsed() >= 2 * delay, "{:?}", begin.elapsed());
}

#[test]
fn a_target_that_nobody_listens_at_resets_its_client() {
    let (proxy, target) = proxy();
    drop(target);
    // Perhaps before the client knows that it is connected.
    let read = TcpStream::connect(proxy.addr()).and_then(|mut client| {
        client.set_read_timeout(Some(LIMIT))?;
        client.read(&mut [0; 1])
    });
    let error = read.expect_err("it is reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_receiver_that_does_not_read_stops_its_sender() {
    let (proxy, target) = proxy();
    let (mut client, mut server) = connect(&proxy, &target);
    client
        .set_write_timeout(Some(QUIET))
        .expect("a write timeout");
    // The kernel's buffers of four sockets, each at most 6 MB by Linux' defaults, and the window.
    let bound = 64 * WINDOW;
    let piece = vec![0; WINDOW / 16];
    let mut taken = 0;
    while taken < bound {
        match client.write(&piece) {
            Ok(length) => taken += length,
            Err(_) => break,
        }
    }
    assert!(taken < bound, "it took {taken} bytes");
    // And nothing of it is lost.
    assert_eq!(read(&mut server, taken).len(), taken);
}

#[test]
fn connections_beyond_the_bound_wait_until_another_ends() {
    let (proxy, target) = proxy();
    let mut ends: Vec<_> = (0..MAX_CONNECTIONS)
        .map(|_| connect(&proxy, &target))
        .collect();
    let mut one_more = connect_to(proxy.addr());
    one_more.write_all(b"hello").expect("the kernel takes it");
    assert_nobody_comes(&target);
    ends.pop();
    let (mut server, _) = target.accept().expect("the connection");
    assert_eq!(read(&mut server, 5), b"hello");
}

#[test]
fn a_dropped_proxy_closes_everything_even_if_the_network_is_cut() {
    let (proxy, target) = proxy();
    let addr = proxy.addr();
    let (mut client, mut server) = connect(&proxy, &target);
    proxy.cut();
    drop(proxy);
    assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
    assert_eq!(server.read(&mut [0; 1]).expect("the end"), 0);
    let refused = TcpStream::connect_timeout(&addr, LIMIT).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

fn proxy() -> (Proxy, TcpListener) {
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let addr = target.local_addr().expect("its address");
    (Proxy::to(addr).expect("a proxy"), target)
}

/// The client's end and the target's.
fn connect(proxy: &Proxy, target: &TcpListener) -> (TcpStream, TcpStream) {
    let client = connect_to(proxy.addr());
    let (server, _) = target.accept().expect("the connection");
    server.set_read_timeout(Some(LIMIT)).expect("a limit");
    (client, server)
}

fn connect_to(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect_timeout(&addr, LIMIT).expect("a connection");
    client.set_read_timeout(Some(LIMIT)).expect("a limit");
    client
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("so many bytes");
    bytes
}

fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(QUIET)).expect("a limit");
    let heard = stream.read(&mut [0; 1]);
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let error = heard.expect_err("neither bytes nor an end");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

fn assert_reset(stream: &mut TcpStream) {
    let error = stream.read(&mut [0; 1]).expect_err("it is reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn assert_nobody_comes(target: &TcpListener) {
    target.set_nonblocking(true).expect("a non-blocking socket");
    let came = poll_until(QUIET, || target.accept().ok());
    assert!(came.is_none(), "{came:?}");
    target.set_nonblocking(false).expect("a blocking socket");
}
