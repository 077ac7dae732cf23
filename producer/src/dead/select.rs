//! Which dead letters are meant.

use super::letter::Letter;
use crate::cli::{Filter, SelectArgs};
use ncs_protocol::ModelName;
use std::collections::BTreeSet;

impl Filter {
    pub(super) fn matches(&self, letter: &Letter) -> bool {
        let model = self.model.as_ref().map(ModelName::as_str);
        (model.is_none() || model == letter.model.as_deref())
            && self.code.as_deref().is_none_or(|code| code == letter.code)
    }

    /// It was not given: every letter matches.
    fn is_empty(&self) -> bool {
        self.model.is_none() && self.code.is_none()
    }
}

/// The letters that a person has chosen.
pub(super) struct Selection<'a> {
    arguments: &'a SelectArgs,
    /// Those of the ids of which there is a letter.
    found: BTreeSet<&'a str>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(arguments: &'a SelectArgs) -> Self {
        Self {
            arguments,
            found: BTreeSet::new(),
        }
    }

    pub(super) fn takes(&mut self, letter: &Letter) -> bool {
        let SelectArgs { ids, all, filter } = self.arguments;
        if ids.is_empty() {
            // With neither, the command line was not checked: better none than all.
            return *all || (!filter.is_empty() && filter.matches(letter));
        }
        let mut taken = false;
        for id in ids.iter().filter(|id| letter.is_called(id)) {
            self.found.insert(id);
            taken = true;
        }
        taken
    }

    /// Nothing that is meant is among the newest letters, so many of which were not looked at.
    pub(super) fn has_seen_all(&self, not_looked_at: u32) -> bool {
        if self.arguments.ids.is_empty() {
            not_looked_at == 0
        } else {
            self.missing().is_empty()
        }
    }

    /// The ids of which no letter was seen.
    pub(super) fn missing(&self) -> Vec<&'a str> {
        let ids = self.arguments.ids.iter().map(String::as_str);
        ids.filter(|id| !self.found.contains(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_of_nothing_takes_no_letter() {
        let nothing = SelectArgs {
            ids: Vec::new(),
            all: false,
            filter: Filter::default(),
        };
        let letter = Letter::read("m", None, &ncs_protocol::Properties::default(), b"x");
        assert!(!Selection::new(&nothing).takes(&letter));
        let all = SelectArgs {
            all: true,
            ..nothing
        };
        assert!(Selection::new(&all).takes(&letter));
    }
}
