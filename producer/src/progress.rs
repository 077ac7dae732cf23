//! A progress bar on a terminal, nothing elsewhere.

use crate::ledger::Ledger;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How often the bar is drawn.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

/// The bar, and what it needs to tell the speed of now.
pub(crate) struct Progress {
    bar: ProgressBar,
    last: (Instant, u64),
    speed: f64,
}

impl Progress {
    /// Towards so many jobs, or without an end.
    pub(crate) fn new(jobs: Option<u64>) -> Self {
        let bar = jobs.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = match jobs {
            Some(_) => "{elapsed_precise} [{bar:30}] {pos}/{len} {msg}",
            None => "{elapsed_precise} {spinner} {pos} {msg}",
        };
        // The templates are constants; with a bad one, the crate's own style is good enough.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            last: (Instant::now(), 0),
            speed: 0.0,
        }
    }

    /// Draws it.
    pub(crate) fn show(&mut self, ledger: &Ledger) {
        let (then, answered) = self.last;
        let seconds = then.elapsed().as_secs_f64();
        if seconds >= 1.0 {
            #[expect(clippy::cast_precision_loss, reason = "a number of jobs fits")]
            let speed = (ledger.answered - answered) as f64 / seconds;
            self.speed = speed;
            self.last = (Instant::now(), ledger.answered);
        }
        self.bar.set_position(ledger.answered);
        self.bar.set_message(format!(
            "images, {:.0}/s now, {:.0}/s overall, {} unanswered",
            self.speed,
            ledger.images_per_second(),
            ledger.unanswered()
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
