//! Sizes on the command line, such as `512KiB` or `16MiB`, within what makes sense.

use std::ops::RangeInclusive;

const UNITS: [(&str, usize); 4] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)];

/// A parser for clap of the sizes within `allowed`, in bytes. Its error says which these are; clap
/// puts the flag and the value before it.
pub(super) fn within(
    allowed: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        parse(text)
            .filter(|bytes| allowed.contains(bytes))
            .ok_or_else(|| {
                let (least, most) = (shown(*allowed.start()), shown(*allowed.end()));
                format!("expected bytes, or a number with KiB or MiB, from {least} to {most}")
            })
    }
}

fn parse(text: &str) -> Option<usize> {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let (number, unit) = text.split_at(text.len() - digits.len());
    let (_, factor) = UNITS
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// In the largest unit that leaves no rest.
fn shown(bytes: usize) -> String {
    let fits = |(_, factor): &(&str, usize)| bytes.is_multiple_of(*factor);
    let (unit, factor) = UNITS.into_iter().find(fits).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, bytes) in [
            ("1024", 1024),
            ("1024B", 1024),
            ("512KiB", 512 << 10),
            ("16MiB", 16 << 20),
            ("2 mib", 2 << 20),
        ] {
            assert_eq!(within(1..=16 << 20)(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_or_makes_no_sense_is_refused_with_what_is_allowed() {
        let parse = within(1024..=16 << 20);
        for text in [
            "",
            "MiB",
            "1.5MiB",
            "-1",
            "1MB",
            "1023",
            "17MiB",
            "99999999999999999999MiB",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.ends_with("from 1KiB to 16MiB"), "{text}: {error}");
        }
    }
}
