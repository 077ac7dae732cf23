//! What a flood was to reach, and whether it did.

use crate::cli::GoalArgs;
use std::time::Duration;

/// Says of each goal that was missed, by how much. No images per second are those of a ramp of which no rate
/// was held.
pub(crate) fn missed(
    goals: GoalArgs,
    images_per_second: Option<f64>,
    p99: Option<Duration>,
) -> Vec<String> {
    let too_few = goals
        .fail_below
        .filter(|goal| images_per_second.is_none_or(|reached| reached < *goal));
    let too_slow = goals
        .fail_p99
        .filter(|goal| p99.is_none_or(|p99| p99 > *goal));
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let too_few = too_few.map(|goal| match images_per_second {
        Some(reached) => format!("{reached:.1} images/s is below --fail-below {goal}/s"),
        None => format!("no rate was held, so none reached --fail-below {goal}/s"),
    });
    let too_slow = too_slow.map(|goal| match p99 {
        Some(p99) => format!(
            "p99 of {:.1} ms is above --fail-p99 {:.1} ms",
            ms(p99),
            ms(goal)
        ),
        None => format!("no answer, so none within --fail-p99 {:.1} ms", ms(goal)),
    });
    too_few.into_iter().chain(too_slow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_told_with_both_figures() {
        let goals = GoalArgs {
            fail_below: Some(300.0),
            fail_p99: Some(Duration::from_millis(200)),
        };
        let quick = Some(Duration::from_millis(199));
        assert_eq!(missed(goals, Some(300.0), quick), Vec::<String>::new());
        let both = missed(goals, Some(299.0), Some(Duration::from_millis(250)));
        assert_eq!(
            both,
            [
                "299.0 images/s is below --fail-below 300/s",
                "p99 of 250.0 ms is above --fail-p99 200.0 ms"
            ]
        );
        assert_eq!(missed(goals, Some(300.0), None).len(), 1);
        assert!(missed(goals, None, quick)[0].starts_with("no rate was held"));
    }
}
