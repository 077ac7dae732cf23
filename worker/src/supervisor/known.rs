//! The sticks of this host that are no longer there.

use std::collections::BTreeMap;

/// Which sticks are lost, by name where that can be told.
///
/// A stick's name is the USB port that it is in, and OpenVINO calls one that is alone just `MYRIAD`. So a
/// name that is gone need not be a stick that is gone: the stick may have another name now. What is certain
/// is how many are missing.
#[derive(Default)]
pub(super) struct KnownSticks {
    /// The most that were ever there at once.
    most: usize,
    listed: Vec<String>,
    /// Names that are not listed any more, the latest first; at most twice as many as there ever were
    /// sticks, since each may have had a name alone and one among others.
    gone: Vec<String>,
}

impl KnownSticks {
    /// Takes note of the sticks that OpenVINO lists, each once.
    pub(super) fn saw(&mut self, listed: &[&str]) {
        let left = self.listed.iter();
        let left = left.filter(|name| !listed.contains(&name.as_str()));
        let left: Vec<String> = left.cloned().collect();
        self.gone.splice(0..0, left);
        self.gone.retain(|name| !listed.contains(&name.as_str()));
        self.listed = listed.iter().map(|&name| name.to_owned()).collect();
        self.most = self.most.max(listed.len());
        let lost = self.most - listed.len();
        // All are there: whatever had these names has others now.
        let keep = if lost == 0 { 0 } else { 2 * self.most };
        self.gone.truncate(keep);
    }

    /// The most that were ever there at once.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The lost ones by name, and how many go by it: more than one name, or more sticks than one, where
    /// it is not known which of several it is.
    pub(super) fn lost(&self) -> BTreeMap<String, usize> {
        let lost = self.most - self.listed.len();
        if lost >= self.gone.len() {
            return self.gone.iter().map(|name| (name.clone(), 1)).collect();
        }
        let mut names = self.gone.clone();
        names.sort_unstable();
        let names = format!("{lost} of {}", names.join(", "));
        BTreeMap::from([(names, lost)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is lost after OpenVINO has listed these, one after the other.
    fn lost(lists: &[&[&str]]) -> Vec<(String, usize)> {
        let mut known = KnownSticks::default();
        for list in lists {
            known.saw(list);
        }
        known.lost().into_iter().collect()
    }

    fn named(name: &str) -> Vec<(String, usize)> {
        vec![(name.to_owned(), 1)]
    }

    #[test]
    fn a_stick_that_leaves_is_lost_by_name_until_it_is_back() {
        let three: &[&str] = &["a", "b", "c"];
        assert_eq!(lost(&[three]), []);
        assert_eq!(lost(&[three, &["a", "c"]]), named("b"));
        assert_eq!(lost(&[three, &["a", "c"], three]), []);
        assert_eq!(lost(&[&["MYRIAD"], &[]]), named("MYRIAD"));
    }

    #[test]
    fn a_stick_in_another_port_is_not_lost() {
        assert_eq!(lost(&[&["a", "b"], &["b"], &["b", "c"]]), []);
        assert_eq!(lost(&[&["a", "b"], &["b", "c"]]), []);
        assert_eq!(lost(&[&["MYRIAD"], &["a", "b"]]), []);
    }

    #[test]
    fn where_the_last_one_has_a_new_name_all_that_it_may_be_are_told() {
        let alone = lost(&[&["a", "b", "c"], &["MYRIAD"]]);
        assert_eq!(alone, [("2 of a, b, c".to_owned(), 2)]);
        let later = lost(&[&["a", "b"], &[], &["MYRIAD"]]);
        assert_eq!(later, [("1 of a, b".to_owned(), 1)]);
        let both = lost(&[&["a", "b"], &["MYRIAD"], &[]]);
        assert_eq!(both, [("2 of MYRIAD, a, b".to_owned(), 2)]);
    }

    #[test]
    fn names_are_not_kept_for_ever() {
        let mut known = KnownSticks::default();
        known.saw(&["a", "b"]);
        for port in 0..100 {
            known.saw(&[&format!("port {port}")]);
        }
        assert!(known.gone.len() <= 4, "{:?}", known.gone);
    }
}
