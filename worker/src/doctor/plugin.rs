//! Whether this OpenVINO can drive sticks.

use super::finding::Finding;
use super::openvino::Wanted;
use std::fmt;
use std::path::{Path, PathBuf};

/// The plugin's file from 2022.1 on, and before.
const FILES: [&str; 2] = ["libopenvino_intel_myriad_plugin.so", "libmyriadPlugin.so"];
/// What the plugin sends to a stick to boot it. It is looked for beside the plugin.
const FIRMWARE: &str = "usb-ma2x8x.mvcmd";
const INSTALL: &str = "install OpenVINO 2022.3.2 and give its folder with --openvino-dir or \
                       NCS_OPENVINO_DIR";

/// A release of OpenVINO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    year: u32,
    minor: u32,
    patch: u32,
}

/// The first patch of the last release that has the plugin.
const FIRST: Version = Version {
    year: 2022,
    minor: 3,
    patch: 1,
};

impl Version {
    /// `2022.3.1-9227-cf2c7da5689-releases/2022/3`; none for a build of one's own.
    fn of_build(build: &str) -> Option<Self> {
        let digits = build
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .next();
        let mut numbers = digits?.split('.').map(str::parse);
        let year = numbers.next()?.ok().filter(|year| *year >= 2000)?;
        let mut next = || numbers.next()?.ok();
        Some(Self {
            year,
            minor: next()?,
            patch: next().unwrap_or(0),
        })
    }

    fn drives_sticks(self) -> bool {
        self >= FIRST && (self.year, self.minor) == (FIRST.year, FIRST.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.year, self.minor, self.patch)
    }
}

/// What was found out about sticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sticks {
    pub(super) wanted: Wanted,
    /// How many OpenVINO lists.
    pub(super) listed: usize,
    /// How many USB shows.
    pub(super) on_usb: usize,
}

/// Judges the OpenVINO of this build number, loaded from `library`.
pub(super) fn check(build: &str, library: &Path, sticks: Sticks) -> Finding {
    let Some(plugin) = find(library) else {
        return without_file(build, sticks);
    };
    let found = format!("MYRIAD plugin for sticks ({})", plugin.display());
    if sticks.wanted == Wanted::No || plugin.with_file_name(FIRMWARE).is_file() {
        return Finding::ok(found);
    }
    Finding::warning(format!(
        "{found}, but not the sticks' firmware {FIRMWARE} beside it"
    ))
    .remedy(format!("copy {FIRMWARE} there, from the same release"))
}

/// Whether this OpenVINO knows sticks at all; then it also lists those it can reach.
pub(super) fn is_there(library: &Path, listed: usize) -> bool {
    listed > 0 || find(library).is_some()
}

fn without_file(build: &str, sticks: Sticks) -> Finding {
    if sticks.listed > 0 {
        return Finding::ok("OpenVINO lists sticks, so it can drive them");
    }
    let version = Version::of_build(build);
    let name = version.map_or_else(|| build.to_owned(), |version| version.to_string());
    // A build of one's own may have it anywhere, and the right release should have it.
    let doubtful = version.is_none_or(Version::drives_sticks);
    let lacks = if doubtful {
        format!(
            "OpenVINO {name} has no MYRIAD plugin ({}) beside its library",
            FILES[0]
        )
    } else {
        format!("OpenVINO {name} has no MYRIAD plugin")
    };
    match sticks.wanted {
        Wanted::No => Finding::ok(format!(
            "{lacks}; none is needed, since no stick is asked for"
        )),
        Wanted::IfAny if sticks.on_usb == 0 => {
            Finding::ok(format!("{lacks}; none is needed, since no stick is on USB"))
        }
        _ if doubtful => Finding::warning(lacks).remedy(INSTALL),
        wanted => {
            let text = format!("{lacks}; sticks need {FIRST} or a later 2022.3");
            Finding::new(wanted.grade_of_none(), text).remedy(INSTALL)
        }
    }
}

