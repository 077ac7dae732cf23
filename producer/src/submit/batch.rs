//! A batch: what it is, which images it has, and what is known of each.

use super::line::{Counted, Format, Recorded};
use super::list::{List, Listing};
use super::marks::{Mark, Marks};
use super::name::{Controls, escape, unescape};
use super::output::{Output, Reader};
use super::place::{Folder, Place};
use super::tally::Tally;
use anyhow::{Context, bail};
use ncs_protocol::topology;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The only version of the files until now.
const VERSION: u32 = 1;

/// What a batch is, as it was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) model: String,
    /// The broker, without credentials.
    pub(super) broker: String,
    pub(super) format: Format,
    pub(super) top_k: Option<u32>,
    /// What becomes of images before they are sent, if anything.
    pub(super) prepare: Option<String>,
    /// The files and folders that were named.
    pub(super) paths: Vec<PathBuf>,
}

/// `batch.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    version: u32,
    /// Which the ids of all its jobs begin with.
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) model: String,
    /// The broker, without credentials.
    pub(super) broker: String,
    /// Where its results come, and nobody else's.
    pub(super) result_queue: String,
    pub(super) format: Format,
    pub(super) top_k: Option<u32>,
    pub(super) prepare: Option<String>,
    /// What relative paths begin at, and what was named: as [`escape`] shows it.
    folder: Shown,
    paths: Vec<Shown>,
    pub(super) images: u64,
    /// Present when every image has its line and nothing is to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) complete: Option<Complete>,
}

/// A path as text, and whether something in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
    path: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    path_escaped: bool,
}

/// The end of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Complete {
    /// Images whose line has an error.
    pub(super) failed: u64,
    /// Bytes of the output, by which a change is known.
    pub(super) bytes: u64,
}

/// A batch with its list.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) description: Description,
    pub(super) list: List,
    pub(super) marks: Marks,
    /// What relative paths begin at.
    folder: PathBuf,
    place: Place,
    files: Folder,
}

/// What is in a batch's folder.
#[derive(Debug)]
pub(super) enum Found {
    /// A batch that goes on, or begins to.
    Begun(Box<Batch>),
    /// Nothing is missing of so many images.
    Complete(u64, Complete),
    /// No complete list.
    Nothing(Folder),
}

impl Description {
    /// The id of an image's job.
    pub(super) fn job_id(&self, image: u64) -> String {
        format!("{}.{image}", self.id)
    }

    /// The image of a job; `None` for jobs of others.
    pub(super) fn image_of(&self, job_id: &str) -> Option<u64> {
        let number = job_id.strip_prefix(&self.id)?.strip_prefix('.')?;
        number.parse().ok().filter(|image| *image < self.images)
    }

    /// Says what is otherwise than it was begun; an error for what must not be.
    fn compare(&self, wanted: &Wanted) -> anyhow::Result<()> {
        if self.model != wanted.model {
            bail!(
                "the batch was begun for the model {}; resume it with --model {0}, or give another \
                 --out to classify with {}",
                self.model,
                wanted.model
            );
        }
        if wanted.format == Format::Csv && self.format == Format::Json {
            bail!("the batch was begun without --csv; resume it without, or give another --out");
        }
        if wanted.prepare != self.prepare {
            let begun = self.prepare.as_deref().unwrap_or("images as they are");
            bail!(
                "the batch was begun with other options of --prepare ({begun}); resume it with those, or \
                 give another --out"
            );
        }
        let mut others = Vec::new();
        let paths: Vec<Shown> = wanted.paths.iter().map(|path| Shown::of(path)).collect();
        if !paths.is_empty() && paths != self.paths {
            others.push("its images");
        }
        if wanted.top_k.is_some() && wanted.top_k != self.top_k {
            others.push("--top-k");
        }
        if wanted.name.is_some() && wanted.name != self.name {
            others.push("--name");
        }
        if !others.is_empty() {
            tracing::warn!(
                "the batch stays as it was begun: {} cannot change",
                others.join(", ")
            );
        }
        Ok(())
    }
}

impl Shown {
    fn of(path: &Path) -> Self {
        let (path, path_escaped) = escape(path.as_os_str().as_bytes(), Controls::Kept);
        Self {
            path: path.into_owned(),
            path_escaped,
        }
    }

    fn path(&self) -> Option<PathBuf> {
        if self.path_escaped {
            Some(OsString::from_vec(unescape(&self.path)?).into())
        } else {
            Some(self.path.clone().into())
        }
    }
}

