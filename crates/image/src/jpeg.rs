//! JPEG, through libjpeg-turbo: the format that most jobs bring.

use image::metadata::Orientation;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

use crate::decoder::{Decoded, PixelKind, room};
use crate::segments::Segments;
use crate::{ColorOrder, ImageError, ImageLimits, cmyk, lossless};

/// The most scans a progressive JPEG may have. Encoders write 10 or so, and a few dozen at the
/// very most; a hostile file can have thousands, each of which makes the decoder walk over the
/// whole picture. A file of 204 kB with 64 scans of 100 million grey pixels was measured to hold a
/// thread for 0.5 to 0.6 s.
pub const SCAN_LIMIT: u32 = 64;

/// The same for arithmetic coding, which hardly anybody writes. Its decoder needs no bytes to be
/// busy with each coefficient of each scan: 65 kB with 64 scans of 49 million grey pixels held a
/// thread for 4.1 s, and with 16 of them for 1.1 s.
const ARITHMETIC_SCAN_LIMIT: u32 = 16;

/// A decoder whose buffers are used again and again.
pub(crate) struct JpegReader {
    /// A new one for each image, which takes 0.4 µs. libjpeg-turbo keeps a file's tables for the next, so
    /// that what a file without tables shows, or whether it is refused, would depend on what came before
    /// it; and after an error it stays inside the header.
    decompressor: Decompressor,
    /// Pixels that libjpeg-turbo does not convert.
    stored: Vec<u8>,
}

/// What is known before anything is decoded.
pub(crate) struct Header {
    width: usize,
    height: usize,
    pub(crate) orientation: Orientation,
    colors: Colors,
    is_lossless: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colors {
    /// Grey, RGB, or `YCbCr`: libjpeg-turbo puts out whatever is wanted. Lossless `YCbCr` is here
    /// too, and refused.
    Convertible,
    /// Lossless grey: libjpeg-turbo puts out grey only.
    LosslessGrey,
    /// Lossless RGB: libjpeg-turbo puts out colours only.
    LosslessRgb,
    /// CMYK or YCCK: libjpeg-turbo puts out inks only.
    Inks {
        /// Adobe's: 255 means no ink.
        inverted: bool,
    },
}

impl Header {
    /// Width, height, and how to turn it to be upright.
    pub(crate) fn size(&self) -> (usize, usize, Orientation) {
        (self.width, self.height, self.orientation)
    }

