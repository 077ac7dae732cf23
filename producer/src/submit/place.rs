//! Where a batch keeps its files: in a folder beside its output, for one run at a time.

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What the batch is: there when its list is complete.
pub(super) const DESCRIPTION: &str = "batch.json";
/// The images' paths.
pub(super) const IMAGES: &str = "images";
/// Where each path begins.
pub(super) const OFFSETS: &str = "offsets";
/// A mark for each image.
pub(super) const PROGRESS: &str = "progress";
/// What is removed when nothing is missing any more.
const NEEDED_UNTIL_THE_END: [&str; 3] = [IMAGES, OFFSETS, PROGRESS];
/// A description on its way.
const NEW_DESCRIPTION: &str = "batch.json.new";

/// All that is ever in a batch's folder.
const FILES: [&str; 5] = [DESCRIPTION, NEW_DESCRIPTION, IMAGES, OFFSETS, PROGRESS];

/// Where the lines go, and the batch's files with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// To this file; what else the batch needs is in a folder beside it.
    File(PathBuf),
    /// To standard output. Such a batch cannot be resumed.
    Standard,
}

/// The folder of a batch. While it lives, no other run has it.
#[derive(Debug)]
pub(super) enum Folder {
    /// This one; the lock goes with the handle, however the process ends.
    Kept { path: PathBuf, _lock: File },
    /// Its files have no names, and go with the process.
    Nameless,
}

impl Place {
    /// What `--out` names.
    pub(super) fn of(out: &Path) -> Self {
        if out == Path::new("-") {
            Self::Standard
        } else {
            Self::File(out.to_owned())
        }
    }

    /// The batch's folder: `results.jsonl.batch` beside `results.jsonl`.
    fn folder(&self) -> Option<PathBuf> {
        let Self::File(output) = self else {
            return None;
        };
        let mut folder = output.clone().into_os_string();
        folder.push(".batch");
        Some(folder.into())
    }

    /// Whether there is a batch that can be resumed, or a part of one. What is in the way otherwise is
    /// an error: nothing is ever overwritten.
    pub(super) fn look(&self, resume: bool) -> anyhow::Result<bool> {
        let (Self::File(output), Some(folder)) = (self, self.folder()) else {
            return Ok(false);
        };
        let is_there = |path: &Path| match path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
        };
        match (is_there(&folder)?, is_there(output)?) {
            (true, _) if !resume => bail!(
                "a batch was begun in {} before: go on with it with --resume, or give another --out",
                folder.display()
            ),
            (false, true) if resume => bail!(
                "{} is there, but {} is not, which says what it is the output of; give another --out",
                output.display(),
                folder.display()
            ),
            (false, true) => bail!(
                "{} is there already; give another --out{}",
                output.display(),
                if output.is_file() {
                    ", or remove it"
                } else {
                    ""
                }
            ),
            (batch, _) => Ok(batch),
        }
    }

    /// Makes the folder, or takes the one that is there to `resume` it. One that is not a batch's is left
    /// alone: its files would be overwritten.
    pub(super) fn take(&self, resume: bool) -> anyhow::Result<Folder> {
        let Some(path) = self.folder() else {
            return Ok(Folder::Nameless);
        };
        let shown = path.display();
        match fs::create_dir(&path) {
            // Another run has made it since we looked.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !resume => bail!(
                "a batch was begun in {shown} before: go on with it with --resume, or give another --out"
            ),
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| {
                    format!("cannot make the folder {shown}; give another --out")
                });
            }
            _ => {}
        }
        let files = fs::read_dir(&path).with_context(|| format!("cannot look into {shown}"))?;
        for file in files {
            let name = file
                .with_context(|| format!("cannot look into {shown}"))?
                .file_name();
            if !FILES.iter().any(|ours| name == **ours) {
                bail!(
                    "{shown} is no batch's folder: {} is in it; give another --out",
                    name.display()
                );
            }
        }
        Folder::at(path)
    }
}

