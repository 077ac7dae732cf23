//! The bytes of a tensor, which a C program writes and reads through a pointer.

use std::sync::atomic::{AtomicU64, Ordering};

/// Zeroed bytes, aligned to 64.
///
/// They are atomics because somebody else writes them behind Rust's back: this way everything but
/// handing out the pointer is safe code, and it costs nothing.
#[derive(Debug)]
pub(crate) struct Memory {
    lines: Box<[Line]>,
    len: usize,
}

const WORDS_PER_LINE: usize = 8;
const WORD: usize = size_of::<u64>();

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; WORDS_PER_LINE]);

impl Memory {
    pub(crate) fn new(len: usize) -> Self {
        let lines = len.div_ceil(WORDS_PER_LINE * WORD).max(1);
        Self {
            lines: (0..lines).map(|_| Line::default()).collect(),
            len,
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_ptr(&self) -> *const AtomicU64 {
        self.lines.as_ptr().cast()
    }

    /// The word at this offset in bytes, little-endian; what lies behind the end is 0.
    pub(crate) fn word_at(&self, offset: usize) -> u64 {
        let (index, shift) = (offset / WORD, offset % WORD * 8);
        let low = self.word(index) >> shift;
        if shift == 0 {
            low
        } else {
            low | self.word(index + 1) << (64 - shift)
        }
    }

    fn word(&self, index: usize) -> u64 {
        self.slot(index)
            .map_or(0, |word| u64::from_le(word.load(Ordering::Relaxed)))
    }

    fn slot(&self, index: usize) -> Option<&AtomicU64> {
        let line = self.lines.get(index / WORDS_PER_LINE)?;
        line.0.get(index % WORDS_PER_LINE)
    }

    /// Writes element `index` of an array of 4-byte elements.
    pub(crate) fn set_u32(&self, index: usize, value: u32) {
        self.set_bits(index, 32, u64::from(value));
    }

    /// Writes element `index` of an array of 2-byte elements.
    pub(crate) fn set_u16(&self, index: usize, value: u16) {
        self.set_bits(index, 16, u64::from(value));
    }

    fn set_bits(&self, index: usize, width: usize, value: u64) {
        let bit = index * width;
        if let Some(slot) = self.slot(bit / 64) {
            let mask = ((1 << width) - 1) << (bit % 64);
            let word = u64::from_le(slot.load(Ordering::Relaxed));
            let word = (word & !mask) | (value << (bit % 64));
            slot.store(word.to_le(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_land_where_their_index_says() {
        let memory = Memory::new(20);
        memory.set_u32(0, 0x0403_0201);
        memory.set_u32(1, 0x0807_0605);
        memory.set_u16(4, 0x0a09);
        assert_eq!(memory.word_at(0), 0x0807_0605_0403_0201);
        assert_eq!(memory.word_at(8), 0x0a09);
        assert_eq!(memory.word_at(3), 0x000a_0908_0706_0504);
    }

    #[test]
    fn bytes_are_aligned_and_what_lies_behind_them_is_zero() {
        let memory = Memory::new(3);
        assert_eq!(memory.as_ptr().addr() % 64, 0);
        assert_eq!(memory.len(), 3);
        memory.set_u16(0, 0xffff);
        assert_eq!(memory.word_at(1), 0xff);
        assert_eq!(memory.word_at(4_096), 0);
        memory.set_u16(4_096, 1);
    }
}
