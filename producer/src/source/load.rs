//! The images that a flood sends, in memory.

use super::{
    Image, List, MAX_SENT_BYTES, Preparation, Prepare, Size, Synthetic, Walk, read, synthetic,
};
use crate::cli::{PrepareArgs, SourceArgs};
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Images kept in memory, in bytes; a larger folder is used up to here.
pub const MAX_BYTES: usize = 512 * 1024 * 1024;
/// Different photos, so that neither caches nor compression make the fleet look faster than it is.
const SYNTHETIC_PHOTOS: usize = 16;
/// At worst each takes what decoding the largest image takes, and the file: 0.8 GB.
const MAX_THREADS: usize = 8;

/// Reads or makes the images, and prepares them, on as many threads as there are cores; there is at
/// least one. A folder's are in the order of its names.
///
/// What is no image, or cannot be prepared or sent, is left out, and the first of it named.
///
/// # Errors
/// When a file cannot be read, or no image is left.
pub fn load(source: &SourceArgs, prepare: &PrepareArgs) -> anyhow::Result<Vec<Image>> {
    let preparation = prepare.preparation()?;
    // While there is one thread.
    ncs_image::give_back_large_buffers();
    let origins = Origins::new(source)?;
    let name = origins.name.clone();
    let Loaded {
        mut images,
        left_out,
        failed,
        origins,
        ..
    } = load_all(origins, &preparation)?;
    if let Some((_, error)) = failed {
        return Err(error);
    }
    images.sort_unstable_by_key(|(number, _)| *number);
    let mut bytes = 0;
    let fitting = images.iter().take_while(|(_, image)| {
        bytes += image.bytes.len();
        bytes <= MAX_BYTES
    });
    let fitting = fitting.count();
    if fitting < images.len() {
        let most = MAX_BYTES >> 20;
        tracing::warn!("{name} has more than {most} MiB; using its first {fitting} images");
    }
    let others = left_out.and(origins.skipped());
    if fitting == 0 {
        bail!(
            "no JPEG, PNG, BMP or WebP image under {} MiB in {name} ({} other files{})",
            MAX_SENT_BYTES.div_ceil(1 << 20),
            others.count,
            others.example()
        );
    }
    if others.count > 0 {
        let LeftOut { count, .. } = others;
        let example = others.example();
        tracing::warn!(
            "{count} files in {name} are left out, being no images that can be sent{example}"
        );
    }
    let images = images.into_iter().map(|(_, image)| image);
    Ok(images.take(fitting).collect())
}

/// What the threads share.
struct Loaded {
    origins: Origins,
    taken: usize,
    /// With its number in the order of sending.
    images: Vec<(usize, Image)>,
    bytes: usize,
    left_out: LeftOut,
    failed: Option<(usize, anyhow::Error)>,
}

/// Files that are not sent.
#[derive(Default)]
struct LeftOut {
    count: u64,
    /// The number of the first one, and what is to be said about it.
    first: Option<(usize, String)>,
}

impl LeftOut {
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            first: self.first.or(other.first),
        }
    }

    fn add(&mut self, number: usize, reason: String) {
        self.count += 1;
        if self.first.as_ref().is_none_or(|(first, _)| number < *first) {
            self.first = Some((number, reason));
        }
    }

    fn example(&self) -> String {
        let first = self.first.as_ref();
        first.map_or_else(String::new, |(_, reason)| format!("; the first: {reason}"))
    }
}

impl Loaded {
    /// What is next to be loaded; nothing once there is enough, or an error.
    fn take(&mut self) -> Option<(usize, Origin)> {
        if self.failed.is_some() || self.bytes > MAX_BYTES {
            return None;
        }
        let number = self.taken;
        self.taken += 1;
        match self.origins.next()? {
            Ok(origin) => Some((number, origin)),
            Err(error) => {
                self.fail(number, error);
                None
            }
        }
    }

    fn fail(&mut self, number: usize, error: anyhow::Error) {
        if self
            .failed
            .as_ref()
            .is_none_or(|(first, _)| number < *first)
        {
            self.failed = Some((number, error));
        }
    }
}

