//! Broker, producer and worker on this machine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::Runtime;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::worker::{Worker, WorkerOptions};
use serde_json::Value;

use super::Measurement;
use crate::bench::BenchOptions;

/// The real MULTI plugin, over the one device that every machine has.
pub(super) const DEVICE: &str = "MULTI:CPU";
/// As many as saturate a stick.
pub(super) const REQUESTS: &str = "4";
/// Unmeasured, until caches and queues are as they stay.
const WARM_UP: Duration = Duration::from_secs(2);
/// Enough to keep one device busy, and few enough to leave the broker to the worker.
const WINDOW: &str = "32";
/// Beyond the flood itself.
const GRACE: Duration = Duration::from_secs(120);

pub(super) fn measure(
    runtime: &Runtime,
    model: &str,
    images: &Path,
    amqp_url: &str,
    options: &BenchOptions,
) -> Result<Measurement> {
    let mut worker = WorkerOptions::new(runtime, model, amqp_url)?.arguments([
        "--devices",
        DEVICE,
        "--requests-per-stick",
        REQUESTS,
    ]);
    if let Some(precision) = &options.precision {
        worker = worker.arguments(["--precision", precision]);
    }
    let mut worker = Worker::start(&worker)?;
    flood(model, images, amqp_url, WARM_UP)?;
    let before = worker.usage()?.cpu_time;
    let report = flood(
        model,
        images,
        amqp_url,
        Duration::from_secs(options.seconds),
    )?;
    let cpu_time = worker.usage()?.cpu_time.saturating_sub(before);
    let drained = worker.drain(GRACE)?;
    if !drained.success() {
        bail!("the worker did not drain, {drained}{}", worker.last_words());
    }
    let figure = |name: &str| {
        report[name]
            .as_f64()
            .with_context(|| format!("the producer's report has no {name}"))
    };
    Ok(Measurement {
        images_per_second: figure("images_per_second")?,
        cpu_ms_per_image: 1_000.0 * cpu_time.as_secs_f64() / figure("answered")?,
    })
}

/// Floods, and returns the producer's report.
fn flood(model: &str, images: &Path, amqp_url: &str, duration: Duration) -> Result<Value> {
    let options = FloodOptions::new(model, amqp_url)
        .arguments(["--images".into(), images.as_os_str().to_owned()])
        .arguments([
            "--window",
            WINDOW,
            "--duration",
            &format!("{}s", duration.as_secs()),
        ]);
    let finished = Producer::flood(&options)?.finish(duration + GRACE)?;
    if !finished.status.success() {
        bail!("the flood failed, {}: {}", finished.status, finished.stderr);
    }
    finished.report.context("the producer wrote no report")
}
