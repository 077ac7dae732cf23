//! What every refusal holds: its reason is one line that a log, a header or a terminal can take.

use std::fmt::Display;

/// The longest reason, in bytes: all of the message's own text, and a short quote of a stranger's.
const MAX_BYTES: usize = 512;

pub(crate) fn must_be_short(error: &impl Display) {
    let sentence = error.to_string();
    assert!(!sentence.is_empty(), "a refusal without a reason");
    assert!(
        sentence.len() <= MAX_BYTES,
        "a reason of {} bytes",
        sentence.len()
    );
    assert!(
        !sentence.contains(char::is_control),
        "a reason with control characters: {sentence:?}"
    );
}
