//! The medians, as people read them.

use std::fmt::Write;

use super::{Measurement, Round};
use crate::bench::median::median;

/// A row for each kind of job, in the order of their first rounds.
pub(super) fn of(rounds: &[Round]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for round in rounds {
        if !kinds.contains(&round.kind) {
            kinds.push(round.kind);
        }
    }
    let mut table = format!(
        "{:<18} | {:>13} {:>8} {:>6} | {:>13} {:>8} {:>6}\n{:<18} | {:^29} | {:^29}\n",
        "medians",
        "benchmark_app",
        "fleet",
        "ratio",
        "benchmark_app",
        "worker",
        "ratio",
        "",
        "images/s",
        "CPU ms per image",
    );
    for kind in kinds {
        let of_kind: Vec<&Round> = rounds.iter().filter(|round| round.kind == kind).collect();
        let figures = |figure: fn(&Measurement) -> f64| {
            let alone = median(of_kind.iter().map(|round| figure(&round.alone)));
            let fleet = median(of_kind.iter().map(|round| figure(&round.fleet)));
            // Each fleet run beside the benchmark_app run just before it, under the same weather.
            let pairs = of_kind
                .iter()
                .map(|round| figure(&round.fleet) / figure(&round.alone));
            (alone, fleet, median(pairs))
        };
        let (alone, fleet, ratio) = figures(|measured| measured.images_per_second);
        let (alone_cpu, worker_cpu, cpu_ratio) = figures(|measured| measured.cpu_ms_per_image);
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "{kind:<18} | {alone:>13.1} {fleet:>8.1} {ratio:>6.2} | {alone_cpu:>13.2} \
             {worker_cpu:>8.2} {cpu_ratio:>6.2}"
        );
    }
    table
}
