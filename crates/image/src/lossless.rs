//! Pixels of lossless JPEGs, which libjpeg-turbo hands out as they are stored: it converts nothing
//! there that would lose anything.

use crate::ColorOrder;
use crate::decoder::PixelKind;
use crate::raster::luma;

/// Grey values to the model's pixels.
pub(crate) fn convert_grey(values: &[u8], kind: PixelKind, out: &mut [u8]) {
    match kind {
        PixelKind::Grey => out.copy_from_slice(values),
        PixelKind::Color(_) => {
            for (out, &value) in out.as_chunks_mut().0.iter_mut().zip(values) {
                *out = [value, value, value, 255];
            }
        }
    }
}

/// Pixels of four bytes, the last of which is ignored, to the model's.
pub(crate) fn convert_rgb(rgbx: &[u8], kind: PixelKind, out: &mut [u8]) {
    let (pixels, _) = rgbx.as_chunks::<4>();
    match kind {
        PixelKind::Grey => {
            for (out, &[r, g, b, _]) in out.iter_mut().zip(pixels) {
                *out = luma([r, g, b]);
            }
        }
        PixelKind::Color(order) => {
            for (out, &[r, g, b, _]) in out.as_chunks_mut().0.iter_mut().zip(pixels) {
                *out = match order {
                    ColorOrder::Rgb => [r, g, b, 255],
                    ColorOrder::Bgr => [b, g, r, 255],
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BGR: PixelKind = PixelKind::Color(ColorOrder::Bgr);

    #[test]
    fn a_color_model_gets_grey_in_all_channels() {
        let mut out = [0; 8];
        convert_grey(&[7, 9], BGR, &mut out);
        assert_eq!(out, [7, 7, 7, 255, 9, 9, 9, 255]);
        convert_grey(&[7, 9], PixelKind::Grey, &mut out[..2]);
        assert_eq!(out[..2], [7, 9]);
    }

    #[test]
    fn a_grey_model_gets_the_luma_of_colors() {
        let mut out = [0; 4];
        convert_rgb(&[255, 0, 9, 1], PixelKind::Grey, &mut out[..1]);
        assert_eq!(out[0], luma([255, 0, 9]));
        convert_rgb(&[255, 0, 9, 1], BGR, &mut out);
        assert_eq!(out, [9, 0, 255, 255]);
        convert_rgb(&[255, 0, 9, 1], PixelKind::Color(ColorOrder::Rgb), &mut out);
        assert_eq!(out, [255, 0, 9, 255]);
    }
}
