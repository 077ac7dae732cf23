//! Clients of the worker's HTTP side that are slow, endless, broken or many: neither the jobs nor the
//! good clients feel them.

use crate::bed::{
    LIMIT, amqp_url, assert_still_flooding, drain, runtime, start, unique, wait_until_busy,
};
use crate::client::clean_up;
use crate::figures::{sockets, status};
use ncs_e2e::http::http_get;
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::Worker;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a good client waits at most: Prometheus would wait for 10 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// The worker serves so many connections at once, and one waits for a place.
const MOST_CONNECTIONS: usize = 33;

/// What a connection may add to a process: its buffers, and its page.
const BYTES_PER_CONNECTION: u64 = 256 << 10;

/// Clients that do what they should not, again and again, until this is dropped.
struct Hostile {
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

/// What one of them does with a connection, until it fails or the clients are stopped.
type Manner = fn(&mut TcpStream, &AtomicBool) -> Result<()>;

impl Hostile {
    fn against(address: SocketAddr, manners: impl IntoIterator<Item = (usize, Manner)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicU64::new(0));
        let clients = manners
            .into_iter()
            .flat_map(|(count, manner)| std::iter::repeat_n(manner, count));
        let threads = clients.map(|manner| {
            let (stop, connections) = (Arc::clone(&stop), Arc::clone(&connections));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // A failure is what it asked for; a refused connection is tried again.
                    let _ =
                        TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut stream| {
                            stream.set_read_timeout(Some(PACE))?;
                            stream.set_write_timeout(Some(PACE))?;
                            connections.fetch_add(1, Ordering::Relaxed);
                            manner(&mut stream, &stop)
                        });
                }
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            connections,
        }
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of a client would be this file's own fault.
            let _ = thread.join();
        }
    }
}

/// How often a slow client does something.
const PACE: Duration = Duration::from_millis(500);

/// Reads nothing and writes nothing until the worker closes the connection.
fn hold(stream: &mut TcpStream, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        // Its read timeout is the pace.
        match stream.read(&mut [0]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A byte at a time.
fn slow(stream: &mut TcpStream, stop: &AtomicBool) -> Result<()> {
    for byte in b"GET /metrics HTTP/1.1\r\nX: "
        .iter()
        .chain([b'x'; 1000].iter())
    {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        stream.write_all(&[*byte])?;
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            other => return other.map(drop),
        }
    }
    Ok(())
}

fn endless(stream: &mut TcpStream, stop: &AtomicBool, head: &[u8], part: &[u8]) -> Result<()> {
    stream.write_all(head)?;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(part)?;
    }
    Ok(())
}

fn endless_header(stream: &mut TcpStream, stop: &AtomicBool) -> Result<()> {
    endless(
        stream,
        stop,
        b"GET /metrics HTTP/1.1\r\n",
        b"X: xxxxxxxxxxxxxxxx\r\n",
    )
}

fn endless_body(stream: &mut TcpStream, stop: &AtomicBool) -> Result<()> {
    let head = b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    endless(stream, stop, head, b"10\r\nxxxxxxxxxxxxxxxx\r\n")
}

fn garbage(stream: &mut TcpStream, stop: &AtomicBool) -> Result<()> {
    endless(stream, stop, b"\x16\x03\x01\0\xff\r\n\r\n", &[0xff; 64])
}

fn half_closed(stream: &mut TcpStream, stop: &AtomicBool) -> Result<()> {
    stream.write_all(b"GET /met")?;
    stream.shutdown(Shutdown::Write)?;
    hold(stream, stop)
}

/// Asks again and again and never reads an answer.
fn never_reads(stream: &mut TcpStream, stop: &AtomicBool) -> Result<()> {
    let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    endless(stream, stop, ask, ask)
}

/// A worker on two emulated sticks.
fn worker_on(sticks: &Sticks, model: &str) -> Worker {
    let ir = runtime().model(GOOGLENET_U8).expect("the model");
    let options = sticks.worker(ir, &amqp_url());
    start(&options.arguments(["--model-name", model]))
}

/// How long `/healthz` takes for a good client.
fn health(worker: &Worker) -> Duration {
    let start = Instant::now();
    let answer = worker.get("/healthz").expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    start.elapsed()
}

