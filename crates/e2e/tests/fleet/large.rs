//! Images that are small as files, and much work to decode.

use image::{DynamicImage, ImageBuffer, ImageFormat, Rgba};
use std::io::Cursor;
use turbojpeg::{Compressor, PixelFormat, Subsamp};

/// As many pixels as a worker allows by default.
pub(crate) const LARGEST: (u32, u32) = (8000, 6250);

/// Nothing to see, so it is small; but its decoder holds all of its coefficients.
pub(crate) fn progressive_jpeg((width, height): (u32, u32)) -> Vec<u8> {
    let (width, height) = (width as usize, height as usize);
    let image = turbojpeg::Image {
        pixels: &*vec![128; width * height * 3],
        width,
        pitch: width * 3,
        height,
        format: PixelFormat::RGB,
    };
    let mut compressor = Compressor::new().expect("a compressor");
    compressor.set_subsamp(Subsamp::None).expect("4:4:4");
    compressor.set_progressive(true).expect("progressive");
    compressor.compress_to_vec(image).expect("a JPEG")
}

/// 16 bits per channel, with alpha.
pub(crate) fn deep_png((width, height): (u32, u32)) -> Vec<u8> {
    let pixels = ImageBuffer::from_pixel(width, height, Rgba([1000_u16, 2000, 3000, 4000]));
    let mut encoded = Cursor::new(Vec::new());
    DynamicImage::ImageRgba16(pixels)
        .write_to(&mut encoded, ImageFormat::Png)
        .expect("a PNG");
    encoded.into_inner()
}
