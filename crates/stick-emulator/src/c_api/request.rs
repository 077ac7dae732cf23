//! `ov_infer_request.h`.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use super::handle::{answer, give, object, place, put, take_back};
use crate::request::{Request, Side, Tensor};
use crate::status::Status;

/// Waits for the end of a running inference first.
#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_free(infer_request: *mut Request) {
    // SAFETY: see the contract of `c_api`.
    unsafe { take_back(infer_request) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_start_async(infer_request: *mut Request) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { object(infer_request)?.start(Instant::now()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_wait(infer_request: *mut Request) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { object(infer_request)?.wait(None) })
}

/// -1 is no limit, 0 only asks. OK also when the inference has not ended within the limit.
#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_wait_for(
    infer_request: *mut Request,
    milliseconds: i64,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe {
        let request = object(infer_request)?;
        if milliseconds == -1 {
            return request.wait(None);
        }
        let milliseconds = u64::try_from(milliseconds).map_err(|_| Status::ParameterMismatch)?;
        request.wait(Some(Duration::from_millis(milliseconds)))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_infer(infer_request: *mut Request) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe {
        let request = object(infer_request)?;
        request.start(Instant::now())?;
        request.wait(None)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_get_input_tensor(
    infer_request: *const Request,
    tensor: *mut *mut Tensor,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    unsafe { lend(infer_request, Side::Input, None, tensor) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_get_output_tensor(
    infer_request: *const Request,
    tensor: *mut *mut Tensor,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    unsafe { lend(infer_request, Side::Output, None, tensor) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_get_input_tensor_by_index(
    infer_request: *const Request,
    index: usize,
    tensor: *mut *mut Tensor,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    unsafe { lend(infer_request, Side::Input, Some(index), tensor) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_infer_request_get_output_tensor_by_index(
    infer_request: *const Request,
    index: usize,
    tensor: *mut *mut Tensor,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    unsafe { lend(infer_request, Side::Output, Some(index), tensor) }
}

/// # Safety
///
/// As for the functions above.
unsafe fn lend(
    infer_request: *const Request,
    side: Side,
    index: Option<usize>,
    tensor: *mut *mut Tensor,
) -> c_int {
    // SAFETY: the caller's promise.
    answer(|| unsafe {
        let request = object(infer_request)?;
        let tensor = place(tensor)?;
        put(tensor, give(request.tensor(side, index)?))
    })
}
