//! Where the lines go: a file that grows, or standard output.

use super::line::{Format, Recorded};
use anyhow::Context;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Lines that are gathered before they are written, in bytes.
const GATHERED: usize = 64 * 1024;

/// The output of a batch. What is written is whole lines, also when writing fails.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// For errors.
    shown: String,
    is_file: bool,
    gathered: Vec<u8>,
    /// Bytes of whole lines in the file.
    written: u64,
}

/// What reading an output again tells of each line.
pub(super) trait Reader {
    /// A line that stays.
    fn stays(&mut self, line: Recorded) -> anyhow::Result<()>;
    /// A line that is cut off, because its image is tried again.
    fn is_cut_off(&mut self, image: u64) -> anyhow::Result<()>;
}

impl Output {
    /// Standard output.
    pub(super) fn standard(format: Format) -> anyhow::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        let file = File::from(stdout.context("cannot use standard output")?);
        Ok(Self {
            file,
            shown: "standard output".to_owned(),
            is_file: false,
            gathered: format.header(),
            written: 0,
        })
    }

    /// Opens a batch's file, or begins it, tells `reader` its lines and goes on behind them. Cut off are
    /// half a line, which a kill has left, and the `unanswered` at the end.
    pub(super) fn open(
        path: &Path,
        format: Format,
        reader: &mut impl Reader,
    ) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let mut options = File::options();
        let options = options.read(true).append(true).create(true);
        let file = options
            .open(path)
            .with_context(|| format!("cannot write the results to {shown}"))?;
        let kept = read_lines(&file, format, reader).with_context(|| {
            format!("{shown} is not as it was left; mend it, or begin anew with another --out")
        })?;
        // What a killed run has written may not be on the disk yet, and is taken for done from here on; its
        // name must outlive a power cut too.
        let cut = file.set_len(kept).and_then(|()| file.sync_data());
        let cut = cut.and_then(|()| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        });
        cut.with_context(|| format!("cannot write the results to {shown}"))?;
        let gathered = if kept == 0 {
            format.header()
        } else {
            Vec::new()
        };
        Ok(Self {
            file,
            shown,
            is_file: true,
            gathered,
            written: kept,
        })
    }

    /// Adds lines that `write` writes.
    pub(super) fn add(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        write(&mut self.gathered)?;
        if self.gathered.len() < GATHERED {
            return Ok(());
        }
        self.flush()
    }

    /// Bytes of whole lines. An error where the file is no longer under its name, so that nobody finds them.
    pub(super) fn len(&self, path: &Path) -> anyhow::Result<u64> {
        let id = |metadata: io::Result<std::fs::Metadata>| {
            metadata
                .ok()
                .map(|file| (file.dev(), file.ino(), file.len()))
        };
        let now = id(path.metadata());
        anyhow::ensure!(
            now.is_some()
                && now == id(self.file.metadata())
                && now.map(|now| now.2) == Some(self.written),
            "{} was removed, replaced or changed while it was written; its lines are lost to others: begin \
             anew with another --out",
            self.shown
        );
        Ok(self.written)
    }

    /// From here on others can read what was added.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.gathered) {
            // The first lines of it may be there, and half of one.
            if self.is_file
                && let Err(error) = self.file.set_len(self.written)
            {
                tracing::debug!(%error, "half a line stays, until the batch is resumed");
            }
            return Err(self.cannot_write(error));
        }
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    /// From here on a power cut loses nothing of what was added.
    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        self.flush()?;
        if !self.is_file {
            return Ok(());
        }
        self.file
            .sync_data()
            .map_err(|error| self.cannot_write(error))
    }

    fn cannot_write(&self, error: io::Error) -> anyhow::Error {
        let shown = &self.shown;
        if error.kind() == io::ErrorKind::BrokenPipe {
            return anyhow::anyhow!("nobody reads {shown} any more");
        }
        anyhow::Error::from(error).context(format!("cannot write the results to {shown}"))
    }
}

