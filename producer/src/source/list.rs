//! `--files-from`: paths from a list.

use anyhow::Context;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Linux opens no path that is longer (`PATH_MAX`).
const LONGEST_PATH: u64 = 4096;

/// Paths from a file or from standard input, as an iterator: read as they are wanted, kept byte by
/// byte. Empty ones are passed over. After an error it ends.
pub struct List {
    reader: Box<dyn BufRead + Send>,
    name: String,
    separator: u8,
}

impl List {
    /// Opens a list, `-` being standard input. Its paths end with a line's end, or with NUL.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(file: &Path, null: bool) -> anyhow::Result<Self> {
        let (reader, name): (Box<dyn BufRead + Send>, _) = if file == Path::new("-") {
            let stdin = BufReader::new(io::stdin());
            (Box::new(stdin), "standard input".to_owned())
        } else {
            let name = file.display().to_string();
            let file = File::open(file).with_context(|| {
                format!("cannot read the list {name}; give --files-from a file, or -")
            })?;
            (Box::new(BufReader::new(file)), name)
        };
        Ok(Self::new(reader, name, null))
    }

    fn new(reader: Box<dyn BufRead + Send>, name: String, null: bool) -> Self {
        let separator = if null { 0 } else { b'\n' };
        Self {
            reader,
            name,
            separator,
        }
    }

    /// The next path that is not empty.
    fn read(&mut self) -> anyhow::Result<Option<PathBuf>> {
        loop {
            let mut path = Vec::new();
            let most = LONGEST_PATH + 1;
            let read = Read::take(&mut self.reader, most).read_until(self.separator, &mut path);
            let read = read.with_context(|| format!("cannot read the list in {}", self.name))?;
            if read == 0 {
                return Ok(None);
            }
            if path.last() == Some(&self.separator) {
                path.pop();
            }
            anyhow::ensure!(
                path.len() as u64 <= LONGEST_PATH,
                "the list in {} has a path of more than {LONGEST_PATH} bytes; give one per line, or, \
                 with --null, one before each NUL",
                self.name
            );
            if path.contains(&0) {
                let name = &self.name;
                anyhow::bail!("a path in {name} has a NUL in it; is --null missing?");
            }
            if !path.is_empty() {
                return path_of(path).map(Some);
            }
        }
    }
}

impl Iterator for List {
    type Item = anyhow::Result<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read();
        if next.is_err() {
            self.reader = Box::new(io::empty());
        }
        next.transpose()
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn path_of(bytes: Vec<u8>) -> anyhow::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> anyhow::Result<PathBuf> {
    let path = String::from_utf8(bytes).context("a path in the list is not UTF-8")?;
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bytes: impl AsRef<[u8]>, null: bool) -> List {
        let reader = io::Cursor::new(bytes.as_ref().to_vec());
        List::new(Box::new(reader), "test".to_owned(), null)
    }

    fn paths(list: List) -> Vec<PathBuf> {
        list.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_list_has_one_path_per_line_or_per_nul() {
        let expected = ["a b", "c\r", "d"].map(PathBuf::from);
        assert_eq!(paths(list("a b\nc\r\n\nd", false)), expected);
        assert_eq!(paths(list("a b\0c\r\0\0d\0", true)), expected);
        assert_eq!(paths(list("a\nb\0", true)), [PathBuf::from("a\nb")]);
        assert_eq!(paths(list("", false)), [""; 0].map(PathBuf::from));
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_kept_byte_by_byte() {
        use std::os::unix::ffi::OsStrExt;
        let found = paths(list(b"caf\xe9.jpg\n", false));
        assert_eq!(found[0].as_os_str().as_bytes(), b"caf\xe9.jpg");
    }

    #[test]
    fn what_cannot_be_a_path_ends_the_list_with_a_remedy() {
        let longest = "x".repeat(4096);
        assert_eq!(paths(list(&longest, false)).len(), 1);
        for (text, remedy) in [
            ("x".repeat(4097), "one per line"),
            ("a\0b\0\nc".to_owned(), "is --null missing?"),
        ] {
            let mut list = list(text, false);
            let error = list.next().unwrap().unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
            assert!(list.next().is_none());
        }
    }

    #[test]
    fn a_missing_list_is_named_in_the_error() {
        let error = List::open(Path::new("/no/list"), false).err().unwrap();
        assert!(error.to_string().contains("/no/list"), "{error}");
    }
}
