//! The images in folders, one after the other.

use super::read;
use ncs_protocol::ImageType;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// What a file's name may end with to be taken for an image unseen, in any case.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "webp", "tensor"];

/// The images among files and folders, as an iterator: folders are entered with what is below them,
/// symbolic links are followed, and a link back to a folder that it lies in is left alone. Names are
/// kept byte by byte.
///
/// In a folder, a regular file is an image by its extension, or else by its first bytes; what is none is
/// counted. A path that was named by itself is always yielded, and so is what cannot be looked at: the
/// reading of it will tell the error.
///
/// Nothing is kept of a folder but its place in it, unless [`Self::sorted`] wants it. Beyond ten folders
/// below each other, the outer ones are read to their ends and kept, so that few files are open.
pub struct Walk {
    paths: std::vec::IntoIter<PathBuf>,
    folder: Option<(PathBuf, walkdir::IntoIter)>,
    sorted: bool,
    skipped: u64,
    first_skipped: Option<PathBuf>,
}

impl Walk {
    /// The images among `paths`, in the order in which they are named, and the folders give them.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths: paths.into_iter(),
            folder: None,
            sorted: false,
            skipped: 0,
            first_skipped: None,
        }
    }

    /// With each folder in the order of its names, which holds the names of one folder of each depth.
    #[must_use]
    pub fn sorted(self) -> Self {
        Self {
            sorted: true,
            ..self
        }
    }

    /// How many files in folders were no images so far, and the first of them.
    #[must_use]
    pub fn skipped(&self) -> (u64, Option<&Path>) {
        (self.skipped, self.first_skipped.as_deref())
    }

    fn enter(&mut self, folder: PathBuf) {
        let mut walk = WalkDir::new(&folder).follow_links(true);
        if self.sorted {
            walk = walk.sort_by_file_name();
        }
        self.folder = Some((folder, walk.into_iter()));
    }

    /// What is yielded of an entry, if anything.
    fn look_at(&mut self, entry: DirEntry) -> Option<PathBuf> {
        if !entry.file_type().is_file() {
            return None;
        }
        let path = entry.into_path();
        if is_named_as_image(&path) || begins_as_image(&path) {
            return Some(path);
        }
        tracing::debug!(path = %path.display(), "no image");
        self.skipped += 1;
        self.first_skipped.get_or_insert(path);
        None
    }
}

impl Iterator for Walk {
    type Item = PathBuf;

    fn next(&mut self) -> Option<PathBuf> {
        loop {
            let Some((folder, entries)) = &mut self.folder else {
                let path = self.paths.next()?;
                if !path.is_dir() {
                    return Some(path);
                }
                self.enter(path);
                continue;
            };
            let found = match entries.next() {
                None => {
                    self.folder = None;
                    None
                }
                Some(Ok(entry)) => self.look_at(entry),
                // Whatever is in there is found on the way that does not go in circles.
                Some(Err(error)) if error.loop_ancestor().is_some() => None,
                Some(Err(error)) => Some(error.path().unwrap_or(folder).to_owned()),
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

fn is_named_as_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// What cannot be read may be an image.
fn begins_as_image(path: &Path) -> bool {
    read::start(path).map_or(true, |start| ImageType::of_content(&start).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::Folder;

    fn names(walk: &mut Walk) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        walk.map(name).collect()
    }

    #[test]
    fn images_are_found_by_their_names_and_by_their_first_bytes() {
        let folder = Folder::new();
        folder.write("a.JPG", b"not looked at");
        folder.write("b", b"\x89PNG\r\n\x1a\n");
        folder.write("c.txt", b"text");
        folder.write("d.Tensor", b"");
        folder.write("sub/deeper/e.webp", b"");
        folder.write("z.empty", b"");
        let mut walk = Walk::new(vec![folder.path("")]).sorted();
        assert_eq!(names(&mut walk), ["a.JPG", "b", "d.Tensor", "e.webp"]);
        let (skipped, first) = walk.skipped();
        assert_eq!((skipped, first), (2, Some(&*folder.path("c.txt"))));
        let mut unsorted = names(&mut Walk::new(vec![folder.path("")]));
        unsorted.sort();
        assert_eq!(unsorted, ["a.JPG", "b", "d.Tensor", "e.webp"]);
    }

    #[test]
    fn what_is_named_by_itself_is_always_yielded() {
        let folder = Folder::new();
        folder.write("c.txt", b"text");
        let named = vec![folder.path("c.txt"), folder.path("missing")];
        let mut walk = Walk::new(named.clone());
        assert_eq!(walk.by_ref().collect::<Vec<_>>(), named);
        assert_eq!(walk.skipped(), (0, None));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles_and_broken_ones_are_yielded() {
        use std::os::unix::fs::symlink;

        let folder = Folder::new();
        let elsewhere = Folder::new();
        elsewhere.write("far.png", b"");
        folder.write("sub/near.png", b"");
        symlink(elsewhere.path(""), folder.path("sub/elsewhere")).unwrap();
        symlink(folder.path(""), folder.path("sub/circle")).unwrap();
        symlink(folder.path("nowhere"), folder.path("sub/lost.png")).unwrap();
        let mut walk = Walk::new(vec![folder.path("")]).sorted();
        assert_eq!(names(&mut walk), ["far.png", "lost.png", "near.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_are_kept_byte_by_byte() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let folder = Folder::new();
        let path = folder.path("").join(OsStr::from_bytes(b"caf\xe9.jpg"));
        std::fs::write(&path, b"").unwrap();
        let found: Vec<_> = Walk::new(vec![folder.path("")]).collect();
        assert_eq!(found, [path]);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_a_folder_is_left_alone() {
        let folder = Folder::new();
        let made = std::process::Command::new("mkfifo")
            .arg(folder.path("pipe.jpg"))
            .status();
        assert!(made.unwrap().success());
        assert_eq!(names(&mut Walk::new(vec![folder.path("")])), [""; 0]);
    }
}