impl Batch {
    /// What is in this folder, if it is a batch of this kind.
    pub(super) fn find(place: &Place, files: Folder, wanted: &Wanted) -> anyhow::Result<Found> {
        let Some(json) = files.description()? else {
            return Ok(Found::Nothing(files));
        };
        let shown = files.shown(super::place::DESCRIPTION);
        let description: Description = serde_json::from_slice(&json)
            .with_context(|| format!("{shown} is no batch of this release; give another --out"))?;
        if description.version != VERSION {
            let version = description.version;
            bail!(
                "{shown} is of version {version}, and this program knows {VERSION}; give another --out"
            );
        }
        description.compare(wanted)?;
        if let Some(complete) = description.complete {
            if let Place::File(output) = place {
                let now = output.metadata().ok().map(|metadata| metadata.len());
                if now != Some(complete.bytes) {
                    let what = if now.is_some() { "changed" } else { "gone" };
                    bail!(
                        "this batch was completed, and its output, {}, is {what}; put it back as it was, or \
                         begin anew with another --out",
                        output.display()
                    );
                }
            }
            // A kill may have come before.
            files.reduce();
            return Ok(Found::Complete(description.images, complete));
        }
        let folder = description.folder.path();
        let batch = Self {
            list: List::open(&files, description.images)?,
            marks: Marks::open(&files, description.images)?,
            folder: folder.with_context(|| format!("{shown} names no folder"))?,
            place: place.clone(),
            description,
            files,
        };
        Ok(Found::Begun(Box::new(batch)))
    }

    /// Begins a batch of the images in this list.
    pub(super) fn begin(
        place: &Place,
        files: Folder,
        wanted: Wanted,
        listing: Listing,
    ) -> anyhow::Result<Self> {
        let folder = std::env::current_dir().context("cannot tell the current folder")?;
        let id = Uuid::now_v7().to_string();
        let images = listing.len();
        let list = listing.finish();
        let description = Description {
            version: VERSION,
            result_queue: topology::batch_results_queue(wanted.name.as_deref(), &id),
            id,
            name: wanted.name,
            model: wanted.model,
            broker: wanted.broker,
            format: wanted.format,
            top_k: wanted.top_k,
            prepare: wanted.prepare,
            folder: Shown::of(&folder),
            paths: wanted.paths.iter().map(|path| Shown::of(path)).collect(),
            images,
            complete: None,
        };
        let batch = Self {
            list: list
                .with_context(|| format!("cannot write {}", files.shown(super::place::IMAGES)))?,
            marks: Marks::create(&files, images)?,
            description,
            folder,
            place: place.clone(),
            files,
        };
        batch.describe(&batch.description)?;
        Ok(batch)
    }

    /// Opens its output, and makes the marks say what that says. Counts its lines in `tally`.
    pub(super) fn open_output(&self, tally: &mut Tally) -> anyhow::Result<Output> {
        let format = self.description.format;
        match &self.place {
            Place::Standard => Output::standard(format),
            Place::File(path) => {
                self.marks
                    .replace(Mark::Done, Mark::Unsent)
                    .context("cannot write the batch's progress")?;
                let batch = self;
                Output::open(path, format, &mut Recovery { batch, tally })
            }
        }
    }

    /// Which file says what it is.
    pub(super) fn described_in(&self) -> String {
        self.files.shown(super::place::DESCRIPTION)
    }

    /// An error is counted with the file that it is about.
    pub(super) fn named(&self, image: u64, counted: Counted) -> anyhow::Result<Counted> {
        let Counted::Error { code, message } = counted else {
            return Ok(counted);
        };
        let path = self.list.path(image);
        let path = path.context("cannot read the batch's list of images")?;
        let (path, _) = escape(&path, Controls::Escaped);
        let message = format!("{path}: {message}");
        Ok(Counted::Error { code, message })
    }

    /// Whether it can be resumed.
    pub(super) fn is_kept(&self) -> bool {
        self.place != Place::Standard
    }

    /// Where its lines are.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// A path as the list has it, from wherever this run was started.
    pub(super) fn find_file(&self, path: Vec<u8>) -> PathBuf {
        self.folder.join(OsString::from_vec(path))
    }

    /// Every image has its line: from now on there is nothing to resume.
    pub(super) fn complete(&self, complete: Complete) -> anyhow::Result<()> {
        let description = Description {
            complete: Some(complete),
            ..self.description.clone()
        };
        self.describe(&description)?;
        self.files.reduce();
        Ok(())
    }

    fn describe(&self, description: &Description) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(description).context("cannot encode the batch")?;
        json.push(b'\n');
        self.files.describe(&json)
    }
}

/// Makes the marks say what the output says.
struct Recovery<'a> {
    batch: &'a Batch,
    tally: &'a mut Tally,
}

impl Reader for Recovery<'_> {
    fn stays(&mut self, line: Recorded) -> anyhow::Result<()> {
        let images = self.batch.description.images;
        let image = line.image;
        anyhow::ensure!(
            image < images,
            "there is no image {image} in a batch of {images}"
        );
        anyhow::ensure!(
            self.batch.marks.get(image)? != Mark::Done,
            "image {image} has a line already"
        );
        self.batch.marks.set(image, Mark::Done)?;
        let counted = self.batch.named(image, line.counted)?;
        self.tally.count(counted);
        Ok(())
    }

    /// Its job may wait at the broker still, or be lost: the broker will tell.
    fn is_cut_off(&mut self, image: u64) -> anyhow::Result<()> {
        anyhow::ensure!(
            image < self.batch.description.images,
            "there is no image {image}"
        );
        if self.batch.marks.get(image)? == Mark::Sent {
            self.batch.marks.set(image, Mark::Overdue)?;
        }
        Ok(())
    }
}
