//! The command line of `dead`.

#![expect(clippy::doc_markdown, reason = "help texts are not Markdown")]

use crate::dead::{MOST_IN_HAND, UNKNOWN};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use ncs_program::cli::BrokerArgs;
use ncs_protocol::{ErrorCode, ModelName};
use std::path::PathBuf;

/// What to do with the dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List the dead letters, oldest first, with the reason of each
    ///
    /// To look at letters is to take them out of their queue. They go back to their places when the
    /// program ends, however it ends; until then nobody else sees them.
    ///
    /// Example: ncs-producer dead list --code expired
    List(ListArgs),
    /// Show all that is known about one dead letter
    ///
    /// Until it ends, nobody else sees the dead letters, as with `list`.
    ///
    /// Example: ncs-producer dead show @9d0c2fd1a6e3 --save letter.jpg
    Show(ShowArgs),
    /// Put jobs back into the queue of their model
    ///
    /// A job leaves the dead letters when the broker has confirmed it in its queue: none is lost, and
    /// at worst one is done twice. It has no deadline then, and all its attempts before it. Until the
    /// program ends, nobody else sees the dead letters. The exit code is 1 if some were left, or not
    /// even looked at.
    ///
    /// Example: ncs-producer dead retry --model googlenet-v1 --code expired
    Retry(RetryArgs),
    /// Delete dead letters for good
    ///
    /// Those that come in while you are asked stay. Until the program ends, nobody else sees the dead
    /// letters. It looks at the oldest 10,000; the exit code is 1 if others may be meant too.
    ///
    /// Example: ncs-producer dead purge --code malformed_job
    Purge(PurgeArgs),
}

/// Arguments of `dead list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub filter: Filter,
    /// Show the oldest so many; all are counted
    #[arg(long, default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_IN_HAND)))]
    pub limit: u32,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

/// Arguments of `dead show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The letter, as `dead list` names it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Write the image, or whatever else its body is, to a new file
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

/// Arguments of `dead retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub select: SelectArgs,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

/// Arguments of `dead purge`.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub select: SelectArgs,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

/// Which letters: something has to be given.
#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["ids", "all", "model", "code"])]
pub struct SelectArgs {
    /// These, as `dead list` names them; of several with the same id, all
    #[arg(value_name = "ID", conflicts_with_all = ["all", "model", "code"])]
    pub ids: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with_all = ["model", "code"])]
    pub all: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub filter: Filter,
}

/// Letters of one kind.
#[derive(Debug, Default, Clone, Args)]
#[group(multiple = true)]
pub struct Filter {
    /// Only those of this model
    #[arg(long, value_name = "NAME")]
    pub model: Option<ModelName>,
    /// Only those with this code
    #[arg(long, value_name = "CODE", value_parser = codes())]
    pub code: Option<String>,
}

fn codes() -> PossibleValuesParser {
    let codes = ErrorCode::ALL.map(ErrorCode::as_str);
    PossibleValuesParser::new(codes.into_iter().chain([UNKNOWN]))
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["ncs-producer", "dead"].iter().chain(arguments))
    }

    #[test]
    fn what_changes_the_dead_letters_wants_to_be_told_which() {
        for command in ["retry", "purge"] {
            let error = parse(&[command]).unwrap_err().to_string();
            for way in ["ID", "--all", "--model", "--code"] {
                assert!(error.contains(way), "{error}");
            }
            assert!(parse(&[command, "a", "b"]).is_ok());
            assert!(parse(&[command, "--all"]).is_ok());
            assert!(parse(&[command, "--model", "m"]).is_ok());
            assert!(parse(&[command, "--model", "m", "--code", "expired"]).is_ok());
            for contradiction in [
                &["a", "--all"][..],
                &["a", "--model", "m"],
                &["--all", "--code", "expired"],
            ] {
                let all: Vec<_> = [&[command], contradiction].concat();
                assert!(parse(&all).is_err(), "{all:?}");
            }
        }
        assert!(parse(&["purge", "--yes"]).is_err());
    }

    #[test]
    fn a_code_that_no_letter_has_is_refused_with_those_that_there_are() {
        assert!(parse(&["list", "--code", "unknown"]).is_ok());
        let error = parse(&["list", "--code", "late"]).unwrap_err().to_string();
        assert!(
            error.contains("expired") && error.contains("delivery_limit"),
            "{error}"
        );
    }
}
