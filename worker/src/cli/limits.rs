//! How much a worker takes on, whatever is sent.

use super::size;
use clap::Args;
use ncs_image::ImageLimits;
use ncs_protocol::MAX_BODY_BYTES;
use ncs_protocol::job::MAX_TOP_K;
use std::num::NonZeroUsize;

/// How much a worker takes on, whatever is sent. Whoever is refused is told which of these it was.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Bytes of a message at most, also as 512KiB or 16MiB; a larger one is no job
    #[arg(long, env = "NCS_MAX_BODY", default_value = "16MiB", value_name = "SIZE",
          value_parser = size::within(1024..=MAX_BODY_BYTES))]
    pub max_body: usize,
    /// Pixels of an image at most; while one is decoded, it takes up to 13 bytes for each
    #[arg(long, env = "NCS_MAX_IMAGE_PIXELS", value_name = "N",
          default_value_t = ImageLimits::default().max_pixels,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub max_image_pixels: u64,
    /// Pixels of an image's longer side at most
    #[arg(long, env = "NCS_MAX_IMAGE_SIDE", value_name = "N",
          default_value_t = ImageLimits::default().max_side,
          value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub max_image_side: u32,
    /// Images decoded at once at most [default: the number of cores]
    #[arg(long, env = "NCS_DECODE_THREADS", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub decode_threads: Option<u16>,
    /// Results at most that wait at once for the broker to confirm them
    #[arg(long, env = "NCS_MAX_UNCONFIRMED_RESULTS", default_value_t = 256, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub max_unconfirmed_results: u16,
    /// Classes per result at most, whatever a job asks for
    #[arg(long, env = "NCS_MAX_TOP_K", default_value_t = MAX_TOP_K, value_name = "K",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TOP_K)))]
    pub max_top_k: u32,
}

impl LimitArgs {
    /// Those on images, for the engine.
    #[must_use]
    pub fn image(&self) -> ImageLimits {
        ImageLimits {
            max_pixels: self.max_image_pixels,
            max_side: self.max_image_side,
        }
    }

    /// How many images are decoded at once.
    #[must_use]
    pub fn decode_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.decode_threads.map_or_else(cores, usize::from)
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{Cli, Command, RunArgs};
    use clap::{CommandFactory, Parser};

    fn parse(more: &[&str]) -> Result<Box<RunArgs>, clap::Error> {
        let arguments = ["ncs-worker", "run", "--model", "m.xml"];
        match Cli::try_parse_from(arguments.iter().chain(more))?.command {
            Command::Run(run) => Ok(run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_limits_are_the_protocols_and_the_engines_unless_told_otherwise() {
        let limits = parse(&[]).unwrap().limits;
        assert_eq!(limits.max_body, ncs_protocol::MAX_BODY_BYTES);
        assert_eq!(limits.image(), ncs_image::ImageLimits::default());
        assert!(limits.decode_threads() >= 1);
        assert_eq!(
            (limits.max_unconfirmed_results, limits.max_top_k),
            (256, 1000)
        );
        let limits = parse(&["--decode-threads", "3", "--max-body", "64KiB"]);
        let limits = limits.unwrap().limits;
        assert_eq!((limits.decode_threads(), limits.max_body), (3, 64 << 10));
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        for (flag, refused) in [
            ("--max-body", ["1023", "16777217", "1GiB"]),
            ("--max-image-pixels", ["0", "1000000001", "x"]),
            ("--max-image-side", ["0", "65536", "-1"]),
            ("--decode-threads", ["0", "1025", ""]),
            ("--max-unconfirmed-results", ["0", "65536", "1.5"]),
            ("--max-top-k", ["0", "1001", "all"]),
        ] {
            for value in refused {
                let argument = format!("{flag}={value}");
                let error = parse(&[&argument]).unwrap_err().to_string();
                assert!(error.contains(flag) && error.contains(value), "{error}");
            }
        }
    }

    #[test]
    fn the_help_has_them_under_a_heading_of_their_own() {
        let mut command = Cli::command();
        let run = command.find_subcommand_mut("run").unwrap();
        let of = |name: &str| {
            let argument = run.get_arguments().find(|a| a.get_long() == Some(name));
            argument.unwrap().get_help_heading()
        };
        assert_eq!(of("max-body"), Some("Limits"));
        assert_eq!(of("max-top-k"), Some("Limits"));
        assert_eq!((of("model"), of("drain-timeout")), (None, None));
    }
}
