//! How much memory one decode takes: the worst pictures of each format, and files that lie.
//!
//! One test, in a process of its own: the resident set is the process's.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Pixel, Rgb, Rgba};
use ncs_image::{
    Element, ImageDecoder, ImageLimits, InputSpec, Layout, Preprocessing, give_back_large_buffers,
};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const WIDTH: u32 = 4000;
const HEIGHT: u32 = 2500;
const PIXELS: u64 = WIDTH as u64 * HEIGHT as u64;

/// What the allocator and the decoder's own small buffers may add.
const BESIDE: u64 = 4 << 20;

/// A figure of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux' proc");
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.expect("a figure in kB") * 1024
}

/// By how much decoding raises the peak of the resident set, and what came of it.
fn peak_of(encoded: &[u8]) -> (u64, Result<(), String>) {
    let input = InputSpec {
        layout: Layout::Nchw,
        channels: 3,
        height: 224,
        width: 224,
        element: Element::U8,
    };
    let limits = ImageLimits::default();
    let mut decoder = ImageDecoder::new(input, Preprocessing::default(), limits).expect("fits");
    let mut tensor = vec![0; input.byte_len()];
    // proc(5): the peak starts anew from what is resident now.
    fs::write("/proc/self/clear_refs", "5").expect("Linux' proc");
    let before = status("VmRSS");
    let outcome = decoder.decode_into(encoded, None, &mut tensor);
    let peak = status("VmHWM").saturating_sub(before);
    (peak, outcome.map_err(|error| error.to_string()))
}

#[derive(Clone, Copy)]
enum Jpeg {
    Baseline,
    Progressive,
    Lossless,
}

fn jpeg(format: PixelFormat, kind: Jpeg) -> Vec<u8> {
    let (width, height) = (WIDTH as usize, HEIGHT as usize);
    let pixels = vec![128; width * height * format.size()];
    let image = Image {
        pixels: pixels.as_slice(),
        width,
        pitch: width * format.size(),
        height,
        format,
    };
    let mut compressor = Compressor::new().expect("a compressor");
    compressor.set_subsamp(Subsamp::None).expect("4:4:4");
    let chosen = match kind {
        Jpeg::Baseline => Ok(()),
        Jpeg::Progressive => compressor.set_progressive(true),
        Jpeg::Lossless => compressor.set_lossless(true),
    };
    chosen.expect("a kind of JPEG");
    compressor.compress_to_vec(image).expect("a JPEG")
}

fn encoded<P>(pixel: P, format: ImageFormat) -> Vec<u8>
where
    P: Pixel,
    DynamicImage: From<ImageBuffer<P, Vec<P::Subpixel>>>,
{
    let mut encoded = Cursor::new(Vec::new());
    DynamicImage::from(ImageBuffer::from_pixel(WIDTH, HEIGHT, pixel))
        .write_to(&mut encoded, format)
        .expect("encoded");
    encoded.into_inner()
}

fn webp_chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).expect("short").to_le_bytes();
    let padding = &[0][..data.len() % 2];
    [&kind[..], &len, data, padding].concat()
}

fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
    webp_chunk(*b"RIFF", &[b"WEBP", &*chunks.concat()].concat())
}

/// Width and height, less one, in 3 bytes each.
fn webp_size(width: u32, height: u32) -> Vec<u8> {
    let side = |side: u32| (side - 1).to_le_bytes();
    [&side(width)[..3], &side(height)[..3]].concat()
}

/// What the encoder at hand cannot make: a lossy WebP of this size with alpha, of one colour. It was
/// written by Pillow:
///
/// ```python
/// Image.new("RGBA", (4000, 2500), (10, 20, 30, 40)).save(file, quality=60, method=6)
/// ```
const LOSSY_ALPHA: &[u8] = include_bytes!("lossy_alpha_4000x2500.webp");

/// An animation whose one frame has these chunks.
fn animated(picture: &[u8]) -> Vec<u8> {
    let size = webp_size(WIDTH, HEIGHT);
    let extended = [&[0x12, 0, 0, 0], &*size].concat();
    // At the top left, for 100 ms; then the picture.
    let frame = [&[0; 6], &*size, &[100, 0, 0, 0], picture].concat();
    webp(&[
        webp_chunk(*b"VP8X", &extended),
        webp_chunk(*b"ANIM", &[0; 6]),
        webp_chunk(*b"ANMF", &frame),
    ])
}

/// A canvas of one pixel, and a lossy frame of 16383 × 16383 on it.
fn frame_beyond_its_canvas() -> Vec<u8> {
    let extended = [&[0; 4], &*webp_size(1, 1)].concat();
    let frame = b"\x10\x02\0\x9D\x01\x2A\xFF\x3F\xFF\x3F\0\0\0\0\0\0\0\0";
    webp(&[webp_chunk(*b"VP8X", &extended), webp_chunk(*b"VP8 ", frame)])
}

