//! What is known of each image, in a file of one byte for each.
//!
//! A kill leaves these as they were; after a power cut they may be older than the output. So the output
//! is what counts, and the marks follow it when a batch is resumed.

use super::list::FromStart;
use super::place::{Folder, PROGRESS};
use anyhow::Context;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

/// What is known of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It was not sent, or nobody knows whether the broker has it.
    Unsent = 0,
    /// The broker has it.
    Sent = 1,
    /// Its line is on the disk.
    Done = 2,
    /// The broker had it when a run gave it up, and may have it still.
    Overdue = 3,
}

/// A mark for each image.
#[derive(Debug)]
pub(super) struct Marks(File);

impl Marks {
    /// So many, all unsent. The bytes are written, not left out: there shall be room for them later.
    pub(super) fn create(folder: &Folder, len: u64) -> anyhow::Result<Self> {
        let file = folder.create(PROGRESS)?;
        let write = || -> io::Result<()> {
            let mut bytes = BufWriter::new(&file);
            io::copy(&mut io::repeat(Mark::Unsent as u8).take(len), &mut bytes)?;
            bytes.flush()?;
            file.sync_all()
        };
        write().with_context(|| format!("cannot write {}", folder.shown(PROGRESS)))?;
        Ok(Self(file))
    }

    /// Opens those of an earlier run.
    pub(super) fn open(folder: &Folder, len: u64) -> anyhow::Result<Self> {
        let file = folder.open(PROGRESS)?;
        // Cut off by hand or by a repair of the file system: the output tells what is missing here.
        let sized = file.set_len(len);
        sized.with_context(|| format!("cannot write {}", folder.shown(PROGRESS)))?;
        Ok(Self(file))
    }

    pub(super) fn get(&self, number: u64) -> io::Result<Mark> {
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, number)?;
        Ok(Mark::of(byte[0]))
    }

    pub(super) fn set(&self, number: u64, mark: Mark) -> io::Result<()> {
        self.0.write_all_at(&[mark as u8], number)
    }

    /// All in order, as they are or were shortly before.
    pub(super) fn all(&self) -> impl Iterator<Item = io::Result<Mark>> {
        BufReader::new(FromStart::of(&self.0))
            .bytes()
            .map(|byte| byte.map(Mark::of))
    }

    /// How many of these there are.
    pub(super) fn count(&self, wanted: Mark) -> io::Result<u64> {
        let mut found = 0;
        for mark in self.all() {
            found += u64::from(mark? == wanted);
        }
        Ok(found)
    }

    /// Puts one mark in place of another wherever that is.
    pub(super) fn replace(&self, old: Mark, new: Mark) -> io::Result<()> {
        for (number, mark) in (0..).zip(self.all()) {
            if mark? == old {
                self.set(number, new)?;
            }
        }
        Ok(())
    }
}

impl Mark {
    fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Sent,
            2 => Self::Done,
            3 => Self::Overdue,
            _ => Self::Unsent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::scratch::Scratch;

    #[test]
    fn marks_outlive_the_process_and_follow_each_other() {
        let scratch = Scratch::new();
        let folder = scratch.folder();
        let all = |marks: &Marks| -> Vec<Mark> { marks.all().map(Result::unwrap).collect() };
        let marks = Marks::create(&folder, 4).unwrap();
        marks.set(1, Mark::Sent).unwrap();
        marks.set(3, Mark::Done).unwrap();
        drop(marks);
        let marks = Marks::open(&folder, 4).unwrap();
        assert_eq!(marks.get(3).unwrap(), Mark::Done);
        assert_eq!(
            all(&marks),
            [Mark::Unsent, Mark::Sent, Mark::Unsent, Mark::Done]
        );
        assert_eq!(marks.count(Mark::Unsent).unwrap(), 2);
        marks.replace(Mark::Sent, Mark::Unsent).unwrap();
        assert_eq!(
            all(&marks),
            [Mark::Unsent, Mark::Unsent, Mark::Unsent, Mark::Done]
        );
        assert!(marks.get(4).is_err());
    }

    #[test]
    fn a_file_that_was_cut_off_says_that_nothing_is_known() {
        let scratch = Scratch::new();
        let folder = scratch.folder();
        Marks::create(&folder, 1).unwrap();
        let marks = Marks::open(&folder, 3).unwrap();
        assert_eq!(marks.get(2).unwrap(), Mark::Unsent);
    }
}
