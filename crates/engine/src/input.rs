//! What a model's single input is, told from its tensor.

use ncs_image::{Element, InputSpec, Layout};

/// Reads a model's input off its tensor; the error is a reason with a remedy.
///
/// The element is told from the tensor's byte size ÷ its element count, because the numbers of
/// OpenVINO's element types changed between releases (u8 is 14 up to 2024.2, 17 from 2024.3, 16
/// from 2025.1). So an `i32` input looks like `f32`: a model that wants integers wider than a byte
/// must be converted first.
///
/// The layout is told from the shape: `[1, C, H, W]` is NCHW and `[1, H, W, C]` is NHWC, C being 1
/// or 3. Where both fit (`[1, 3, 224, 3]`), NCHW is taken.
pub(crate) fn input_of(shape: &[i64], bytes: usize, elements: usize) -> Result<InputSpec, String> {
    let sides: Vec<usize> = shape
        .iter()
        .filter_map(|&n| usize::try_from(n).ok())
        .collect();
    let (layout, channels, height, width) = match *sides.as_slice() {
        [batch, ..] if batch != 1 => {
            return Err(format!(
                "its input {shape:?} has batch {batch}, expected 1; convert it with batch 1"
            ));
        }
        [_, c @ (1 | 3), h, w] => (Layout::Nchw, c, h, w),
        [_, h, w, c @ (1 | 3)] => (Layout::Nhwc, c, h, w),
        _ => {
            return Err(format!(
                "its input has shape {shape:?}, expected [1, C, H, W] or [1, H, W, C] with 1 \
                 or 3 channels; convert it with such an input"
            ));
        }
    };
    let element = match bytes.checked_div(elements) {
        Some(1) => Element::U8,
        Some(2) => Element::F16,
        Some(4) => Element::F32,
        _ => {
            return Err(format!(
                "its input has {bytes} bytes for {elements} elements, expected 1 (u8), 2 (f16) \
                 or 4 (f32) bytes each; convert it with such an input"
            ));
        }
    };
    let input = InputSpec {
        layout,
        channels,
        height,
        width,
        element,
    };
    if height == 0 || width == 0 || input.byte_len() != bytes {
        return Err(format!(
            "its input {shape:?} holds {bytes} bytes, which do not match"
        ));
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_and_elements_are_told_from_shape_and_size() {
        let said = |shape: &[i64], bytes, elements| {
            input_of(shape, bytes, elements).map(|input| input.to_string())
        };
        assert_eq!(
            said(&[1, 3, 224, 224], 602_112, 150_528).as_deref(),
            Ok("[1, 3, 224, 224] f32 NCHW")
        );
        assert_eq!(
            said(&[1, 224, 200, 3], 134_400, 134_400).as_deref(),
            Ok("[1, 224, 200, 3] u8 NHWC")
        );
        assert_eq!(
            said(&[1, 28, 28, 1], 1_568, 784).as_deref(),
            Ok("[1, 28, 28, 1] f16 NHWC")
        );
        assert_eq!(
            said(&[1, 1, 28, 28], 784, 784).as_deref(),
            Ok("[1, 1, 28, 28] u8 NCHW")
        );
    }

    #[test]
    fn an_ambiguous_shape_is_read_as_nchw() {
        let input = input_of(&[1, 3, 224, 3], 2016, 2016).map(|i| i.layout);
        assert_eq!(input, Ok(Layout::Nchw));
    }

    #[test]
    fn other_inputs_are_refused_with_a_remedy() {
        for (shape, bytes, elements, word) in [
            (&[2_i64, 3, 224, 224][..], 301_056, 301_056, "batch 2"),
            (&[1, 4, 224, 224], 200_704, 200_704, "1 or 3 channels"),
            (&[1, 1000], 4000, 1000, "shape [1, 1000]"),
            (&[1, 3, 8, 8], 1536, 192, "1536 bytes for 192 elements"),
            (&[1, 3, 0, 8], 0, 0, "0 elements"),
            (&[], 0, 0, "shape []"),
        ] {
            let error = input_of(shape, bytes, elements).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
