//! The exit code, and the one line that explains it.

use ncs_broker::BrokerError;
use std::process::ExitCode;

/// `EX_UNAVAILABLE` of BSD's sysexits: the broker declines us, and trying again will not help.
pub const BROKER_DECLINES: u8 = 69;

/// Prints the error, if there is one, as one line, and chooses the exit code.
#[must_use]
pub fn report(program: &str, outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            match error.downcast_ref::<BrokerError>() {
                Some(declined) if !declined.is_temporary() => BROKER_DECLINES.into(),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
