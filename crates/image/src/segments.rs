//! What the segments before a JPEG's picture say that libjpeg-turbo's safe interface does not.

use image::metadata::Orientation;

/// Read off the segments, up to the picture or to whatever is no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segments {
    /// Of the first EXIF segment; no turning if there is none, or a broken one.
    pub(crate) orientation: Orientation,
    /// Whether there is an Adobe segment: inks are stored inverted then.
    pub(crate) is_adobe: bool,
    /// Width and height that the first frame announces. libjpeg-turbo does not tell those it
    /// refuses, above 65500.
    pub(crate) size: Option<(u16, u16)>,
}

impl Segments {
    pub(crate) fn of(jpeg: &[u8]) -> Self {
        let (mut orientation, mut is_adobe, mut size) = (None, false, None);
        let mut rest = jpeg.strip_prefix(&[0xFF, 0xD8]).unwrap_or_default();
        loop {
            match *rest {
                // Padding before a marker.
                [0xFF, 0xFF, ..] => rest = &rest[1..],
                // Start of the picture, or its end.
                [0xFF, 0xDA | 0xD9, ..] => break,
                [0xFF, marker, high, low, ..] => {
                    let len = usize::from(u16::from_be_bytes([high, low]));
                    let Some(segment) = rest.get(4..2 + len) else {
                        break;
                    };
                    match marker {
                        0xE1 if orientation.is_none() => orientation = of_exif(segment),
                        0xEE => is_adobe |= segment.starts_with(b"Adobe"),
                        0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) && size.is_none() => {
                            size = of_frame(segment);
                        }
                        _ => {}
                    }
                    rest = &rest[2 + len..];
                }
                _ => break,
            }
        }
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        Self {
            orientation,
            is_adobe,
            size,
        }
    }
}

fn of_exif(segment: &[u8]) -> Option<Orientation> {
    let exif = segment.strip_prefix(b"Exif\0\0")?;
    Some(Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms))
}

fn of_frame(segment: &[u8]) -> Option<(u16, u16)> {
    let &[_precision, h1, h0, w1, w0, ..] = segment else {
        return None;
    };
    Some((u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(orientation: u8) -> Vec<u8> {
        let mut tiff = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        tiff.extend([orientation, 0, 0, 0]);
        tiff
    }

    fn jpeg(segments: &[(u8, &[u8])]) -> Vec<u8> {
        let mut jpeg = vec![0xFF, 0xD8];
        for (marker, segment) in segments {
            let len = u16::try_from(segment.len() + 2).unwrap();
            jpeg.extend([0xFF, *marker]);
            jpeg.extend(len.to_be_bytes());
            jpeg.extend(*segment);
        }
        jpeg.extend([0xFF, 0xDA, 0, 2]);
        jpeg
    }

    fn orientation(jpeg: &[u8]) -> Orientation {
        Segments::of(jpeg).orientation
    }

    #[test]
    fn segments_are_found_among_others() {
        let adobe = b"Adobe\0\x64\0\0\0\0\x02";
        let (upright, turned) = (exif(3), exif(6));
        let file = jpeg(&[
            (0xE0, b"JFIF\0"),
            (0xE1, b"http://ns.adobe.com/xap/1.0/"),
            (0xE1, &turned),
            (0xE1, &upright),
            (0xEE, adobe),
            (0xC4, b"\0\x01\x02\x03\x04\x05"),
            (0xC2, b"\x08\xFF\xFF\x01\x02\x03"),
        ]);
        let found = Segments::of(&file);
        assert_eq!(found.orientation, Orientation::Rotate90);
        assert!(found.is_adobe);
        assert_eq!(found.size, Some((0x0102, 0xFFFF)));

        let plain = Segments::of(&jpeg(&[(0xE0, b"JFIF\0")]));
        let orientation = Orientation::NoTransforms;
        assert_eq!(
            plain,
            Segments {
                orientation,
                is_adobe: false,
                size: None
            }
        );
    }

    #[test]
    fn broken_segments_mean_no_turning() {
        for value in [0, 9, 255] {
            assert_eq!(
                orientation(&jpeg(&[(0xE1, &exif(value))])),
                Orientation::NoTransforms
            );
        }
        let file = jpeg(&[(0xE1, &exif(6))]);
        for len in 0..file.len() {
            let _ = Segments::of(&file[..len]);
        }
        let endless = [0xFF, 0xD8, 0xFF, 0xE1, 0, 0, 0xFF];
        assert_eq!(orientation(&endless), Orientation::NoTransforms);
    }
}
