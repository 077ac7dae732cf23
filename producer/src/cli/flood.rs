//! The command line of `flood`.

#![expect(clippy::doc_markdown, reason = "help texts are not Markdown")]

use super::{PrepareArgs, SourceArgs};
use clap::{Args, ValueEnum};
use ncs_program::cli::BrokerArgs;
use ncs_protocol::ModelName;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Arguments of `flood`.
#[derive(Debug, Args)]
pub struct FloodArgs {
    /// The model that shall classify; a worker must have served it once
    #[arg(long, env = "NCS_MODEL_NAME", value_name = "NAME")]
    pub model: ModelName,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub source: SourceArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub prepare: PrepareArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub extent: ExtentArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub pace: PaceArgs,
    /// Send jobs as bincode messages, or as bare images that are answered in JSON
    #[arg(long, value_enum, default_value_t = JobEncoding::Bincode)]
    pub encoding: JobEncoding,
    /// Classes per result [default: the worker's]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub top_k: Option<u32>,
    /// Give up when nothing has been answered for so long; what is unanswered then is lost. Time in
    /// which the broker blocks publishers does not count
    #[arg(long, default_value = "60s", value_name = "TIME",
          value_parser = parse_some_time)]
    pub timeout: Duration,
    /// Write every result there as it comes, duplicates included, one JSON object per line: job,
    /// image (its number in the order of sending, from 0), duplicate, worker, host, attempt, at_us
    /// (when it arrived, in microseconds since 1970), latency_ms and outcome (as in a JSON result).
    /// Duplicates have no image and no latency_ms
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub outputs: OutputArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub goals: GoalArgs,
    /// Serve the flood's own metrics to Prometheus on this address, at /metrics
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics_addr: Option<SocketAddr>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

/// How much to send.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct ExtentArgs {
    /// Send so many jobs; those of --warm-up come before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub jobs: Option<u64>,
    /// Send for so long, after --warm-up
    #[arg(long, value_name = "TIME", value_parser = parse_some_time)]
    pub duration: Option<Duration>,
}

/// How fast to send.
#[derive(Debug, Args)]
pub struct PaceArgs {
    /// Send so many jobs per second, whatever the fleet does (open loop): latency counts from when a job
    /// should have been sent. FROM..TO raises the rate by --step every --every, until the fleet does
    /// not hold it [default: a job for each answer (closed loop)]
    #[arg(long, value_name = "N/s|FROM..TO")]
    pub rate: Option<Rate>,
    /// How much a ramp rises each time, in jobs per second
    #[arg(long, value_name = "N/s", requires_all = ["rate", "every"], value_parser = parse_per_second)]
    pub step: Option<f64>,
    /// How long each rate of a ramp lasts
    #[arg(long, value_name = "TIME", requires_all = ["rate", "step"], value_parser = parse_some_time)]
    pub every: Option<Duration>,
    /// With --rate: the same time between any two jobs, or random times as of many independent users
    #[arg(long, value_enum, default_value_t = Arrival::Constant, requires = "rate")]
    pub arrival: Arrival,
    /// Jobs unanswered at most: too few leave sticks idle, more only make answers later. 0: no limit, as
    /// fast as the broker takes them [default: 128 for each consumer that the queue has at the start;
    /// with --rate no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=500_000))]
    pub window: Option<u32>,
    /// Leave the first so much time out of the figures
    #[arg(long, value_name = "TIME", value_parser = parse_some_time)]
    pub warm_up: Option<Duration>,
    /// Connections that publish
    #[arg(long, default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,
}

/// Jobs per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Always the same.
    Constant(f64),
    /// Rising.
    Ramp {
        /// The first rate.
        from: f64,
        /// The last one.
        to: f64,
    },
}

/// When jobs of an open loop are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arrival {
    /// The same time between any two.
    Constant,
    /// Exponentially distributed times between them.
    Poisson,
}

/// Where the report goes, beside the terminal.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Write the report as JSON too; - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Write the report as CSV too, a row for each step: the warm-up, and each rate of a ramp; - for
    /// standard output
    #[arg(long, value_name = "FILE|-")]
    pub csv: Option<PathBuf>,
}

