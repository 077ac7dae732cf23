//! The command line. The doc comments are the help.

mod dead;
mod flood;
mod source;
mod status;
#[cfg(unix)]
mod submit;
mod targets;

pub use dead::{DeadCommand, Filter, ListArgs, PurgeArgs, RetryArgs, SelectArgs, ShowArgs};
pub use flood::{
    Arrival, ExtentArgs, FloodArgs, GoalArgs, JobEncoding, OutputArgs, PaceArgs, Rate,
};
pub use source::{PrepareArgs, SourceArgs, Way};
pub use status::StatusArgs;
#[cfg(unix)]
pub use submit::{ImagesArgs, SubmitArgs};
pub use targets::TargetsArgs;

use clap::{Parser, Subcommand};

/// Send images to a fleet of ncs-workers, and collect the answers.
#[derive(Debug, Parser)]
#[command(name = "ncs-producer", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep the fleet busy and report how fast it is
    ///
    /// A closed loop sends a job for each answer: how fast is the fleet? With --rate, an open loop sends
    /// jobs by the clock: how long does an answer take at that rate? With a ramp: which rate does the
    /// fleet hold?
    ///
    /// Examples:
    ///
    /// ncs-producer flood --model googlenet-v1 --images photos --duration 60s
    ///
    /// ncs-producer flood --model googlenet-v1 --synthetic 640x480 --rate 50..500 --step 50 --every 10s
    Flood(Box<FloodArgs>),
    /// Classify images, one line of output for each, and go on where it was interrupted
    ///
    /// A line is what a worker answered, or why there is no answer. Lines are on the disk before their
    /// answers leave the broker: neither Ctrl-C nor kill -9 nor a full disk loses one, and --resume does
    /// what is missing.
    ///
    /// Exit code: 0, every image has its classes; 3, every image has its line, and some are errors; 1,
    /// something else went wrong, or images are unanswered: --resume tries those again; 69, the broker
    /// declines; 130, interrupted.
    ///
    /// Example: ncs-producer submit photos --model googlenet-v1 --out results.jsonl --resume
    #[cfg(unix)]
    Submit(Box<SubmitArgs>),
    /// Look at the messages that nobody could answer; put them back, or delete them
    ///
    /// Example: ncs-producer dead list
    #[command(subcommand)]
    Dead(Box<DeadCommand>),
    /// Show what the fleet is doing now: jobs that wait, who works on them, how fast, dead letters
    ///
    /// It changes nothing, and takes no message out of its queue. The exit code is 1 where a model that
    /// was named has never been served.
    ///
    /// Example: ncs-producer status --watch
    Status(Box<StatusArgs>),
    /// Tell Prometheus which workers there are: a list for its HTTP service discovery
    ///
    /// Workers announce themselves over the broker every two seconds. This serves all that can be reached,
    /// with the labels host and model.
    ///
    /// Example: ncs-producer targets --listen 0.0.0.0:9465
    Targets(Box<TargetsArgs>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
