//! What a WebP's chunks claim, which its decoder believes.

use crate::ImageError;

/// Refuses a file with a chunk that is longer than what is left of the file.
///
/// The decoder asks for as much memory as a chunk with metadata claims to have, up to 4 GiB, before
/// it reads any of it.
pub(super) fn check_chunks(encoded: &[u8]) -> Result<(), ImageError> {
    // After "RIFF", the length, and "WEBP".
    let mut rest = encoded.get(12..).unwrap_or_default();
    while let [a, b, c, d, l0, l1, l2, l3, data @ ..] = rest {
        let claimed = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
        let len = usize::try_from(claimed).unwrap_or(usize::MAX);
        if len > data.len() {
            return Err(ImageError::Undecodable(format!(
                "its chunk \"{}\" has {claimed} bytes, and the file {} more",
                [*a, *b, *c, *d].escape_ascii(),
                data.len()
            )));
        }
        // Chunks begin at even places; what would fill up the last one may be missing.
        rest = data.get(len + len % 2..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_must_be_there_as_long_as_it_claims() {
        let file = b"RIFF\x1F\0\0\0WEBPVP8X\x03\0\0\0abc\0EXIF\x03\0\0\0abc";
        assert_eq!(check_chunks(file), Ok(()));
        assert_eq!(check_chunks(&[file.as_slice(), b"\0junk"].concat()), Ok(()));
        for len in [32, 33, 34] {
            let error = check_chunks(&file[..len]).unwrap_err().to_string();
            assert!(error.contains("its chunk \"EXIF\" has 3 bytes"), "{error}");
        }
        let mut huge = file.to_vec();
        huge[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = check_chunks(&huge).unwrap_err().to_string();
        assert!(
            error.contains("4294967295 bytes, and the file 3"),
            "{error}"
        );
    }
}