/// A lossless WebP of one pixel with 65,536 groups of five Huffman tables, of which it uses one.
fn huffman_tables() -> Vec<u8> {
    let mut bits = Bits::default();
    // Signature, size less one, no alpha, version 0, no transform, no cache of colours.
    bits.put(&[(0x2F, 8), (0, 14), (0, 14), (0, 1), (0, 3), (0, 1), (0, 1)]);
    // The picture that says which block uses which group: one pixel, 255 in green and in red, each
    // channel by a code of one symbol.
    bits.put(&[(1, 1), (0, 3), (0, 1)]);
    for symbol in [255, 255, 0, 0, 0] {
        bits.put(&[(1, 1), (0, 1), (1, 1), (symbol, 8)]);
    }
    // A code of eleven symbols with 1, 2, … 9, 10 and 10 bits, which makes a table of 1,024 entries.
    // Its lengths are coded in turn, in the format's own order: 1 to 6 with 3 bits, 7 to 10 with 4.
    let mut table = vec![(0, 1), (10, 4)];
    let order = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10];
    table.extend(order.map(|length| match length {
        1..=6 => (3, 3),
        7..=10 => (4, 3),
        _ => (0, 3),
    }));
    // Only the first eleven lengths follow.
    table.extend([(1, 1), (1, 3), (9, 4)]);
    let code = |length: u32| match length {
        1..=6 => ((length - 1).reverse_bits() >> 29, 3),
        _ => ((length + 5).reverse_bits() >> 28, 4),
    };
    table.extend((1..=10).chain([10]).map(code));
    for _ in 0..5 * 65_536 {
        bits.put(&table);
    }
    // The pixel.
    bits.put(&[(0, 32), (0, 32)]);
    webp(&[webp_chunk(*b"VP8L", &bits.bytes)])
}

/// Bits, lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, values: &[(u32, u32)]) {
        for (value, bits) in values {
            self.pending |= u64::from(*value) << self.count;
            self.count += bits;
            while self.count >= 8 {
                self.bytes.push(self.pending.to_le_bytes()[0]);
                self.pending >>= 8;
                self.count -= 8;
            }
        }
    }
}

/// A PNG of one pixel whose colour profile is 256 MB of zeros, compressed to 256 kB.
fn colour_profile() -> Vec<u8> {
    let mut png = Vec::new();
    let mut info = png::Info::with_size(1, 1);
    info.icc_profile = Some(vec![0; 256 << 20].into());
    let encoder = png::Encoder::with_info(&mut png, info).expect("an encoder");
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[7]).expect("a pixel");
    writer.finish().expect("an end");
    png
}

#[test]
fn a_decode_takes_no_more_memory_than_its_limits_say() {
    // What the heap kept of one picture would be room for the next.
    give_back_large_buffers();
    let with_alpha = Rgba([10_u8, 20, 30, 40]);
    let lossless = encoded(with_alpha, ImageFormat::WebP);
    let pictures = [
        ("baseline JPEG", jpeg(PixelFormat::RGB, Jpeg::Baseline)),
        (
            "progressive JPEG",
            jpeg(PixelFormat::RGB, Jpeg::Progressive),
        ),
        (
            "progressive CMYK JPEG",
            jpeg(PixelFormat::CMYK, Jpeg::Progressive),
        ),
        ("lossless JPEG", jpeg(PixelFormat::RGB, Jpeg::Lossless)),
        (
            "lossless CMYK JPEG",
            jpeg(PixelFormat::CMYK, Jpeg::Lossless),
        ),
        ("PNG", encoded(Rgb([10_u8, 20, 30]), ImageFormat::Png)),
        (
            "16-bit PNG with alpha",
            encoded(Rgba([10_u16, 20, 30, 40]), ImageFormat::Png),
        ),
        ("BMP with alpha", encoded(with_alpha, ImageFormat::Bmp)),
        // The picture comes after RIFF and WEBP, and in the lossy one after the extended header too.
        ("animated lossless WebP", animated(&lossless[12..])),
        (
            "animated lossy WebP with alpha",
            animated(&LOSSY_ALPHA[30..]),
        ),
        ("lossless WebP with alpha", lossless),
        ("lossy WebP with alpha", LOSSY_ALPHA.to_vec()),
    ];
    for (name, encoded) in pictures {
        let (peak, decoded) = peak_of(&encoded);
        println!(
            "{name}: {}.{:02} bytes per pixel",
            peak / PIXELS,
            peak * 100 / PIXELS % 100
        );
        assert_eq!(decoded, Ok(()), "{name}");
        let most = PIXELS * ImageLimits::BYTES_PER_PIXEL + BESIDE;
        assert!(peak <= most, "{name}: {peak} bytes, of {most} at most");
    }

    let one_pixel = ImageLimits {
        max_pixels: 1,
        ..ImageLimits::default()
    };
    let most = one_pixel.memory_bytes() + BESIDE;
    let too_much = "decoding it takes more than 64 MiB of memory";
    for (name, encoded, reason) in [
        ("tables of a WebP", huffman_tables(), Some(too_much)),
        (
            "frame of a WebP",
            frame_beyond_its_canvas(),
            Some("the image is too large"),
        ),
        // Nobody looks at the profile, so it is left out.
        ("profile of a PNG", colour_profile(), None),
    ] {
        let (peak, decoded) = peak_of(&encoded);
        println!("{name}: {peak} bytes for {} of the file", encoded.len());
        match (&decoded, reason) {
            (Ok(()), None) => {}
            (Err(said), Some(reason)) if said.contains(reason) => {}
            other => panic!("{name}: {other:?}"),
        }
        assert!(peak <= most, "{name}: {peak} bytes, of {most} at most");
    }
}
