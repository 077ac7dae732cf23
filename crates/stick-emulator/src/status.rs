//! `ov_status_e`: what every function of the library answers.

/// A status other than OK, by its number in the header `ov_common.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    GeneralError = -1,
    NotImplemented = -2,
    ParameterMismatch = -4,
    NotFound = -5,
    OutOfBounds = -6,
    Unexpected = -7,
    RequestBusy = -8,
    InvalidCParam = -14,
}

/// The number of success.
pub(crate) const OK: i32 = 0;

impl Status {
    /// The number that goes over the C boundary.
    pub(crate) fn code(self) -> i32 {
        self as i32
    }
}
