//! What can go wrong with the engine.

use std::path::PathBuf;
use std::time::Duration;

/// A failure of OpenVINO, of the model, or of the way they were asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is no usable OpenVINO runtime.
    #[error("no usable OpenVINO runtime: {0}")]
    Runtime(String),

    /// A device was asked for that this host does not have, at least not now.
    #[error("no device for {wanted}: found {found}; {remedy}")]
    NoDevice {
        /// What was asked for: `sticks`, `GPU`, …
        wanted: String,
        /// The devices there are, or `no device at all`.
        found: String,
        /// What to do about it.
        remedy: &'static str,
    },

    /// The name of a device cannot be one.
    #[error("bad device name {name:?}: {reason}")]
    DeviceName {
        /// As it was given.
        name: String,
        /// What is wrong with it, and what would be right.
        reason: &'static str,
    },

    /// The model's files are missing, or it is not an image classifier of the kind served here.
    #[error("cannot use the model {}: {reason}", path.display())]
    Model {
        /// The model's `.xml`.
        path: PathBuf,
        /// What is wrong, and the remedy.
        reason: String,
    },

    /// OpenVINO refused. The reason is its own sentence where the runtime can say one (from 2023.3
    /// on), else the name of the status.
    #[error("openvino could not {action}: {reason}")]
    OpenVino {
        /// What it was asked to do, as a verb phrase.
        action: String,
        /// Its answer.
        reason: String,
    },

    /// An inference did not end within its limit. The request still runs: its device may hang.
    #[error("the inference did not end within {limit:?}; the device hangs, or needs more time")]
    Timeout {
        /// The limit that was given.
        limit: Duration,
    },
}
