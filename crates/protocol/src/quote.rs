//! A stranger's text, as errors quote it: errors end up in logs, in headers and on terminals.

use std::fmt::Write as _;

/// The longest quote of a name, in bytes.
pub(crate) const NAME: usize = 64;
/// The longest quote of what a decoder says, in bytes; it may quote the message in its turn.
pub(crate) const REASON: usize = 256;

/// `text` on one line, without control characters, and cut off after `max_bytes`.
pub(crate) fn quote(text: &str, max_bytes: usize) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        let before = quoted.len();
        if c.is_control() {
            // Writing into a text does not fail.
            let _ = write!(quoted, "{}", c.escape_default());
        } else {
            quoted.push(c);
        }
        if quoted.len() > max_bytes {
            quoted.truncate(before);
            quoted.push('…');
            break;
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_line_of_bounded_length() {
        assert_eq!(quote("image/gif", NAME), "image/gif");
        assert_eq!(quote("a\r\nb\x1b[31mü", NAME), r"a\r\nb\u{1b}[31mü");
        assert_eq!(quote(&"x".repeat(64), NAME), "x".repeat(64));
        assert_eq!(quote(&"ü".repeat(33), NAME), "ü".repeat(32) + "…");
        // An escape is not cut in its middle.
        assert_eq!(quote("abc\n", 4), "abc…");
    }
}
