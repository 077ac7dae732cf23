//! Which images a batch has: a walk through what was named, straight into its list.

use super::list::Listing;
use super::place::{Folder, IMAGES};
use crate::cli::ImagesArgs;
use crate::source::{List, Walk};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often it is told where nothing can be drawn.
const TELL: Duration = Duration::from_secs(10);
/// Looking at the clock for each path would cost as much as the path.
const LOOK_AT_CLOCK: u64 = 256;

/// Lists all images that there are. It is an error that there is none.
pub(super) fn list(images: &ImagesArgs, folder: &Folder) -> anyhow::Result<Listing> {
    // One that is missing gets its line. Where all are, a name is misspelt, or this is the wrong folder.
    let is_missing = |path: &PathBuf| {
        path.symlink_metadata()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    if let (Some(first), None) = (images.paths.first(), &images.files_from)
        && images.paths.iter().all(is_missing)
    {
        bail!("there is no {}", first.display());
    }
    let mut listing = Listing::begin(folder)?;
    let mut found = Found::new();
    let mut add = |path: &Path| {
        listing
            .add(path.as_os_str().as_bytes())
            .with_context(|| format!("cannot write {}", folder.shown(IMAGES)))?;
        found.one_more(listing.len());
        Ok::<(), anyhow::Error>(())
    };
    let mut walk = Walk::new(images.paths.clone());
    for path in walk.by_ref() {
        add(&path)?;
    }
    let (skipped, first) = walk.skipped();
    let skipped_first = first.map(Path::to_owned);
    if let Some(file) = &images.files_from {
        for path in List::open(file, images.null)? {
            add(&path?)?;
        }
    }
    found.end();
    if skipped > 0 {
        let example = skipped_first.unwrap_or_else(PathBuf::new);
        tracing::warn!(
            "no images, and left out: {skipped}, such as {}",
            example.display()
        );
    }
    if listing.len() == 0 {
        bail!(
            "there is no image in what was named; give files, or folders with JPEG, PNG, BMP or WebP images"
        );
    }
    tracing::info!("images: {}", listing.len());
    Ok(listing)
}

/// Tells how many were found so far.
struct Found {
    bar: ProgressBar,
    told: Instant,
}

impl Found {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        // The template is a constant; with a bad one, the crate's own style is good enough.
        if let Ok(style) =
            ProgressStyle::with_template("{elapsed_precise} {spinner} {pos} images found")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            told: Instant::now(),
        }
    }

    fn one_more(&mut self, found: u64) {
        if !found.is_multiple_of(LOOK_AT_CLOCK) {
            return;
        }
        if !self.bar.is_hidden() {
            self.bar.set_position(found);
        } else if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            tracing::info!("{found} images found until now");
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
