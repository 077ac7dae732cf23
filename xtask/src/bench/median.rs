//! The middle of several rounds.

pub(super) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(
            median([3.0, 1.0, 2.0].into_iter()).to_bits(),
            2.0_f64.to_bits()
        );
        assert_eq!(
            median([4.0, 1.0, 2.0, 9.0].into_iter()).to_bits(),
            3.0_f64.to_bits()
        );
        assert!(median(std::iter::empty()).is_nan());
    }
}
