//! The command line of `status`.

use clap::Args;
use ncs_program::cli::BrokerArgs;
use ncs_protocol::ModelName;
use std::time::Duration;

/// Looking more often would tell nothing new, and keep the broker busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only this model; may be given several times. Without the management API, which alone can list
    /// queues, only models that are named are seen
    #[arg(long, value_name = "NAME")]
    pub model: Vec<ModelName>,
    /// Look again and again, with this pause, until Ctrl-C
    #[arg(long, value_name = "PAUSE", num_args = 0..=1, default_missing_value = "2s",
          value_parser = parse_pause)]
    pub watch: Option<Duration>,
    /// As JSON; with --watch one line for each look
    #[arg(long)]
    pub json: bool,
    /// Show each queue for results that a producer has declared for itself, too
    #[arg(long)]
    pub all: bool,
    /// RabbitMQ's management API, without user and password: those of the broker's URL are used
    /// [default: the broker's host, port 15672, or 15671 with amqps://]
    #[arg(
        long,
        env = "NCS_MANAGEMENT_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub management_url: Option<String>,
    /// Ask over AMQP alone
    #[arg(long)]
    pub no_management: bool,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

fn parse_pause(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(pause) if pause >= SHORTEST_PAUSE => Ok(pause),
        _ => Err("expected a time of at least 200ms, such as 2s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn parse(more: &[&str]) -> Result<StatusArgs, clap::Error> {
        let cli = Cli::try_parse_from(["ncs-producer", "status"].iter().chain(more))?;
        match cli.command {
            Command::Status(arguments) => Ok(*arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_watch_has_a_pause_of_its_own_or_two_seconds() {
        assert_eq!(parse(&[]).unwrap().watch, None);
        let two = Some(Duration::from_secs(2));
        assert_eq!(parse(&["--watch"]).unwrap().watch, two);
        assert_eq!(parse(&["--watch", "--json"]).unwrap().watch, two);
        let half = Some(Duration::from_millis(500));
        assert_eq!(parse(&["--watch", "500ms"]).unwrap().watch, half);
        for wrong in ["0s", "1ms", "soon"] {
            assert!(parse(&["--watch", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_models_can_be_named() {
        let arguments = parse(&["--model", "a", "--model", "b"]).unwrap();
        assert_eq!(arguments.model.len(), 2);
    }
}
