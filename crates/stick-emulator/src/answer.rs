//! The scores, which follow from the input bytes alone. The crate's documentation has the same in
//! Python.

use half::f16;

use crate::ir::Element;
use crate::memory::Memory;

/// The input is sampled, not read: on a full fleet, reading each byte would cost more than all the
/// rest of the emulator.
const STRIDE: usize = 512;
const WORD: usize = 8;
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

pub(crate) const BEST_SCORE: f32 = 0.9;
pub(crate) const SECOND_SCORE: f32 = 0.09;

/// A hash over every 64th word of the input and its last 8 bytes.
pub(crate) fn hash(input: &Memory) -> u64 {
    let last = input.len().saturating_sub(WORD);
    let offsets = (0..=last).step_by(STRIDE).chain([last]);
    offsets.fold(OFFSET_BASIS, |hash, offset| {
        let hash = (hash ^ input.word_at(offset)).wrapping_mul(PRIME);
        hash ^ (hash >> 32)
    })
}

/// The best class and the second; there is no second among one class.
pub(crate) fn best_two(hash: u64, classes: usize) -> (usize, Option<usize>) {
    let classes_wide = (classes as u64).max(1);
    let class = |hash: u64| usize::try_from(hash % classes_wide).unwrap_or_default();
    let (best, second) = (class(hash), class(hash >> 32));
    if second != best {
        (best, Some(second))
    } else if classes > 1 {
        (best, Some((second + 1) % classes))
    } else {
        (best, None)
    }
}

/// Writes the score of one class. An output that holds neither f32 nor f16 stays zero.
pub(crate) fn set_score(output: &Memory, element: Element, class: usize, score: f32) {
    match element {
        Element::F32 => output.set_u32(class, score.to_bits()),
        Element::F16 => output.set_u16(class, f16::from_f32(score).to_bits()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length of the input, number of classes, and what the Python in the crate's documentation says
    /// for the bytes `i * 7 % 256`.
    const PYTHON: &[(usize, usize, (usize, usize))] = &[
        (3, 10, (3, 0)),
        (8, 1000, (154, 337)),
        (13, 1000, (969, 239)),
        (519, 1000, (193, 161)),
        (520, 1000, (7, 305)),
        (521, 1000, (839, 600)),
        (256, 10, (6, 3)),
        (150_528, 1000, (879, 187)),
    ];

    #[test]
    fn the_answer_is_what_the_documentation_says() {
        for &(len, classes, (best, second)) in PYTHON {
            let input = Memory::new(len);
            for index in 0..len.div_ceil(2) {
                let byte = |i: usize| u16::try_from(i * 7 % 256 * usize::from(i < len)).unwrap();
                input.set_u16(index, byte(2 * index) | byte(2 * index + 1) << 8);
            }
            let expected = (best, Some(second));
            assert_eq!(best_two(hash(&input), classes), expected, "{len} bytes");
        }
    }

    #[test]
    fn a_byte_that_is_sampled_changes_the_answer() {
        let input = Memory::new(150_528);
        let before = hash(&input);
        input.set_u16(512 / 2 * 3, 1);
        assert_ne!(hash(&input), before);
    }

    #[test]
    fn the_second_class_is_another_one() {
        // 2³² is 1 modulo 5, so both halves of these say the same class.
        assert_eq!(best_two(5 << 32 | 3, 5), (3, Some(0)));
        assert_eq!(best_two(4 << 32, 5), (4, Some(0)));
        assert_eq!(best_two(2 << 32, 5), (2, Some(3)));
        assert_eq!(best_two(7, 1), (0, None));
        assert_eq!(best_two(7, 0), (0, None));
    }
}
