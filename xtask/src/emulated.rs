//! Emulated Neural Compute Sticks, and what must be said wherever they are shown.

use anyhow::Result;
use ncs_e2e::sticks::Sticks;

/// The most that one host is shown with.
pub(crate) const MOST: i64 = 64;

/// Images per second of one stick with 4 requests in flight: googlenet-v1 as measured on hardware,
/// and the emulator's default.
pub(crate) const PIPELINED: f64 = 92.68;

/// The same with one request at a time.
pub(crate) const ONE_AT_A_TIME: f64 = 41.02;

/// What the emulator reads, but for its control folder. An empty value means the default, whatever
/// the user has set.
const SETTINGS: [&str; 6] = [
    "STICKS_LATENCY_MS",
    "STICKS_SERVICE_MS",
    "STICKS_COMPILE_MS",
    "STICKS_BOOT_MS",
    "STICKS_BACKEND",
    "STICKS_KEEP_LOST",
];

/// A host with so many of them, at the pace of [`PIPELINED`].
pub(crate) fn plugged_in(count: u16) -> Result<Sticks> {
    let sticks = Sticks::plugged_in(count)?;
    Ok(SETTINGS
        .into_iter()
        .fold(sticks, |sticks, name| sticks.with(name, "")))
}

/// For every report on them.
pub(crate) fn notice() -> String {
    format!(
        "The sticks are EMULATED, there is no hardware. Each has googlenet-v1's pace as measured on\n\
         hardware: {PIPELINED} images/s with 4 requests in flight, {ONE_AT_A_TIME} with one at a time. \
         The answers\nare computed from the bytes of the image, not by a network."
    )
}

/// Unanswered jobs that keep so many sticks busy, and few enough to leave the broker to the worker.
pub(crate) fn window(sticks: u16) -> u16 {
    sticks.saturating_mul(32)
}
