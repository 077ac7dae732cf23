//! `ov_model.h` and `ov_compiled_model.h`.

use std::ffi::c_int;
use std::sync::Arc;

use super::handle::{answer, give, object, place, put, take_back};
use crate::ir::Model;
use crate::network::Network;
use crate::request::Request;

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_model_free(model: *mut Arc<Model>) {
    // SAFETY: see the contract of `c_api`.
    unsafe { take_back(model) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_model_inputs_size(model: *const Arc<Model>, size: *mut usize) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { put(size, object(model)?.inputs.len()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_model_outputs_size(model: *const Arc<Model>, size: *mut usize) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { put(size, object(model)?.outputs.len()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_model_is_dynamic(model: *const Arc<Model>) -> bool {
    // SAFETY: see the contract of `c_api`.
    unsafe { object(model) }.is_ok_and(|model| model.is_dynamic())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_compiled_model_free(compiled_model: *mut Arc<Network>) {
    // SAFETY: see the contract of `c_api`.
    unsafe { take_back(compiled_model) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_compiled_model_inputs_size(
    compiled_model: *const Arc<Network>,
    size: *mut usize,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { put(size, object(compiled_model)?.model.inputs.len()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_compiled_model_outputs_size(
    compiled_model: *const Arc<Network>,
    size: *mut usize,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { put(size, object(compiled_model)?.model.outputs.len()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_compiled_model_create_infer_request(
    compiled_model: *const Arc<Network>,
    infer_request: *mut *mut Request,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe {
        let network = object(compiled_model)?;
        let infer_request = place(infer_request)?;
        put(infer_request, give(Request::new(Arc::clone(network))?))
    })
}
