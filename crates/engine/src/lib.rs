//! OpenVINO, once: find the runtime, list devices, name the MULTI device, compile a model, run
//! infer requests, turn images into input tensors, and pick the best classes.
//!
//! This crate knows neither `RabbitMQ` nor metrics nor tokio: everything here blocks, and a program
//! calls it from threads of its own. It is one of the two crates that may say `unsafe`.
//!
//! Read in this order:
//!
//! 1. [`Runtime`] (`runtime/`): the loaded `libopenvino_c`; devices; loading a model.
//!    `runtime/library.rs` is about finding the file, `runtime/last_error.rs` about OpenVINO's own
//!    sentence for an error.
//! 2. [`DeviceChoice`] → [`Target`] (`device.rs`): which devices to use, and the name OpenVINO
//!    knows them by together.
//! 3. [`Network`] (`network.rs`): a compiled model with its [`InputSpec`] (`input.rs`) and its
//!    infer requests.
//! 4. [`InferRequest`] (`request.rs`): fill [`InferRequest::input_mut`], call
//!    [`InferRequest::infer`], read [`InferRequest::top_k`] (`scores.rs`).
//! 5. [`ImageDecoder`] (`image/`): bytes of a JPEG, PNG, BMP or WebP → the input tensor.
//!    `image/mod.rs` is the way of one image, the other files are its steps in order.
//!
//! What is absent on purpose: element types. Their numbers differ between releases of OpenVINO, so
//! none is ever sent or read; see [`InputSpec`].

mod device;
mod error;
mod image;
mod input;
mod network;
mod precision;
mod request;
mod runtime;
mod scores;

pub use device::{Device, DeviceChoice, Target, is_stick};
pub use error::{EngineError, ImageError};
pub use image::{
    ColorOrder, ImageDecoder, ImageFormat, ImageLimits, Preprocessing, SCAN_LIMIT, copy_tensor,
    give_back_large_buffers,
};
pub use input::{Element, InputSpec, Layout};
pub use network::{Network, check_model_files};
pub use precision::Precision;
pub use request::{InferRequest, InputTensor, unfinished_requests};
pub use runtime::{Runtime, end_process};
pub use scores::Score;

/// What threads may do with what is here, checked when this is compiled.
const _: () = {
    const fn send<T: Send>() {}
    send::<Runtime>();
    send::<Network>();
    send::<InferRequest>();
    send::<ImageDecoder>();
};