fn load_all(origins: Origins, preparation: &Preparation) -> anyhow::Result<Loaded> {
    let loaded = Mutex::new(Loaded {
        origins,
        taken: 0,
        images: Vec::new(),
        bytes: 0,
        left_out: LeftOut::default(),
        failed: None,
    });
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let workers = (0..threads.min(MAX_THREADS))
        .map(|_| Prepare::new(preparation))
        .collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        for mut prepare in workers {
            let loaded = &loaded;
            scope.spawn(move || {
                loop {
                    let Some((number, origin)) = lock(loaded).take() else {
                        break;
                    };
                    let image = origin.load(&mut prepare, preparation);
                    let mut loaded = lock(loaded);
                    match image {
                        Ok(Ok(image)) => {
                            loaded.bytes += image.bytes.len();
                            loaded.images.push((number, image));
                        }
                        Ok(Err(reason)) => loaded.left_out.add(number, reason),
                        Err(error) => loaded.fail(number, error),
                    }
                }
            });
        }
    });
    Ok(loaded.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn lock(loaded: &Mutex<Loaded>) -> MutexGuard<'_, Loaded> {
    loaded.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where one image comes from.
enum Origin {
    File(PathBuf),
    Photo(Size, u64),
}

impl Origin {
    /// Loads and prepares it; a reason to leave it out is no error.
    fn load(
        self,
        prepare: &mut Prepare,
        preparation: &Preparation,
    ) -> anyhow::Result<Result<Image, String>> {
        let (image, name) = match self {
            Self::Photo(size, number) => {
                let image = synthetic::photo(size, number)?;
                (image, format!("a synthetic photo of {size}"))
            }
            Self::File(path) => {
                let name = path.display().to_string();
                match read(&path, preparation.max_file_bytes()) {
                    Ok(image) => (image, name),
                    Err(error) if error.is_about_content() => {
                        return Ok(Err(format!("{name} {error}")));
                    }
                    Err(error) => return Err(anyhow::anyhow!("{name} {error}")),
                }
            }
        };
        let prepared = prepare.apply(image);
        Ok(prepared.map_err(|error| format!("{name}: {error}")))
    }
}

/// Where all of them come from.
struct Origins {
    kind: Kind,
    name: String,
}

enum Kind {
    Folder(Box<Walk>),
    List(List),
    Photos(Size, std::iter::Take<Numbers>),
}

/// The numbers of made-up photos.
struct Numbers(Synthetic);

impl Iterator for Numbers {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        Some(self.0.next_number())
    }
}

impl Origins {
    fn new(source: &SourceArgs) -> anyhow::Result<Self> {
        if let Some(folder) = &source.images {
            let name = folder.display().to_string();
            anyhow::ensure!(
                folder.is_dir(),
                "there is no folder {name}; give one with images to --images"
            );
            let walk = Walk::new(vec![folder.clone()]).sorted();
            let kind = Kind::Folder(Box::new(walk));
            return Ok(Self { kind, name });
        }
        if let Some(list) = &source.files_from {
            let name = format!("the list {}", list.display());
            let kind = Kind::List(List::open(list, source.null)?);
            return Ok(Self { kind, name });
        }
        let size = source.synthetic.context(
            "no images; give --images DIR, --files-from FILE or --synthetic WIDTHxHEIGHT",
        )?;
        let numbers = Numbers(Synthetic::new(size, source.seed));
        Ok(Self {
            kind: Kind::Photos(size, numbers.take(SYNTHETIC_PHOTOS)),
            name: format!("photos of {size}"),
        })
    }

    /// The files that were not even to be read.
    fn skipped(&self) -> LeftOut {
        let Kind::Folder(walk) = &self.kind else {
            return LeftOut::default();
        };
        let (count, first) = walk.skipped();
        let reason = |path: &std::path::Path| format!("{} is no image", path.display());
        let first = first.map(|path| (0, reason(path)));
        LeftOut { count, first }
    }
}

