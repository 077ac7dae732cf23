//! The way of one image, from its bytes to the input tensor.
//!
//! Between the steps a pixel is one byte (grey models) or four (colour models: the model's three
//! channels in the model's order, and one that is ignored). Four, because resizing and converting
//! four-byte pixels vectorises well, and three-byte ones do not.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::jpeg::JpegReader;
use crate::orientation::{is_sideways, turn};
use crate::resize::Stretcher;
use crate::tensor::{TensorWriter, check_tensor_size};
use crate::{
    ColorOrder, Element, ImageError, ImageFormat, ImageLimits, InputSpec, Layout, Preprocessing,
    PreprocessingError, raster,
};

/// Buffers above this are given back after the image that needed them. It is room for a million pixels,
/// more than is left of most JPEGs that are scaled down while they are decoded.
const KEPT_BYTES: usize = 4 << 20;

/// Decodes images into input tensors. `Send`; one per thread, since it keeps its buffers and its
/// JPEG decoder from image to image.
///
/// The image is stretched to the input's size, as OpenCV's `imread` followed by `resize` would.
///
/// At full size the pixels are those of OpenCV 5.0: equal for colour, within 2 of 255 for CMYK, and
/// within 1 where a grey model gets a PNG, BMP or WebP. Resized: within 1 of `INTER_LINEAR` where
/// both sides grow; where photos shrink to less than half, within 24 of `INTER_AREA`, and 0.2 to 1.3
/// on average (`INTER_AREA` and `INTER_LINEAR` themselves differ by 5 on average and 95 at most).
/// `tests/opencv_pixels.rs` holds it to that.
pub struct ImageDecoder {
    input: InputSpec,
    colors: ColorOrder,
    limits: ImageLimits,
    writer: TensorWriter,
    state: State,
}

/// What a panicking decoder may leave broken, and what is made anew then.
struct State {
    jpeg: JpegReader,
    stretcher: Stretcher,
    decoded: Vec<u8>,
    stretched: Vec<u8>,
    turned: Vec<u8>,
}

/// An image whose pixels are in a buffer: its size, and how to turn it to be upright.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoded {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) orientation: image::metadata::Orientation,
}

/// How many bytes a pixel has between the steps, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PixelKind {
    Grey,
    Color(ColorOrder),
}

impl PixelKind {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Color(_) => 4,
        }
    }
}

impl ImageDecoder {
    /// A decoder for a model's input.
    ///
    /// # Errors
    ///
    /// [`PreprocessingError`] if the preprocessing does not fit the input.
    pub fn new(
        input: InputSpec,
        preprocessing: Preprocessing,
        limits: ImageLimits,
    ) -> Result<Self, PreprocessingError> {
        let colors = preprocessing.color_order;
        let writer = TensorWriter::new(input, preprocessing)?;
        let state = State::new().map_err(PreprocessingError)?;
        Ok(Self {
            input,
            colors,
            limits,
            writer,
            state,
        })
    }

    /// Decodes `encoded` and writes the whole of `tensor`. Without a `format` the content tells.
    ///
    /// # Errors
    ///
    /// Any [`ImageError`]; `tensor` then holds anything. A panic inside a decoder is
    /// [`ImageError::Undecodable`] too.
    pub fn decode_into(
        &mut self,
        encoded: &[u8],
        format: Option<ImageFormat>,
        tensor: &mut [u8],
    ) -> Result<(), ImageError> {
        check_tensor_size(tensor.len(), &self.input)?;
        self.catching(|decoder| {
            let result = decoder.decode(encoded, format, tensor);
            decoder.state.shrink();
            result
        })
    }

