//! Where images come from, and what becomes of them before they are sent.
//!
//! The files are the steps in order: which files there are ([`Walk`] in `walk.rs`, [`List`] in
//! `list.rs`), a file's content ([`read()`] in `read.rs`) or a made-up photo ([`Synthetic`] in
//! `synthetic.rs`), and what is sent instead of it ([`Preparation`] and [`Prepare`] in `prepare.rs`,
//! with `jpeg.rs`). [`load()`] in `load.rs` does it all at once, for a flood.
//!
//! Everything here blocks: call it from threads of its own.

mod jpeg;
mod list;
mod load;
mod prepare;
mod read;
mod size;
mod synthetic;
#[cfg(test)]
mod testing;
mod walk;

pub use list::List;
pub use load::{MAX_BYTES, load};
pub use prepare::{Preparation, Prepare, PrepareError};
pub use read::{ReadError, read};
pub use size::Size;
pub use synthetic::Synthetic;
pub use walk::Walk;

use ncs_protocol::{Content, ImageType, MAX_BODY_BYTES};

/// A job's bincode body is this much larger than its image, at most: kinds and a length.
const ENVELOPE_BYTES: usize = 16;
/// The most bytes of an image that still fit into a message.
pub const MAX_SENT_BYTES: usize = MAX_BODY_BYTES - ENVELOPE_BYTES;

/// One image, or one ready tensor, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image(ImageType),
    Tensor,
}

impl Image {
    const fn jpeg(bytes: Vec<u8>) -> Self {
        let kind = Kind::Image(ImageType::Jpeg);
        Self { kind, bytes }
    }

    const fn tensor(bytes: Vec<u8>) -> Self {
        let kind = Kind::Tensor;
        Self { kind, bytes }
    }

    /// What a job carries.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        match self.kind {
            Kind::Image(image_type) => Content::Image(image_type, &self.bytes),
            Kind::Tensor => Content::Tensor(&self.bytes),
        }
    }

    /// Its encoded bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
