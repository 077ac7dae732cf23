//! Pointers to references and back, and what no panic gets past.

use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{self, AssertUnwindSafe};

use crate::status::{OK, Status};

/// Runs the body of a function. A panic must not unwind into C.
pub(super) fn answer(body: impl FnOnce() -> Result<(), Status>) -> c_int {
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    match result.unwrap_or(Err(Status::Unexpected)) {
        Ok(()) => OK,
        Err(status) => status.code(),
    }
}

/// The same for a function that answers nothing.
pub(super) fn quietly(body: impl FnOnce()) {
    let _ = panic::catch_unwind(AssertUnwindSafe(body));
}

/// # Safety
///
/// `pointer` is NULL or points to a `T` that lives longer than the reference.
pub(super) unsafe fn object<'a, T>(pointer: *const T) -> Result<&'a T, Status> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(Status::InvalidCParam)
}

/// # Safety
///
/// `pointer` is NULL or points to a string that ends with a NUL and outlives the reference.
pub(super) unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str, Status> {
    if pointer.is_null() {
        return Err(Status::InvalidCParam);
    }
    // SAFETY: the caller's promise, and it is not NULL.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Status::InvalidCParam)
}

/// Writes a result.
///
/// # Safety
///
/// `place` is NULL or can be written.
pub(super) unsafe fn put<T>(place: *mut T, value: T) -> Result<(), Status> {
    if place.is_null() {
        return Err(Status::InvalidCParam);
    }
    // SAFETY: the caller's promise, and it is not NULL. What was there is plain data of C.
    unsafe { place.write(value) };
    Ok(())
}

/// Checked before there is a result, so that none is lost where it cannot be written.
pub(super) fn place<T>(place: *mut T) -> Result<*mut T, Status> {
    if place.is_null() {
        Err(Status::InvalidCParam)
    } else {
        Ok(place)
    }
}

/// An object that C owns from now on.
pub(super) fn give<T>(object: T) -> *mut T {
    Box::into_raw(Box::new(object))
}

/// Frees what [`give`] gave.
///
/// # Safety
///
/// `pointer` is NULL or came from [`give`] and is given back for the first time.
pub(super) unsafe fn take_back<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise, and it is not NULL.
        quietly(|| drop(unsafe { Box::from_raw(pointer) }));
    }
}

/// A string that C owns from now on.
pub(super) fn give_text(text: &str) -> *mut c_char {
    let text = CString::new(text).unwrap_or_default();
    text.into_raw()
}

/// Frees what [`give_text`] gave.
///
/// # Safety
///
/// `pointer` is NULL or came from [`give_text`] and is given back for the first time.
pub(super) unsafe fn take_text_back(pointer: *mut c_char) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise, and it is not NULL.
        drop(unsafe { CString::from_raw(pointer) });
    }
}

/// An array that C owns from now on. Not NULL when it is empty either, as `new T[0]` is not.
pub(super) fn give_array<T>(array: Vec<T>) -> *mut T {
    Box::into_raw(array.into_boxed_slice()).cast()
}

/// What [`give_array`] gave.
///
/// # Safety
///
/// `pointer` is NULL or came from [`give_array`] with an array of this length, and is given back for
/// the first time.
pub(super) unsafe fn take_array_back<T>(pointer: *mut T, len: usize) -> Box<[T]> {
    if pointer.is_null() {
        return Box::default();
    }
    let slice = std::ptr::slice_from_raw_parts_mut(pointer, len);
    // SAFETY: the caller's promise, and it is not NULL.
    unsafe { Box::from_raw(slice) }
}
