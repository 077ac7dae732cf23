//! The command line of `flood`.

#![expect(clippy::doc_markdown, reason = "help texts are not Markdown")]

use crate::synthetic::Size;
use clap::{Args, ValueEnum};
use ncs_program::cli::BrokerArgs;
use ncs_protocol::ModelName;
use std::path::PathBuf;
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
    pub extent: ExtentArgs,
    /// Jobs per second at most [default: as fast as they are answered]
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Jobs unanswered at most; too many starve the workers, too few leave sticks idle
    #[arg(long, default_value_t = 64, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// Send jobs as bincode messages, or as bare images that are answered in JSON
    #[arg(long, value_enum, default_value_t = JobEncoding::Bincode)]
    pub encoding: JobEncoding,
    /// Classes per result [default: the worker's]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub top_k: Option<u32>,
    /// Give up when nothing has been answered for so long; what is unanswered then is lost. Time in
    /// which the broker blocks publishers does not count
    #[arg(long, default_value = "60s", value_name = "TIME",
          value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Write every result there as it comes, duplicates included, one JSON object per line: job,
    /// image (its number in the order of sending, from 0), duplicate, worker, host, attempt, at_us
    /// (when it arrived, in microseconds since 1970), latency_ms and outcome (as in a JSON result).
    /// Duplicates have no image and no latency_ms
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Write the report as JSON too; - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

/// Where the images come from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SourceArgs {
    /// A folder of JPEG, PNG, BMP or WebP images (or of ready *.tensor files), sent in turn
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Made-up JPEG photos of this size
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub synthetic: Option<Size>,
}

/// How much to send.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ExtentArgs {
    /// Send so many jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub jobs: Option<u64>,
    /// Send for so long
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
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

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.strip_suffix("/s").unwrap_or(text).parse::<f64>() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("expected jobs per second, 0.001 to 1000000, such as 250 or 0.5/s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn parse(more: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["ncs-producer", "flood", "--model", "m"].iter().chain(more))
    }

    #[test]
    fn a_flood_needs_one_source_and_one_extent() {
        assert!(parse(&["--images", "d", "--jobs", "3"]).is_ok());
        assert!(parse(&["--synthetic", "640x480", "--duration", "60s"]).is_ok());
        assert!(parse(&["--images", "d"]).is_err());
        assert!(parse(&["--jobs", "3"]).is_err());
        assert!(parse(&["--images", "d", "--synthetic", "1x1", "--jobs", "3"]).is_err());
        assert!(parse(&["--images", "d", "--jobs", "3", "--duration", "1s"]).is_err());
    }

    #[test]
    fn a_rate_is_a_positive_number() {
        assert_eq!(parse_rate("250"), Ok(250.0));
        assert_eq!(parse_rate("0.5/s"), Ok(0.5));
        for wrong in ["0", "-1", "1e-20", "NaN", "inf", "fast"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
