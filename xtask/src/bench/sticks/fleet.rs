//! Broker, producer and one worker on emulated sticks, all on this machine.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ncs_e2e::paths::{GOOGLENET_U8, Runtime};
use ncs_e2e::poll_until;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::worker::Worker;
use serde::Serialize;

use crate::broker::Broker;
use crate::emulated;

/// Unmeasured, until caches and queues are as they stay.
const WARM_UP: Duration = Duration::from_secs(2);
/// Not measured at the beginning and at the end of a flood, when not all requests are busy.
const EDGE: Duration = Duration::from_secs(1);
/// Until a flood's first answer, and beyond the flood itself.
const GRACE: Duration = Duration::from_secs(120);
/// The worker's counter.
const CLASSIFIED: &str = "ncs_worker_jobs_total{outcome=\"classified\"} ";

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Setting {
    pub(super) sticks: u16,
    pub(super) prefetch: u16,
}

/// One measurement: of the middle of a flood, everything over the same seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in crate::bench) struct Fleet {
    #[serde(flatten)]
    pub(super) setting: Setting,
    /// How long it was looked at.
    pub(super) seconds: f64,
    /// Images that the worker has classified meanwhile, per second.
    pub(super) images_per_second: f64,
    /// The worker's CPU time, the emulator's included.
    pub(super) worker_cpu_ms_per_image: f64,
    /// `None` where the broker is no process of ours.
    pub(super) broker_cpu_ms_per_image: Option<f64>,
    pub(super) producer_cpu_ms_per_image: f64,
    /// The most memory that the worker had since its start.
    pub(super) worker_peak_mib: f64,
}

pub(super) fn measure(
    runtime: &Runtime,
    setting: Setting,
    broker: &Broker,
    seconds: u64,
) -> Result<Fleet> {
    let amqp_url = broker.amqp_url();
    let host = emulated::plugged_in(setting.sticks)?;
    let worker = host
        .worker(runtime.model(GOOGLENET_U8)?, &amqp_url)
        .arguments(["--prefetch", &setting.prefetch.to_string()]);
    let mut worker = Worker::start(&worker)?;
    let flood = |duration| flood(runtime, setting, &amqp_url, duration);
    finish(flood(WARM_UP)?)?;

    let before = classified(&worker)?;
    let mut producer = flood(Duration::from_secs(seconds))?;
    let begun = poll_until(GRACE, || match classified(&worker) {
        Ok(now) if now > before => Some(Ok(())),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    begun.context("the flood has no answers")??;
    std::thread::sleep(EDGE);
    let from = Reading::now(&worker, &producer, broker)?;
    std::thread::sleep(Duration::from_secs(seconds).saturating_sub(2 * EDGE));
    let to = Reading::now(&worker, &producer, broker)?;
    if producer.try_wait()?.is_some() {
        bail!("the flood ended before its time{}", producer.last_words());
    }
    finish(producer)?;

    let worker_peak_mib = peak_mib(worker.id())?;
    let drained = worker.drain(GRACE)?;
    if !drained.success() {
        bail!("the worker did not drain, {drained}{}", worker.last_words());
    }
    Ok(to.since(&from, setting, worker_peak_mib))
}

/// What everybody has done so far.
struct Reading {
    at: Instant,
    classified: f64,
    worker: Duration,
    broker: Option<Duration>,
    producer: Duration,
}

impl Reading {
    fn now(worker: &Worker, producer: &Producer, broker: &Broker) -> Result<Self> {
        Ok(Self {
            classified: classified(worker)?,
            at: Instant::now(),
            worker: worker.usage()?.cpu_time,
            broker: broker.cpu_time()?,
            producer: producer.usage()?.cpu_time,
        })
    }

    fn since(&self, from: &Self, setting: Setting, worker_peak_mib: f64) -> Fleet {
        let seconds = (self.at - from.at).as_secs_f64();
        let images = self.classified - from.classified;
        let ms_per_image =
            |to: Duration, from: Duration| 1_000.0 * to.saturating_sub(from).as_secs_f64() / images;
        Fleet {
            setting,
            seconds,
            images_per_second: images / seconds,
            worker_cpu_ms_per_image: ms_per_image(self.worker, from.worker),
            broker_cpu_ms_per_image: self
                .broker
                .zip(from.broker)
                .map(|(to, from)| ms_per_image(to, from)),
            producer_cpu_ms_per_image: ms_per_image(self.producer, from.producer),
            worker_peak_mib,
        }
    }
}

fn flood(
    runtime: &Runtime,
    setting: Setting,
    amqp_url: &str,
    duration: Duration,
) -> Result<Producer> {
    let images = runtime.small_photos_dir();
    let options = FloodOptions::new(GOOGLENET_U8, amqp_url)
        .arguments(["--images".into(), images.into_os_string()])
        .arguments([
            "--window",
            &emulated::window(setting.sticks).to_string(),
            "--duration",
            &format!("{}s", duration.as_secs()),
        ]);
    Producer::flood(&options)
}

fn finish(producer: Producer) -> Result<()> {
    let finished = producer.finish(GRACE)?;
    if !finished.status.success() {
        bail!("the flood failed, {}: {}", finished.status, finished.stderr);
    }
    Ok(())
}

fn classified(worker: &Worker) -> Result<f64> {
    let page = worker.metrics()?;
    number_after(&page, CLASSIFIED).context("the worker does not count what it has classified")
}

/// `VmHWM` of proc(5), which is in KiB.
fn peak_mib(process: u32) -> Result<f64> {
    let file = format!("/proc/{process}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let kib = number_after(&status, "VmHWM:").with_context(|| format!("{file} has no VmHWM"))?;
    Ok(kib / 1024.0)
}

/// The number on the line that begins so.
fn number_after(text: &str, begin: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(begin))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_metrics_and_from_proc() {
        let page = "ncs_worker_jobs_total{outcome=\"failed\"} 1\n\
                    ncs_worker_jobs_total{outcome=\"classified\"} 740\n";
        assert_eq!(number_after(page, CLASSIFIED), Some(740.0));
        let status = "VmPeak:\t  20480 kB\nVmHWM:\t   10240 kB\n";
        assert_eq!(number_after(status, "VmHWM:"), Some(10_240.0));
        assert_eq!(number_after(status, "VmSwap:"), None);
    }

    #[test]
    fn a_measurement_is_the_difference_of_two_readings() {
        let begin = Instant::now();
        let reading = |seconds: u64, classified: f64, cpu: u64, broker| Reading {
            at: begin + Duration::from_secs(seconds),
            classified,
            worker: Duration::from_millis(cpu),
            broker,
            producer: Duration::from_millis(2 * cpu),
        };
        let setting = Setting {
            sticks: 2,
            prefetch: 8,
        };
        let from = reading(1, 100.0, 50, None);
        let fleet = reading(5, 900.0, 450, None).since(&from, setting, 80.0);
        let same = |left: f64, right: f64| assert!((left - right).abs() < 1e-9, "{left} {right}");
        same(fleet.seconds, 4.0);
        same(fleet.images_per_second, 200.0);
        same(fleet.worker_cpu_ms_per_image, 0.5);
        same(fleet.producer_cpu_ms_per_image, 1.0);
        assert_eq!(fleet.broker_cpu_ms_per_image, None);
    }
}
