//! The kernel's memory for USB transfers.

use super::finding::Finding;
use std::fs;
use std::path::Path;

const FILE: &str = "sys/module/usbcore/parameters/usbfs_memory_mb";

/// What one stick has in flight at most: OpenVINO 2022.3 moves data in pieces of up to 1 MiB, one
/// to the stick and one from it at a time (`DEFAULT_CHUNKSZ`, `usb_write` and `usb_read` in its
/// `XLink`). Read in the source, not measured.
const MEGABYTES_PER_STICK: usize = 2;

/// None where there are no sticks, or no such setting.
pub(super) fn check(root: &Path, sticks: usize) -> Option<Finding> {
    let text = fs::read_to_string(root.join(FILE)).ok()?;
    let megabytes: usize = text.trim().parse().ok()?;
    match (megabytes, sticks * MEGABYTES_PER_STICK) {
        (_, 0) => None,
        (0, _) => Some(Finding::ok("USB transfers: as much memory as they need")),
        (_, needed) if needed <= megabytes => Some(Finding::ok(format!(
            "USB transfers: {megabytes} MB of memory, enough for {sticks} of the sticks"
        ))),
        (_, needed) => {
            let better = (2 * needed).next_power_of_two();
            let finding = Finding::warning(format!(
                "USB transfers: {megabytes} MB of memory for the whole system; {sticks} sticks can \
                 have {needed} MB in flight, and what finds no memory fails"
            ));
            Some(finding.remedy(format!(
                "echo {better} | sudo tee /{FILE}; for good: usbcore.usbfs_memory_mb={better} on \
                 the kernel's command line"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Grade;
    use crate::doctor::testing::Tree;

    #[test]
    fn the_default_does_for_eight_sticks() {
        let tree = Tree::new("usbfs");
        let grade = |sticks| check(tree.path(), sticks).map(|finding| finding.grade);
        assert_eq!(grade(8), None, "there is no such setting");
        tree.write(FILE, "16\n");
        assert_eq!(grade(0), None);
        assert_eq!(grade(8), Some(Grade::Ok));
        assert_eq!(grade(9), Some(Grade::Warning));
        let text = check(tree.path(), 9).map(|finding| finding.to_string());
        assert!(text.unwrap().contains("usbcore.usbfs_memory_mb=64"));
        tree.write(FILE, "0\n");
        assert_eq!(grade(99), Some(Grade::Ok), "0 is no limit");
        tree.write(FILE, "much\n");
        assert_eq!(grade(9), None);
    }
}
