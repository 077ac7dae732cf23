//! Numbers that a seed decides.

use std::ops::RangeInclusive;
use std::time::Duration;

/// `SplitMix64` (Steele, Lea and Flood, 2014): one word of state, good enough for a schedule, and the
/// same on every machine and for ever, which a crate's generator does not promise.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = self.0;
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number below `bound`, which is not 0. What the remainder adds to small numbers does not
    /// matter beside 2⁶⁴.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of them; there is at least one.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A time in whole milliseconds.
    pub(super) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        let (from, to) = range.into_inner();
        Duration::from_millis(from + self.next() % (to - from + 1))
    }

    /// In any order, each equally likely (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_every_number() {
        let mut random = Random::seeded(1_234_567);
        // From the reference implementation.
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn shuffling_keeps_everything_and_times_stay_in_their_range() {
        let mut random = Random::seeded(7);
        let mut list: Vec<u32> = (0..50).collect();
        random.shuffle(&mut list);
        assert_ne!(list, (0..50).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..50).collect::<Vec<_>>());
        for _ in 0..1_000 {
            let time = random.millis(5..=7).as_millis();
            assert!((5..=7).contains(&time), "{time}");
        }
    }
}
