//! The main job on real photos: flood, infer, report.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use ncs_e2e::paths::{GOOGLENET, Runtime};
use ncs_e2e::process::{Output, Process};
use ncs_e2e::producer::FloodOptions;
use ncs_e2e::worker::{Worker, WorkerOptions};

use crate::broker::Broker;
use crate::setup::{self, Scope};
use crate::{cargo, test};

/// Longer than the worker's own limit for finishing what it has in hand.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoOptions {
    /// How many images to classify.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,

    /// A folder of your own images [default: two photos from scikit-learn].
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,

    /// Write the report there too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(options: &DemoOptions) -> Result<ExitCode> {
    if let Some(dir) = options.images.as_ref().filter(|dir| !dir.is_dir()) {
        bail!("--images {}: there is no such folder", dir.display());
    }
    setup::run(Scope::Demo)?;
    cargo::build_programs()?;
    let broker = Broker::start()?;
    let status = classify(options, &broker.amqp_url())?;
    broker.stop()?;
    println!(
        "The model was {GOOGLENET}: GoogLeNet-v1 with random weights, so the same cost per image\n\
         as the real one, but other answers. For real ones see README.md, \"Real weights\"."
    );
    Ok(test::exit_code(status))
}

/// The producer's exit status, once the worker has drained.
fn classify(options: &DemoOptions, amqp_url: &str) -> Result<std::process::ExitStatus> {
    let runtime = Runtime::locate()?;
    println!("Worker: loading {GOOGLENET}");
    let mut worker = Worker::start(&WorkerOptions::new(&runtime, GOOGLENET, amqp_url)?)?;
    print_indented(&[worker.stdout(), worker.stderr()].concat());

    let images = options
        .images
        .clone()
        .unwrap_or_else(|| runtime.photos_dir());
    println!(
        "Producer: {} jobs from the images in {}",
        options.jobs,
        images.display()
    );
    let mut flood = FloodOptions::new(GOOGLENET, amqp_url).images(&images, options.jobs);
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
