//! PNG, BMP and WebP, through the `image` crate.

use image::error::ImageError as DecodeError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder as _, ImageReader, Limits, Pixel};

use crate::decoder::{Decoded, PixelKind, room};
use crate::memory::{Budget, Metered};
use crate::{ColorOrder, ImageError, ImageFormat, ImageLimits, webp};

/// What the chunks of a PNG beside its pixels may take together. Only EXIF is looked at, but colour
/// profiles of printers, and what editors write into texts, have up to some megabytes, and a file that
/// has more is refused. It is a part of the room that a decode has for tables and metadata.
const METADATA_BYTES: u64 = 16 << 20;

/// Decodes into `buffer`. Alpha is dropped and 16 bits become 8 by leaving the lower ones, as
/// OpenCV's `imread` does.
pub(crate) fn decode(
    encoded: &[u8],
    format: ImageFormat,
    limits: &ImageLimits,
    kind: PixelKind,
    buffer: &mut Vec<u8>,
) -> Result<Decoded, ImageError> {
    let budget = Budget::new();
    let mut decoder = open(encoded, format, limits, &budget)?;
    let (width, height) = decoder.dimensions();
    budget.allow(u64::from(width) * u64::from(height));
    let orientation = orientation(&mut decoder);
    let image = DynamicImage::from_decoder(decoder).map_err(told)?;

    let (width, height) = (image.width() as usize, image.height() as usize);
    fill(room(buffer, width * height * kind.bytes()), image, kind);
    Ok(Decoded {
        width,
        height,
        orientation,
    })
}

/// Width, height, and how to turn the image to be upright.
pub(crate) fn size(
    encoded: &[u8],
    format: ImageFormat,
    limits: &ImageLimits,
) -> Result<(usize, usize, Orientation), ImageError> {
    let budget = Budget::new();
    let mut decoder = open(encoded, format, limits, &budget)?;
    let (width, height) = decoder.dimensions();
    let orientation = orientation(&mut decoder);
    Ok((width as usize, height as usize, orientation))
}

/// Reads the header and checks it against the limits.
fn open<'a>(
    encoded: &'a [u8],
    format: ImageFormat,
    limits: &ImageLimits,
    budget: &'a Budget,
) -> Result<impl image::ImageDecoder + 'a, ImageError> {
    let encoded = match format {
        ImageFormat::Webp => webp::checked(encoded, limits)?,
        _ => encoded,
    };
    let mut reader = ImageReader::with_format(Metered::new(encoded, budget), named(format));
    // Of the three, only PNG's decoder heeds it, and only for metadata. A colour profile, which is
    // compressed and read at one go, would grow up to it.
    let mut metadata = Limits::default();
    metadata.max_alloc = Some(METADATA_BYTES);
    reader.limits(metadata);

    let decoder = reader.into_decoder().map_err(told)?;
    let (width, height) = decoder.dimensions();
    limits.check(width.into(), height.into())?;
    Ok(decoder)
}

/// EXIF that cannot be read says nothing about the picture.
fn orientation(decoder: &mut impl image::ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

const fn named(format: ImageFormat) -> image::ImageFormat {
    match format {
        ImageFormat::Jpeg => image::ImageFormat::Jpeg,
        ImageFormat::Png => image::ImageFormat::Png,
        ImageFormat::Bmp => image::ImageFormat::Bmp,
        ImageFormat::Webp => image::ImageFormat::WebP,
    }
}

fn told(error: DecodeError) -> ImageError {
    match error {
        DecodeError::Unsupported(error) => ImageError::Unsupported(error.to_string()),
        other => ImageError::Undecodable(other.to_string()),
    }
}

fn fill(out: &mut [u8], image: DynamicImage, kind: PixelKind) {
    match image {
        DynamicImage::ImageLuma8(image) => fill_from(out, &image, kind, |p| [p[0]; 3]),
        DynamicImage::ImageLumaA8(image) => fill_from(out, &image, kind, |p| [p[0]; 3]),
        DynamicImage::ImageRgb8(image) => fill_from(out, &image, kind, |p| [p[0], p[1], p[2]]),
        DynamicImage::ImageRgba8(image) => fill_from(out, &image, kind, |p| [p[0], p[1], p[2]]),
        DynamicImage::ImageLuma16(image) => fill_from(out, &image, kind, |p| [high(p[0]); 3]),
        DynamicImage::ImageLumaA16(image) => fill_from(out, &image, kind, |p| [high(p[0]); 3]),
        DynamicImage::ImageRgb16(image) => {
            fill_from(out, &image, kind, |p| [high(p[0]), high(p[1]), high(p[2])]);
        }
        DynamicImage::ImageRgba16(image) => {
            fill_from(out, &image, kind, |p| [high(p[0]), high(p[1]), high(p[2])]);
        }
        // None of the three formats gives one of these today.
        other => fill_from(out, &other.into_rgb8(), kind, |p| [p[0], p[1], p[2]]),
    }
}

fn high(value: u16) -> u8 {
    let [high, _] = value.to_be_bytes();
    high
}

fn fill_from<P: Pixel>(
    out: &mut [u8],
    image: &ImageBuffer<P, Vec<P::Subpixel>>,
    kind: PixelKind,
    rgb: impl Fn(&[P::Subpixel]) -> [u8; 3],
) {
    let pixels = image.as_raw().chunks_exact(P::CHANNEL_COUNT.into());
    match kind {
        PixelKind::Grey => {
            for (out, pixel) in out.iter_mut().zip(pixels) {
                *out = luma(rgb(pixel));
            }
        }
        PixelKind::Color(ColorOrder::Rgb) => {
            for (out, pixel) in out.as_chunks_mut().0.iter_mut().zip(pixels) {
                let [r, g, b] = rgb(pixel);
                *out = [r, g, b, 255];
            }
        }
        PixelKind::Color(ColorOrder::Bgr) => {
            for (out, pixel) in out.as_chunks_mut().0.iter_mut().zip(pixels) {
                let [r, g, b] = rgb(pixel);
                *out = [b, g, r, 255];
            }
        }
    }
}

/// The brightness of a pixel with the weights of BT.601 (0.299, 0.587, 0.114), which JPEG and
/// OpenCV use, in fixed point with 14 bits. A grey pixel keeps its value.
pub(crate) fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 4899 * u32::from(r) + 9617 * u32::from(g) + 1868 * u32::from(b) + 8192;
    u8::try_from(sum >> 14).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luma_weighs_green_most_and_keeps_grey() {
        assert_eq!(
            [[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(luma),
            [76, 150, 29]
        );
        for grey in 0..=255 {
            assert_eq!(luma([grey; 3]), grey);
        }
    }
}
