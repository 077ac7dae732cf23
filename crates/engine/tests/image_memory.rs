//! Small files ask for little memory, whatever they claim.
//!
//! Counted in Rust's allocator, so without what libjpeg-turbo asks C's for.

#[path = "../../../fuzz/properties/inputs.rs"]
mod inputs;

use std::alloc::{GlobalAlloc, Layout as MemoryLayout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use ncs_engine::{Element, ImageDecoder, ImageLimits, InputSpec, Layout, Preprocessing};

/// The largest of the images has 400 × 300 pixels, and takes less than a megabyte.
const MAX_BYTES: usize = 4 << 20;

#[global_allocator]
static COUNTED: Counted = Counted;

struct Counted;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: each call goes to the system's allocator as it came, which keeps the contract.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: MemoryLayout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps to `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: MemoryLayout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps to `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: MemoryLayout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps to `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn grow(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

#[test]
fn no_committed_image_asks_for_more_than_its_pixels_need() {
    inputs::hold_all("image", |encoded| {
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let is_decoded = decode(encoded);
        let asked = PEAK.load(Ordering::Relaxed) - before;
        assert!(asked < MAX_BYTES, "{asked} bytes");
        is_decoded
    });
}

/// Under the limits of a worker.
fn decode(encoded: &[u8]) -> bool {
    let input = InputSpec {
        layout: Layout::Nhwc,
        channels: 3,
        height: 12,
        width: 16,
        element: Element::U8,
    };
    let mut decoder = ImageDecoder::new(input, Preprocessing::default(), ImageLimits::default())
        .expect("a decoder");
    let mut tensor = vec![0; input.byte_len()];
    decoder.decode_into(encoded, None, &mut tensor).is_ok()
}
