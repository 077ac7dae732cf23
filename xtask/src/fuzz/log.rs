//! What libFuzzer says, as figures.

/// From its statistics at the end, or from the last of its lines before; 0 is what it did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) executions: u64,
    pub(super) per_second: u64,
    /// Edges of the program that inputs have taken: when the seeds were read, and at the end.
    pub(super) coverage: (u64, u64),
    /// Inputs that are worth keeping, the seeds among them.
    pub(super) corpus: u64,
    pub(super) peak_mib: u64,
}

impl Figures {
    pub(super) fn of(log: &str) -> Self {
        let statistic = |name: &str| {
            log.lines()
                .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))
                .and_then(|rest| rest.trim_start_matches(':').trim().parse().ok())
                .unwrap_or(0)
        };
        let mut lines = log.lines().filter(|line| line.starts_with('#'));
        let seeded = lines.clone().find(|line| line.contains("INITED"));
        let last = lines.rfind(|line| line.contains(" cov: ")).unwrap_or("");
        Self {
            executions: statistic("number_of_executed_units"),
            per_second: statistic("average_exec_per_sec"),
            coverage: (number(seeded.unwrap_or(""), "cov:"), number(last, "cov:")),
            corpus: number(last, "corp:"),
            peak_mib: statistic("peak_rss_mb"),
        }
    }
}

/// What it found, in its own words: where the input was written to, and why.
pub(super) fn finding(log: &str) -> (Option<&str>, &str) {
    let file = log
        .lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, file)| file.trim());
    let lines = || log.lines().map(str::trim);
    let panic = lines().position(|line| line.starts_with("thread '") && line.contains("panicked"));
    let reason = match panic {
        // The message follows the place.
        Some(at) => lines().nth(at + 1),
        None => lines().find_map(|line| Some(line.split_once("ERROR: ")?.1)),
    };
    (file, reason.unwrap_or("it does not say why it ended"))
}

/// The number after `name` in one of libFuzzer's lines.
fn number(line: &str, name: &str) -> u64 {
    let mut words = line.split_whitespace().skip_while(|&word| word != name);
    // `corp: 98/3101b`
    let number = words.nth(1).and_then(|word| word.split('/').next());
    number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_off_the_end() {
        let log = "\
INFO: Seed: 1
#17\tINITED cov: 201 ft: 310 corp: 16/812b exec/s: 0 rss: 31Mb
#90\tNEW    cov: 204 ft: 318 corp: 17/830b lim: 1024 exec/s: 0 rss: 31Mb L: 5/300 MS: 1 -
#5000\tDONE   cov: 212 ft: 330 corp: 21/1001b lim: 1024 exec/s: 2500 rss: 44Mb
Done 5000 runs in 2 second(s)
stat::number_of_executed_units: 5000
stat::average_exec_per_sec:     2500
stat::new_units_added:          5
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              44
";
        let expected = Figures {
            executions: 5000,
            per_second: 2500,
            coverage: (201, 212),
            corpus: 21,
            peak_mib: 44,
        };
        assert_eq!(Figures::of(log), expected);
        assert_eq!(Figures::of("killed"), Figures::default());
    }

    #[test]
    fn a_finding_is_told_with_its_input_and_its_reason() {
        let panicked = "\
thread '<unnamed>' (7) panicked at ../crates/image/src/decoder.rs:1:2:
attempt to add with overflow
==7== ERROR: libFuzzer: deadly signal
artifact_prefix='/f/'; Test unit written to /f/crash-da39a3ee
";
        let said = (Some("/f/crash-da39a3ee"), "attempt to add with overflow");
        assert_eq!(finding(panicked), said);
        let hung = "\
==7== ERROR: libFuzzer: timeout after 11 seconds
artifact_prefix='/f/'; Test unit written to /f/timeout-0
";
        let reason = "libFuzzer: timeout after 11 seconds";
        assert_eq!(finding(hung), (Some("/f/timeout-0"), reason));
    }
}
