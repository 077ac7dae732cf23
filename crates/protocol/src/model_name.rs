//! The name of a model, as it appears in queue names and routing keys.

use std::fmt;
use std::str::FromStr;

/// A model's name: 1 to 128 of the characters `A–Z a–z 0–9 . _ -`, not starting with `.` or `-`.
///
/// It becomes a routing key and part of a queue's name, whose length AMQP limits to 255 bytes, and
/// a person types it on command lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(String);

/// Why a text is not a [`ModelName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a model name; use 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter, digit or '_'"
)]
pub struct InvalidModelName(String);

impl ModelName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = InvalidModelName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let valid = (1..=Self::MAX_LEN).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with(['.', '-']);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            let shown: String = text.chars().take(Self::MAX_LEN).collect();
            Err(InvalidModelName(shown))
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_real_models_are_accepted() {
        for name in ["googlenet-v1", "resnet_50.fp16", "digits", "2025-yolo"] {
            assert_eq!(name.parse::<ModelName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_would_confuse_a_queue_or_a_command_line_are_refused() {
        for name in ["", "-v", ".hidden", "a b", "a/b", "ü", &"x".repeat(129)] {
            assert!(name.parse::<ModelName>().is_err(), "{name}");
        }
    }
}
