//! A folder of made-up files, for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

static MADE: AtomicU32 = AtomicU32::new(0);

/// Dropping it removes it.
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn new(name: &str) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("ncs-doctor-{}-{number}-{name}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A device as the kernel shows it: `("2-1.4", [("idVendor", "03e7"), …])`.
    pub(super) fn usb_device(&self, port: &str, attributes: &[(&str, &str)]) {
        for (name, value) in attributes {
            let file = format!("sys/bus/usb/devices/{port}/{name}");
            self.write(&file, &format!("{value}\n"));
        }
    }

    /// A stick that is device 7 of bus 2.
    pub(super) fn stick(&self, port: &str, product: &str, speed: &str) {
        let ids = [("idVendor", "03e7"), ("idProduct", product)];
        let place = [("busnum", "2"), ("devnum", "7"), ("speed", speed)];
        self.usb_device(port, &[&ids[..], &place].concat());
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
