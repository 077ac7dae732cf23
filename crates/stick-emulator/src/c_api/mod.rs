//! The C boundary: the functions of 2022.3's `openvino/c/*.h`. All that is `unsafe` is here.
//!
//! - `handle.rs`: pointers to references and back, and what no panic gets past;
//! - `core.rs`, `model.rs`, `request.rs`, `tensor.rs`: the functions that do something;
//! - `property.rs`: the names of properties;
//! - `absent.rs`: a table of those that answer that they are not implemented.
//!
//! What every SAFETY comment here rests on is the contract of the C API: a pointer is NULL or points
//! to what the header says, an object came from the function that makes it and has not been freed,
//! and a place for a result can be written.

mod absent;
mod core;
mod handle;
mod model;
mod property;
mod request;
mod tensor;
