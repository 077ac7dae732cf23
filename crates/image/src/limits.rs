//! How large an image may be.

use crate::ImageError;

/// Limits on what a header may announce, checked before anything is allocated.
///
/// They bound memory, see [`ImageLimits::memory_bytes`]. They bound time together with
/// [`SCAN_LIMIT`](crate::SCAN_LIMIT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// The most pixels, width × height.
    pub max_pixels: u64,
    /// The longest side, in pixels.
    pub max_side: u32,
}

impl Default for ImageLimits {
    /// 50 million pixels, what the largest cameras of phones and most others take, and 20,000 per
    /// side. A decode then takes 300 MB for a progressive JPEG and 630 MB for the worst format.
    fn default() -> Self {
        Self {
            max_pixels: 50_000_000,
            max_side: 20_000,
        }
    }
}

impl ImageLimits {
    /// The most memory that decoding takes for each pixel.
    ///
    /// Measured as the growth of the resident set's peak (`VmHWM`) over one decode of 8,000 × 6,250
    /// pixels for an input of 224 × 224 × 3, in bytes per pixel:
    ///
    /// | format | peak |
    /// | --- | --- |
    /// | JPEG, baseline | 0.0 |
    /// | JPEG, progressive: colour 4:4:4, CMYK | 6.0, 8.0 |
    /// | JPEG, lossless | 8.0 |
    /// | PNG, RGB of 8 bits, RGBA of 16 bits | 7.0, 12.0 |
    /// | BMP, with alpha | 8.0 |
    /// | WebP, lossless: without and with alpha | 7.0, 8.0 |
    /// | WebP, lossy: without and with alpha | 6.9, 10.5 |
    /// | WebP, the first picture of an animation with alpha: lossless, lossy | 12.0, 12.5 |
    ///
    /// `tests/decode_memory.rs` measures it again. A JPEG that is too small for the network to be scaled
    /// down while it is decoded takes 4 bytes more, in CMYK 8. It has few pixels, or one long side.
    pub const BYTES_PER_PIXEL: u64 = 13;

    /// The most memory that one decode takes, whatever the file: [`Self::BYTES_PER_PIXEL`] for each
    /// pixel, and 64 MiB for tables and metadata.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        Self::memory_for(self.max_pixels)
    }

    /// The same for an image of so many pixels.
    pub(crate) const fn memory_for(pixels: u64) -> u64 {
        /// Encoders of lossless WebP have up to 2,600 groups of five Huffman tables of 4 KiB.
        const TABLE_BYTES: u64 = 64 << 20;
        pixels
            .saturating_mul(Self::BYTES_PER_PIXEL)
            .saturating_add(TABLE_BYTES)
    }

    /// Refuses a header that announces too much, or nothing.
    pub(crate) fn check(&self, width: u64, height: u64) -> Result<(), ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Undecodable(format!(
                "it is {width}x{height} pixels"
            )));
        }
        let side = u64::from(self.max_side);
        if width > side || height > side || width.saturating_mul(height) > self.max_pixels {
            let Self {
                max_pixels,
                max_side,
            } = *self;
            return Err(ImageError::TooLarge {
                width,
                height,
                max_pixels,
                max_side,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_sides_are_limited() {
        let limits = ImageLimits {
            max_pixels: 100,
            max_side: 50,
        };
        assert_eq!(limits.check(10, 10), Ok(()));
        assert_eq!(limits.check(50, 2), Ok(()));
        for (width, height) in [(51, 1), (1, 51), (10, 11), (u64::MAX, u64::MAX)] {
            assert!(matches!(
                limits.check(width, height),
                Err(ImageError::TooLarge { .. })
            ));
        }
        assert!(matches!(
            limits.check(0, 5),
            Err(ImageError::Undecodable(_))
        ));
    }
}
