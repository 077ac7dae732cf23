//! The input is a file that says it is an image.

use std::mem::{Discriminant, discriminant};

use ncs_image::{
    Element, ImageDecoder, ImageError, ImageFormat, ImageLimits, InputSpec, Layout, Preprocessing,
};

use super::sentence;

/// Far below the worker's own limits: a header that announces much is then refused early, so that
/// an input takes milliseconds under a sanitizer, and memory can be held to a tight bound.
const LIMITS: ImageLimits = ImageLimits {
    max_pixels: 1 << 20,
    max_side: 8192,
};

/// A JPEG of nothing but the value 128.
const GREY: &[u8] = include_bytes!("../corpus/image/jpeg-grey-128.jpg");

/// In a decoder that has failed, or has leftovers in its buffers, everything must come out as in a
/// new one; and both layouts must show the same picture.
///
/// Returns whether the image was decoded.
pub(crate) fn hold(encoded: &[u8]) -> bool {
    let [is_color, is_grey] = [3, 1].map(|channels| {
        let packed = picture(input(Layout::Nhwc, channels, Element::U8), encoded);
        let planes = picture(input(Layout::Nchw, channels, Element::F32), encoded);
        assert_eq!(kind(&packed), kind(&planes), "the layouts differ");
        packed.is_ok()
    });
    assert_eq!(is_color, is_grey, "decoded for one kind of network only");
    is_color
}

const fn input(layout: Layout, channels: usize, element: Element) -> InputSpec {
    InputSpec {
        layout,
        channels,
        height: 12,
        width: 16,
        element,
    }
}

/// The pixels, row by row, as the tensor holds them.
fn picture(input: InputSpec, encoded: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut decoder = ImageDecoder::new(input, Preprocessing::default(), LIMITS)
        .expect("an input like that of real networks");
    let first = decode(&mut decoder, input, encoded, None, 0x00);
    shows_grey(&mut decoder, input);
    // Another poison: an element that is not written differs between the two.
    let second = decode(&mut decoder, input, encoded, None, 0xFF);
    assert_eq!(kind(&first), kind(&second), "decoding again differs");
    if input.element == Element::U8 && input.channels == 3 {
        as_announced(&mut decoder, input, encoded, &first);
    }
    match &first {
        Ok(tensor) => Ok(pixels(input, tensor)),
        Err(error) => {
            sentence::must_be_short(error);
            assert!(!error.to_string().contains("panicked"), "{error}");
            Err(error.clone())
        }
    }
}

/// What the message announces decides, and a wrong announcement is an error like any other.
fn as_announced(
    decoder: &mut ImageDecoder,
    input: InputSpec,
    encoded: &[u8],
    by_content: &Result<Vec<u8>, ImageError>,
) {
    let content = ImageFormat::of(encoded).ok();
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Webp,
    ] {
        let announced = decode(decoder, input, encoded, Some(format), 0x55);
        if content == Some(format) {
            assert_eq!(kind(&announced), kind(by_content));
        } else {
            assert!(announced.is_err(), "{content:?} as {format:?}");
        }
    }
    shows_grey(decoder, input);
}

fn decode(
    decoder: &mut ImageDecoder,
    input: InputSpec,
    encoded: &[u8],
    format: Option<ImageFormat>,
    poison: u8,
) -> Result<Vec<u8>, ImageError> {
    let mut tensor = vec![poison; input.byte_len()];
    let result = decoder.decode_into(encoded, format, &mut tensor);
    result.map(|()| tensor)
}

/// A picture is compared whole, an error by its kind: libjpeg-turbo words one differently when it has
/// seen another image before.
fn kind(result: &Result<Vec<u8>, ImageError>) -> Result<&[u8], Discriminant<ImageError>> {
    result.as_deref().map_err(discriminant)
}

/// The decoder is good for the next image.
fn shows_grey(decoder: &mut ImageDecoder, input: InputSpec) {
    let tensor = decode(decoder, input, GREY, None, 0xAA).expect("a good image");
    assert!(pixels(input, &tensor).iter().all(|&value| value == 128));
}

/// The values of the tensor, in the order of packed pixels. All of them are whole numbers from 0 to
/// 255, since the preprocessing changes nothing.
fn pixels(input: InputSpec, tensor: &[u8]) -> Vec<u8> {
    let values: Vec<u8> = match input.element {
        Element::U8 => tensor.to_vec(),
        _ => tensor.as_chunks().0.iter().map(|&v| whole(v)).collect(),
    };
    match input.layout {
        Layout::Nhwc => values,
        Layout::Nchw => {
            let plane = input.height * input.width;
            (0..plane)
                .flat_map(|at| values.iter().skip(at).step_by(plane))
                .copied()
                .collect()
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "compared with what it was afterwards"
)]
fn whole(single: [u8; 4]) -> u8 {
    let value = f32::from_ne_bytes(single);
    let whole = value as u8;
    assert!(
        f32::from(whole).to_bits() == value.to_bits(),
        "{value} in the tensor"
    );
    whole
}
