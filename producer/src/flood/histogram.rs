//! A small picture of latencies, for people.

use hdrhistogram::Histogram;
use std::fmt;

/// Bars of this many characters at most.
const WIDTH: u64 = 40;

/// Microseconds, drawn as bars over limits of 1, 2, 5, 10, 20, 50 … ms.
pub(crate) struct Bars<'a>(pub(crate) &'a Histogram<u64>);

impl fmt::Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slowest, mut from) = (self.0.max(), 0);
        let mut rows = Vec::new();
        // Above and up to: each limit belongs to the bar below it.
        for limit in limits_us() {
            let count = self.0.count_between(from + 1, limit);
            if count > 0 || !rows.is_empty() {
                rows.push((limit, count));
            }
            if limit >= slowest {
                break;
            }
            from = limit;
        }
        let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0);
        for (limit, count) in rows {
            let bar = (count * WIDTH).div_ceil(most.max(1));
            let bar = "#".repeat(usize::try_from(bar).unwrap_or(0));
            writeln!(f, "  <= {:>6} ms {count:>9} {bar}", milliseconds(limit))?;
        }
        Ok(())
    }
}

/// 0.1 ms to beyond an hour.
fn limits_us() -> impl Iterator<Item = u64> {
    (2..10).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)))
}

fn milliseconds(us: u64) -> String {
    if us < 1_000 {
        format!("0.{}", us / 100)
    } else {
        (us / 1_000).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_a_bar_and_the_longest_bar_fills_the_width() {
        let mut latencies = Histogram::new(3).unwrap();
        latencies.record_n(4_000, 80).unwrap();
        latencies.record_n(6_000, 20).unwrap();
        latencies.record_n(900_000, 1).unwrap();
        let bars = Bars(&latencies).to_string();
        let lines: Vec<&str> = bars.lines().collect();
        assert_eq!(
            lines[0],
            format!("  <=      5 ms        80 {}", "#".repeat(40))
        );
        assert_eq!(
            lines[1],
            format!("  <=     10 ms        20 {}", "#".repeat(10))
        );
        assert_eq!(*lines.last().unwrap(), "  <=   1000 ms         1 #");
        assert_eq!(lines.len(), 8);
        assert_eq!(Bars(&Histogram::new(3).unwrap()).to_string(), "");
    }
}
