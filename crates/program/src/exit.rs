//! The exit code, and the one line that explains it.

use ncs_broker::BrokerError;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// Any other error.
const FAILURE: u8 = 1;

/// `EX_UNAVAILABLE` of BSD's sysexits: the broker declines us, and trying again will not help.
pub const BROKER_DECLINES: u8 = 69;

/// `EX_TEMPFAIL` of BSD's sysexits: a new start may help.
pub const START_ME_AGAIN: u8 = 75;

/// An error that a new start of the process may mend.
#[derive(Debug)]
pub struct StartMeAgain(pub String);

impl fmt::Display for StartMeAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartMeAgain {}

/// Prints the error, if there is one, as one line, and chooses the exit code.
#[must_use]
pub fn report(program: &str, outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(error) => tell(program, &error).into(),
    }
}

/// Prints an error as one line, and chooses the exit code.
#[must_use]
pub fn tell(program: &str, error: &anyhow::Error) -> u8 {
    // Where standard error is full or gone, the exit code is all that can be told.
    let _ = writeln!(std::io::stderr(), "{program}: {error:#}");
    if error.downcast_ref::<StartMeAgain>().is_some() {
        return START_ME_AGAIN;
    }
    match error.downcast_ref::<BrokerError>() {
        Some(declined) if !declined.is_temporary() => BROKER_DECLINES,
        _ => FAILURE,
    }
}
