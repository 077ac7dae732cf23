//! Made-up photos: JPEGs whose size in bytes is like that of real ones, without any file.

use super::{Image, MAX_SENT_BYTES, Size, jpeg};
use anyhow::Context;
use turbojpeg::Subsamp;

/// What cameras and phones use, about.
const QUALITY: i32 = 88;
/// None: the three channels here have nothing in common, so halving two would leave too few bytes.
const SUBSAMPLING: Subsamp = Subsamp::None;

/// Photos of one size without end, as an iterator: each seed has photos of its own, and for the same
/// size and seed they are the same every time.
#[derive(Debug, Clone)]
pub struct Synthetic {
    size: Size,
    next: u64,
}

impl Synthetic {
    /// Photos that nobody has taken.
    #[must_use]
    pub fn new(size: Size, seed: u64) -> Self {
        // The photos of neighbouring seeds are not neighbours, but for 0, which means 0, 1, 2, …
        let next = if seed == 0 { 0 } else { scramble(seed) };
        Self { size, next }
    }

    /// Which photo is next, to be made later, and perhaps elsewhere.
    pub(super) fn next_number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }
}

impl Iterator for Synthetic {
    type Item = anyhow::Result<Image>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.next_number();
        Some(photo(self.size, number))
    }
}

pub(super) fn photo(size: Size, number: u64) -> anyhow::Result<Image> {
    let (width, height) = size.sides();
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..size.height {
        for x in 0..size.width {
            for channel in 0..3 {
                let seed = number.wrapping_mul(4).wrapping_add(channel);
                pixels.push(brightness(x, y, seed));
            }
        }
    }
    let photo = jpeg::Encoder::new(QUALITY, SUBSAMPLING)
        .and_then(|mut encoder| encoder.encode(&pixels, size))
        .context("cannot encode a synthetic photo")?;
    anyhow::ensure!(
        photo.len() <= MAX_SENT_BYTES,
        "photos of {size} pixels are too large for a message; make them smaller"
    );
    Ok(Image::jpeg(photo))
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

    fn photos(size: Size, seed: u64) -> Vec<Vec<u8>> {
        let photos = Synthetic::new(size, seed).take(3);
        photos.map(|photo| photo.unwrap().bytes).collect()
    }

    #[test]
    fn a_seed_has_photos_of_its_own_every_time() {
        let size = "32x24".parse().unwrap();
        let [first, second] = [1, 2].map(|seed| photos(size, seed));
        assert_eq!(first, photos(size, 1));
        for seed in [0, u64::MAX] {
            assert!(
                photos(size, seed)
                    .iter()
                    .all(|photo| !first.contains(photo))
            );
        }
        assert!(first.iter().all(|photo| !second.contains(photo)));
    }

    #[test]
    fn synthetic_photos_have_the_bytes_of_real_ones_and_differ() {
        let size = Size {
            width: 320,
            height: 240,
        };
        let [first, second, _] = photos(size, 0).try_into().unwrap();
        assert_ne!(first, second);
        // Photos of this quality take 1 to 3 bits per pixel.
        let bits_per_pixel = first.len() * 80 / (320 * 240);
        assert!(
            (8..=35).contains(&bits_per_pixel),
            "{bits_per_pixel} tenths of a bit per pixel"
        );
    }
}
