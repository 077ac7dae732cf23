//! The control folder: a thread that reads the sticks' states from it and writes what they did.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::condition::{self, Line};
use crate::host::Host;
use crate::stats;

/// How often the file is looked at. A change takes effect within this and a little.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often the counts are written, at most.
const WRITE_EVERY: Duration = Duration::from_millis(50);

/// The file of the states in the control folder.
fn file_in(folder: &Path) -> PathBuf {
    folder.join("sticks")
}

/// What the file says. `None` if there is none, or it is malformed.
pub(crate) fn read(folder: &Path) -> Option<BTreeMap<String, Line>> {
    let file = file_in(folder);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            eprintln!("stick emulator: cannot read {}: {error}", file.display());
            return None;
        }
    };
    condition::parse(&text)
        .inspect_err(|why| eprintln!("stick emulator: {}, {why}", file.display()))
        .ok()
}

/// Starts the thread. It runs as long as the process.
pub(crate) fn start(host: Arc<Host>, folder: PathBuf) {
    // Seen before it is read: a change in between is read twice, never missed. The host has read it
    // once already, so what it was told then holds until the file changes or is there.
    let spawned = thread::Builder::new()
        .name("sticks-control".to_owned())
        .spawn(move || run(&host, &folder));
    if let Err(error) = spawned {
        eprintln!("stick emulator: cannot watch the control folder: {error}");
    }
}

fn run(host: &Host, folder: &Path) {
    let file = file_in(folder);
    let stats_file = folder.join(format!("stats-{}.json", std::process::id()));
    let mut seen = None;
    let mut written = String::new();
    let mut write_at = Instant::now();
    loop {
        let version = fs::metadata(&file).ok().as_ref().map(Version::of);
        if version.is_some()
            && version != seen
            && let Some(lines) = read(folder)
        {
            host.apply(&lines, Instant::now());
        }
        // A file that is gone changes nothing: it is between two states, or nobody wants any.
        seen = version.or(seen);

        let now = Instant::now();
        if write_at <= now {
            write_at = now + WRITE_EVERY;
            let stats = stats::collect(host, now).to_string();
            if stats != written {
                match replace(&stats_file, &stats) {
                    Ok(()) => written = stats,
                    // The folder is gone, and with it whoever would read this.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => {
                        eprintln!(
                            "stick emulator: cannot write {}: {error}",
                            stats_file.display()
                        );
                    }
                }
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    modified: (i64, i64),
    len: u64,
}

impl Version {
    fn of(file: &Metadata) -> Self {
        Self {
            inode: file.ino(),
            modified: (file.mtime(), file.mtime_nsec()),
            len: file.len(),
        }
    }
}

/// Writes a file as a whole: whoever reads it sees the old one or the new one.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("json.new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}
