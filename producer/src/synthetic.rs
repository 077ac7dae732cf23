//! Made-up photos: JPEGs whose size in bytes is like that of real ones, without any file.

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::str::FromStr;

/// Different photos, so that neither caches nor compression make the fleet look faster than it is.
const PHOTOS: u64 = 16;
/// What cameras and phones use, about.
const QUALITY: u8 = 88;
/// The longest side that is made up.
const MAX_SIDE: u32 = 8192;

/// A photo's size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |text: &str| {
            text.parse()
                .ok()
                .filter(|side| (1..=MAX_SIDE).contains(side))
        };
        text.split_once(['x', 'X'])
            .and_then(|(width, height)| {
                Some(Self {
                    width: side(width)?,
                    height: side(height)?,
                })
            })
            .ok_or_else(|| format!("expected a size such as 640x480, each side up to {MAX_SIDE}"))
    }
}

/// The same photos for the same size, every time.
pub(crate) fn photos(size: Size) -> anyhow::Result<Vec<Vec<u8>>> {
    (0..PHOTOS).map(|seed| photo(size, seed)).collect()
}

fn photo(size: Size, seed: u64) -> anyhow::Result<Vec<u8>> {
    let Size { width, height } = size;
    let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                pixels.push(brightness(x, y, seed * 4 + channel));
            }
        }
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .context("cannot encode a synthetic photo")?;
    Ok(jpeg)
}

/// Value noise in octaves of falling amplitude: the power spectrum of natural images falls with
/// the frequency (Field, 1987), and this is its cheapest likeness.
fn brightness(x: u32, y: u32, seed: u64) -> u8 {
    let mut sum = 0.0_f32;
    for octave in 0..7_u32 {
        // Cells from 256 pixels down to 4, with amplitudes from 128 down to 2.
        let cell = 256 >> octave;
        sum +=
            128.0 / f32::from(1_u8 << octave) * noise(x, y, cell, seed ^ u64::from(octave) << 32);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    let value = (128.0 + sum).clamp(0.0, 255.0) as u8;
    value
}

/// Smooth noise from −1 to 1 over a lattice of `cell` pixels.
#[expect(clippy::cast_precision_loss, reason = "a cell has at most 256 pixels")]
fn noise(x: u32, y: u32, cell: u32, seed: u64) -> f32 {
    let corner = |dx, dy| {
        let (column, row) = (u64::from(x / cell + dx), u64::from(y / cell + dy));
        let bits = scramble(seed ^ scramble(column ^ scramble(row)));
        (bits >> 48) as f32 / 32_768.0 - 1.0
    };
    let (along, down) = (
        (x % cell) as f32 / cell as f32,
        (y % cell) as f32 / cell as f32,
    );
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let top = mix(corner(0, 0), corner(1, 0), along);
    let bottom = mix(corner(0, 1), corner(1, 1), along);
    mix(top, bottom, down)
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, 2014).
fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_nonsense_is_refused() {
        assert_eq!(
            "640x480".parse(),
            Ok(Size {
                width: 640,
                height: 480
            })
        );
        for wrong in ["640", "0x5", "640x", "axb", "9000x1", "-1x5"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn synthetic_photos_have_the_bytes_of_real_ones_and_differ() {
        let size = Size {
            width: 320,
            height: 240,
        };
        let (first, second) = (photo(size, 0).unwrap(), photo(size, 1).unwrap());
        assert_eq!(first, photo(size, 0).unwrap());
        assert_ne!(first, second);
        // Photos of this quality take 1 to 3 bits per pixel.
        let bits_per_pixel = first.len() * 80 / (320 * 240);
        assert!(
            (8..=35).contains(&bits_per_pixel),
            "{bits_per_pixel} tenths of a bit per pixel"
        );
    }
}
