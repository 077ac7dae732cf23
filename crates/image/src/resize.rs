//! Stretching an image to the model's size.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::ImageError;
use crate::decoder::{PixelKind, room};

/// Resizes images, keeping what it needs from one to the next.
pub(crate) struct Stretcher {
    resizer: Resizer,
}

impl Stretcher {
    pub(crate) fn new() -> Self {
        Self {
            resizer: Resizer::new(),
        }
    }

    /// Stretches pixels of the size `from` (width, height) to the size `to`, into `buffer`.
    pub(crate) fn stretch<'a>(
        &mut self,
        pixels: &[u8],
        from: (usize, usize),
        to: (usize, usize),
        kind: PixelKind,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ImageError> {
        let failed = |error: &dyn std::error::Error| {
            ImageError::Undecodable(format!(
                "it cannot be resized from {from:?} to {to:?}: {error}"
            ))
        };
        let side = |side: usize| u32::try_from(side).map_err(|error| failed(&error));
        let pixel_type = match kind {
            PixelKind::Grey => PixelType::U8,
            PixelKind::Color(_) => PixelType::U8x4,
        };
        let out = room(buffer, to.0 * to.1 * kind.bytes());
        let source = ImageRef::new(side(from.0)?, side(from.1)?, pixels, pixel_type)
            .map_err(|error| failed(&error))?;
        let mut target = Image::from_slice_u8(side(to.0)?, side(to.1)?, out, pixel_type)
            .map_err(|error| failed(&error))?;
        let options = ResizeOptions::new()
            .resize_alg(filter(from, to))
            .use_alpha(false);
        self.resizer
            .resize(&source, &mut target, &options)
            .map_err(|error| failed(&error))?;
        Ok(out)
    }

    pub(crate) fn shrink(&mut self, kept_bytes: usize) {
        if self.resizer.size_of_internal_buffers() > kept_bytes {
            self.resizer.reset_internal_buffers();
        }
    }
}

/// The filter that comes closest to what OpenCV gives.
///
/// Shrinking is anti-aliased. Over two photos shrunk to less than half, Pillow's filters, which are
/// the same, differ from `INTER_AREA` on average by 0.3 to 1.2 of 255 (Hamming), 0.5 to 2.0
/// (bicubic), 0.6 to 2.6 (bilinear) and 0.8 to 2.5 (box). Just below full size Hamming is nearer to
/// `INTER_LINEAR`, and bilinear to `INTER_AREA`. Enlarging is bilinear, and so equal to
/// `INTER_LINEAR` within 1.
fn filter(from: (usize, usize), to: (usize, usize)) -> ResizeAlg {
    let shrinks = to.0 < from.0 || to.1 < from.1;
    ResizeAlg::Convolution(if shrinks {
        FilterType::Hamming
    } else {
        FilterType::Bilinear
    })
}
