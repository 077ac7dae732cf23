//! The file by which processes take turns at booting sticks.

use super::finding::Finding;
use std::path::Path;

/// OpenVINO 2022.3 opens it with `O_CREAT` before it boots a stick, keeps it for ever, and where
/// that fails, ends the process (`ncDeviceOpen` in its `mvnc_api.c`).
const FILE: &str = "tmp/mvnc.mutex";

/// None where it can be opened, or created.
pub(super) fn check(root: &Path) -> Option<Finding> {
    let file = root.join(FILE);
    let error = refusal(&file)?;
    let file = file.display();
    Some(
        Finding::problem(format!(
            "{file} cannot be opened: {error}; OpenVINO's MYRIAD plugin would end the process"
        ))
        .remedy(format!(
            "another user has left it: sudo rm {file}, and run all that uses sticks as one user"
        )),
    )
}

/// As OpenVINO opens it, since the kernel may refuse `O_CREAT` for a file of somebody else in
/// `/tmp` (`fs.protected_regular`), even to root. It is there, so nothing is created.
#[cfg(unix)]
fn refusal(file: &Path) -> Option<rustix::io::Errno> {
    use rustix::fs::{Mode, OFlags};
    if !file.exists() {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC;
    rustix::fs::open(file, flags, Mode::RUSR | Mode::WUSR).err()
}

/// No other system has it.
#[cfg(not(unix))]
fn refusal(_file: &Path) -> Option<std::io::Error> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::Tree;

    #[test]
    fn a_lock_that_cannot_be_opened_is_told_and_none_is_made() {
        let tree = Tree::new("lock");
        assert_eq!(check(tree.path()), None);
        assert!(!tree.path().join(FILE).exists());
        tree.write(FILE, "");
        assert_eq!(check(tree.path()), None);
        // A folder cannot be opened so, not even by root, as whom tests may run.
        let tree = Tree::new("lock-refused");
        tree.write(&format!("{FILE}/below"), "");
        let finding = check(tree.path()).unwrap().to_string();
        assert!(finding.contains("sudo rm"), "{finding}");
    }
}
