//! What can go wrong: with the engine, or with one image.

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

    /// Preprocessing that does not fit the model's input.
    #[error("preprocessing does not fit the model: {0}")]
    Preprocessing(String),

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

/// Why one image, or one ready tensor, did not get into the input tensor. Each is that job's own
/// failure: the decoder is good for the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The bytes are damaged, truncated, or do not keep to their format.
    #[error("the image cannot be decoded: {0}")]
    Undecodable(String),

    /// More pixels, or longer sides, than [`ImageLimits`](crate::ImageLimits) allow. Told by the
    /// header, before anything is allocated.
    #[error(
        "the image is too large: {width}x{height} pixels, allowed are {max_pixels} pixels and {max_side} per side"
    )]
    TooLarge {
        /// Pixels per row.
        width: u64,
        /// Rows.
        height: u64,
        /// The limit on width × height.
        max_pixels: u64,
        /// The limit on each of width and height.
        max_side: u32,
    },

    /// No format that is served here, or a feature of one that is not.
    #[error("the image's format is not supported: {0}")]
    Unsupported(String),

    /// A ready tensor of the wrong length.
    #[error("the tensor has {got} bytes, expected {expected} for {input}")]
    WrongTensorSize {
        /// Bytes of the model's input.
        expected: usize,
        /// Bytes that came.
        got: usize,
        /// The model's input in words: `[1, 3, 224, 224] f32 NCHW`.
        input: String,
    },
}
