//! Reading the small files that the command line names.

use crate::BrokerError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The content of `file`, which `flag` has named; at most `limit` bytes of it, lest a mistaken path
/// fill the memory.
pub(crate) fn read(file: &Path, flag: &str, limit: u64) -> Result<Vec<u8>, BrokerError> {
    let shown = file.display();
    let read = || -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(file)?
            .take(limit + 1)
            .read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error| {
        BrokerError::Misconfigured(format!("cannot read {shown} ({flag}): {error}"))
    })?;
    if content.len() as u64 > limit {
        return Err(BrokerError::Misconfigured(format!(
            "{shown} ({flag}) has more than {limit} bytes; is it the right file?"
        )));
    }
    Ok(content)
}
