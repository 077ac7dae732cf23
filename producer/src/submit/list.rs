//! The images of a batch, in a file: their paths, and where each one begins.
//!
//! The number of an image is its place in this list, which never changes: so a batch that is resumed
//! does not depend on what has become of the folders meanwhile, and a file that is named twice has two
//! numbers. None of it is kept in memory.

use super::place::{Folder, IMAGES, OFFSETS};
use anyhow::Context;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

/// Bytes of an offset.
const OFFSET: u64 = size_of::<u64>() as u64;

/// A complete list.
#[derive(Debug)]
pub(super) struct List {
    /// The paths as they are, each with a NUL behind it, which no path holds.
    images: File,
    /// Where each path begins in `images`, and where the last one ends: 64 bits each, little endian.
    offsets: File,
    len: u64,
}

/// A list that is being made.
#[derive(Debug)]
pub(super) struct Listing {
    images: BufWriter<File>,
    offsets: BufWriter<File>,
    len: u64,
    at: u64,
}

impl Listing {
    /// Begins both files anew.
    pub(super) fn begin(folder: &Folder) -> anyhow::Result<Self> {
        Ok(Self {
            images: BufWriter::new(folder.create(IMAGES)?),
            offsets: BufWriter::new(folder.create(OFFSETS)?),
            len: 0,
            at: 0,
        })
    }

    /// Adds a path, without a NUL in it.
    pub(super) fn add(&mut self, path: &[u8]) -> io::Result<()> {
        self.offsets.write_all(&self.at.to_le_bytes())?;
        self.images.write_all(path)?;
        self.images.write_all(&[0])?;
        self.len += 1;
        self.at += path.len() as u64 + 1;
        Ok(())
    }

    /// How many paths there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Brings both files to the disk.
    pub(super) fn finish(mut self) -> io::Result<List> {
        self.offsets.write_all(&self.at.to_le_bytes())?;
        let finish = |file: BufWriter<File>| -> io::Result<File> {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(file)
        };
        Ok(List {
            images: finish(self.images)?,
            offsets: finish(self.offsets)?,
            len: self.len,
        })
    }
}

impl List {
    /// Opens a list of so many images.
    pub(super) fn open(folder: &Folder, len: u64) -> anyhow::Result<Self> {
        let (images, offsets) = (folder.open(IMAGES)?, folder.open(OFFSETS)?);
        let found = offsets
            .metadata()
            .context("cannot read the list of images")?
            .len();
        anyhow::ensure!(
            len.checked_add(1).and_then(|len| len.checked_mul(OFFSET)) == Some(found),
            "{} has {found} bytes, and not what {len} images need; begin anew with another --out",
            folder.shown(OFFSETS)
        );
        Ok(Self {
            images,
            offsets,
            len,
        })
    }

    /// The path of one image.
    pub(super) fn path(&self, number: u64) -> io::Result<Vec<u8>> {
        if number >= self.len {
            return Err(damaged());
        }
        let mut offsets = [[0; size_of::<u64>()]; 2];
        self.offsets
            .read_exact_at(offsets.as_flattened_mut(), number * OFFSET)?;
        let [begin, end] = offsets.map(u64::from_le_bytes);
        let length = end.checked_sub(begin + 1).ok_or_else(damaged)?;
        let mut path = vec![0; usize::try_from(length).map_err(|_| damaged())?];
        self.images.read_exact_at(&mut path, begin)?;
        Ok(path)
    }

    /// All paths in order, read ahead as it goes.
    pub(super) fn paths(&self) -> impl Iterator<Item = io::Result<Vec<u8>>> {
        let mut images = BufReader::new(FromStart::of(&self.images));
        (0..self.len).map(move |_| {
            let mut path = Vec::new();
            images.read_until(0, &mut path)?;
            path.pop_if(|last| *last == 0).ok_or_else(damaged)?;
            Ok(path)
        })
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the list of images is damaged")
}

/// Reads a file that others read too, so without its cursor.
pub(super) struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> FromStart<'a> {
    pub(super) fn of(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::scratch::Scratch;

    #[test]
    fn paths_are_found_by_their_number_and_in_order() {
        let scratch = Scratch::new();
        let folder = scratch.folder();
        let mut listing = Listing::begin(&folder).unwrap();
        let paths: Vec<Vec<u8>> = vec![
            b"a".to_vec(),
            b"".to_vec(),
            b"\xff/\n".to_vec(),
            b"a".to_vec(),
        ];
        for path in &paths {
            listing.add(path).unwrap();
        }
        let made = listing.finish().unwrap();
        for list in [made, List::open(&folder, 4).unwrap()] {
            let all: Vec<_> = list.paths().map(Result::unwrap).collect();
            assert_eq!(all, paths);
            for number in [2, 0, 3, 1] {
                assert_eq!(
                    list.path(number).unwrap(),
                    paths[usize::try_from(number).unwrap()]
                );
            }
            assert!(list.path(4).is_err());
        }
        assert!(List::open(&folder, 5).is_err());
    }
}
