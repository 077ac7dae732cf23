//! One limit for every wait on the broker.

use crate::BrokerError;
use std::future::Future;
use std::time::Duration;

/// How long an operation on the broker may take.
///
/// Longer than three heartbeats would let a dead connection hang; shorter would give
/// up on a broker on a Raspberry Pi that is busy syncing its disk.
pub const OPERATION_LIMIT: Duration = Duration::from_secs(15);

/// Runs `operation` for at most [`OPERATION_LIMIT`]. `doing` completes "timed out while …".
pub(crate) async fn limited<T>(
    doing: &'static str,
    operation: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BrokerError> {
    limited_as(doing, operation, BrokerError::lost).await
}

/// [`limited`], for declaring and looking: here a refusal is for a person to mend.
pub(crate) async fn limited_declaration<T>(
    doing: &'static str,
    operation: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BrokerError> {
    limited_as(doing, operation, BrokerError::of_declaration).await
}

async fn limited_as<T>(
    doing: &'static str,
    operation: impl Future<Output = Result<T, lapin::Error>>,
    sort: fn(&'static str, &lapin::Error) -> BrokerError,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(OPERATION_LIMIT, operation).await {
        Ok(result) => result.map_err(|error| sort(doing, &error)),
        Err(_elapsed) => Err(BrokerError::TimedOut { doing }),
    }
}
