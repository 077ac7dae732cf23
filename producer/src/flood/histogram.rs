//! A small picture of latencies, for people.

use hdrhistogram::Histogram;
use std::fmt;

/// Rows of the picture.
const ROWS: u8 = 10;
/// The longest bar, in characters.
const WIDTH: u64 = 40;

/// Latencies in microseconds, drawn as bars. Each row reaches as many times further than the one before,
/// so that neither the usual answer nor one after a stall is squeezed into a corner.
pub(crate) struct Bars<'a>(pub(crate) &'a Histogram<u64>);

impl fmt::Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Above and up to: each limit belongs to the row below it.
        let limits = limits_us(self.0.min(), self.0.max());
        let mut rows: Vec<(u64, u64)> = limits.into_iter().map(|limit| (limit, 0)).collect();
        for recorded in self.0.iter_recorded() {
            let row = rows.partition_point(|(limit, _)| *limit < recorded.value_iterated_to());
            // The histogram rounds up, so the last may be a little beyond the last limit.
            let row = row.min(rows.len() - 1);
            rows[row].1 += recorded.count_at_value();
        }
        let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0);
        if most == 0 {
            return Ok(());
        }
        for (limit, count) in rows {
            let bar = "#".repeat(usize::try_from((count * WIDTH).div_ceil(most)).unwrap_or(0));
            writeln!(f, "  <= {:>8} ms {count:>9} {bar}", milliseconds(limit))?;
        }
        Ok(())
    }
}

/// Where the rows end, rising, the last at the maximum or above.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "latencies, from 1 µs to an hour"
)]
fn limits_us(min: u64, max: u64) -> Vec<u64> {
    let (min, max) = (min.max(1) as f64, max.max(1) as f64);
    let limits = (1..=ROWS).map(|row| {
        let limit = min * (max / min).powf(f64::from(row) / f64::from(ROWS));
        // Two digits are enough for a limit, and easier to read.
        let unit = 10_f64.powf(limit.log10().floor() - 1.0).max(1.0);
        ((limit / unit - 1e-9).ceil() * unit) as u64
    });
    let mut limits: Vec<u64> = limits.collect();
    limits.dedup();
    limits
}

fn milliseconds(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "latencies end at an hour")]
    let ms = us as f64 / 1_000.0;
    match us {
        0..1_000 => format!("{ms:.2}"),
        1_000..10_000 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_a_bar_and_the_longest_bar_fills_the_width() {
        let mut latencies = Histogram::new(3).unwrap();
        latencies.record_n(9_990, 80).unwrap();
        latencies.record_n(23_000, 20).unwrap();
        latencies.record_n(900_000, 1).unwrap();
        let bars = Bars(&latencies).to_string();
        let lines: Vec<&str> = bars.lines().collect();
        assert_eq!(lines.len(), usize::from(ROWS));
        assert_eq!(
            lines[0],
            format!("  <=       16 ms        80 {}", "#".repeat(40))
        );
        assert!(
            lines[1].ends_with(&format!(" 20 {}", "#".repeat(10))),
            "{bars}"
        );
        assert!(lines[9].ends_with(" 1 #"), "{bars}");
        let counted: u64 = lines
            .iter()
            .map(|line| {
                line.split_whitespace()
                    .nth(3)
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            })
            .sum();
        assert_eq!(counted, 101);
    }

    #[test]
    fn a_latency_beside_a_limit_is_in_one_bar() {
        let mut latencies = Histogram::new(3).unwrap();
        for us in (10_000..170_000).step_by(3) {
            latencies.record(us).unwrap();
        }
        let bars = Bars(&latencies).to_string();
        let counts = bars
            .lines()
            .map(|line| line.split_whitespace().nth(3).unwrap());
        let counted: u64 = counts.map(|count| count.parse::<u64>().unwrap()).sum();
        assert_eq!(counted, latencies.len());
    }

    #[test]
    fn one_latency_is_one_bar_and_none_is_no_picture() {
        let mut latencies = Histogram::new(3).unwrap();
        assert_eq!(Bars(&latencies).to_string(), "");
        latencies.record_n(5_000, 3).unwrap();
        assert_eq!(Bars(&latencies).to_string().lines().count(), 1);
    }
}
