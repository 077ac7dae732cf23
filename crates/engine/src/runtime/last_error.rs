//! OpenVINO's own words for its last error.
//!
//! 2022.3 has no `ov_get_last_err_msg` (it came at the end of 2023), and the sys crate panics over a
//! symbol that is missing, so the two functions are looked up in the library by ourselves.

use std::ffi::{CStr, c_char};

use super::library;

/// `const char* ov_get_last_err_msg()`: a copy that the caller frees, or NULL.
pub(super) type GetLastError = unsafe extern "C" fn() -> *const c_char;
/// `void ov_free(const char*)`
pub(super) type Free = unsafe extern "C" fn(*const c_char);

/// The useful line of the last error, if this runtime can tell and there was one.
///
/// OpenVINO keeps one last error for the whole process. When two threads fail at once, either may
/// get the other's sentence: good enough for people to read, never to branch on.
pub(super) fn sentence() -> Option<String> {
    let (get, free) = library::loaded()?.last_error?;
    #[expect(unsafe_code, reason = "OpenVINO's C functions, looked up by hand")]
    // SAFETY: both are functions of the library, which stays loaded for ever, with the types that
    // its header `ov_common.h` gives them. The string is NUL-terminated, ours, and freed once.
    let message = unsafe {
        let text = get();
        if text.is_null() {
            return None;
        }
        let message = CStr::from_ptr(text).to_string_lossy().into_owned();
        free(text);
        message
    };
    useful_line(&message).map(str::to_owned)
}

/// Of a message such as
///
/// ```text
/// Exception from src/inference/src/cpp/core.cpp:129:
/// Exception from src/inference/src/dev/plugin.cpp:58:
/// Check 'it != end' failed at src/…/plugin_registry.cpp:9:
/// Device with "NOPE" name is not registered in the OpenVINO Runtime
/// ```
///
/// the first line that says what is wrong rather than where.
fn useful_line(message: &str) -> Option<&str> {
    let lines = || {
        message
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let says_where = |line: &str| {
        line.starts_with("Exception from ")
            || line == "General error"
            || (line.starts_with("Check '") && line.ends_with(':'))
    };
    lines()
        .find(|line| !says_where(line))
        .or_else(|| lines().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_what_is_wrong_is_picked() {
        let message = "Exception from src/inference/src/cpp/core.cpp:129:\n\
                       Exception from src/inference/src/dev/plugin.cpp:58:\n\
                       Check 'false' failed at src/plugins/x.cpp:7:\n\
                       Device with \"NOPE\" name is not registered\n\n";
        assert_eq!(
            useful_line(message),
            Some("Device with \"NOPE\" name is not registered")
        );
    }

    #[test]
    fn a_message_of_places_only_gives_its_last_place() {
        assert_eq!(
            useful_line("Exception from a.cpp:1:\n\n"),
            Some("Exception from a.cpp:1:")
        );
        assert_eq!(useful_line("\n \n"), None);
    }
}
