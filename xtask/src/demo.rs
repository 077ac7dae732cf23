//! The main job on real photos: flood, infer, report.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use ncs_e2e::paths::{GOOGLENET, GOOGLENET_U8, Runtime};
use ncs_e2e::process::{Output, Process};
use ncs_e2e::producer::FloodOptions;
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::{Worker, WorkerOptions};

use crate::broker::Broker;
use crate::setup::{self, Scope};
use crate::{cargo, emulated, test};

/// Longer than the worker's own limit for finishing what it has in hand.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoOptions {
    /// How many images to classify [default: 300, with --sticks 300 for each].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,

    /// Run on so many emulated Neural Compute Sticks, 1 to 64, instead of on the CPU. They keep the
    /// pace that was measured on hardware; their answers mean nothing.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=emulated::MOST))]
    sticks: Option<u16>,

    /// A folder of your own images [default: two photos from scikit-learn, with --sticks pieces of
    /// them at the network's size].
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,

    /// What the producer makes of each image before it sends it: original (nothing), 224 (a JPEG of
    /// the network's size) or tensor (the network's input).
    #[arg(long, default_value = "original", value_parser = ["original", "224", "tensor"])]
    prepare: String,

    /// Write the report there too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl DemoOptions {
    /// Enough to take some seconds, however many sticks there are.
    fn jobs(&self) -> u64 {
        self.jobs
            .unwrap_or_else(|| 300 * u64::from(self.sticks.unwrap_or(1)))
    }
}

pub(crate) fn run(options: &DemoOptions) -> Result<ExitCode> {
    if let Some(dir) = options.images.as_ref().filter(|dir| !dir.is_dir()) {
        bail!("--images {}: there is no such folder", dir.display());
    }
    setup::run(Scope::Demo)?;
    cargo::build_programs()?;
    let host = Host::of(options)?;
    let broker = Broker::start()?;
    if let Host::Emulated(_) = host {
        println!("\n{}\n", emulated::notice());
    }
    let status = classify(options, &host, &broker.amqp_url())?;
    broker.stop()?;
    match host {
        Host::Cpu => println!(
            "The model was {GOOGLENET}: GoogLeNet-v1 with random weights, so the same cost per image\n\
             as the real one, but other answers. For real ones see README.md, \"Real weights\"."
        ),
        Host::Emulated(_) => println!("\n{}", emulated::notice()),
    }
    Ok(test::exit_code(status))
}

/// What the worker infers on.
enum Host {
    Cpu,
    Emulated(Sticks),
}

impl Host {
    fn of(options: &DemoOptions) -> Result<Self> {
        let sticks = options.sticks.map(emulated::plugged_in).transpose()?;
        Ok(sticks.map_or(Self::Cpu, Self::Emulated))
    }

    fn model(&self) -> &'static str {
        match self {
            Self::Cpu => GOOGLENET,
            Self::Emulated(_) => GOOGLENET_U8,
        }
    }

    fn worker(&self, runtime: &Runtime, amqp_url: &str) -> Result<WorkerOptions> {
        match self {
            Self::Cpu => Ok(WorkerOptions::new(runtime, self.model(), amqp_url)?
                .arguments(["--devices", "CPU"])),
            Self::Emulated(sticks) => Ok(sticks.worker(runtime.model(self.model())?, amqp_url)),
        }
    }

    /// How the model wants its input tensor, for the producer.
    fn input(&self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["--input-layout", "nchw", "--input-type", "f32"],
            Self::Emulated(_) => &["--input-layout", "nhwc", "--input-type", "u8"],
        }
    }

    /// On two cores, decoding large photos would be slower than a few sticks.
    fn photos(&self, runtime: &Runtime) -> PathBuf {
        match self {
            Self::Cpu => runtime.photos_dir(),
            Self::Emulated(_) => runtime.small_photos_dir(),
        }
    }
}

/// The producer's exit status, once the worker has drained.
fn classify(
    options: &DemoOptions,
    host: &Host,
    amqp_url: &str,
) -> Result<std::process::ExitStatus> {
    let runtime = Runtime::locate()?;
    let model = host.model();
    println!("Worker: loading {model}");
    let mut worker = Worker::start(&host.worker(&runtime, amqp_url)?)?;
    print_indented(&[worker.stdout(), worker.stderr()].concat());

    let images = options
        .images
        .clone()
        .unwrap_or_else(|| host.photos(&runtime));
    let jobs = options.jobs();
    println!(
        "Producer: {jobs} jobs from the images in {}",
        images.display()
    );
    let mut flood = FloodOptions::new(model, amqp_url)
        .images(&images, jobs)
        .arguments(["--prepare", &options.prepare]);
    if options.prepare == "tensor" {
        flood = flood.arguments(host.input().iter().copied());
    }
    if let Some(sticks) = options.sticks {
        flood = flood.arguments(["--window", &emulated::window(sticks).to_string()]);
    }
    if let Some(file) = &options.json {
        flood = flood.arguments(["--json".into(), file.clone().into_os_string()]);
    }
    let mut producer = Process::spawn("ncs-producer", flood.command()?, Output::Inherited)?;
    let status = producer.wait()?;

    println!("Worker: asking it to finish and to end");
    let drained = worker
        .drain(DRAIN_LIMIT)
        .context("the worker did not drain")?;
    if !drained.success() {
        bail!("the worker did not drain, {drained}{}", worker.last_words());
    }
    Ok(status)
}

fn print_indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
