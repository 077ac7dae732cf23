//! The state of each stick, and the control file that sets it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What a stick does with the inferences it is given. See the crate's documentation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Condition {
    Ok,
    Unplugged,
    Failing,
    Flaky(u32),
    Hanging,
    Stuck,
    Slow(f64),
    Uncompilable,
}

impl Condition {
    /// Whether an inference on such a stick never ends.
    pub(crate) fn hangs(self) -> bool {
        matches!(self, Self::Hanging | Self::Stuck)
    }
}

impl fmt::Display for Condition {
    /// As in the control file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Unplugged => f.write_str("unplugged"),
            Self::Failing => f.write_str("failing"),
            Self::Flaky(one_in) => write!(f, "flaky {one_in}"),
            Self::Hanging => f.write_str("hanging"),
            Self::Stuck => f.write_str("stuck"),
            Self::Slow(factor) => write!(f, "slow {factor}"),
            Self::Uncompilable => f.write_str("uncompilable"),
        }
    }
}

/// One line of the control file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) condition: Condition,
    /// What follows `at`.
    pub(crate) celsius: Option<f32>,
}

/// The lines of the control file by port.
///
/// # Errors
///
/// A sentence about the first line that is malformed.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Line>, String> {
    let mut sticks = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (port, stick) = parse_line(line).map_err(|why| format!("line {number}: {why}"))?;
        if sticks.insert(port.to_owned(), stick).is_some() {
            return Err(format!("line {number}: port {port} is there twice"));
        }
    }
    Ok(sticks)
}

fn parse_line(line: &str) -> Result<(&str, Line), String> {
    let mut words = line.split_whitespace();
    let port = words.next().unwrap_or_default();
    if !port.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(format!("{port} is no USB port, expected one such as 1.2"));
    }
    let state = words
        .next()
        .ok_or("expected a state after the port, such as ok")?;
    let condition = match state {
        "ok" => Condition::Ok,
        "unplugged" => Condition::Unplugged,
        "failing" => Condition::Failing,
        "flaky" => Condition::Flaky(number(words.next(), "flaky", |n| *n > 0)?),
        "hanging" => Condition::Hanging,
        "stuck" => Condition::Stuck,
        "slow" => Condition::Slow(number(words.next(), "slow", |n: &f64| {
            n.is_finite() && *n > 0.0
        })?),
        "uncompilable" => Condition::Uncompilable,
        _ => return Err(format!("there is no state {state}")),
    };
    let celsius = match words.next() {
        None => None,
        Some("at") => Some(number(words.next(), "at", |n: &f32| n.is_finite())?),
        Some(word) => return Err(format!("{word} is too much, expected: at <celsius>")),
    };
    match words.next() {
        None => Ok((port, Line { condition, celsius })),
        Some(word) => Err(format!("{word} is too much")),
    }
}

fn number<T: FromStr>(
    word: Option<&str>,
    after: &str,
    makes_sense: impl Fn(&T) -> bool,
) -> Result<T, String> {
    word.and_then(|word| word.parse().ok())
        .filter(makes_sense)
        .ok_or_else(|| format!("expected a number greater than 0 after {after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read() {
        let text = "# the bus\n1.1 ok\n1.2 unplugged\n\n1.3 failing # since noon\n1.4 flaky 3\n\
                    1.5 hanging\n1.6 stuck\n1.7 slow 2.5 at 71.5\n1.8 uncompilable at 20\n";
        let sticks = parse(text).unwrap();
        let conditions: Vec<_> = sticks.values().map(|line| line.condition).collect();
        assert_eq!(
            conditions,
            [
                Condition::Ok,
                Condition::Unplugged,
                Condition::Failing,
                Condition::Flaky(3),
                Condition::Hanging,
                Condition::Stuck,
                Condition::Slow(2.5),
                Condition::Uncompilable
            ]
        );
        let written: Vec<_> = conditions.iter().map(Condition::to_string).collect();
        let states = "ok unplugged failing flaky_3 hanging stuck slow_2.5 uncompilable";
        assert_eq!(written.join(" "), states.replace('_', " "));
        assert_eq!(sticks["1.7"].celsius, Some(71.5));
        assert_eq!(sticks["1.1"].celsius, None);
    }

    #[test]
    fn an_empty_file_is_a_host_without_sticks() {
        assert_eq!(parse(" \n# nothing\n").unwrap(), BTreeMap::new());
    }

    #[test]
    fn a_malformed_line_is_told_with_its_number() {
        for (text, expected) in [
            ("1.1", "line 1: expected a state"),
            ("\n1.1 fine", "line 2: there is no state fine"),
            ("x ok", "line 1: x is no USB port"),
            ("1.1 flaky", "expected a number greater than 0 after flaky"),
            (
                "1.1 flaky 0",
                "expected a number greater than 0 after flaky",
            ),
            (
                "1.1 slow nan",
                "expected a number greater than 0 after slow",
            ),
            ("1.1 ok at", "after at"),
            ("1.1 ok 3", "3 is too much"),
            ("1.1 ok at 4 5", "5 is too much"),
            ("1.1 ok\n1.1 ok", "line 2: port 1.1 is there twice"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