/// The plugin's file: beside the library, or in a subfolder, where distributions put plugins.
fn find(library: &Path) -> Option<PathBuf> {
    let real = library.canonicalize().ok();
    let folders = [Some(library), real.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(Path::parent);
    folders
        .flat_map(|folder| std::iter::once(folder.to_owned()).chain(subfolders(folder)))
        .find_map(|folder| {
            let is_plugin = |name: &str| FILES.iter().any(|file| name.starts_with(file));
            names_in(&folder)
                .find(|name| is_plugin(name))
                .map(|name| folder.join(name))
        })
}

/// `plugins`, or as Debian has it, `openvino-2022.3.1`.
fn subfolders(folder: &Path) -> impl Iterator<Item = PathBuf> {
    names_in(folder)
        .filter(|name| name == "plugins" || name.starts_with("openvino"))
        .map(|name| folder.join(name))
        .filter(|path| path.is_dir())
}

fn names_in(folder: &Path) -> impl Iterator<Item = String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Grade;
    use crate::doctor::testing::Tree;

    const RIGHT: &str = "2022.3.1-9227-cf2c7da5689-releases/2022/3";
    const NEW: &str = "2026.4.1-22982-0b6b3bbe09b-releases/2026/4";

    fn sticks(wanted: Wanted, listed: usize, on_usb: usize) -> Sticks {
        Sticks {
            wanted,
            listed,
            on_usb,
        }
    }

    fn judge(build: &str, sticks: Sticks) -> (Grade, String) {
        let tree = Tree::new("plugin-none");
        let finding = check(build, &tree.path().join("libopenvino_c.so"), sticks);
        (finding.grade, finding.to_string())
    }

    #[test]
    fn only_patches_of_2022_3_drive_sticks() {
        for (build, drives) in [
            ("2022.3.0-9052-9752fafe8eb-releases/2022/3", false),
            (RIGHT, true),
            ("2022.3.2-9279-e2c7e4d7b4d", true),
            ("2022.1.0-7019", false),
            ("2023.0.0-10926-b4452d56304", false),
            ("2024.3.0-16041-1e3b88e4e3f", false),
            (NEW, false),
        ] {
            let version = Version::of_build(build).unwrap();
            assert_eq!(version.drives_sticks(), drives, "{build}");
        }
        for build in ["custom_branch_0123", "", "2022", "99999999999.1", "7.3.1"] {
            assert_eq!(Version::of_build(build), None, "{build}");
        }
    }

    #[test]
    fn a_runtime_without_the_plugin_is_as_bad_as_sticks_are_wanted() {
        let missing = "has no MYRIAD plugin; sticks need 2022.3.1 or a later 2022.3";
        for (wanted, on_usb, grade) in [
            (Wanted::Yes, 0, Grade::Problem),
            (Wanted::IfAny, 1, Grade::Warning),
        ] {
            let (judged, text) = judge(NEW, sticks(wanted, 0, on_usb));
            assert_eq!(judged, grade);
            assert!(
                text.contains(missing) && text.contains("2022.3.2"),
                "{text}"
            );
        }
        assert_eq!(judge(NEW, sticks(Wanted::IfAny, 0, 0)).0, Grade::Ok);
        assert_eq!(judge(NEW, sticks(Wanted::No, 0, 1)).0, Grade::Ok);
    }

    #[test]
    fn the_right_release_without_the_file_is_doubted_unless_it_lists_sticks() {
        let (grade, text) = judge(RIGHT, sticks(Wanted::Yes, 0, 1));
        assert_eq!(grade, Grade::Warning, "{text}");
        assert_eq!(judge(RIGHT, sticks(Wanted::Yes, 1, 0)).0, Grade::Ok);
        let own_build = judge("custom_branch_0123", sticks(Wanted::Yes, 0, 1));
        assert_eq!(own_build.0, Grade::Warning, "{}", own_build.1);
    }

    #[test]
    fn the_plugin_is_found_in_all_layouts_and_its_firmware_beside_it() {
        for place in ["", "plugins/", "openvino-2022.3.1/"] {
            let tree = Tree::new("plugin");
            let library = tree.path().join("libopenvino_c.so");
            tree.write("libopenvino_c.so", "");
            tree.write(&format!("{place}libopenvino_intel_myriad_plugin.so"), "");
            let wanted = sticks(Wanted::Yes, 0, 1);
            assert!(is_there(&library, 0));
            let finding = check(RIGHT, &library, wanted);
            assert_eq!(finding.grade, Grade::Warning);
            assert!(finding.to_string().contains(FIRMWARE), "{finding}");
            tree.write(&format!("{place}{FIRMWARE}"), "");
            assert_eq!(check(RIGHT, &library, wanted).grade, Grade::Ok);
        }
    }
}
