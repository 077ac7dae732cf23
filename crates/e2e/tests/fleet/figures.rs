//! What Linux counts of a process.

use std::fs;

/// A figure of `/proc/<pid>/status`: `Threads`, or bytes for one that is in kB, such as `VmHWM`.
pub(crate) fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process on Linux");
    let line = status.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix(':')
    });
    let mut words = line.expect("a figure of its name").split_ascii_whitespace();
    let number: u64 = words.next().and_then(|n| n.parse().ok()).expect("a number");
    match words.next() {
        Some("kB") => number * 1024,
        _ => number,
    }
}

/// How many sockets it has open.
pub(crate) fn sockets(pid: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process on Linux");
    let target = |file: std::io::Result<fs::DirEntry>| fs::read_link(file.ok()?.path()).ok();
    files
        .filter_map(target)
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}