    /// Width and height of the upright image, told by its header: nothing is decoded.
    ///
    /// # Errors
    ///
    /// As [`Self::decode_into`], as far as the header tells.
    pub fn size_of(
        &mut self,
        encoded: &[u8],
        format: Option<ImageFormat>,
    ) -> Result<(usize, usize), ImageError> {
        self.catching(|Self { limits, state, .. }| {
            let (width, height, orientation) =
                match format.map_or_else(|| ImageFormat::of(encoded), Ok)? {
                    ImageFormat::Jpeg => state.jpeg.read_header(encoded, limits)?.size(),
                    other => raster::size(encoded, other, limits)?,
                };
            Ok(if is_sideways(orientation) {
                (height, width)
            } else {
                (width, height)
            })
        })
    }

    fn catching<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let caught = catch_unwind(AssertUnwindSafe(|| work(self)));
        caught.unwrap_or_else(|panic| {
            let reason = format!("the decoder panicked: {}", panic_text(panic.as_ref()));
            self.state = State::new().map_err(ImageError::Undecodable)?;
            Err(ImageError::Undecodable(reason))
        })
    }

    fn decode(
        &mut self,
        encoded: &[u8],
        format: Option<ImageFormat>,
        tensor: &mut [u8],
    ) -> Result<(), ImageError> {
        let Self {
            input,
            colors,
            limits,
            writer,
            state,
        } = self;
        let kind = if input.channels == 1 {
            PixelKind::Grey
        } else {
            PixelKind::Color(*colors)
        };

        let decoded = match format.map_or_else(|| ImageFormat::of(encoded), Ok)? {
            ImageFormat::Jpeg => {
                let header = state.jpeg.read_header(encoded, limits)?;
                if is_packed_u8(input) && header.is_ready(input.width, input.height) {
                    return state.jpeg.decode_packed(encoded, &header, kind, tensor);
                }
                let target = sides_before_turning(input, header.orientation);
                state
                    .jpeg
                    .decode_about(encoded, &header, target, kind, &mut state.decoded)?
            }
            other => raster::decode(encoded, other, limits, kind, &mut state.decoded)?,
        };
        let pixels = state.upright_at_input_size(input, kind, decoded)?;
        writer.write(pixels, tensor);
        Ok(())
    }
}

/// Whether the tensor is pixels side by side, as a decoder puts them out.
fn is_packed_u8(input: &InputSpec) -> bool {
    input.element == Element::U8 && (input.layout == Layout::Nhwc || input.channels == 1)
}

/// The input's width and height, exchanged for an image that lies on its side.
fn sides_before_turning(
    input: &InputSpec,
    orientation: image::metadata::Orientation,
) -> (usize, usize) {
    if is_sideways(orientation) {
        (input.height, input.width)
    } else {
        (input.width, input.height)
    }
}

impl State {
    fn new() -> Result<Self, String> {
        Ok(Self {
            jpeg: JpegReader::new()?,
            stretcher: Stretcher::new(),
            decoded: Vec::new(),
            stretched: Vec::new(),
            turned: Vec::new(),
        })
    }

    /// Resizes, then turns: the input is smaller than most images, so there is less to turn then.
    fn upright_at_input_size(
        &mut self,
        input: &InputSpec,
        kind: PixelKind,
        decoded: Decoded,
    ) -> Result<&[u8], ImageError> {
        let Self {
            stretcher,
            decoded: pixels,
            stretched,
            turned,
            ..
        } = self;
        let Decoded {
            width,
            height,
            orientation,
        } = decoded;
        let from = (width, height);
        let to = sides_before_turning(input, orientation);
        let pixels = &pixels[..width * height * kind.bytes()];
        let pixels = if from == to {
            pixels
        } else {
            stretcher.stretch(pixels, from, to, kind, stretched)?
        };
        Ok(turn(pixels, to, kind.bytes(), orientation, turned))
    }

    fn shrink(&mut self) {
        for buffer in [&mut self.decoded, &mut self.stretched, &mut self.turned] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
        self.jpeg.shrink(KEPT_BYTES);
        self.stretcher.shrink(KEPT_BYTES);
    }
}

/// The first `len` bytes of a buffer, grown if need be. Not cleared: every step writes all of its
/// output.
pub(crate) fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
