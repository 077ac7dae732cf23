//! OpenVINO's own `benchmark_app`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ncs_e2e::poll_until;
use ncs_e2e::process::{Output, Process};

use super::Measurement;
use super::fleet::{DEVICE, REQUESTS};
use crate::bench::BenchOptions;

/// Loading the model and its first inference take some seconds on a small host.
const START_LIMIT: Duration = Duration::from_secs(120);
/// What it prints when it begins to measure.
const BEGINS: &str = "First inference took";
/// The line with its result, `[ INFO ] Throughput:   212.31 FPS`.
const RESULT: &str = "Throughput:";

pub(super) fn measure(python: &Path, model: &Path, options: &BenchOptions) -> Result<Measurement> {
    let scratch = std::env::temp_dir().join(format!("ncs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).context("cannot make a temporary folder")?;
    let measured = measure_in(&scratch, python, model, options);
    let _ = std::fs::remove_dir_all(&scratch);
    measured
}

fn measure_in(
    scratch: &Path,
    python: &Path,
    model: &Path,
    options: &BenchOptions,
) -> Result<Measurement> {
    let program = python.with_file_name("benchmark_app");
    let mut command = Command::new(&program);
    command
        .arg("-m")
        .arg(model)
        .args(["-d", DEVICE, "-nireq", REQUESTS, "-api", "async"])
        .args(["-t", &options.seconds.to_string()]);
    if let Some(precision) = &options.precision {
        command.args(["-infer_precision", precision]);
    }
    let output = Output::Files(scratch.to_owned());
    let mut process = Process::spawn("benchmark_app", command, output)?;
    let measuring = poll_until(START_LIMIT, || {
        process.stdout().contains(BEGINS).then_some(())
    });
    if measuring.is_none() {
        bail!(
            "benchmark_app does not begin to measure{}",
            process.last_words()
        );
    }
    // The CPU time of the measurement's middle, without loading before and statistics after it.
    let (begin, from) = (process.usage()?.cpu_time, Instant::now());
    std::thread::sleep(Duration::from_secs(options.seconds.saturating_sub(1)));
    let (end, elapsed) = (process.usage()?.cpu_time, from.elapsed());
    let status = process.wait_with_limit(START_LIMIT)?;
    if !status.success() {
        bail!("benchmark_app failed, {status}{}", process.last_words());
    }
    let images_per_second =
        throughput(&process.stdout()).context("benchmark_app printed no throughput")?;
    let cpu = end.saturating_sub(begin).as_secs_f64() / elapsed.as_secs_f64();
    Ok(Measurement {
        images_per_second,
        cpu_ms_per_image: 1_000.0 * cpu / images_per_second,
    })
}

fn throughput(stdout: &str) -> Option<f64> {
    let line = stdout.lines().rev().find(|line| line.contains(RESULT))?;
    line.split(RESULT)
        .nth(1)?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::throughput;

    #[test]
    fn the_throughput_is_read_from_benchmark_apps_last_lines() {
        let stdout = "[ INFO ]    Max:           21.03 ms\n[ INFO ] Throughput:   212.31 FPS\n";
        assert_eq!(throughput(stdout), Some(212.31));
        assert_eq!(throughput("[ ERROR ] no such file"), None);
    }
}
