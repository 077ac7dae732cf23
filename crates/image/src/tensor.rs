//! Writing pixels, or a ready tensor, into the input tensor.

use half::f16;

use crate::{Element, ImageError, InputSpec, Layout, Preprocessing, PreprocessingError};

/// Copies a ready input tensor: `bytes` are its values in the model's layout and element, little
/// endian as on every machine OpenVINO runs on.
///
/// # Errors
///
/// [`ImageError::WrongTensorSize`] if either length is not that of `input`.
pub fn copy_tensor(bytes: &[u8], input: &InputSpec, tensor: &mut [u8]) -> Result<(), ImageError> {
    check_tensor_size(bytes.len(), input)?;
    check_tensor_size(tensor.len(), input)?;
    tensor.copy_from_slice(bytes);
    Ok(())
}

/// Whether so many bytes are what `input` takes.
///
/// # Errors
///
/// [`ImageError::WrongTensorSize`] if not.
pub fn check_tensor_size(got: usize, input: &InputSpec) -> Result<(), ImageError> {
    let expected = input.byte_len();
    if got == expected {
        return Ok(());
    }
    Err(ImageError::WrongTensorSize {
        expected,
        got,
        input: input.to_string(),
    })
}

/// Writes pixels of the input's size into its tensor.
pub(crate) struct TensorWriter {
    input: InputSpec,
    /// Mean and scale of each channel.
    affine: Vec<(f32, f32)>,
    /// For f16: each channel's value for each of the 256 values of a pixel. Converting to half
    /// precision one by one is slow without special instructions.
    halves: Vec<[[u8; 2]; 256]>,
}

impl TensorWriter {
    pub(crate) fn new(
        input: InputSpec,
        preprocessing: Preprocessing,
    ) -> Result<Self, PreprocessingError> {
        let affine = preprocessing.per_channel(&input)?;
        let half = |value: u8, (mean, scale): (f32, f32)| {
            f16::from_f32((f32::from(value) - mean) / scale).to_ne_bytes()
        };
        let halves = match input.element {
            Element::F16 => affine
                .iter()
                .map(|&affine| {
                    let mut table = [[0; 2]; 256];
                    (0..=255)
                        .zip(&mut table)
                        .for_each(|(v, entry)| *entry = half(v, affine));
                    table
                })
                .collect(),
            Element::U8 | Element::F32 => Vec::new(),
        };
        Ok(Self {
            input,
            affine,
            halves,
        })
    }

    /// `pixels` are `height` × `width` of the input, of 4 bytes (colour) or 1 byte (grey) each;
    /// `tensor` has the input's size.
    pub(crate) fn write(&self, pixels: &[u8], tensor: &mut [u8]) {
        if self.input.channels == 1 {
            let (pixels, _) = pixels.as_chunks();
            self.write_channel::<1, 0, 1>(pixels, tensor);
        } else {
            let (pixels, _) = pixels.as_chunks();
            if self.input.element == Element::U8 && self.input.layout == Layout::Nhwc {
                return pack(pixels, tensor);
            }
            self.write_channel::<4, 0, 3>(pixels, tensor);
            self.write_channel::<4, 1, 3>(pixels, tensor);
            self.write_channel::<4, 2, 3>(pixels, tensor);
        }
    }

    /// The channel is known when this is compiled, else the loops below do not vectorise.
    fn write_channel<const BYTES: usize, const CHANNEL: usize, const CHANNELS: usize>(
        &self,
        pixels: &[[u8; BYTES]],
        tensor: &mut [u8],
    ) {
        let layout = self.input.layout;
        match self.input.element {
            Element::U8 => {
                let elements = tensor.as_chunks_mut().0;
                place::<BYTES, CHANNEL, CHANNELS, 1>(pixels, layout, elements, |value| [value]);
            }
            Element::F16 => {
                let table = &self.halves[CHANNEL];
                let elements = tensor.as_chunks_mut().0;
                place::<BYTES, CHANNEL, CHANNELS, 2>(pixels, layout, elements, |value| {
                    table[usize::from(value)]
                });
            }
            Element::F32 => {
                let (mean, scale) = self.affine[CHANNEL];
                let elements = tensor.as_chunks_mut().0;
                place::<BYTES, CHANNEL, CHANNELS, 4>(pixels, layout, elements, |value| {
                    ((f32::from(value) - mean) / scale).to_ne_bytes()
                });
            }
        }
    }
}

