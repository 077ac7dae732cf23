//! EXIF orientation: cameras store the sensor's rows, and say how to turn them.

use image::metadata::Orientation;

use crate::decoder::room;

/// Whether turning exchanges width and height.
pub(crate) const fn is_sideways(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Turns an image of `size` (width, height before turning) upright, into `buffer` if there is
/// anything to turn.
pub(crate) fn turn<'a>(
    pixels: &'a [u8],
    (width, height): (usize, usize),
    pixel_bytes: usize,
    orientation: Orientation,
    buffer: &'a mut Vec<u8>,
) -> &'a [u8] {
    if orientation == Orientation::NoTransforms {
        return pixels;
    }
    let out = room(buffer, pixels.len());
    let (right, bottom) = (width - 1, height - 1);
    let new_width = if is_sideways(orientation) {
        height
    } else {
        width
    };
    for (at, out) in out.chunks_exact_mut(pixel_bytes).enumerate() {
        let (x, y) = (at % new_width, at / new_width);
        let (from_x, from_y) = match orientation {
            Orientation::NoTransforms => (x, y),
            Orientation::FlipHorizontal => (right - x, y),
            Orientation::Rotate180 => (right - x, bottom - y),
            Orientation::FlipVertical => (x, bottom - y),
            Orientation::Rotate90FlipH => (y, x),
            Orientation::Rotate90 => (y, bottom - x),
            Orientation::Rotate270FlipH => (right - y, bottom - x),
            Orientation::Rotate270 => (right - y, x),
        };
        let from = (from_y * width + from_x) * pixel_bytes;
        out.copy_from_slice(&pixels[from..from + pixel_bytes]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_eight_turns_agree_with_the_image_crate() {
        let pixels: Vec<u8> = (0..3 * 2).collect();
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut buffer = Vec::new();
            let turned = turn(&pixels, (3, 2), 1, orientation, &mut buffer);
            let image = image::GrayImage::from_raw(3, 2, pixels.clone()).unwrap();
            let mut expected = image::DynamicImage::from(image);
            expected.apply_orientation(orientation);
            assert_eq!(turned, expected.as_bytes(), "orientation {exif}");
        }
    }
}
