//! The output tensor as scores, and the best of them.

use std::cmp::Ordering;

use half::f16;

/// One class with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The class, counted from 0 as the model counts.
    pub index: u32,
    /// As the model says it; a probability if its last layer is a softmax.
    pub score: f32,
}

/// The number of classes of an output tensor; the error is a reason with a remedy.
///
/// Accepted is one vector, however it is wrapped: `[1, 1000]`, `[1, 1000, 1, 1]`, `[1000]`; in f16
/// or f32. A 4-byte integer output cannot be told from f32, see [`InputSpec`](crate::InputSpec).
pub(crate) fn classes_of(shape: &[i64], bytes: usize, elements: usize) -> Result<usize, String> {
    if shape.iter().filter(|&&side| side != 1).count() > 1 || elements == 0 {
        return Err(format!(
            "its output has shape {shape:?}, expected one score per class as [1, N] or \
             [1, N, 1, 1]; is it an image classifier?"
        ));
    }
    if !matches!(bytes.checked_div(elements), Some(2 | 4)) || u32::try_from(elements).is_err() {
        return Err(format!(
            "its output has {bytes} bytes for {elements} scores, expected 2 (f16) or 4 (f32) bytes \
             each; convert it with such an output"
        ));
    }
    Ok(elements)
}

/// The bytes of an output tensor of `classes` scores as f32.
pub(crate) fn as_f32(bytes: &[u8], classes: usize) -> Box<dyn ExactSizeIterator<Item = f32> + '_> {
    if bytes.len() == classes * 2 {
        let (halves, _) = bytes.as_chunks();
        Box::new(halves.iter().map(|&half| f16::from_ne_bytes(half).to_f32()))
    } else {
        let (singles, _) = bytes.as_chunks();
        Box::new(singles.iter().map(|&single| f32::from_ne_bytes(single)))
    }
}

/// The `k` best scores, highest first; equal ones by lower index; NaN last. O(n + k log k).
pub(crate) fn top_k(scores: impl Iterator<Item = f32>, k: usize) -> Vec<Score> {
    let mut ranked: Vec<Score> = (0..)
        .zip(scores)
        .map(|(index, score)| Score { index, score })
        .collect();
    if k == 0 {
        return Vec::new();
    }
    if k < ranked.len() {
        ranked.select_nth_unstable_by(k - 1, |a, b| best_first(*a, *b));
        ranked.truncate(k);
    }
    ranked.sort_unstable_by(|a, b| best_first(*a, *b));
    ranked
}

fn best_first(a: Score, b: Score) -> Ordering {
    let by_score = match (a.score.is_nan(), b.score.is_nan()) {
        (false, false) => b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal),
        (a_is_nan, b_is_nan) => a_is_nan.cmp(&b_is_nan),
    };
    by_score.then(a.index.cmp(&b.index))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn indices(scores: &[f32], k: usize) -> Vec<u32> {
        top_k(scores.iter().copied(), k)
            .iter()
            .map(|score| score.index)
            .collect()
    }

    #[test]
    fn the_highest_come_first_ties_by_index_and_nan_last() {
        let scores = [0.5, f32::NAN, 0.9, 0.5, -0.0, 0.0, f32::NEG_INFINITY];
        assert_eq!(indices(&scores, 3), [2, 0, 3]);
        assert_eq!(indices(&scores, 100), [2, 0, 3, 4, 5, 6, 1]);
    }

    #[test]
    fn no_class_asked_for_is_no_class() {
        assert_eq!(indices(&[0.1, 0.2], 0), [0_u32; 0]);
        assert_eq!(indices(&[], 5), [0_u32; 0]);
    }

    #[test]
    fn half_and_single_precision_are_read() {
        let halves: Vec<u8> = [0.5, 2.0]
            .iter()
            .flat_map(|&x| f16::from_f32(x).to_ne_bytes())
            .collect();
        let singles: Vec<u8> = [0.5_f32, 2.0]
            .iter()
            .flat_map(|x| x.to_ne_bytes())
            .collect();
        assert_eq!(as_f32(&halves, 2).collect::<Vec<_>>(), [0.5, 2.0]);
        assert_eq!(as_f32(&singles, 2).collect::<Vec<_>>(), [0.5, 2.0]);
    }

    #[test]
    fn outputs_that_are_no_scores_are_refused() {
        assert_eq!(classes_of(&[1, 1000], 4000, 1000), Ok(1000));
        assert_eq!(classes_of(&[1, 1000, 1, 1], 2000, 1000), Ok(1000));
        assert!(classes_of(&[1, 21, 224, 224], 4_214_784, 1_053_696).is_err());
        assert!(classes_of(&[1, 1000], 8000, 1000).is_err());
        assert!(classes_of(&[1, 0], 0, 0).is_err());
    }

    proptest! {
        #[test]
        fn the_best_k_are_those_of_a_full_sort(
            scores in prop::collection::vec(any::<f32>(), 0..200),
            k in 0..50_usize,
        ) {
            let everything = indices(&scores, scores.len());
            prop_assert_eq!(indices(&scores, k), &everything[..k.min(scores.len())]);
        }
    }
}
