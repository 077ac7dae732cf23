//! Encoding JPEGs, through libjpeg-turbo: it takes a fifth of the time that the `image`
//! crate takes.

use super::Size;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// An encoder of one quality.
pub(super) struct Encoder {
    compressor: Compressor,
}

impl Encoder {
    pub(super) fn new(quality: i32, subsampling: Subsamp) -> turbojpeg::Result<Self> {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(quality)?;
        compressor.set_subsamp(subsampling)?;
        Ok(Self { compressor })
    }

    /// Encodes pixels of three bytes, red first.
    pub(super) fn encode(&mut self, pixels: &[u8], size: Size) -> turbojpeg::Result<Vec<u8>> {
        let (width, height) = size.sides();
        self.compressor.compress_to_vec(Image {
            pixels,
            width,
            pitch: 3 * width,
            height,
            format: PixelFormat::RGB,
        })
    }
}
