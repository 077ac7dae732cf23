//! What became of a batch, for people.

use super::batch::Description;
use super::tally::{Frequent, Tally};
use std::fmt;
use std::time::Duration;

/// Classes that are shown.
const CLASSES: usize = 10;

/// The end of a run.
pub(super) struct Summary<'a> {
    pub(super) description: &'a Description,
    pub(super) tally: &'a Tally,
    /// How long this run took, and how many lines it has brought.
    pub(super) pace: (Duration, u64),
    /// Where the lines are.
    pub(super) output: String,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            description,
            tally,
            pace: (elapsed, lines),
            output,
        } = self;
        let name = description.name.as_deref().unwrap_or(&description.id);
        let missing = description.images - tally.answered() - tally.unanswered;
        writeln!(f, "batch       {name}, model {}", description.model)?;
        writeln!(f, "images      {}", description.images)?;
        writeln!(f, "classified  {}", tally.classified)?;
        writeln!(f, "failed      {}", tally.failed)?;
        for (code, (count, example)) in &tally.failures {
            writeln!(f, "  {code}: {count}, for example: {example}")?;
        }
        if tally.unanswered > 0 {
            writeln!(f, "unanswered  {}", tally.unanswered)?;
        }
        if missing > 0 {
            writeln!(f, "missing     {missing}")?;
        }
        if tally.duplicates > 0 {
            writeln!(f, "duplicates  {} (ignored)", tally.duplicates)?;
        }
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a number of images fits")]
        let speed = *lines as f64 / seconds.max(1e-3);
        // Answers that had waited took no time.
        if *lines > 0 {
            writeln!(f, "images/s    {speed:.1} over {seconds:.1} s")?;
        }
        let mut title = "classes";
        for Frequent {
            index,
            label,
            images,
        } in tally.most_frequent(CLASSES)
        {
            #[expect(clippy::cast_precision_loss, reason = "a number of images fits")]
            let share = images as f64 * 100.0 / tally.classified as f64;
            let label = label.map_or(String::new(), |label| format!(" {}", label.escape_debug()));
            writeln!(f, "{title:10}  {images:>7} ({share:.1} %) {index}{label}")?;
            title = "";
        }
        writeln!(f, "lines       {output}")
    }
}