/// Converts one channel of all pixels and puts it where the layout wants it.
#[inline]
fn place<const BYTES: usize, const CHANNEL: usize, const CHANNELS: usize, const SIZE: usize>(
    pixels: &[[u8; BYTES]],
    layout: Layout,
    elements: &mut [[u8; SIZE]],
    convert: impl Fn(u8) -> [u8; SIZE],
) {
    match layout {
        Layout::Nchw => {
            let plane = &mut elements[CHANNEL * pixels.len()..][..pixels.len()];
            for (out, pixel) in plane.iter_mut().zip(pixels) {
                *out = convert(pixel[CHANNEL]);
            }
        }
        Layout::Nhwc => {
            for (out, pixel) in elements
                .as_chunks_mut::<CHANNELS>()
                .0
                .iter_mut()
                .zip(pixels)
            {
                out[CHANNEL] = convert(pixel[CHANNEL]);
            }
        }
    }
}

/// Four-byte pixels to three-byte ones.
fn pack(pixels: &[[u8; 4]], tensor: &mut [u8]) {
    for (out, [a, b, c, _]) in tensor.as_chunks_mut().0.iter_mut().zip(pixels) {
        *out = [*a, *b, *c];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pixels, 10 20 30 and 40 50 60, with their fourth byte.
    const PIXELS: [u8; 8] = [10, 20, 30, 255, 40, 50, 60, 255];

    fn write(layout: Layout, element: Element, mean: &[f32], scale: &[f32]) -> Vec<u8> {
        let input = InputSpec {
            layout,
            channels: 3,
            height: 1,
            width: 2,
            element,
        };
        let preprocessing = Preprocessing {
            mean: mean.to_vec(),
            scale: scale.to_vec(),
            ..Preprocessing::default()
        };
        let mut tensor = vec![0; input.byte_len()];
        TensorWriter::new(input, preprocessing)
            .unwrap()
            .write(&PIXELS, &mut tensor);
        tensor
    }

    fn singles(tensor: &[u8]) -> Vec<f32> {
        tensor
            .as_chunks()
            .0
            .iter()
            .map(|&single| f32::from_ne_bytes(single))
            .collect()
    }

    #[test]
    fn layouts_put_channels_where_they_belong() {
        assert_eq!(
            write(Layout::Nhwc, Element::U8, &[], &[]),
            [10, 20, 30, 40, 50, 60]
        );
        assert_eq!(
            write(Layout::Nchw, Element::U8, &[], &[]),
            [10, 40, 20, 50, 30, 60]
        );
        let planes = write(Layout::Nchw, Element::F32, &[], &[]);
        assert_eq!(singles(&planes), [10.0, 40.0, 20.0, 50.0, 30.0, 60.0]);
    }

    #[test]
    fn mean_and_scale_go_by_channel() {
        let tensor = write(
            Layout::Nhwc,
            Element::F32,
            &[10.0, 0.0, 0.0],
            &[1.0, 10.0, 2.0],
        );
        assert_eq!(singles(&tensor), [0.0, 2.0, 15.0, 30.0, 5.0, 30.0]);
        let halves = write(
            Layout::Nhwc,
            Element::F16,
            &[10.0, 0.0, 0.0],
            &[1.0, 10.0, 2.0],
        );
        let halves: Vec<f32> = halves
            .as_chunks()
            .0
            .iter()
            .map(|&half| f16::from_ne_bytes(half).to_f32())
            .collect();
        assert_eq!(halves, [0.0, 2.0, 15.0, 30.0, 5.0, 30.0]);
    }

    #[test]
    fn grey_tensors_have_one_plane() {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let element = Element::F32;
            let input = InputSpec {
                layout,
                channels: 1,
                height: 2,
                width: 1,
                element,
            };
            let mut tensor = vec![0; 8];
            let writer = TensorWriter::new(input, Preprocessing::default()).unwrap();
            writer.write(&[7, 9], &mut tensor);
            assert_eq!(singles(&tensor), [7.0, 9.0]);
        }
    }

    #[test]
    fn a_ready_tensor_must_have_the_inputs_size() {
        let layout = Layout::Nchw;
        let input = InputSpec {
            layout,
            channels: 3,
            height: 1,
            width: 1,
            element: Element::U8,
        };
        let mut tensor = [0; 3];
        assert_eq!(copy_tensor(&[1, 2, 3], &input, &mut tensor), Ok(()));
        assert_eq!(tensor, [1, 2, 3]);
        let error = copy_tensor(&[1, 2], &input, &mut tensor)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the tensor has 2 bytes, expected 3 for [1, 3, 1, 1] u8 NCHW"
        );
    }
}
