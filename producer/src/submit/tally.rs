//! What was counted of a batch's lines.

use super::line::Counted;
use std::collections::{BTreeMap, HashMap};

/// Classes that are told apart at most. ImageNet has 1,000, and the largest sets in use some 20,000.
const MOST_CLASSES: usize = 100_000;

/// The lines of a batch, counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines with classes.
    pub(super) classified: u64,
    /// Lines with an error, `unanswered` left out.
    pub(super) failed: u64,
    /// Lines that say that there was no answer.
    pub(super) unanswered: u64,
    /// Results for images that had their line.
    pub(super) duplicates: u64,
    /// By code: how many, and the first one's sentence.
    pub(super) failures: BTreeMap<String, (u64, String)>,
    /// By index: how often it was the best class, and its label.
    classes: HashMap<u32, (u64, Option<String>)>,
}

/// How often a class was the best.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frequent<'a> {
    pub(super) index: u32,
    pub(super) label: Option<&'a str>,
    pub(super) images: u64,
}

impl Tally {
    /// One more line.
    pub(super) fn count(&mut self, counted: Counted) {
        match counted {
            Counted::Class(best) => {
                self.classified += 1;
                let Some((index, label)) = best else { return };
                if self.classes.len() < MOST_CLASSES || self.classes.contains_key(&index) {
                    self.classes.entry(index).or_insert((0, label)).0 += 1;
                }
            }
            counted if counted.is_unanswered() => self.unanswered += 1,
            Counted::Error { code, message } => {
                self.failed += 1;
                self.failures.entry(code).or_insert((0, message)).0 += 1;
            }
        }
    }

    /// Lines that stay: all but those that another run tries again.
    pub(super) fn answered(&self) -> u64 {
        self.classified + self.failed
    }

    /// The classes that were most often the best, the most frequent first.
    pub(super) fn most_frequent(&self, most: usize) -> Vec<Frequent<'_>> {
        let mut classes: Vec<Frequent> = self
            .classes
            .iter()
            .map(|(index, (images, label))| Frequent {
                index: *index,
                label: label.as_deref(),
                images: *images,
            })
            .collect();
        classes.sort_unstable_by_key(|class| (std::cmp::Reverse(class.images), class.index));
        classes.truncate(most);
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_classes_come_first_and_failures_are_counted_apart() {
        let mut tally = Tally::default();
        let label = |index: u32| Some(format!("label {index}"));
        for index in [3, 1, 3, 2, 1, 3, 9] {
            tally.count(Counted::Class(Some((index, label(index)))));
        }
        tally.count(Counted::Class(None));
        for code in ["unreadable", "unanswered", "unreadable"] {
            let (code, message) = (code.to_owned(), "why".to_owned());
            tally.count(Counted::Error { code, message });
        }
        let found: Vec<_> = tally
            .most_frequent(3)
            .iter()
            .map(|class| (class.index, class.images))
            .collect();
        assert_eq!(found, [(3, 3), (1, 2), (2, 1)]);
        assert_eq!(tally.most_frequent(1)[0].label, Some("label 3"));
        assert_eq!(
            (tally.classified, tally.failed, tally.unanswered),
            (8, 2, 1)
        );
        assert_eq!(tally.failures["unreadable"], (2, "why".to_owned()));
        assert_eq!(tally.answered(), 10);
    }

    #[test]
    fn a_network_of_any_width_is_counted_within_bounds() {
        let mut tally = Tally::default();
        for index in 0..=100_000 {
            tally.count(Counted::Class(Some((index, None))));
        }
        assert_eq!(tally.classes.len(), MOST_CLASSES);
        assert_eq!(tally.classified, 100_001);
    }
}
