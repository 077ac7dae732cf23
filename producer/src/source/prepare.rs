//! `--prepare`: what is sent instead of an image as it is.

use super::{Image, Kind, MAX_SENT_BYTES, Size, jpeg};
use ncs_image::{
    ColorOrder, Element, ImageDecoder, ImageError, ImageFormat, ImageLimits, InputSpec, Layout,
    Preprocessing, PreprocessingError,
};
use ncs_protocol::ImageType;
use std::panic::{AssertUnwindSafe, catch_unwind};
use turbojpeg::Subsamp;

/// Of what the producer itself encodes. A JPEG of this quality with all its colours has 5 bits per
/// pixel, a fifth of the tensor's bytes in u8. `docs/tuning.md` has what other qualities change.
const QUALITY: i32 = 95;
/// None: halving the colours' resolution once more would change more than the quality does.
const SUBSAMPLING: Subsamp = Subsamp::None;

/// The most bytes of a file that is not sent as it is. More than any camera writes into an image that
/// [`ImageLimits`] allow.
const MAX_FILE_BYTES: usize = 64 << 20;

/// What is done with each image.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Preparation {
    /// Nothing: workers decode and stretch.
    #[default]
    Original,
    /// What is larger than this, on either side, is stretched to it and sent as a JPEG: workers decode.
    Shrink(Size),
    /// It becomes the network's input tensor: workers copy.
    Tensor(InputSpec, Preprocessing),
}

impl Preparation {
    /// The most bytes of a file that can be prepared.
    #[must_use]
    pub fn max_file_bytes(&self) -> usize {
        match self {
            Self::Original => MAX_SENT_BYTES,
            Self::Shrink(_) | Self::Tensor(..) => MAX_FILE_BYTES,
        }
    }

    /// What an image of so many bytes takes in memory at most, before and after: a tensor has its size
    /// whatever it was made of, and a JPEG is smaller than its pixels.
    #[must_use]
    pub fn bytes_of(&self, file: usize) -> usize {
        match self {
            Self::Original => file,
            Self::Shrink(size) => {
                file.max((size.width as usize).saturating_mul(size.height as usize) * 3)
            }
            Self::Tensor(input, _) => file.max(input.byte_len()),
        }
    }
}

/// Why one image was not prepared. The next one may be.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It cannot be decoded, or is too large for it.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What came of it does not fit into a message.
    #[error("it has {0} bytes when it is prepared; a message takes {MAX_SENT_BYTES}")]
    TooLarge(usize),
    /// It was decoded, and cannot be encoded again.
    #[error("it cannot be encoded as a JPEG: {0}")]
    Encode(String),
}

/// Prepares images, one at a time. `Send`; one per thread, since it keeps buffers and decoders from
/// image to image.
pub struct Prepare {
    way: Way,
}

enum Way {
    Original,
    Shrink(Box<Shrink>),
    Tensor(Box<ImageDecoder>, InputSpec),
}

struct Shrink {
    to: Size,
    decoder: ImageDecoder,
    encoder: jpeg::Encoder,
    pixels: Vec<u8>,
}

impl Prepare {
    /// Someone who prepares images in that way.
    ///
    /// # Errors
    /// When the preprocessing does not fit the network's input.
    pub fn new(preparation: &Preparation) -> Result<Self, PreprocessingError> {
        let limits = ImageLimits::default();
        let way = match preparation {
            Preparation::Original => Way::Original,
            Preparation::Shrink(to) => Way::Shrink(Box::new(Shrink::new(*to, limits)?)),
            Preparation::Tensor(input, preprocessing) => {
                let decoder = ImageDecoder::new(*input, preprocessing.clone(), limits)?;
                Way::Tensor(Box::new(decoder), *input)
            }
        };
        Ok(Self { way })
    }

