//! How large an image may be.

use crate::ImageError;

/// Limits on what a header may announce, checked before anything is allocated.
///
/// They bound memory: 4 bytes per pixel for what is decoded, and for a progressive JPEG 6 bytes per
/// pixel more inside the decoder. They bound time together with
/// [`SCAN_LIMIT`](crate::SCAN_LIMIT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// The most pixels, width × height.
    pub max_pixels: u64,
    /// The longest side, in pixels.
    pub max_side: u32,
}

impl Default for ImageLimits {
    /// 100 million pixels, the largest of today's cameras, and 20,000 per side.
    fn default() -> Self {
        Self {
            max_pixels: 100_000_000,
            max_side: 20_000,
        }
    }
}

impl ImageLimits {
    /// Refuses a header that announces too much, or nothing.
    pub(super) fn check(&self, width: u64, height: u64) -> Result<(), ImageError> {
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