impl Folder {
    /// A folder that is there.
    pub(super) fn at(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display();
        let lock = File::open(&path).with_context(|| format!("cannot open {shown}"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self::Kept { path, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => bail!(
                "another submit is at work on {shown}; wait for its end, or give another --out"
            ),
            Err(error) => Err(error).with_context(|| format!("cannot lock {shown}")),
        }
    }

    /// How errors name one of its files.
    pub(super) fn shown(&self, name: &str) -> String {
        match self {
            Self::Kept { path, .. } => path.join(name).display().to_string(),
            Self::Nameless => format!(
                "a temporary file ({name}) in {}",
                std::env::temp_dir().display()
            ),
        }
    }

    /// Begins one of its files anew, to be written and read.
    pub(super) fn create(&self, name: &str) -> anyhow::Result<File> {
        let mut options = File::options();
        options.read(true).write(true);
        let created = match self {
            Self::Kept { path, .. } => options.create(true).truncate(true).open(path.join(name)),
            Self::Nameless => {
                let path = std::env::temp_dir().join(format!(
                    "ncs-batch-{}-{}-{name}",
                    std::process::id(),
                    Uuid::now_v7()
                ));
                let created = options.create_new(true).mode(0o600).open(&path);
                created.and_then(|file| fs::remove_file(&path).map(|()| file))
            }
        };
        created.with_context(|| format!("cannot write {}", self.shown(name)))
    }

    /// Opens one of its files, to be written and read.
    pub(super) fn open(&self, name: &str) -> anyhow::Result<File> {
        let opened = match self {
            Self::Kept { path, .. } => File::options().read(true).write(true).open(path.join(name)),
            Self::Nameless => Err(ErrorKind::NotFound.into()),
        };
        opened.with_context(|| format!("cannot open {}", self.shown(name)))
    }

    /// The description, if the list was completed.
    pub(super) fn description(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let Self::Kept { path, .. } = self else {
            return Ok(None);
        };
        match fs::read(path.join(DESCRIPTION)) {
            Ok(json) => Ok(Some(json)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read {}", self.shown(DESCRIPTION)))
            }
        }
    }

    /// Writes the description: whole, or not at all.
    pub(super) fn describe(&self, json: &[u8]) -> anyhow::Result<()> {
        let Self::Kept { path, .. } = self else {
            return Ok(());
        };
        let write = || -> io::Result<()> {
            let new = path.join(NEW_DESCRIPTION);
            let mut file = File::create(&new)?;
            io::Write::write_all(&mut file, json)?;
            file.sync_all()?;
            fs::rename(&new, path.join(DESCRIPTION))?;
            File::open(path)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", self.shown(DESCRIPTION)))
    }

    /// Removes what only an unfinished batch needs.
    pub(super) fn reduce(&self) {
        let Self::Kept { path, .. } = self else {
            return;
        };
        for name in NEEDED_UNTIL_THE_END {
            if let Err(error) = fs::remove_file(path.join(name)) {
                tracing::debug!(%error, name, "cannot remove a file of the batch");
            }
        }
    }

    /// Removes a batch that was never begun.
    pub(super) fn remove(self) {
        self.reduce();
        let Self::Kept { path, .. } = &self else {
            return;
        };
        // It stays where anything else is in it.
        if let Err(error) = fs::remove_dir(path) {
            tracing::debug!(%error, "cannot remove the batch's folder");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::scratch::Scratch;

    #[test]
    fn what_is_there_is_never_overwritten_and_the_remedy_is_told() {
        let scratch = Scratch::new();
        let output = scratch.path().join("r.jsonl");
        let place = Place::of(&output);
        assert!(!place.look(false).unwrap());
        assert!(!place.look(true).unwrap());
        fs::write(&output, "x").unwrap();
        let told = |resume| place.look(resume).unwrap_err().to_string();
        assert!(told(false).contains("another --out"), "{}", told(false));
        assert!(told(true).contains("r.jsonl.batch"), "{}", told(true));
        fs::create_dir(scratch.path().join("r.jsonl.batch")).unwrap();
        assert!(told(false).contains("--resume"), "{}", told(false));
        assert!(place.look(true).unwrap());
        fs::remove_file(&output).unwrap();
        assert!(place.look(true).unwrap());
    }

    #[test]
    fn a_folder_has_one_run_at_a_time() {
        let scratch = Scratch::new();
        let place = Place::of(&scratch.path().join("r"));
        let first = place.take(false).unwrap();
        let told = place.take(true).unwrap_err().to_string();
        assert!(told.contains("another submit is at work"), "{told}");
        drop(first);
        place.take(true).unwrap().remove();
        assert!(!scratch.path().join("r.batch").exists());
    }

    #[test]
    fn a_folder_that_is_not_a_batchs_is_left_alone() {
        let scratch = Scratch::new();
        let place = Place::of(&scratch.path().join("r"));
        let folder = scratch.path().join("r.batch");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("photo.jpg"), "a photo").unwrap();
        let told = place.take(true).unwrap_err().to_string();
        assert!(told.contains("photo.jpg is in it"), "{told}");
        fs::remove_file(folder.join("photo.jpg")).unwrap();
        let taken = place.take(true).unwrap();
        fs::write(folder.join("photo.jpg"), "a photo").unwrap();
        taken.create(IMAGES).unwrap();
        taken.remove();
        let left: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        // Whoever begins a batch does not go on with one that came first.
        fs::remove_file(folder.join("photo.jpg")).unwrap();
        let told = place.take(false).unwrap_err().to_string();
        assert!(told.contains("--resume"), "{told}");
    }

    #[test]
    fn a_description_is_there_when_it_is_complete_and_outlives_the_rest() {
        let scratch = Scratch::new();
        let folder = scratch.folder();
        folder.create(IMAGES).unwrap();
        fs::write(scratch.path().join(NEW_DESCRIPTION), "half of").unwrap();
        assert_eq!(folder.description().unwrap(), None);
        folder.describe(b"{}").unwrap();
        folder.reduce();
        assert_eq!(folder.description().unwrap(), Some(b"{}".to_vec()));
        assert!(folder.open(IMAGES).is_err());
    }

    #[test]
    fn a_batch_for_a_pipe_leaves_no_file() {
        let mut file = Folder::Nameless.create(IMAGES).unwrap();
        io::Write::write_all(&mut file, b"x").unwrap();
        let ours = format!("ncs-batch-{}-", std::process::id());
        let left = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours));
        assert_eq!(left.count(), 0);
    }
}