/// Reads the lines of a file; how many bytes of it stay.
fn read_lines(file: &File, format: Format, reader: &mut impl Reader) -> anyhow::Result<u64> {
    let mut file = BufReader::with_capacity(GATHERED, file);
    let (mut read, mut kept) = (0, 0);
    let (mut line, header) = (Vec::new(), format.header());
    for number in 1_u64.. {
        line.clear();
        let bytes = file.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            break;
        }
        let is_header = number == 1 && !header.is_empty();
        if is_header {
            anyhow::ensure!(
                line == header,
                "line 1 does not hold the names of the columns"
            );
        } else {
            let recorded = format.read(&line[..line.len() - 1]);
            let recorded = recorded.with_context(|| format!("line {number}"))?;
            if recorded.counted.is_unanswered() {
                reader
                    .is_cut_off(recorded.image)
                    .with_context(|| format!("line {number}"))?;
                read += bytes;
                continue;
            }
            anyhow::ensure!(
                read == kept,
                "line {number}: it comes after a line with the error unanswered, which is always at \
                 the end"
            );
            reader
                .stays(recorded)
                .with_context(|| format!("line {number}"))?;
        }
        read += bytes;
        kept = read;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::line::{Code, Failure, Verdict};
    use crate::submit::scratch::Scratch;

    #[derive(Default)]
    struct Seen {
        stay: Vec<u64>,
        cut_off: Vec<u64>,
    }

    impl Reader for Seen {
        fn stays(&mut self, line: Recorded) -> anyhow::Result<()> {
            self.stay.push(line.image);
            Ok(())
        }
        fn is_cut_off(&mut self, image: u64) -> anyhow::Result<()> {
            self.cut_off.push(image);
            Ok(())
        }
    }

    fn failure(code: Code) -> Verdict {
        Verdict::Failed(Failure {
            code,
            message: "why".into(),
        })
    }

    fn add(output: &mut Output, format: Format, image: u64, code: Code) {
        let verdict = failure(code);
        output
            .add(|lines| format.write(lines, image, b"p", &verdict))
            .unwrap();
    }

    #[test]
    fn half_a_line_and_unanswered_ones_are_cut_off_wherever_a_kill_came() {
        for format in [Format::Json, Format::Csv] {
            let scratch = Scratch::new();
            let path = scratch.path().join("out");
            let mut output = Output::open(&path, format, &mut Seen::default()).unwrap();
            for (image, code) in [(4, Code::Unreadable), (2, Code::TooLarge)] {
                add(&mut output, format, image, code);
            }
            output.sync().unwrap();
            let whole = std::fs::read(&path).unwrap();
            for image in [0, 1] {
                add(&mut output, format, image, Code::Unanswered);
            }
            output.sync().unwrap();
            let all = std::fs::read(&path).unwrap();
            let first = format.header().len() + (whole.len() - format.header().len()) / 2;
            for length in 0..=all.len() {
                std::fs::write(&path, &all[..length]).unwrap();
                let mut seen = Seen::default();
                let mut output = Output::open(&path, format, &mut seen).unwrap();
                assert!([4, 2].starts_with(&seen.stay), "{length}: {:?}", seen.stay);
                assert!(
                    [0, 1].starts_with(&seen.cut_off),
                    "{length}: {:?}",
                    seen.cut_off
                );
                if length >= whole.len() {
                    assert_eq!(seen.stay, [4, 2]);
                } else if length < first {
                    assert!(seen.stay.len() < 2);
                }
                for (image, code) in [(4, Code::Unreadable), (2, Code::TooLarge)] {
                    if !seen.stay.contains(&image) {
                        add(&mut output, format, image, code);
                    }
                }
                output.sync().unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {length}");
            }
        }
    }

    #[test]
    fn a_file_that_somebody_changed_is_refused_with_the_line() {
        let scratch = Scratch::new();
        let path = scratch.path().join("out");
        std::fs::write(&path, "{\"image\":0,\"outcome\":{\"classes\":[]}}\nhello\n").unwrap();
        let error = Output::open(&path, Format::Json, &mut Seen::default()).unwrap_err();
        assert!(format!("{error:#}").contains("line 2: "), "{error:#}");
    }

    #[test]
    fn a_full_disk_is_told_as_it_is() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut output = Output {
            file,
            shown: "/dev/full".to_owned(),
            is_file: true,
            gathered: b"x\n".to_vec(),
            written: 0,
        };
        let error = format!("{:#}", output.sync().unwrap_err());
        assert!(
            error.starts_with("cannot write the results to /dev/full: No space"),
            "{error}"
        );
    }
}
