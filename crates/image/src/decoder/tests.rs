//! Hostile, damaged and odd images through the whole decoder. That whole images are right is shown
//! against OpenCV in `tests/opencv_pixels.rs`.

use std::io::Cursor;

use image::{DynamicImage, RgbImage};
use proptest::prelude::*;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::*;
use crate::memory;

#[path = "../../../../fuzz/properties/inputs.rs"]
mod inputs;

const WIDTH: usize = 48;
const HEIGHT: usize = 40;

fn input(element: Element) -> InputSpec {
    InputSpec {
        layout: Layout::Nchw,
        channels: 3,
        height: 24,
        width: 32,
        element,
    }
}

fn decoder(limits: ImageLimits) -> ImageDecoder {
    ImageDecoder::new(input(Element::F32), Preprocessing::default(), limits).unwrap()
}

fn decode(encoded: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut tensor = vec![0; input(Element::F32).byte_len()];
    decoder(ImageLimits::default())
        .decode_into(encoded, None, &mut tensor)
        .map(|()| tensor)
}

/// Noise, so that the encoded picture is long enough to be cut anywhere.
fn noise(width: usize, height: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..width * height * 3).map(|_| next()).collect()
}

fn jpeg(width: usize, height: usize, progressive: bool) -> Vec<u8> {
    let pixels = noise(width, height);
    let image = Image {
        pixels: pixels.as_slice(),
        width,
        pitch: width * 3,
        height,
        format: PixelFormat::RGB,
    };
    let mut compressor = Compressor::new().unwrap();
    compressor.set_subsamp(Subsamp::Sub2x2).unwrap();
    compressor.set_progressive(progressive).unwrap();
    compressor.compress_to_vec(image).unwrap()
}

fn other(format: image::ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_raw(48, 40, noise(WIDTH, HEIGHT)).unwrap();
    let mut encoded = Cursor::new(Vec::new());
    DynamicImage::from(image)
        .write_to(&mut encoded, format)
        .unwrap();
    encoded.into_inner()
}

fn one_of_each() -> [Vec<u8>; 5] {
    [
        jpeg(WIDTH, HEIGHT, false),
        jpeg(WIDTH, HEIGHT, true),
        other(image::ImageFormat::Png),
        other(image::ImageFormat::Bmp),
        other(image::ImageFormat::WebP),
    ]
}

/// A JPEG's picture header patched to announce other sides.
fn announcing(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let is_start = |pair: &[u8]| pair[0] == 0xFF && matches!(pair[1], 0xC0..=0xC2);
    let at = jpeg.windows(2).position(is_start).unwrap() + 5;
    jpeg[at..at + 2].copy_from_slice(&height.to_be_bytes());
    jpeg[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
    jpeg
}

fn png_chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    let len = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&len[..], kind, data, &(!crc).to_be_bytes()].concat()
}

#[test]
fn one_of_each_format_is_decoded() {
    for encoded in one_of_each() {
        decode(&encoded).unwrap();
    }
}

#[test]
fn an_images_size_is_told_by_its_header_alone() {
    let mut decoder = decoder(ImageLimits::default());
    for encoded in one_of_each() {
        assert_eq!(decoder.size_of(&encoded, None), Ok((WIDTH, HEIGHT)));
        assert!(decoder.size_of(&encoded[..20], None).is_err());
    }
    let [whole, ..] = one_of_each();
    let half = &whole[..whole.len() / 2];
    assert_eq!(decoder.size_of(half, None), Ok((WIDTH, HEIGHT)));
    let huge = announcing(whole, u16::MAX, u16::MAX);
    let error = decoder.size_of(&huge, None).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
}

#[test]
fn the_size_is_that_of_the_upright_image() {
    let sideways = include_bytes!("../../../../fuzz/corpus/image/jpeg-exif-6.jpg");
    let upright = include_bytes!("../../../../fuzz/corpus/image/jpeg-exif-1.jpg");
    let mut decoder = decoder(ImageLimits::default());
    let (width, height) = decoder.size_of(upright, None).unwrap();
    assert_ne!(width, height);
    assert_eq!(decoder.size_of(sideways, None), Ok((height, width)));
}

