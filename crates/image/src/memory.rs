//! Stops a decoder that takes more memory than its picture needs.
//!
//! What a header announces does not bound what the `image` crate's decoders allocate for the rest of
//! a file: 4 MB of a lossless WebP with one pixel become 1.3 GB of Huffman tables. What a file merely
//! claims can be refused before (`webp.rs`); what it makes a decoder do cannot be foreseen. So they are
//! watched: an allocator counts what each thread holds, and a file can be read only while that stays in
//! bounds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use crate::ImageLimits;

thread_local! {
    /// Bytes that this thread has allocated, less those that it has freed. Only how it changes
    /// during a decode means something: what one thread allocates, another may free.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn hold(more: usize, less: usize) {
    let held = HELD.get().wrapping_add_unsigned(more);
    let held = held.wrapping_sub_unsigned(less);
    HELD.set(held);
    #[cfg(test)]
    PEAK.set(PEAK.get().max(held));
}

#[cfg(test)]
thread_local! {
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The most bytes that this thread asked for at a time during `work`, and what came of that.
#[cfg(test)]
pub(crate) fn asked_during<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    PEAK.set(before);
    let made = work();
    let asked = PEAK.get().wrapping_sub(before);
    (usize::try_from(asked).unwrap_or(0), made)
}

/// The system's allocator, counting, which costs nothing that could be measured. It is here rather than
/// in a program, so that no program with a decoder can be without it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came. The counting beside it neither
// allocates nor panics.
#[expect(unsafe_code, reason = "an allocator is unsafe by nature")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size(), 0);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        hold(layout.size(), 0);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        hold(0, layout.size());
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        hold(new_size, layout.size());
        // SAFETY: the caller keeps the same contract.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

/// Lets the process give large buffers back to the system as soon as they are freed.
///
/// glibc keeps what is freed for the next who wants as much, and more of it the larger it was: 16
/// threads, of which two at a time decoded images of up to 7 megapixels, were left with 600 MB. Having
/// the memory anew makes images of some megapixels take a third longer, unless they are JPEGs that are
/// scaled down; smaller ones stay below the threshold.
///
/// Call it before the process has a second thread. Elsewhere than on glibc it does nothing.
pub fn give_back_large_buffers() {
    /// As many as a decoder itself keeps: see `KEPT_BYTES`.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    const LARGE_BYTES: libc::c_int = 4 << 20;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the standard library knows no such setting")]
    // SAFETY: sets two numbers of the allocator, which are in its range, while nobody else does.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        // Either alone would end the growing of both.
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE_BYTES);
    }
}

/// What may be allocated on this thread from now on.
pub(crate) struct Budget {
    before: isize,
    pixels: Cell<u64>,
}

impl Budget {
    /// Room for a header, and for tables.
    pub(crate) fn new() -> Self {
        Self {
            before: HELD.get(),
            pixels: Cell::new(0),
        }
    }

    /// Room for a picture of so many pixels too.
    pub(crate) fn allow(&self, pixels: u64) {
        self.pixels.set(pixels);
    }

    fn check(&self) -> io::Result<()> {
        let most = ImageLimits::memory_for(self.pixels.get());
        let held = HELD.get().wrapping_sub(self.before);
        if u64::try_from(held).is_ok_and(|held| held > most) {
            let reason = format!("decoding it takes more than {} MiB of memory", most >> 20);
            return Err(io::Error::other(reason));
        }
        Ok(())
    }
}

/// An encoded image that can be read within a budget.
pub(crate) struct Metered<'a> {
    encoded: Cursor<&'a [u8]>,
    budget: &'a Budget,
}

impl<'a> Metered<'a> {
    pub(crate) fn new(encoded: &'a [u8], budget: &'a Budget) -> Self {
        let encoded = Cursor::new(encoded);
        Self { encoded, budget }
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.budget.check()?;
        self.encoded.read(into)
    }
}

impl BufRead for Metered<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.budget.check()?;
        self.encoded.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.encoded.consume(bytes);
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.encoded.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cannot_be_read_over_the_budget_until_memory_is_freed() {
        let budget = Budget::new();
        let mut file = Metered::new(b"encoded", &budget);
        let table = vec![1_u8; 60 << 20];
        assert_eq!(file.fill_buf().unwrap(), b"encoded");
        let more = vec![1_u8; 10 << 20];
        let error = file.fill_buf().unwrap_err().to_string();
        assert!(error.contains("more than 64 MiB"), "{error}");
        budget.allow(1_000_000);
        assert!(file.fill_buf().is_ok());
        budget.allow(0);
        drop((table, more));
        assert!(file.fill_buf().is_ok());
    }
}
