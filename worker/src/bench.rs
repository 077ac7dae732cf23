//! `ncs-worker bench`: the program that this project grew from. It loads the network, infers with
//! all requests in flight (or one, with `--sync`), and prints images per second.

use crate::cli::BenchArgs;
use crate::network::{self, announce};
use anyhow::anyhow;
use ncs_engine::{EngineError, InferRequest};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Far longer than any device takes; a hung one ends the measurement.
const LIMIT: Duration = Duration::from_secs(15);

/// Measures and prints.
#[expect(clippy::cast_precision_loss, reason = "a number of iterations fits")]
pub fn run(arguments: &BenchArgs) -> anyhow::Result<()> {
    let mut network = network::load(&arguments.network)?;
    let requests = network.take_requests();
    let elapsed = time(requests, arguments.iterations)?;
    let fps = arguments.iterations as f64 / elapsed.as_secs_f64();
    announce(&format!("Performance = {fps:.2} FPS\n"));
    Ok(())
}

/// Seconds for `iterations` inferences, one thread per request, after one inference each to warm
/// up. Results are not read: this is the device's speed alone.
fn time(requests: Vec<InferRequest>, iterations: u64) -> anyhow::Result<Duration> {
    let ready = Barrier::new(requests.len() + 1);
    let started = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = requests
            .into_iter()
            .map(|mut request| {
                let (ready, started) = (&ready, &started);
                scope.spawn(move || -> Result<(), EngineError> {
                    let warmed_up = warm_up(&mut request);
                    ready.wait();
                    warmed_up?;
                    while started.fetch_add(1, Ordering::Relaxed) < iterations {
                        request.infer(LIMIT)?;
                    }
                    Ok(())
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        for thread in threads {
            thread
                .join()
                .map_err(|_| anyhow!("an inference thread panicked"))??;
        }
        Ok(start.elapsed())
    })
}

fn warm_up(request: &mut InferRequest) -> Result<(), EngineError> {
    // Some value between black and white, so that no layer is fed zeros alone.
    request.input_mut()?.fill(0x3c);
    request.infer(LIMIT)
}