    /// Whether the decoder's own output is what a tensor of this size wants.
    pub(crate) fn is_ready(&self, width: usize, height: usize) -> bool {
        (self.width, self.height) == (width, height)
            && self.orientation == Orientation::NoTransforms
            && self.colors == Colors::Convertible
    }
}

impl JpegReader {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            decompressor: Decompressor::new().map_err(|error| error.to_string())?,
            stored: Vec::new(),
        })
    }

    /// Reads the header and checks it against the limits.
    ///
    /// A damaged header is an error even where libjpeg-turbo only warns: its safe interface gives no
    /// header then.
    pub(crate) fn read_header(
        &mut self,
        encoded: &[u8],
        limits: &ImageLimits,
    ) -> Result<Header, ImageError> {
        let Segments {
            orientation,
            is_adobe,
            size,
        } = Segments::of(encoded);
        if let Some((width, height)) = size {
            limits.check(width.into(), height.into())?;
        }
        self.decompressor = Decompressor::new().map_err(|error| undecodable(&error))?;
        let header = self.decompressor.read_header(encoded);
        let header = header.map_err(|error| undecodable(&error))?;
        limits.check(header.width as u64, header.height as u64)?;
        let scan_limit = if header.is_arithmetic {
            ARITHMETIC_SCAN_LIMIT
        } else {
            SCAN_LIMIT
        };
        self.decompressor
            .set_scan_limit(scan_limit)
            .map_err(|error| undecodable(&error))?;
        let colors = match header.colorspace {
            Colorspace::CMYK | Colorspace::YCCK => Colors::Inks { inverted: is_adobe },
            Colorspace::Gray if header.is_lossless => Colors::LosslessGrey,
            Colorspace::RGB if header.is_lossless => Colors::LosslessRgb,
            Colorspace::RGB | Colorspace::YCbCr | Colorspace::Gray => Colors::Convertible,
        };
        let (width, height, is_lossless) = (header.width, header.height, header.is_lossless);
        Ok(Header {
            width,
            height,
            orientation,
            colors,
            is_lossless,
        })
    }

    /// Decodes at full size into pixels side by side, 3 bytes (colour) or 1 byte (grey) each.
    pub(crate) fn decode_packed(
        &mut self,
        encoded: &[u8],
        header: &Header,
        kind: PixelKind,
        pixels: &mut [u8],
    ) -> Result<(), ImageError> {
        let format = match kind {
            PixelKind::Grey => PixelFormat::GRAY,
            PixelKind::Color(ColorOrder::Bgr) => PixelFormat::BGR,
            PixelKind::Color(ColorOrder::Rgb) => PixelFormat::RGB,
        };
        self.scale_by(ScalingFactor::ONE)?;
        self.decompress(encoded, (header.width, header.height), format, pixels)
    }

    /// Decodes into `buffer` at the smallest scale that keeps both sides at least as long as
    /// `target` (width, height).
    pub(crate) fn decode_about(
        &mut self,
        encoded: &[u8],
        header: &Header,
        target: (usize, usize),
        kind: PixelKind,
        buffer: &mut Vec<u8>,
    ) -> Result<Decoded, ImageError> {
        let scale = header.scale_for(target);
        self.scale_by(scale)?;
        let (width, height) = (scale.scale(header.width), scale.scale(header.height));
        let size = (width, height);
        let out = room(buffer, width * height * kind.bytes());
        match header.colors {
            Colors::Convertible => {
                let format = match kind {
                    PixelKind::Grey => PixelFormat::GRAY,
                    PixelKind::Color(ColorOrder::Bgr) => PixelFormat::BGRX,
                    PixelKind::Color(ColorOrder::Rgb) => PixelFormat::RGBX,
                };
                self.decompress(encoded, size, format, out)?;
            }
            Colors::LosslessGrey => {
                let stored = self.decompress_stored(encoded, size, PixelFormat::GRAY)?;
                lossless::convert_grey(stored, kind, out);
            }
            Colors::LosslessRgb => {
                let stored = self.decompress_stored(encoded, size, PixelFormat::RGBX)?;
                lossless::convert_rgb(stored, kind, out);
            }
            Colors::Inks { inverted } => {
                let stored = self.decompress_stored(encoded, size, PixelFormat::CMYK)?;
                cmyk::convert(stored, inverted, kind, out);
            }
        }
        Ok(Decoded {
            width,
            height,
            orientation: header.orientation,
        })
    }

    pub(crate) fn shrink(&mut self, kept_bytes: usize) {
        if self.stored.capacity() > kept_bytes {
            self.stored = Vec::new();
        }
    }

    fn scale_by(&mut self, scale: ScalingFactor) -> Result<(), ImageError> {
        self.decompressor
            .set_scaling_factor(scale)
            .map_err(|error| undecodable(&error))
    }

    /// Decodes in the file's own colours.
    fn decompress_stored(
        &mut self,
        encoded: &[u8],
        size: (usize, usize),
        format: PixelFormat,
    ) -> Result<&[u8], ImageError> {
        let len = size.0 * size.1 * format.size();
        let mut stored = std::mem::take(&mut self.stored);
        let result = self.decompress(encoded, size, format, room(&mut stored, len));
        self.stored = stored;
        result?;
        Ok(&self.stored[..len])
    }

    fn decompress(
        &mut self,
        encoded: &[u8],
        (width, height): (usize, usize),
        format: PixelFormat,
        pixels: &mut [u8],
    ) -> Result<(), ImageError> {
        let pitch = width * format.size();
        let image = Image {
            pixels,
            width,
            pitch,
            height,
            format,
        };
        match self.decompressor.decompress(encoded, image) {
            // A warning comes as an error too, when all pixels are written.
            Err(turbojpeg::Error::TurboJpegError(text))
                if is_harmless(&text) && ends_properly(encoded) =>
            {
                tracing::debug!(warning = text, "accepted a JPEG");
                Ok(())
            }
            other => other.map_err(|error| undecodable(&error)),
        }
    }
}

impl Header {
    /// libjpeg-turbo can scale by other eighths too, but only these are written with SIMD: the
    /// others take longer than decoding at full size.
    fn scale_for(&self, (width, height): (usize, usize)) -> ScalingFactor {
        if self.is_lossless {
            return ScalingFactor::ONE;
        }
        [
            ScalingFactor::ONE_EIGHTH,
            ScalingFactor::ONE_QUARTER,
            ScalingFactor::ONE_HALF,
        ]
        .into_iter()
        .find(|by| by.scale(self.width) >= width && by.scale(self.height) >= height)
        .unwrap_or(ScalingFactor::ONE)
    }
}

/// Warnings that leave the picture whole. libjpeg-turbo tells the first one only, so a file with
/// one of them is accepted only if it ends properly, too. All others mean damage: a premature end,
/// a bad code, a marker where there should be none.
fn is_harmless(warning: &str) -> bool {
    const HARMLESS: &[&str] = &[
        "extraneous bytes before marker",
        "Invalid SOS parameters for sequential JPEG",
        "Unknown Adobe color transform code",
        "unknown JFIF revision number",
        "bad ICC marker",
    ];
    HARMLESS.iter().any(|text| warning.contains(text))
}

/// Whether there is an end-of-image marker in the last kilobyte; cameras put their own data after.
fn ends_properly(encoded: &[u8]) -> bool {
    let tail = &encoded[encoded.len().saturating_sub(1024)..];
    tail.windows(2).any(|marker| marker == [0xFF, 0xD9])
}

fn undecodable(error: &turbojpeg::Error) -> ImageError {
    let text = match error {
        turbojpeg::Error::TurboJpegError(text) => text.clone(),
        // Width and height are -1 where the file holds tables only.
        turbojpeg::Error::IntegerOverflow(_) => "it holds no picture".to_owned(),
        other => other.to_string(),
    };
    ImageError::Undecodable(text)
}
