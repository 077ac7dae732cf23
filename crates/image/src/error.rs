//! What can go wrong with one image, or with what a model wants done with all of them.

/// Preprocessing that does not fit the model's input: what is wrong, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("preprocessing does not fit the model: {0}")]
pub struct PreprocessingError(pub String);

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