    /// What to send. A ready tensor stays what it is. Blocks for some milliseconds, or up to half a
    /// second for the largest image.
    ///
    /// # Errors
    /// Any [`PrepareError`]; a panic is one, too.
    pub fn apply(&mut self, image: Image) -> Result<Image, PrepareError> {
        let prepared = match (&mut self.way, image.kind) {
            (Way::Original, _) | (Way::Shrink(_), Kind::Tensor) => image,
            (Way::Shrink(shrink), Kind::Image(image_type)) => shrink.apply(image, image_type)?,
            (Way::Tensor(_, input), Kind::Tensor) => {
                ncs_image::check_tensor_size(image.bytes.len(), input)?;
                image
            }
            (Way::Tensor(decoder, input), Kind::Image(image_type)) => {
                let mut tensor = vec![0; input.byte_len()];
                decoder.decode_into(&image.bytes, Some(format_of(image_type)), &mut tensor)?;
                Image::tensor(tensor)
            }
        };
        if prepared.bytes.len() > MAX_SENT_BYTES {
            return Err(PrepareError::TooLarge(prepared.bytes.len()));
        }
        Ok(prepared)
    }
}

impl Shrink {
    fn new(to: Size, limits: ImageLimits) -> Result<Self, PreprocessingError> {
        let (width, height) = to.sides();
        let input = InputSpec {
            layout: Layout::Nhwc,
            channels: 3,
            height,
            width,
            element: Element::U8,
        };
        let preprocessing = Preprocessing {
            color_order: ColorOrder::Rgb,
            ..Preprocessing::default()
        };
        let encoder = jpeg::Encoder::new(QUALITY, SUBSAMPLING);
        Ok(Self {
            to,
            decoder: ImageDecoder::new(input, preprocessing, limits)?,
            encoder: encoder.map_err(|error| PreprocessingError(error.to_string()))?,
            pixels: vec![0; input.byte_len()],
        })
    }

    /// Stretches as a worker would, so that the worker has only to decode.
    fn apply(&mut self, image: Image, image_type: ImageType) -> Result<Image, PrepareError> {
        let format = Some(format_of(image_type));
        let (width, height) = self.decoder.size_of(&image.bytes, format)?;
        let (most_width, most_height) = self.to.sides();
        let is_small = width <= most_width && height <= most_height;
        if is_small && image.bytes.len() <= MAX_SENT_BYTES {
            return Ok(image);
        }
        self.decoder
            .decode_into(&image.bytes, format, &mut self.pixels)?;
        // The decoder catches its own; this is for the encoder.
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            self.encoder.encode(&self.pixels, self.to)
        }));
        match encoded {
            Ok(Ok(jpeg)) => Ok(Image::jpeg(jpeg)),
            Ok(Err(error)) => Err(PrepareError::Encode(error.to_string())),
            Err(_panic) => Err(PrepareError::Encode("the encoder panicked".to_owned())),
        }
    }
}

fn format_of(image_type: ImageType) -> ImageFormat {
    match image_type {
        ImageType::Jpeg => ImageFormat::Jpeg,
        ImageType::Png => ImageFormat::Png,
        ImageType::Bmp => ImageFormat::Bmp,
        ImageType::Webp => ImageFormat::Webp,
    }
}

