//! `ov_tensor.h` and `ov_shape.h`.

use std::ffi::{c_int, c_void};

use super::handle::{answer, give_array, object, place, put, quietly, take_array_back, take_back};
use crate::request::Tensor;
use crate::status::{OK, Status};

/// `ov_shape_t`
#[repr(C)]
struct Shape {
    rank: i64,
    dims: *mut i64,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_tensor_get_shape(tensor: *const Tensor, shape: *mut Shape) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe {
        let dimensions = object(tensor)?.shape.clone();
        let shape = place(shape)?;
        let rank = i64::try_from(dimensions.len()).map_err(|_| Status::GeneralError)?;
        let dims = give_array(dimensions);
        put(shape, Shape { rank, dims })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_shape_create(rank: i64, dims: *const i64, shape: *mut Shape) -> c_int {
    // SAFETY: see the contract of `c_api`; `dims` is NULL or has `rank` elements.
    answer(|| unsafe {
        let shape = place(shape)?;
        let len = usize::try_from(rank).map_err(|_| Status::InvalidCParam)?;
        if len == 0 {
            return Err(Status::InvalidCParam);
        }
        let dimensions = if dims.is_null() {
            vec![0; len]
        } else {
            std::slice::from_raw_parts(dims, len).to_vec()
        };
        let dims = give_array(dimensions);
        put(shape, Shape { rank, dims })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_shape_free(shape: *mut Shape) -> c_int {
    // SAFETY: see the contract of `c_api`; the array is forgotten once it is freed.
    quietly(|| unsafe {
        if let Some(shape) = shape.as_mut() {
            let dims = std::mem::replace(&mut shape.dims, std::ptr::null_mut());
            let rank = usize::try_from(std::mem::take(&mut shape.rank));
            drop(take_array_back(dims, rank.unwrap_or_default()));
        }
    });
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_tensor_get_element_type(
    tensor: *const Tensor,
    element_type: *mut u32,
) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { put(element_type, object(tensor)?.element as u32) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_tensor_get_size(tensor: *const Tensor, elements: *mut usize) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { put(elements, object(tensor)?.elements) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_tensor_get_byte_size(tensor: *const Tensor, bytes: *mut usize) -> c_int {
    // SAFETY: see the contract of `c_api`.
    answer(|| unsafe { put(bytes, object(tensor)?.memory.len()) })
}

/// The memory belongs to the tensor's request, and lives as long as either.
#[unsafe(no_mangle)]
unsafe extern "C" fn ov_tensor_data(tensor: *const Tensor, data: *mut *mut c_void) -> c_int {
    // SAFETY: see the contract of `c_api`. What is behind the pointer are atomics, which may be
    // written through it.
    answer(|| unsafe { put(data, object(tensor)?.memory.as_ptr().cast_mut().cast()) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_tensor_free(tensor: *mut Tensor) {
    // SAFETY: see the contract of `c_api`.
    unsafe { take_back(tensor) }
}
