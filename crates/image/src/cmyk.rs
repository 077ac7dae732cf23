//! CMYK pixels, which libjpeg-turbo hands out as they are stored.

use crate::ColorOrder;
use crate::decoder::PixelKind;
use crate::raster::luma;

/// Converts CMYK pixels to the model's, as OpenCV does: without colour profiles, each of red,
/// green and blue being its own ink's absence × black's absence.
///
/// Adobe's programs store the inks' absence (255 = no ink), and mark the file with an APP14
/// segment; `inverted` says that they did.
pub(crate) fn convert(cmyk: &[u8], inverted: bool, kind: PixelKind, out: &mut [u8]) {
    let absence = |ink: u8| u16::from(if inverted { ink } else { 255 - ink });
    let (inks, _) = cmyk.as_chunks::<4>();
    let rgb = |&[c, m, y, k]: &[u8; 4]| {
        [c, m, y].map(|ink| {
            // Rounded division by 255; at most 255, so it fits.
            u8::try_from((absence(ink) * absence(k) + 127) / 255).unwrap_or(u8::MAX)
        })
    };
    match kind {
        PixelKind::Grey => {
            for (out, pixel) in out.iter_mut().zip(inks) {
                *out = luma(rgb(pixel));
            }
        }
        PixelKind::Color(order) => {
            let (out, _) = out.as_chunks_mut::<4>();
            for (out, pixel) in out.iter_mut().zip(inks) {
                let [r, g, b] = rgb(pixel);
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

    fn bgr(cmyk: [u8; 4], inverted: bool) -> [u8; 3] {
        let mut out = [0; 4];
        convert(&cmyk, inverted, PixelKind::Color(ColorOrder::Bgr), &mut out);
        [out[0], out[1], out[2]]
    }

    #[test]
    fn inks_darken_their_complement_and_black_darkens_all() {
        assert_eq!(bgr([0, 0, 0, 0], false), [255, 255, 255]);
        assert_eq!(
            bgr([255, 0, 0, 0], false),
            [255, 255, 0],
            "cyan takes red away"
        );
        assert_eq!(bgr([0, 0, 0, 255], false), [0, 0, 0]);
        assert_eq!(bgr([0, 128, 0, 128], false), [127, 63, 127]);
    }

    #[test]
    fn adobes_inks_are_inverted() {
        assert_eq!(bgr([255, 255, 255, 255], true), [255, 255, 255]);
        assert_eq!(
            bgr([255, 127, 255, 127], true),
            bgr([0, 128, 0, 128], false)
        );
    }

    #[test]
    fn grey_models_get_the_luma() {
        let mut out = [0; 1];
        convert(&[255, 0, 0, 0], false, PixelKind::Grey, &mut out);
        assert_eq!(out, [luma([0, 255, 255])]);
    }
}
