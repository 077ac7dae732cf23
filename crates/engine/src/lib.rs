//! OpenVINO, once: find the runtime, list devices, name the MULTI device, compile a model, run
//! infer requests, and pick the best classes.
//!
//! This crate knows neither `RabbitMQ` nor metrics nor tokio: everything here blocks, and a program
//! calls it from threads of its own. It is one of the crates that may say `unsafe`.
//!
//! Read in this order:
//!
//! 1. [`Runtime`] (`runtime/`): the loaded `libopenvino_c`; devices; loading a model.
//!    `runtime/library.rs` is about finding the file, `runtime/last_error.rs` about OpenVINO's own
//!    sentence for an error.
//! 2. [`DeviceChoice`] → [`Target`] (`device.rs`): which devices to use, and the name OpenVINO
//!    knows them by together.
//! 3. [`Network`] (`network.rs`): a compiled model with its [`InputSpec`](ncs_image::InputSpec)
//!    (`input.rs`) and its infer requests.
//! 4. [`InferRequest`] (`request.rs`): fill [`InferRequest::input_mut`], which `ncs_image` does for
//!    images, call [`InferRequest::infer`], read [`InferRequest::top_k`] (`scores.rs`).
//!
//! What is absent on purpose: element types. Their numbers differ between releases of OpenVINO, so
//! none is ever sent or read; see `input.rs`.

mod device;
mod error;
mod input;
mod network;
mod precision;
mod request;
mod runtime;
mod scores;

pub use device::{Device, DeviceChoice, Target, is_stick};
pub use error::EngineError;
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
};