/// What threads may do with it, checked when this is compiled.
const _: () = {
    const fn send<T: Send>() {}
    send::<Prepare>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Synthetic;
    use ncs_protocol::Content;

    fn size(text: &str) -> Size {
        text.parse().unwrap()
    }

    fn photo(of: &str) -> Image {
        Synthetic::new(size(of), 0).next().unwrap().unwrap()
    }

    fn input(layout: Layout, element: Element) -> InputSpec {
        InputSpec {
            layout,
            channels: 3,
            height: 24,
            width: 32,
            element,
        }
    }

    /// What a worker's network gets to see of an image.
    fn seen(image: &Image, input: InputSpec) -> Vec<u8> {
        let limits = ImageLimits::default();
        let mut decoder = ImageDecoder::new(input, Preprocessing::default(), limits).unwrap();
        let mut tensor = vec![0; input.byte_len()];
        decoder
            .decode_into(&image.bytes, None, &mut tensor)
            .unwrap();
        tensor
    }

    fn apply(preparation: &Preparation, image: Image) -> Result<Image, PrepareError> {
        Prepare::new(preparation).unwrap().apply(image)
    }

    #[test]
    fn the_original_is_sent_as_it_is() {
        let image = photo("40x30");
        assert_eq!(apply(&Preparation::Original, image.clone()).unwrap(), image);
    }

    #[test]
    fn what_is_larger_on_either_side_is_stretched_as_a_worker_would() {
        for larger in ["320x240", "33x8", "8x25"] {
            let image = photo(larger);
            let shrunk = apply(&Preparation::Shrink(size("32x24")), image.clone()).unwrap();
            assert!(matches!(
                shrunk.content(),
                Content::Image(ImageType::Jpeg, _)
            ));
            let pixels = input(Layout::Nhwc, Element::U8);
            let mut decoder = Shrink::new(size("1x1"), ImageLimits::default())
                .unwrap()
                .decoder;
            assert_eq!(decoder.size_of(&shrunk.bytes, None), Ok((32, 24)));
            let (before, after) = (seen(&image, pixels), seen(&shrunk, pixels));
            let differences = before
                .iter()
                .zip(&after)
                .map(|(a, b)| u32::from(a.abs_diff(*b)));
            let mean = differences.sum::<u32>() / u32::try_from(before.len()).unwrap();
            assert!(mean <= 2, "{larger}: {mean} of 255 on average");
        }
    }

    #[test]
    fn what_is_small_enough_is_sent_as_it_is() {
        for small in ["32x24", "8x24", "1x1"] {
            let image = photo(small);
            let prepared = apply(&Preparation::Shrink(size("32x24")), image.clone()).unwrap();
            assert_eq!(prepared, image, "{small}");
        }
    }

    #[test]
    fn a_tensor_is_what_the_worker_would_have_made() {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for element in [Element::U8, Element::F16, Element::F32] {
                let input = input(layout, element);
                let tensor = Preparation::Tensor(input, Preprocessing::default());
                let image = photo("100x50");
                let expected = seen(&image, input);
                let prepared = apply(&tensor, image).unwrap();
                assert_eq!(prepared.content(), Content::Tensor(&expected), "{input}");
            }
        }
    }

    #[test]
    fn a_ready_tensor_stays_what_it_is_if_it_fits() {
        let input = input(Layout::Nchw, Element::U8);
        let tensor = Preparation::Tensor(input, Preprocessing::default());
        let ready = Image::tensor(vec![7; input.byte_len()]);
        for preparation in [&tensor, &Preparation::Shrink(size("8x8"))] {
            assert_eq!(apply(preparation, ready.clone()).unwrap(), ready);
        }
        let error = apply(&tensor, Image::tensor(vec![7; 5])).unwrap_err();
        assert!(
            error.to_string().contains("5 bytes, expected 2304"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_image_is_its_own_failure_only() {
        let input = input(Layout::Nchw, Element::F32);
        for preparation in [
            Preparation::Shrink(size("8x8")),
            Preparation::Tensor(input, Preprocessing::default()),
        ] {
            let mut prepare = Prepare::new(&preparation).unwrap();
            let good = photo("40x30");
            let expected = prepare.apply(good.clone()).unwrap();
            let mut damaged = good.clone();
            damaged.bytes.truncate(300);
            let error = prepare.apply(damaged).unwrap_err();
            assert!(error.to_string().contains("cannot be decoded"), "{error}");
            assert_eq!(prepare.apply(good).unwrap(), expected);
        }
    }

    #[test]
    fn only_what_is_not_sent_as_it_is_may_be_larger_than_a_message() {
        assert_eq!(Preparation::Original.max_file_bytes(), MAX_SENT_BYTES);
        assert!(Preparation::Shrink(size("8x8")).max_file_bytes() > MAX_SENT_BYTES);
        let kind = Kind::Image(ImageType::Png);
        let bytes = vec![0; MAX_SENT_BYTES + 1];
        let error = apply(&Preparation::Original, Image { kind, bytes }).unwrap_err();
        assert!(matches!(error, PrepareError::TooLarge(_)), "{error}");
    }
}