/// What the flood must reach: else it ends with 1.
#[derive(Debug, Clone, Copy, Args)]
pub struct GoalArgs {
    /// Fail if fewer images per second were classified; with a ramp, if the highest rate that was held
    /// is lower
    #[arg(long, value_name = "N/s", value_parser = parse_per_second)]
    pub fail_below: Option<f64>,
    /// Fail if one answer in a hundred took longer; a rate of a ramp is not held if one did
    #[arg(long, value_name = "TIME", value_parser = parse_some_time)]
    pub fail_p99: Option<Duration>,
}

/// How jobs are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JobEncoding {
    /// `ncs.job.v1`, answered in bincode
    Bincode,
    /// The image itself, answered in JSON
    Bare,
}

impl From<JobEncoding> for ncs_protocol::Encoding {
    fn from(encoding: JobEncoding) -> Self {
        match encoding {
            JobEncoding::Bincode => Self::Bincode,
            JobEncoding::Bare => Self::Json,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((from, to)) = text.split_once("..") else {
            return parse_per_second(text).map(Self::Constant);
        };
        let (from, to) = (parse_per_second(from)?, parse_per_second(to)?);
        if from < to {
            Ok(Self::Ramp { from, to })
        } else {
            Err(format!("a ramp rises, and {to} is not more than {from}"))
        }
    }
}

fn parse_per_second(text: &str) -> Result<f64, String> {
    match text.strip_suffix("/s").unwrap_or(text).parse::<f64>() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("expected a number per second, 0.001 to 1000000, such as 250 or 0.5/s".to_owned()),
    }
}

/// Any longer is a mistake.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

pub(super) fn parse_some_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if (Duration::from_millis(1)..=LONGEST).contains(&time) => Ok(time),
        Ok(_) => Err("expected a millisecond to a year".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::flood::load::Load;
    use clap::Parser;

    fn parse(more: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["ncs-producer", "flood", "--model", "m"].iter().chain(more))
    }

    #[test]
    fn a_flood_needs_one_source_and_one_extent() {
        assert!(parse(&["--images", "d", "--jobs", "3"]).is_ok());
        assert!(parse(&["--synthetic", "640x480", "--duration", "60s"]).is_ok());
        assert!(parse(&["--jobs", "3"]).is_err());
        assert!(parse(&["--images", "d", "--synthetic", "1x1", "--jobs", "3"]).is_err());
        assert!(parse(&["--images", "d", "--jobs", "3", "--duration", "1s"]).is_err());
    }

    /// What the flags mean together, or why they do not.
    fn load(more: &[&str]) -> Result<Load, String> {
        let Cli {
            command: Command::Flood(arguments),
        } = parse(&[&["--images", "d"], more].concat()).unwrap()
        else {
            unreachable!("it is a flood");
        };
        Load::new(&arguments)
    }

    #[test]
    fn a_ramp_ends_by_itself_and_everything_else_needs_an_end() {
        let ramp = ["--rate", "50..500", "--step", "50/s", "--every", "10s"];
        assert_eq!(load(&ramp).unwrap().steps.len(), 10);
        let with_window = load(&[ramp.as_slice(), &["--window", "8"]].concat());
        assert!(with_window.unwrap_err().contains("leave out --window"));
        let with_jobs = load(&[ramp.as_slice(), &["--jobs", "3"]].concat());
        assert!(with_jobs.unwrap_err().contains("leave out --jobs"));
        assert!(load(&ramp[..2]).unwrap_err().contains("--step and --every"));
        assert!(load(&[]).unwrap_err().contains("--jobs N or --duration"));
        let constant = [
            "--rate", "50", "--step", "5", "--every", "1s", "--jobs", "3",
        ];
        assert!(load(&constant).unwrap_err().contains("50..500"));
        let warm = load(&["--jobs", "3", "--warm-up", "5s"]).unwrap();
        assert_eq!(warm.steps.iter().filter(|step| step.warm_up).count(), 1);
    }

    #[test]
    fn a_rate_is_a_positive_number_or_a_rising_range() {
        assert_eq!("250".parse(), Ok(Rate::Constant(250.0)));
        assert_eq!("0.5/s".parse(), Ok(Rate::Constant(0.5)));
        let ramp = Rate::Ramp {
            from: 50.0,
            to: 500.0,
        };
        assert_eq!("50..500/s".parse(), Ok(ramp));
        for wrong in [
            "0", "-1", "1e-20", "NaN", "inf", "fast", "5..", "9..3", "3..3",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