#[test]
fn huge_headers_are_refused_by_their_headers() {
    let sides = u32::from(u16::MAX).to_be_bytes();
    let header = [&sides[..], &sides, &[8, 2, 0, 0, 0]].concat();
    let png = [
        &b"\x89PNG\r\n\x1A\n"[..],
        &png_chunk(b"IHDR", &header),
        &png_chunk(b"IDAT", &[0x78, 0x9C, 0x63, 0, 0]),
    ]
    .concat();
    let mut bmp = other(image::ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    for encoded in [
        announcing(jpeg(WIDTH, HEIGHT, false), u16::MAX, u16::MAX),
        announcing(jpeg(WIDTH, HEIGHT, true), u16::MAX, u16::MAX),
        announcing(jpeg(WIDTH, HEIGHT, false), 20_001, 1),
        announcing(jpeg(WIDTH, HEIGHT, false), 10_001, 10_000),
        png,
        bmp,
    ] {
        let started = std::time::Instant::now();
        let error = decode(&encoded).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
        // Room for 65535 × 65535 pixels would take seconds to be had.
        assert!(started.elapsed().as_millis() < 500);
    }
}

/// A PNG of one pixel, and what `describe` adds to it.
fn described_png(describe: impl FnOnce(&mut png::Info<'_>)) -> Vec<u8> {
    let mut file = Vec::new();
    let mut info = png::Info::with_size(1, 1);
    describe(&mut info);
    let described = png::Encoder::with_info(&mut file, info).unwrap();
    let mut writer = described.write_header().unwrap();
    writer.write_image_data(&[7]).unwrap();
    writer.finish().unwrap();
    file
}

#[test]
fn a_png_may_bring_along_a_megabyte_about_itself() {
    use png::text_metadata::{ITXtChunk, TEXtChunk};

    let plain = decode(&described_png(|_| {})).unwrap();
    let text = || "x".repeat(1 << 20);
    // Noise, which stays as large when it is compressed.
    let profile = noise(1000, 300);
    for (name, png) in [
        (
            "tEXt",
            described_png(|info| {
                let chunk = TEXtChunk::new("Comment", text());
                info.uncompressed_latin1_text.push(chunk);
            }),
        ),
        (
            "iTXt",
            described_png(|info| {
                let chunk = ITXtChunk::new("XML:com.adobe.xmp", text());
                info.utf8_text.push(chunk);
            }),
        ),
        (
            "iCCP",
            described_png(|info| info.icc_profile = Some(profile.into())),
        ),
    ] {
        assert!(png.len() > 900_000, "{name}: {} bytes", png.len());
        assert_eq!(decode(&png).as_ref(), Ok(&plain), "{name}");
    }
}

#[test]
fn truncated_images_are_errors_and_not_half_a_picture() {
    for encoded in one_of_each() {
        for part in [1, 2, 5, 9] {
            let len = encoded.len() * part / 10;
            let result = decode(&encoded[..len]);
            assert!(
                matches!(result, Err(ImageError::Undecodable(_))),
                "{part}/10: {result:?}"
            );
        }
    }
    for progressive in [false, true] {
        let whole = jpeg(WIDTH, HEIGHT, progressive);
        let error = decode(&whole[..whole.len() - 2]).unwrap_err().to_string();
        assert!(error.to_lowercase().contains("premature end"), "{error}");
    }
}

#[test]
fn extraneous_bytes_are_accepted_before_a_proper_end_only() {
    let whole = jpeg(WIDTH, HEIGHT, false);
    let (picture, end) = whole.split_at(whole.len() - 2);
    let junk = [picture, &[0x12, 0x34, 0x56], end].concat();
    assert_eq!(decode(&junk), decode(&whole));
    let followed = [whole.as_slice(), b"what a camera adds"].concat();
    assert_eq!(decode(&followed), decode(&whole));
}

#[test]
fn a_webp_ends_where_it_says_so() {
    let whole = other(image::ImageFormat::WebP);
    // What is read as a chunk would claim a gigabyte.
    let followed = [whole.as_slice(), b"junkjunk what a camera adds"].concat();
    assert_eq!(decode(&followed), decode(&whole));
}

#[test]
fn damage_inside_a_picture_is_an_error() {
    // A restart marker where there are none.
    let mut damaged = jpeg(WIDTH, HEIGHT, false);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 2].copy_from_slice(&[0xFF, 0xD3]);
    assert!(matches!(decode(&damaged), Err(ImageError::Undecodable(_))));
}

/// A progressive JPEG of 8 × 8 pixels whose scans do nothing; `frame` is the marker of its header.
fn with_scans(frame: u8, scans: u32) -> Vec<u8> {
    let table = |class: u8, value: u8| {
        let mut table = vec![0xFF, 0xC4, 0, 20, class, 1];
        table.extend([0; 15]);
        table.push(value);
        table
    };
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    jpeg.extend([1; 64]);
    jpeg.extend([0xFF, frame, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    jpeg.extend(table(0x00, 0));
    jpeg.extend(table(0x10, 0));
    jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0, 0x7F]);
    for _ in 1..scans {
        jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 63, 0, 0x7F]);
    }
    jpeg.extend([0xFF, 0xD9]);
    jpeg
}

