//! How far a command is: two lines that are drawn again and again on a terminal, and one that is told
//! every 10 s elsewhere.

use crate::traffic::State;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::fmt;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// What all commands draw on the terminal. Log lines go above it: drawn anew, it would wipe them away.
static SCREEN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Standard error, for log lines: what is drawn there makes room for them.
#[derive(Debug, Clone, Copy)]
pub struct AboveProgress;

impl Write for AboveProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SCREEN.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// How often a line is told where nothing can be drawn.
const TELL: Duration = Duration::from_secs(10);
/// What "now" means for a speed.
const NOW: Duration = Duration::from_secs(1);

/// The lines, and what they need to tell the speed of now.
pub(crate) struct Progress {
    bar: ProgressBar,
    told: Instant,
    last: (Instant, u64),
    speed: f64,
}

/// What there is to tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// Images that are done, of those that there are.
    pub(crate) done: u64,
    /// Images that were done by the fleet until now, for the speed.
    pub(crate) images: u64,
    /// Images per second over the whole time that counts, once there is one.
    pub(crate) overall: Option<f64>,
    pub(crate) state: State,
    /// The median of the latencies, and what one in a hundred exceeds.
    pub(crate) latency: Option<(Duration, Duration)>,
    /// Until the end, where the clock says; else it follows from the speed.
    pub(crate) left: Option<Duration>,
    /// What is going on; empty where there is only one thing.
    pub(crate) phase: String,
}

impl Progress {
    /// Towards so many images, or without a number.
    pub(crate) fn new(images: Option<u64>) -> Self {
        let bar = images.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let bar = SCREEN.add(bar);
        let template = match images {
            Some(_) => "{elapsed_precise} [{bar:20}] {pos}/{len} {prefix}\n{wide_msg}",
            None => "{elapsed_precise} {spinner} {pos} {prefix}\n{wide_msg}",
        };
        // The templates are constants; with a bad one, the crate's own style is good enough.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            told: Instant::now(),
            last: (Instant::now(), 0),
            speed: 0.0,
        }
    }

    /// Where so many images were done before.
    #[cfg_attr(not(unix), expect(dead_code, reason = "for submit"))]
    pub(crate) fn starting_at(mut self, done: u64) -> Self {
        self.last.1 = done;
        self
    }

    /// Draws them, or tells them when it is time.
    pub(crate) fn show(&mut self, status: &Status) {
        let (then, done) = self.last;
        let since = then.elapsed();
        if since >= NOW {
            #[expect(clippy::cast_precision_loss, reason = "a number of images fits")]
            let speed = status.images.saturating_sub(done) as f64 / since.as_secs_f64();
            self.speed = speed;
            self.last = (Instant::now(), status.images);
        }
        let pace = Pace {
            overall: status.overall,
            now: self.speed,
            left: status.left.or_else(|| self.time_left(status)),
        };
        if !self.bar.is_hidden() {
            self.bar.set_position(status.done);
            self.bar.set_prefix(pace.to_string());
            self.bar.set_message(status.to_string());
        } else if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let of = self
                .bar
                .length()
                .map_or(String::new(), |all| format!("/{all}"));
            tracing::info!("{}{of} {pace}, {status}", status.done);
        }
    }

    fn time_left(&self, status: &Status) -> Option<Duration> {
        let left = self.bar.length()?.saturating_sub(status.done);
        let speed = status.overall.filter(|speed| *speed > 0.0)?;
        #[expect(clippy::cast_precision_loss, reason = "a number of images fits")]
        Duration::try_from_secs_f64(left as f64 / speed).ok()
    }

    /// Takes them off the terminal.
    pub(crate) fn clear(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How fast it goes, and for how long.
struct Pace {
    overall: Option<f64>,
    now: f64,
    left: Option<Duration>,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "images, {:.0}/s now", self.now)?;
        if let Some(overall) = self.overall {
            write!(f, ", {overall:.0}/s overall")?;
        }
        if let Some(left) = self.left {
            let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
            write!(f, ", {left} left")?;
        }
        Ok(())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state,
            latency,
            phase,
            ..
        } = self;
        write!(f, "{} unanswered", state.unanswered)?;
        if let Some(queued) = state.queued {
            write!(f, ", {queued} queued")?;
        }
        if let Some((p50, p99)) = latency {
            let (p50, p99) = (p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
            write!(f, ", p50 {p50:.0} ms, p99 {p99:.0} ms")?;
        }
        if !state.connected {
            f.write_str(", no broker")?;
        }
        if !phase.is_empty() {
            write!(f, ", {phase}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_tell_what_there_is_to_tell() {
        let status = Status {
            done: 500,
            images: 500,
            overall: Some(250.0),
            state: State {
                unanswered: 64,
                queued: Some(48),
                connected: true,
                ..State::default()
            },
            latency: Some((Duration::from_millis(180), Duration::from_millis(210))),
            left: None,
            phase: String::new(),
        };
        let progress = Progress::new(Some(1_000));
        let pace = Pace {
            overall: status.overall,
            now: 251.7,
            left: progress.time_left(&status),
        };
        assert_eq!(
            pace.to_string(),
            "images, 252/s now, 250/s overall, 2s left"
        );
        assert_eq!(
            status.to_string(),
            "64 unanswered, 48 queued, p50 180 ms, p99 210 ms"
        );
    }
}
