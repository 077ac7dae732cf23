//! The command line of `submit`.

use super::PrepareArgs;
use clap::Args;
use ncs_program::cli::BrokerArgs;
use ncs_protocol::ModelName;
use std::path::PathBuf;
use std::time::Duration;

/// The longest name of a batch: with its id it becomes a queue's name.
const LONGEST_NAME: usize = 64;

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub images: ImagesArgs,
    /// The model that shall classify; a worker must have served it once
    #[arg(long, env = "NCS_MODEL_NAME", value_name = "NAME")]
    pub model: ModelName,
    /// Where the lines go, one for each image, as they come; - for standard output. What is needed to
    /// resume is kept beside it, in FILE.batch
    #[arg(long, value_name = "FILE|-")]
    pub out: PathBuf,
    /// Write CSV instead of JSON
    #[arg(long)]
    pub csv: bool,
    /// Go on with the batch in --out: do what is missing, and no more. Begins it where there is none, so
    /// that the same command can be run until all is done. PATHs may be left out
    #[arg(long)]
    pub resume: bool,
    /// A name for people: of the batch's queue, in RabbitMQ's lists and in the summary
    #[arg(long, value_parser = parse_name)]
    pub name: Option<String>,
    /// Classes per line [default: the worker's]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub top_k: Option<u32>,
    /// Images unanswered at most: too few leave sticks idle [default: 128 for each consumer that the
    /// queue has at the start]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub window: Option<u32>,
    /// Give up when nothing has been answered for so long: each image that is left gets a line that says
    /// so, and --resume tries it again. Time in which the broker blocks publishers does not count
    #[arg(long, default_value = "60s", value_name = "TIME",
          value_parser = super::flood::parse_some_time)]
    pub timeout: Duration,
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
    pub broker: BrokerArgs,
}

/// Which images.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Images, and folders with JPEG, PNG, BMP or WebP images (or ready *.tensor files) in them
    #[arg(value_name = "PATH", required_unless_present_any = ["files_from", "resume"])]
    pub paths: Vec<PathBuf>,
    /// And those in this list, one path per line; - for standard input
    #[arg(long, value_name = "FILE|-")]
    pub files_from: Option<PathBuf>,
    /// In the list of --files-from, paths end with NUL, as find -print0 writes them
    #[arg(short = '0', long, requires = "files_from")]
    pub null: bool,
}

/// What a queue's name may hold, as a model's name.
fn parse_name(text: &str) -> Result<String, String> {
    match text.parse::<ModelName>() {
        Ok(name) if name.as_str().len() <= LONGEST_NAME => Ok(text.to_owned()),
        _ => Err(format!(
            "expected 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-', beginning with a letter, \
             digit or '_'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let words = ["ncs-producer", "submit", "--model", "m", "--out", "r"];
        Cli::try_parse_from(words.into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn images_are_named_unless_the_batch_knows_them() {
        for right in [
            "p",
            "p q",
            "--files-from -",
            "p --files-from l -0",
            "--resume",
            "p --resume",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "p --null", "--name x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_a_part_of_a_queues() {
        assert!(parse("p --name night-3").is_ok());
        for wrong in ["a/b", "-a", &"x".repeat(65)] {
            assert!(parse(&format!("p --name={wrong}")).is_err(), "{wrong}");
        }
    }
}
