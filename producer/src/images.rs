//! The images that a flood sends, in memory.

use crate::cli::SourceArgs;
use crate::synthetic;
use anyhow::{Context, bail};
use ncs_protocol::{Content, ImageType, MAX_BODY_BYTES};
use std::ffi::OsStr;
use std::path::Path;
use walkdir::WalkDir;

/// Images kept in memory, in bytes; a larger folder is used up to here.
pub const MAX_BYTES: usize = 512 * 1024 * 1024;
/// A job's bincode body is this much larger than its image, at most: kinds and a length.
const ENVELOPE_BYTES: usize = 16;

/// One image, or one ready tensor, as it is sent.
#[derive(Debug)]
pub struct Image {
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Image(ImageType),
    Tensor,
}

impl Image {
    /// What a job carries.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        match self.kind {
            Kind::Image(image_type) => Content::Image(image_type, &self.bytes),
            Kind::Tensor => Content::Tensor(&self.bytes),
        }
    }
}

/// Reads or makes the images; there is at least one.
pub fn load(source: &SourceArgs) -> anyhow::Result<Vec<Image>> {
    match (&source.images, source.synthetic) {
        (Some(folder), _) => read_folder(folder),
        (None, Some(size)) => synthetic::photos(size)?
            .into_iter()
            .map(|bytes| {
                let image = Image {
                    kind: Kind::Image(ImageType::Jpeg),
                    bytes,
                };
                anyhow::ensure!(
                    fits(&image),
                    "photos of that size are too large for a message"
                );
                Ok(image)
            })
            .collect(),
        (None, None) => bail!("no images; give --images DIR or --synthetic WIDTHxHEIGHT"),
    }
}

/// Reads a folder with its sub-folders, in the order of the names.
fn read_folder(folder: &Path) -> anyhow::Result<Vec<Image>> {
    anyhow::ensure!(
        folder.is_dir(),
        "there is no folder {}; give one with images to --images",
        folder.display()
    );
    let mut images = Vec::new();
    let (mut total, mut skipped) = (0, 0);
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path();
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(image) = recognise(path, bytes).filter(fits) else {
            tracing::debug!(path = %path.display(), "no image, or too large for a message");
            skipped += 1;
            continue;
        };
        total += image.bytes.len();
        if total > MAX_BYTES {
            tracing::warn!(
                "{} holds more than {} MiB; using its first {} images",
                folder.display(),
                MAX_BYTES >> 20,
                images.len()
            );
            break;
        }
        images.push(image);
    }
    if images.is_empty() {
        bail!(
            "no JPEG, PNG, BMP or WebP image under {} MiB in {} ({skipped} other files)",
            MAX_BODY_BYTES >> 20,
            folder.display()
        );
    }
    if skipped > 0 {
        tracing::warn!(
            "{skipped} files in {} are no images, or too large",
            folder.display()
        );
    }
    Ok(images)
}

/// An image by its content, a tensor by its file's name.
fn recognise(path: &Path, bytes: Vec<u8>) -> Option<Image> {
    let kind = if path.extension() == Some(OsStr::new("tensor")) && !bytes.is_empty() {
        Kind::Tensor
    } else {
        Kind::Image(ImageType::of_content(&bytes)?)
    };
    Some(Image { kind, bytes })
}

fn fits(image: &Image) -> bool {
    image.bytes.len() + ENVELOPE_BYTES <= MAX_BODY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_by_content_and_other_files_are_left_out() {
        let folder = std::env::temp_dir().join(format!("ncs-images-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(folder.join("readme.txt"), "hello").unwrap();
        assert!(
            read_folder(&folder)
                .unwrap_err()
                .to_string()
                .contains("1 other files")
        );
        std::fs::write(
            folder.join("a-photo-without-extension"),
            b"\xff\xd8\xff\xe0",
        )
        .unwrap();
        std::fs::write(folder.join("sub/x.tensor"), [1, 2]).unwrap();
        let images = read_folder(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let contents: Vec<_> = images.iter().map(Image::content).collect();
        assert!(
            matches!(contents[0], Content::Image(ImageType::Jpeg, _)),
            "{contents:?}"
        );
        assert!(
            matches!(contents[1], Content::Tensor([1, 2])),
            "{contents:?}"
        );
    }

    #[test]
    fn a_missing_folder_is_named_in_the_error() {
        let error = format!(
            "{:#}",
            read_folder(Path::new("/no/such/folder")).err().unwrap()
        );
        assert!(error.contains("/no/such/folder"), "{error}");
    }
}