#[test]
fn a_flood_of_bad_clients_hurts_neither_the_jobs_nor_the_good_clients() {
    let model = unique("hostile");
    let sticks = Sticks::plugged_in(2).expect("sticks");
    let worker = worker_on(&sticks, &model);
    let pid = worker.id();
    let before = sockets(pid);
    // As long as the clients take; then it is interrupted.
    let flood = FloodOptions::new(&model, &amqp_url())
        .arguments([
            "--images".into(),
            runtime().small_photos_dir().into_os_string(),
        ])
        .arguments(["--duration", "170s", "--rate", "60", "--timeout", "170s"]);
    let mut producer = Producer::flood(&flood).expect("started");
    wait_until_busy(&worker);
    let (memory, threads) = (status(pid, "VmRSS"), status(pid, "Threads"));

    let manners: [(usize, Manner); 7] = [
        (100, slow),
        (20, hold),
        (4, endless_header),
        (4, endless_body),
        (4, garbage),
        (4, half_closed),
        (4, never_reads),
    ];
    let hostile = Hostile::against(worker.metrics_addr(), manners);
    let mut waited = Vec::new();
    let mut most = 0;
    let seen = poll_until(LIMIT, || {
        waited.push(health(&worker));
        most = most.max(sockets(pid) - before);
        // Long enough for the slow ones to have been closed for their slowness several times.
        (waited.len() >= 20 && hostile.connections() > 1000).then_some(())
    });
    assert!(seen.is_some(), "{} connections", hostile.connections());
    assert!(most <= MOST_CONNECTIONS, "{most} connections at once");
    waited.sort();
    assert!(waited.last() < Some(&PATIENCE), "{waited:.2?}");
    assert!(status(pid, "Threads") <= threads);
    println!(
        "{most} connections at once, {} in all, {waited:.2?}",
        hostile.connections()
    );
    let grown = status(pid, "VmRSS").saturating_sub(memory);
    let room = MOST_CONNECTIONS as u64 * BYTES_PER_CONNECTION;
    assert!(grown < room, "{grown} bytes more");
    assert_still_flooding(&mut producer);
    drop(hostile);

    producer.interrupt().expect("interrupted");
    let finished = producer.finish(LIMIT).expect("finished");
    assert_eq!(finished.status.code(), Some(130), "{finished:?}");
    let report = finished.report.expect("a report");
    assert_eq!(report["answered"], report["sent"], "{report}");
    let gone = poll_until(PATIENCE, || (sockets(pid) <= before).then_some(()));
    assert!(gone.is_some(), "{} of {before} sockets", sockets(pid));
    drain(worker);
    clean_up(&model);
}

#[test]
fn connections_that_say_nothing_are_closed_while_their_clients_hold_on_to_them() {
    let model = unique("idle");
    let sticks = Sticks::plugged_in(1).expect("sticks");
    let worker = worker_on(&sticks, &model);
    let before = sockets(worker.id());
    let connect = || TcpStream::connect(worker.metrics_addr()).expect("connected");
    let idle: Vec<_> = std::iter::repeat_with(connect).take(100).collect();
    assert!(health(&worker) < PATIENCE);
    // The connection's own limit of 10 s, and some for a slow machine.
    let limit = Duration::from_secs(30);
    let gone = poll_until(limit, || (sockets(worker.id()) <= before).then_some(()));
    assert!(gone.is_some(), "{} sockets", sockets(worker.id()));
    drop(idle);
    drain(worker);
    clean_up(&model);
}

/// Asks with these bytes, and reads until the worker closes the connection.
fn ask(address: SocketAddr, request: &[u8], then: Option<Shutdown>) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request).expect("sent");
    if let Some(side) = then {
        stream.shutdown(side).expect("shut down");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn odd_requests_are_answered_as_http_says() {
    let model = unique("odd");
    let sticks = Sticks::plugged_in(1).expect("sticks");
    let worker = worker_on(&sticks, &model);
    let asked = |request: &str| ask(worker.metrics_addr(), request.as_bytes(), None);
    let head = asked("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let posted = asked("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(
        posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET, HEAD"),
        "{posted}"
    );
    let old = asked("GET /healthz HTTP/1.0\r\n\r\n");
    assert!(old.ends_with("alive\n"), "{old}");
    let query = asked("GET /healthz?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(query.ends_with("alive\n"), "{query}");
    // A second request on the same connection is not answered.
    let twice = asked(&"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2));
    assert_eq!(twice.matches("HTTP/1.1 200").count(), 1, "{twice}");
    assert!(twice.contains("connection: close"), "{twice}");
    let half = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let half = ask(worker.metrics_addr(), half, Some(Shutdown::Write));
    assert!(half.ends_with("alive\n"), "{half}");
    let cookies = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n",
        "x".repeat(17 << 10)
    );
    let long = asked(&cookies);
    assert!(long.starts_with("HTTP/1.1 431"), "{long}");
    drain(worker);
    clean_up(&model);
}

/// Whether the worker may open files.
fn may_open_files(worker: &Worker, allowed: Option<u64>) {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let ours = getrlimit(Resource::Nofile);
    let pid = i32::try_from(worker.id()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: allowed.or(ours.current),
        maximum: ours.maximum,
    };
    prlimit(pid, Resource::Nofile, limit).expect("a child's limit");
}

#[test]
fn a_worker_that_may_open_no_more_files_does_not_spin_and_serves_again_when_it_may() {
    let model = unique("files");
    let worker = start(&crate::bed::digits(&model));
    may_open_files(&worker, Some(1));
    let waiting = TcpStream::connect(worker.metrics_addr()).expect("the kernel accepts");
    let told = "cannot accept connections for /metrics: ";
    let said = poll_until(PATIENCE, || worker.stderr().contains(told).then_some(()));
    assert!(said.is_some(), "{}", worker.last_words());

    let cpu_time = || worker.usage().expect("its usage").cpu_time;
    let (before, window) = (cpu_time(), Duration::from_secs(3));
    let _ = poll_until(window, || None::<()>);
    let used = cpu_time().saturating_sub(before);
    assert!(used < window / 10, "{used:?} of CPU in {window:?}");
    assert_eq!(worker.stderr().matches(told).count(), 1);

    may_open_files(&worker, None);
    let again = poll_until(PATIENCE, || {
        http_get(worker.metrics_addr(), "/healthz").ok()
    });
    assert_eq!(again.map(|answer| answer.status), Some(200));
    drop(waiting);
    drain(worker);
    clean_up(&model);
}
