//! What the command lines of both programs have in common.

use clap::Args;
use ncs_broker::UncheckedAddress;

/// Which broker.
#[derive(Debug, Args)]
pub struct BrokerArgs {
    /// The broker; prefer the variable, since a command line is visible to everybody on the host
    #[arg(
        long,
        env = "NCS_AMQP_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "amqp://localhost:5672"
    )]
    pub amqp_url: UncheckedAddress,
}
