//! A file's content.

use super::{Image, Kind, MAX_SENT_BYTES};
use ncs_protocol::ImageType;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// As many bytes as the longest signature has, WebP's.
const SIGNATURE_BYTES: u64 = 12;

/// Why a file is not an image to be sent. The file's name is the caller's to say.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Reading it could wait for ever, or never end.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// Nothing is in it.
    #[error("is empty")]
    Empty,
    /// Its first bytes are those of no format that workers decode.
    #[error("is no JPEG, PNG, BMP or WebP image: it begins with \"{0}\"")]
    NotAnImage(String),
    /// More bytes than wanted. Not all of them were read.
    #[error("has more than {} MiB; {remedy}", most.div_ceil(1 << 20))]
    TooLarge {
        /// The most bytes that were wanted.
        most: usize,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl ReadError {
    /// Whether the file could be read, and is just not what can be sent.
    #[must_use]
    pub fn is_about_content(&self) -> bool {
        !matches!(self, Self::Unreadable(_) | Self::NotAFile(_))
    }
}

/// Reads an image of at most `most` bytes, or a ready tensor from a file whose name ends with
/// `.tensor`. The content says which kind of image it is, whatever the name says.
///
/// # Errors
/// Any [`ReadError`]. What is no image, or too large, is not read to its end.
pub fn read(path: &Path, most: usize) -> Result<Image, ReadError> {
    // To open a pipe waits for a writer. A folder that is yielded instead of its files is opened: why it
    // could not be looked into comes first.
    let metadata = std::fs::metadata(path)?;
    let file = if metadata.is_file() || metadata.is_dir() {
        Some(File::open(path)?)
    } else {
        None
    };
    let Some(mut file) = file.filter(|_| metadata.is_file()) else {
        return Err(ReadError::NotAFile(kind_of(&metadata)));
    };
    let mut bytes = Vec::new();
    Read::take(&mut file, SIGNATURE_BYTES).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    let extension = path.extension().unwrap_or_default();
    let kind = if extension.eq_ignore_ascii_case("tensor") {
        Kind::Tensor
    } else {
        let known = ImageType::of_content(&bytes).map(Kind::Image);
        known.ok_or_else(|| ReadError::NotAnImage(bytes.escape_ascii().to_string()))?
    };
    // A file can grow: the reading is held to it, too.
    let too_large = |bytes: u64| bytes > most as u64;
    let len = file.metadata()?.len();
    let more = most.saturating_add(1).saturating_sub(bytes.len()) as u64;
    if too_large(len) || {
        bytes.reserve_exact(usize::try_from(len).unwrap_or(0));
        Read::take(&mut file, more).read_to_end(&mut bytes)?;
        too_large(bytes.len() as u64)
    } {
        let remedy = if most > MAX_SENT_BYTES {
            "make it smaller"
        } else {
            "send it with --prepare 224, or make it smaller"
        };
        return Err(ReadError::TooLarge { most, remedy });
    }
    Ok(Image { kind, bytes })
}

/// What it is that is no regular file.
fn kind_of(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    "a device"
}

/// A file's first bytes, enough to tell an image by.
pub(super) fn start(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?
        .take(SIGNATURE_BYTES)
        .read_to_end(&mut start)?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::Folder;
    use ncs_protocol::Content;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0 and more than a signature";

    fn failure(path: &Path) -> String {
        read(path, 100).unwrap_err().to_string()
    }

    #[test]
    fn the_content_tells_the_kind_whatever_the_name_says() {
        let folder = Folder::new();
        let path = folder.write("photo.png", JPEG);
        let image = read(&path, 100).unwrap();
        assert_eq!(image.content(), Content::Image(ImageType::Jpeg, JPEG));
        let path = folder.write("photo.TENSOR", JPEG);
        let image = read(&path, 100).unwrap();
        assert_eq!(image.content(), Content::Tensor(JPEG));
    }

    #[test]
    fn what_is_no_image_is_told_apart() {
        let folder = Folder::new();
        let missing = failure(&folder.path("missing.jpg"));
        assert!(missing.starts_with("cannot be read: No such"), "{missing}");
        assert_eq!(failure(&folder.write("empty.jpg", b"")), "is empty");
        let text = failure(&folder.write("text.jpg", b"GIF89a, once upon a time"));
        assert_eq!(
            text,
            "is no JPEG, PNG, BMP or WebP image: it begins with \"GIF89a, once\""
        );
    }

    #[test]
    fn files_are_capped() {
        let folder = Folder::new();
        let path = folder.write("photo.jpg", JPEG);
        assert!(read(&path, JPEG.len()).is_ok());
        let error = read(&path, JPEG.len() - 1).unwrap_err();
        assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains("--prepare 224"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = Folder::new();
        let pipe = folder.path("pipe.jpg");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(failure(&pipe), "is a pipe, not a file");
        std::os::unix::fs::symlink("/dev/zero", folder.path("zeros.tensor")).unwrap();
        let zeros = failure(&folder.path("zeros.tensor"));
        assert_eq!(zeros, "is a device, not a file");
        assert_eq!(failure(&folder.path("")), "is a folder, not a file");
    }
}
