//! What a WebP's chunks claim, and its decoder believes.

use crate::{ImageError, ImageLimits};

/// Bytes of an animation's frame before its own chunks: place, sides, duration, flags.
const FRAME_HEADER: usize = 16;

/// The file up to where its RIFF ends, which is all of it that a decoder may see. Refuses one whose
/// chunks claim more than there is, or more than the limits allow.
///
/// The decoder checks none of this before it asks for memory: as much as a chunk with metadata
/// claims to have, up to 4 GiB; or as much as a lossy picture's own header announces, whatever the
/// header of the file says. An animation's frame whose picture is larger than itself makes it panic.
/// And where the first chunk is long, it looks for others behind the end.
pub(crate) fn checked<'a>(encoded: &'a [u8], limits: &ImageLimits) -> Result<&'a [u8], ImageError> {
    let encoded = up_to_its_end(encoded);
    // After "RIFF", the length, and "WEBP".
    let mut rest = encoded.get(12..).unwrap_or_default();
    while let Some(chunk) = Chunk::split_off(&mut rest)? {
        match &chunk.name {
            b"VP8 " => {
                let (width, height) = lossy_sides(chunk.data)?;
                limits.check(width, height)?;
            }
            b"ANMF" => check_frame(chunk.data)?,
            _ => {}
        }
    }
    Ok(encoded)
}

/// Without what follows; all of a file that is shorter than it says.
fn up_to_its_end(encoded: &[u8]) -> &[u8] {
    let [_, _, _, _, l0, l1, l2, l3, data @ ..] = encoded else {
        return encoded;
    };
    let claimed = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
    let len = usize::try_from(claimed).unwrap_or(usize::MAX);
    &encoded[..encoded.len() - data.len().saturating_sub(len)]
}

struct Chunk<'a> {
    name: [u8; 4],
    data: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The first chunk of `rest`, which then is what follows; `None` at the end.
    fn split_off(rest: &mut &'a [u8]) -> Result<Option<Self>, ImageError> {
        let [n0, n1, n2, n3, l0, l1, l2, l3, data @ ..] = *rest else {
            return Ok(None);
        };
        let name = [*n0, *n1, *n2, *n3];
        let claimed = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
        let len = usize::try_from(claimed).unwrap_or(usize::MAX);
        if len > data.len() {
            return Err(ImageError::Undecodable(format!(
                "its chunk \"{}\" claims {claimed} bytes, and there are {} more",
                name.escape_ascii(),
                data.len()
            )));
        }
        // Chunks begin at even places; what would fill up the last one may be missing.
        *rest = data.get(len + len % 2..).unwrap_or_default();
        let data = &data[..len];
        Ok(Some(Self { name, data }))
    }
}

/// A lossy picture in an animation must have the sides of its frame, which the decoder does check
/// against the limits.
fn check_frame(frame: &[u8]) -> Result<(), ImageError> {
    let Some((header, mut rest)) = frame.split_at_checked(FRAME_HEADER) else {
        return Err(broken("a frame of its animation is cut off"));
    };
    let side = |at: usize| {
        let bytes = [header[at], header[at + 1], header[at + 2], 0];
        u64::from(u32::from_le_bytes(bytes)) + 1
    };
    let sides = (side(6), side(9));
    while let Some(chunk) = Chunk::split_off(&mut rest)? {
        if chunk.name == *b"VP8 " && lossy_sides(chunk.data)? != sides {
            return Err(broken("a picture of its animation does not fit its frame"));
        }
    }
    Ok(())
}

/// Width and height that a lossy picture announces.
fn lossy_sides(picture: &[u8]) -> Result<(u64, u64), ImageError> {
    match picture {
        [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] => {
            // The two highest bits ask for scaling when it is shown.
            let side = |low, high| u64::from(u16::from_le_bytes([low, high]) & 0x3FFF);
            Ok((side(*w0, *w1), side(*h0, *h1)))
        }
        _ => Err(broken("its picture has no header")),
    }
}

