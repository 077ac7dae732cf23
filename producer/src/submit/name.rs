//! File names as text. A name is bytes, and what is written must be text that leads back to them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What the text may hold as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controls {
    /// Control characters too: whatever carries the text has escapes of its own, as JSON has.
    Kept,
    /// No control characters, so that a text is one line.
    Escaped,
}

/// A name as text, and whether something in it is escaped: then each backslash is doubled, and `\xNN`
/// stands for a byte. A text in which nothing is escaped is the name, its backslashes included.
pub(super) fn escape(name: &[u8], controls: Controls) -> (Cow<'_, str>, bool) {
    let must_escape = |c: char| controls == Controls::Escaped && c.is_control();
    if let Ok(text) = std::str::from_utf8(name)
        && !text.contains(must_escape)
    {
        return (Cow::Borrowed(text), false);
    }
    let mut text = String::with_capacity(name.len() + 16);
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str(r"\\"),
                c if must_escape(c) => {
                    escape_bytes(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                c => text.push(c),
            }
        }
        escape_bytes(&mut text, chunk.invalid());
    }
    (Cow::Owned(text), true)
}

fn escape_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing into a text does not fail.
        let _ = write!(text, r"\x{byte:02x}");
    }
}

/// The name that [`escape`] has made this text of, when it said that something is escaped; `None` for a
/// text that it has not made.
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            name.push(byte);
            continue;
        }
        match rest {
            [b'\\', after @ ..] => {
                name.push(b'\\');
                rest = after;
            }
            [b'x', high, low, after @ ..] => {
                let digit = |digit: &u8| char::from(*digit).to_digit(16);
                name.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = after;
            }
            _ => return None,
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_no_text_is_escaped() {
        let kept = |name| escape(name, Controls::Kept);
        assert_eq!(kept("ü\\\n".as_bytes()), ("ü\\\n".into(), false));
        assert_eq!(kept(b"a\xff\\b\n"), ("a\\xff\\\\b\n".into(), true));
        let one_line = |name| escape(name, Controls::Escaped);
        assert_eq!(one_line(br"a\b"), (r"a\b".into(), false));
        assert_eq!(one_line(b"a\\b\nc"), (r"a\\b\x0ac".into(), true));
    }

    #[test]
    fn a_text_of_another_origin_is_not_guessed_at() {
        for text in [r"\", r"\x", r"\x0", r"\xg0", r"\n"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name: Vec<u8>, one_line: bool) {
            let controls = if one_line { Controls::Escaped } else { Controls::Kept };
            let (text, escaped) = escape(&name, controls);
            prop_assert!(!one_line || !text.contains(char::is_control));
            let back = if escaped { unescape(&text).unwrap() } else { text.into_owned().into_bytes() };
            prop_assert_eq!(back, name);
        }

        #[test]
        fn names_that_are_nearly_text_come_back(name in r"[a\\x0f\n\xff]{0,12}") {
            let (text, escaped) = escape(name.as_bytes(), Controls::Escaped);
            let back = if escaped { unescape(&text).unwrap() } else { text.into_owned().into_bytes() };
            prop_assert_eq!(back, name.as_bytes());
        }
    }
}