#[test]
fn scans_are_limited() {
    const HUFFMAN: u8 = 0xC2;
    const ARITHMETIC: u8 = 0xCA;
    for (frame, limit) in [(HUFFMAN, 64), (ARITHMETIC, 16)] {
        decode(&with_scans(frame, limit)).unwrap();
        let error = decode(&with_scans(frame, limit + 1)).unwrap_err();
        let expected = format!("more than {limit} scans");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn a_stream_of_tables_does_not_get_the_size_of_the_image_before() {
    let tables = b"\xFF\xD8\xFF\xC4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\xD9";
    let mut tensor = vec![0; input(Element::F32).byte_len()];
    let mut decoder = decoder(ImageLimits::default());
    decoder
        .decode_into(&jpeg(WIDTH, HEIGHT, false), None, &mut tensor)
        .unwrap();
    let result = decoder.decode_into(tables, None, &mut tensor);
    assert!(
        matches!(result, Err(ImageError::Undecodable(_))),
        "{result:?}"
    );
}

#[test]
fn a_decoder_goes_on_after_failures() {
    let good = jpeg(WIDTH, HEIGHT, false);
    let expected = decode(&good).unwrap();
    let mut decoder = decoder(ImageLimits::default());
    let mut tensor = vec![0; expected.len()];
    for encoded in one_of_each() {
        let _ = decoder.decode_into(&encoded[..encoded.len() / 2], None, &mut tensor);
        decoder.decode_into(&good, None, &mut tensor).unwrap();
        assert_eq!(tensor, expected);
    }
}

#[test]
fn a_jpeg_that_ends_anywhere_does_not_spoil_the_next_one() {
    let good = jpeg(WIDTH, HEIGHT, false);
    let expected = decode(&good).unwrap();
    let mut tensor = vec![0; expected.len()];
    let picture = good.windows(2).position(|two| two == [0xFF, 0xDA]).unwrap();
    for len in 0..picture + 20 {
        let mut decoder = decoder(ImageLimits::default());
        let damaged = decoder.decode_into(&good[..len], Some(ImageFormat::Jpeg), &mut tensor);
        assert!(damaged.is_err(), "{len}");
        let next = decoder.decode_into(&good, None, &mut tensor);
        assert_eq!(next, Ok(()), "after {len} bytes");
        assert!(tensor == expected, "after {len} bytes");
    }
}

#[test]
fn a_panic_is_that_images_failure() {
    let good = jpeg(WIDTH, HEIGHT, false);
    let mut decoder = decoder(ImageLimits::default());
    let mut tensor = vec![0; input(Element::U8).byte_len()];
    // A writer of four-byte elements runs out of a tensor of one-byte ones.
    decoder.input = input(Element::U8);
    let error = decoder
        .decode_into(&good, None, &mut tensor)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the decoder panicked: "), "{error}");
    decoder.writer = TensorWriter::new(input(Element::U8), Preprocessing::default()).unwrap();
    decoder.decode_into(&good, None, &mut tensor).unwrap();
}

#[test]
fn buffers_of_a_huge_image_are_given_back() {
    let mut decoder = decoder(ImageLimits::default());
    let mut tensor = vec![0; input(Element::F32).byte_len()];
    // Too low to be scaled while decoding, so 19 megabytes of pixels.
    let huge = jpeg(20_000, 240, false);
    decoder.input.height = 240;
    decoder.input.width = 16;
    tensor.resize(decoder.input.byte_len(), 0);
    decoder.decode_into(&huge, None, &mut tensor).unwrap();
    let kept = decoder.state.decoded.capacity();
    assert!(kept <= KEPT_BYTES, "{kept}");
}

#[test]
fn a_tensor_of_the_wrong_size_is_refused() {
    let result = decoder(ImageLimits::default()).decode_into(&[], None, &mut [0; 7]);
    assert!(matches!(
        result,
        Err(ImageError::WrongTensorSize { got: 7, .. })
    ));
}

/// Decodes with limits that keep a lucky mutation of the size from taking long.
fn must_not_panic(encoded: &[u8], format: Option<ImageFormat>) {
    let limits = ImageLimits {
        max_pixels: 1 << 20,
        max_side: 4096,
    };
    let mut tensor = vec![0; input(Element::F32).byte_len()];
    if let Err(error) = decoder(limits).decode_into(encoded, format, &mut tensor) {
        assert!(!error.to_string().contains("panicked"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        format in prop::sample::select(vec![
            None,
            Some(ImageFormat::Jpeg),
            Some(ImageFormat::Png),
            Some(ImageFormat::Bmp),
            Some(ImageFormat::Webp),
        ]),
    ) {
        must_not_panic(&bytes, format);
    }

    #[test]
    fn mutated_images_never_panic(
        which in 0..5_usize,
        // Most headers are at the front, so half of the changes are made there.
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        front in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut encoded = one_of_each()[which].clone();
        for (at, byte) in changes {
            let len = if front { encoded.len().min(200) } else { encoded.len() };
            encoded[at.index(len)] = byte;
        }
        must_not_panic(&encoded, None);
        must_not_panic(&encoded[..cut.index(encoded.len())], None);
    }
}

#[test]
fn no_committed_image_asks_for_more_memory_than_its_pixels_need() {
    /// The largest of them has 400 × 300 pixels, and asks for less than a megabyte; but one brings
    /// along a colour profile of 12 MiB.
    const MAX_BYTES: usize = 20 << 20;
    inputs::hold_all("image", |encoded| {
        let (asked, decoded) = memory::asked_during(|| decode(encoded));
        assert!(asked < MAX_BYTES, "{asked} bytes");
        decoded.is_ok()
    });
}
