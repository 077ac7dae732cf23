//! Times on the command line, such as `250ms` or `2m`, within what makes sense.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest of all: beyond it, a mistyped unit is likelier than a wish.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A parser for clap of the times within `allowed`. Its error says which these are; clap puts the
/// flag and the value before it.
pub(super) fn within(
    allowed: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let shown = humantime::format_duration;
        let expected = || {
            format!(
                "expected {} to {}",
                shown(*allowed.start()),
                shown(*allowed.end())
            )
        };
        match humantime::parse_duration(text) {
            Ok(time) if allowed.contains(&time) => Ok(time),
            Ok(_) => Err(expected()),
            Err(error) => Err(format!("{error}; {}", expected())),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    fn parse(flag: &str, value: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["ncs-worker", "run", "--model", "m.xml", flag, value])
    }

    #[test]
    fn times_that_make_no_sense_are_refused_with_what_is_allowed() {
        for (flag, shortest, too_short) in [
            ("--rescan", "100ms", Some("99ms")),
            ("--load-timeout", "1s", Some("999ms")),
            ("--infer-timeout", "1ms", Some("0s")),
            ("--drain-timeout", "0s", None),
        ] {
            assert!(parse(flag, shortest).is_ok(), "{flag} {shortest}");
            assert!(parse(flag, "1day").is_ok(), "{flag} 1day");
            let refused = too_short
                .into_iter()
                .chain(["1day 1ms", "10000years", "10"]);
            for value in refused {
                let error = parse(flag, value).unwrap_err().to_string();
                let expected = format!("expected {shortest} to 1day");
                assert!(
                    [flag, value, &expected]
                        .iter()
                        .all(|said| error.contains(*said)),
                    "{error}"
                );
            }
        }
    }
}
