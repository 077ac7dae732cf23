//! The formats, and telling them by their first bytes.

use crate::ImageError;

/// A format that [`ImageDecoder`](crate::ImageDecoder) reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// Baseline, progressive and lossless; grey, colour, CMYK and YCCK.
    Jpeg,
    /// All of PNG; of an animation the first picture.
    Png,
    /// Windows bitmaps.
    Bmp,
    /// Lossy and lossless; of an animation the first picture.
    Webp,
}

impl ImageFormat {
    /// The format of `encoded` by its signature.
    ///
    /// # Errors
    ///
    /// [`ImageError::Unsupported`] if it is none of them.
    pub fn of(encoded: &[u8]) -> Result<Self, ImageError> {
        match encoded {
            [0xFF, 0xD8, 0xFF, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Ok(Self::Png),
            [b'B', b'M', ..] => Ok(Self::Bmp),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Ok(Self::Webp),
            [] => Err(ImageError::Undecodable("it is empty".to_owned())),
            _ => {
                let start = &encoded[..encoded.len().min(12)];
                Err(ImageError::Unsupported(format!(
                    "it begins with \"{}\", expected a JPEG, PNG, BMP or WebP",
                    start.escape_ascii()
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_signatures() {
        assert_eq!(ImageFormat::of(b"\xFF\xD8\xFF\xE0"), Ok(ImageFormat::Jpeg));
        assert_eq!(ImageFormat::of(b"\x89PNG\r\n\x1A\n"), Ok(ImageFormat::Png));
        assert_eq!(ImageFormat::of(b"BM12"), Ok(ImageFormat::Bmp));
        assert_eq!(
            ImageFormat::of(b"RIFF\0\0\0\0WEBPVP8 "),
            Ok(ImageFormat::Webp)
        );
        assert!(matches!(
            ImageFormat::of(b""),
            Err(ImageError::Undecodable(_))
        ));
        let error = ImageFormat::of(b"GIF89a\x01").unwrap_err().to_string();
        assert!(
            error.contains(r#"begins with "GIF89a\x01", expected"#),
            "{error}"
        );
    }
}