impl Iterator for Origins {
    type Item = anyhow::Result<Origin>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.kind {
            Kind::Folder(walk) => walk.next().map(|path| Ok(Origin::File(path))),
            Kind::List(list) => list.next().map(|path| path.map(Origin::File)),
            Kind::Photos(size, numbers) => Some(Ok(Origin::Photo(*size, numbers.next()?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::Folder;
    use clap::Parser;
    use ncs_protocol::{Content, ImageType};
    use std::path::Path;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0";

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        prepare: PrepareArgs,
    }

    fn load_with(option: &str, path: &Path, more: &[&str]) -> anyhow::Result<Vec<Image>> {
        let mut words: Vec<std::ffi::OsString> = vec!["flood".into(), option.into(), path.into()];
        words.extend(more.iter().map(Into::into));
        let line = Line::parse_from(words);
        load(&line.source, &line.prepare)
    }

    fn failure(loaded: anyhow::Result<Vec<Image>>) -> String {
        format!("{:#}", loaded.err().unwrap())
    }

    #[test]
    fn a_folder_is_read_by_content_and_other_files_are_left_out() {
        let folder = Folder::new();
        folder.write("readme.txt", b"hello");
        folder.write("sub/no-photo.jpg", b"hello");
        let error = failure(load_with("--images", &folder.path(""), &[]));
        assert!(error.contains("2 other files; the first: "), "{error}");
        assert!(error.contains("begins with \"hello\""), "{error}");
        folder.write("a-photo-without-extension", JPEG);
        folder.write("sub/x.tensor", &[1, 2]);
        let images = load_with("--images", &folder.path(""), &[]).unwrap();
        let contents: Vec<_> = images.iter().map(Image::content).collect();
        let expected = [
            Content::Image(ImageType::Jpeg, JPEG),
            Content::Tensor(&[1, 2]),
        ];
        assert_eq!(contents, expected);
    }

    #[test]
    fn images_keep_the_order_of_their_names_on_all_threads() {
        let folder = Folder::new();
        for number in 0..100_u8 {
            folder.write(&format!("{number:03}.tensor"), &[number]);
        }
        let images = load_with("--images", &folder.path(""), &[]).unwrap();
        let numbers: Vec<_> = images.iter().map(|image| image.bytes[0]).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_list_keeps_its_own_order_and_a_missing_file_of_it_is_an_error() {
        let folder = Folder::new();
        let first = folder.write("z.tensor", b"1");
        let second = folder.write("a.tensor", b"2");
        let text = format!("{}\n{}\n", first.display(), second.display());
        let list = folder.write("list", text.as_bytes());
        let images = load_with("--files-from", &list, &[]).unwrap();
        let images: Vec<_> = images.iter().map(Image::bytes).collect();
        assert_eq!(images, [b"1", b"2"]);
        std::fs::remove_file(&second).unwrap();
        let error = failure(load_with("--files-from", &list, &[]));
        assert!(
            error.contains("a.tensor cannot be read: No such"),
            "{error}"
        );
    }

    #[test]
    fn images_are_prepared_and_what_cannot_be_is_left_out() {
        let folder = Folder::new();
        let photo = Synthetic::new("64x48".parse().unwrap(), 0).next();
        folder.write("good.jpg", photo.unwrap().unwrap().bytes());
        folder.write("bad.jpg", JPEG);
        let tensor = ["--prepare=tensor", "--input-size=8x8", "--input-type=u8"];
        let images = load_with("--images", &folder.path(""), &tensor).unwrap();
        assert_eq!(images.len(), 1);
        assert!(matches!(images[0].content(), Content::Tensor(bytes) if bytes.len() == 3 * 8 * 8));
    }

    #[test]
    fn sixteen_photos_are_made_up_by_their_seed() {
        let load = |seed| load_with("--synthetic", Path::new("16x16"), &[seed]).unwrap();
        let images = load("--seed=7");
        assert_eq!(images.len(), 16);
        assert_eq!(images, load("--seed=7"));
        assert!(load("--seed=8").iter().all(|image| !images.contains(image)));
    }

    #[test]
    fn a_missing_folder_is_named_in_the_error() {
        let error = failure(load_with("--images", Path::new("/no/such/folder"), &[]));
        assert!(error.contains("/no/such/folder"), "{error}");
    }
}
