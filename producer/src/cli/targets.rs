//! The command line of `targets`.

use clap::Args;
use ncs_program::cli::BrokerArgs;
use std::net::SocketAddr;
use std::time::Duration;

/// Arguments of `targets`.
#[derive(Debug, Args)]
pub struct TargetsArgs {
    /// Where /targets and /healthz are served
    #[arg(
        long,
        env = "NCS_TARGETS_ADDR",
        default_value = "127.0.0.1:9465",
        value_name = "ADDR"
    )]
    pub listen: SocketAddr,
    /// A worker that has not been heard for so long is no longer listed; one that ends in order goes at
    /// once. Long enough for an alert that it is down
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = parse_silence)]
    pub forget_after: Duration,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment here would become the command's help"
    )]
    pub broker: BrokerArgs,
}

fn parse_silence(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(silence) if silence >= ncs_protocol::announcement::SILENCE => Ok(silence),
        _ => Err("expected a time of at least 7s, such as 5m".to_owned()),
    }
}
