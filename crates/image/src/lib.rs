//! From an encoded image to a model's input tensor, bounded in memory and in time whatever the file.
//!
//! This crate knows neither OpenVINO nor AMQP nor tokio: a worker decodes with it into the tensor of
//! an infer request, a producer into a message. Everything here blocks. The one `unsafe` thing is the
//! allocator that counts (`memory.rs`).
//!
//! Read in this order:
//!
//! 1. [`InputSpec`] (`input.rs`) and [`Preprocessing`] (`preprocessing.rs`): what a model takes;
//! 2. [`ImageDecoder`] (`decoder.rs`): the way of one image, whose steps are the other files: tell
//!    the format (`format.rs`), read the header and check it against the limits (`limits.rs`),
//!    decode (`jpeg.rs` with `segments.rs`, `cmyk.rs` and `lossless.rs` for the format that matters,
//!    `raster.rs` with `webp.rs` and within `memory.rs` for the others), resize (`resize.rs`), turn
//!    as EXIF says (`orientation.rs`), and write into the tensor (`tensor.rs`);
//! 3. [`ImageError`] (`error.rs`): why one image is not decoded. The decoder is good for the next.

mod cmyk;
mod decoder;
mod error;
mod format;
mod input;
mod jpeg;
mod limits;
mod lossless;
mod memory;
mod orientation;
mod preprocessing;
mod raster;
mod resize;
mod segments;
mod tensor;
mod webp;

pub use decoder::ImageDecoder;
pub use error::{ImageError, PreprocessingError};
pub use format::ImageFormat;
pub use input::{Element, InputSpec, Layout};
pub use jpeg::SCAN_LIMIT;
pub use limits::ImageLimits;
pub use memory::give_back_large_buffers;
pub use preprocessing::{ColorOrder, Preprocessing};
pub use tensor::{check_tensor_size, copy_tensor};

/// What threads may do with what is here, checked when this is compiled.
const _: () = {
    const fn send<T: Send>() {}
    send::<ImageDecoder>();
};
