//! Decoding gives the pixels that OpenCV gives, at full size and resized.
//!
//! The references come from `make_opencv_references.py`. Differences are in steps of 1/255, over
//! all channels of all pixels.

mod common;

use ncs_image::{
    ColorOrder, Element, ImageDecoder, ImageFormat, ImageLimits, InputSpec, Layout, Preprocessing,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Index {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    kind: String,
    width: usize,
    height: usize,
    resized: Vec<Resized>,
}

#[derive(Deserialize)]
struct Resized {
    width: usize,
    height: usize,
    area: String,
    linear: String,
}

fn cases() -> Vec<Case> {
    let index: Index = common::json("references/opencv/index.json");
    assert!(index.cases.len() > 20, "the references are not complete");
    index.cases
}

fn reference(file: &str) -> Vec<u8> {
    common::bytes(&format!("references/opencv/{file}"))
}

fn decode(case: &Case, input: InputSpec, color_order: ColorOrder) -> Vec<u8> {
    let preprocessing = Preprocessing {
        color_order,
        ..Preprocessing::default()
    };
    let mut decoder =
        ImageDecoder::new(input, preprocessing, ImageLimits::default()).expect("a decoder");
    let mut tensor = vec![0; input.byte_len()];
    decoder
        .decode_into(&reference(&case.file), None, &mut tensor)
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    tensor
}

fn input(layout: Layout, channels: usize, width: usize, height: usize) -> InputSpec {
    InputSpec {
        layout,
        channels,
        height,
        width,
        element: Element::U8,
    }
}

/// Mean and largest difference.
fn difference(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let differences = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let pixels = u32::try_from(a.len()).expect("fewer than 4 billion values");
    let sum: f64 = differences().map(f64::from).sum();
    let mean = sum / f64::from(pixels);
    (mean, differences().max().unwrap_or(0))
}

/// `[C, H, W]` in RGB order → `[H, W, C]` in BGR order.
fn bgr_pixels(planes: &[u8]) -> Vec<u8> {
    let size = planes.len() / 3;
    (0..size)
        .flat_map(|at| [2, 1, 0].map(|channel| planes[channel * size + at]))
        .collect()
}

/// The largest difference at full size.
fn tolerance(kind: &str) -> u8 {
    match kind {
        "jpeg" | "lossless" => 0,
        // Another implementation of the decoder: equal today, and not by contract.
        "webp" => 1,
        // OpenCV multiplies inks with a shift, this crate with a rounded division.
        "cmyk" => 2,
        other => panic!("no tolerance for {other}"),
    }
}

#[test]
fn full_size_pixels_are_opencvs() {
    for case in cases().iter().filter(|case| case.kind != "large") {
        let expected = reference(&format!("{}.bgr", case.name));
        // JPEG is decoded straight into the first, and through buffers into the second.
        let packed = input(Layout::Nhwc, 3, case.width, case.height);
        let planes = input(Layout::Nchw, 3, case.width, case.height);
        for (way, pixels) in [
            ("straight", decode(case, packed, ColorOrder::Bgr)),
            (
                "buffered",
                bgr_pixels(&decode(case, planes, ColorOrder::Rgb)),
            ),
        ] {
            let (mean, max) = difference(&pixels, &expected);
            println!("{:26} {way}: mean {mean:.3} max {max}", case.name);
            assert!(
                max <= tolerance(&case.kind),
                "{} {way}: max {max}",
                case.name
            );
        }
    }
}

#[test]
fn full_size_grey_is_opencvs() {
    for case in cases().iter().filter(|case| case.kind != "large") {
        let expected = reference(&format!("{}.grey", case.name));
        let pixels = decode(
            case,
            input(Layout::Nchw, 1, case.width, case.height),
            ColorOrder::Bgr,
        );
        let (mean, max) = difference(&pixels, &expected);
        println!("{:26} grey: mean {mean:.3} max {max}", case.name);
        // JPEG stores the luma; elsewhere it is computed, and OpenCV cuts off instead of rounding.
        let tolerance = if case.kind == "jpeg" {
            0
        } else {
            tolerance(&case.kind).max(1)
        };
        assert!(max <= tolerance, "{}: max {max}", case.name);
    }
}

#[test]
fn resized_pixels_come_close_to_opencvs() {
    for case in cases() {
        for resized in &case.resized {
            let Resized {
                width,
                height,
                area,
                linear,
            } = resized;
            let input = input(Layout::Nhwc, 3, *width, *height);
            let pixels = decode(&case, input, ColorOrder::Bgr);
            let (area_mean, area_max) = difference(&pixels, &reference(area));
            let (linear_mean, linear_max) = difference(&pixels, &reference(linear));
            println!(
                "{:26} {width}x{height}: area mean {area_mean:.3} max {area_max}, linear mean \
                 {linear_mean:.3} max {linear_max}",
                case.name
            );
            // INTER_AREA is what an anti-aliased result compares with where a photo shrinks to less
            // than half (both ways of shrinking are soft just below full size, each in its own way),
            // INTER_LINEAR where it grows.
            let (mean, max, mean_limit, max_limit) =
                if *width >= case.width && *height >= case.height {
                    (linear_mean, linear_max, 0.5, 1)
                } else if *width * 2 < case.width {
                    (area_mean, area_max, 1.5, 24)
                } else {
                    (area_mean, area_max, 2.5, 48)
                };
            assert!(
                mean < mean_limit,
                "{} {width}x{height}: mean {mean}",
                case.name
            );
            assert!(
                max <= max_limit,
                "{} {width}x{height}: max {max}",
                case.name
            );
        }
    }
}

#[test]
fn the_format_is_taken_as_it_is_told() {
    let cases = cases();
    let case = cases
        .iter()
        .find(|case| case.name == "png-rgb")
        .expect("a PNG");
    let input = input(Layout::Nhwc, 3, case.width, case.height);
    let mut decoder =
        ImageDecoder::new(input, Preprocessing::default(), ImageLimits::default()).unwrap();
    let mut tensor = vec![0; input.byte_len()];
    let encoded = reference(&case.file);
    assert_eq!(
        decoder.decode_into(&encoded, Some(ImageFormat::Png), &mut tensor),
        Ok(())
    );
    assert!(
        decoder
            .decode_into(&encoded, Some(ImageFormat::Jpeg), &mut tensor)
            .is_err()
    );
}