fn broken(reason: &str) -> ImageError {
    ImageError::Undecodable(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ImageLimits = ImageLimits {
        max_pixels: 100,
        max_side: 50,
    };

    fn chunk(name: &[u8], data: &[u8]) -> Vec<u8> {
        let len = u32::try_from(data.len()).unwrap().to_le_bytes();
        [name, &len, data].concat()
    }

    fn lossy(width: u16, height: u16) -> Vec<u8> {
        let [w0, w1] = width.to_le_bytes();
        let [h0, h1] = height.to_le_bytes();
        chunk(b"VP8 ", &[0, 0, 0, 0x9D, 1, 0x2A, w0, w1, h0, h1])
    }

    /// In a frame of 8 × 6.
    fn frame(picture: &[u8]) -> Vec<u8> {
        let header = [0, 0, 0, 0, 0, 0, 7, 0, 0, 5, 0, 0, 1, 0, 0, 0];
        chunk(b"ANMF", &[header.as_slice(), picture].concat())
    }

    fn file(chunks: &[u8]) -> Vec<u8> {
        chunk(b"RIFF", &[b"WEBP", chunks].concat())
    }

    fn check(chunks: &[u8]) -> Result<(), String> {
        let file = file(chunks);
        let checked = checked(&file, &LIMITS).map_err(|error| error.to_string())?;
        assert_eq!(checked, file);
        Ok(())
    }

    #[test]
    fn what_follows_the_end_is_not_looked_at_and_not_shown_to_the_decoder() {
        let whole = file(&lossy(10, 10));
        for more in [
            lossy(1000, 1000),
            b"EXIF\xFF\xFF\xFF\xFF".to_vec(),
            b"?".to_vec(),
        ] {
            let followed = [whole.as_slice(), &more].concat();
            assert_eq!(checked(&followed, &LIMITS), Ok(&*whole));
        }
        // The end does not hide half a chunk.
        let mut early = [whole.as_slice(), b"more"].concat();
        early[4] -= 1;
        let error = checked(&early, &LIMITS).unwrap_err().to_string();
        assert!(
            error.contains("claims 10 bytes, and there are 9"),
            "{error}"
        );
        // A file that is cut off at a chunk's end is the decoder's to judge.
        let mut late = whole.clone();
        late[4] += 100;
        assert_eq!(checked(&late, &LIMITS), Ok(&*late));
        for short in [b"".as_slice(), b"RIFF", b"RIFF\xFF\xFF\xFF\xFFWE"] {
            assert_eq!(checked(short, &LIMITS), Ok(short));
        }
    }

    #[test]
    fn a_chunk_must_be_there_as_long_as_it_claims() {
        let chunks = [chunk(b"ICCP", b"abc"), vec![0], chunk(b"EXIF", b"abc")].concat();
        assert_eq!(check(&chunks), Ok(()));
        assert_eq!(check(&[chunks.as_slice(), b"\0junk"].concat()), Ok(()));
        let error = check(&chunks[..chunks.len() - 1]).unwrap_err();
        assert!(
            error.contains("\"EXIF\" claims 3 bytes, and there are 2"),
            "{error}"
        );
        let error = check(b"XMP \xFF\xFF\xFF\xFFa").unwrap_err();
        assert!(error.contains("claims 4294967295 bytes"), "{error}");
    }

    #[test]
    fn a_lossy_picture_is_held_to_the_limits_by_its_own_header() {
        assert_eq!(check(&lossy(10, 10)), Ok(()));
        // Scaled up by 5/3 when shown, which changes nothing here.
        assert_eq!(check(&lossy(0x800A, 10)), Ok(()));
        assert!(check(&lossy(51, 1)).unwrap_err().contains("too large"));
        assert!(check(&lossy(11, 10)).unwrap_err().contains("too large"));
        assert!(
            check(&chunk(b"VP8 ", b"abc"))
                .unwrap_err()
                .contains("no header")
        );
    }

    #[test]
    fn a_picture_of_an_animation_has_the_size_of_its_frame() {
        assert_eq!(check(&frame(&lossy(8, 6))), Ok(()));
        let alpha = chunk(b"ALPH", b"ab");
        assert_eq!(
            check(&frame(&[alpha.clone(), lossy(8, 6)].concat())),
            Ok(())
        );
        let error = check(&frame(&[alpha, lossy(9, 6)].concat())).unwrap_err();
        assert!(error.contains("does not fit its frame"), "{error}");
        assert!(
            check(&chunk(b"ANMF", b"abc"))
                .unwrap_err()
                .contains("cut off")
        );
    }
}
