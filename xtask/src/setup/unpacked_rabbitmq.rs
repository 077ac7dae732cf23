//! The release of `RabbitMQ` that this machine does not have, for tests: in a Debian of its own,
//! unpacked under `.runtime/`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ncs_e2e::paths::Runtime;
use ncs_e2e::rabbitmq::{Installation, Release, TREE_WORK_DIR};

use super::stamp::Stamp;
use super::{Finding, Step, apt, program};

/// Runs as root, with the Debian's name, the folder, the name of the nodes' folder in it, and the
/// packages.
///
/// - debootstrap mounts `/proc` and `/sys` while it works. In a mount namespace of its own those
///   go with it, however it ends; where the kernel grants none, it cannot mount them either, and
///   does without.
/// - The packages are not needed once they are unpacked.
/// - Everybody may write into the nodes' folder.
/// - `df`, which a node asks for the free disk space, reads `/etc/mtab` where there is no `/proc`.
/// - It is renamed at the end: what bears the right name is whole.
const UNPACK: &str = r#"
set -e
unfinished=$2.part
private=
unshare --mount true 2>/dev/null && private='unshare --mount'
rm -rf --one-file-system "$unfinished"
PATH=$PATH:/usr/sbin:/sbin $private \
  debootstrap --variant=minbase --include="$4" "$1" "$unfinished"
rm -f "$unfinished"/var/cache/apt/archives/*.deb "$unfinished/etc/mtab"
mkdir --mode=1777 "$unfinished/$3"
echo 'tree / none rw 0 0' >"$unfinished/etc/mtab"
rm -rf --one-file-system "$2"
mv -T "$unfinished" "$2"
"#;

pub(super) struct UnpackedRabbitMq {
    runtime: Runtime,
    release: Release,
    major: u8,
    /// The Debian that has it.
    suite: &'static str,
    /// What is unpacked from it, with commas.
    packages: &'static str,
    /// What the step is called, and its stamp and log.
    name: &'static str,
    files: &'static str,
}

impl UnpackedRabbitMq {
    /// 3.10.8.
    pub(super) fn v3(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            release: Release::V3,
            major: 3,
            suite: "bookworm",
            packages: "rabbitmq-server",
            name: "RabbitMQ 3",
            files: "rabbitmq-3",
        }
    }

    /// 4.0.5.
    pub(super) fn v4(runtime: &Runtime) -> Self {
        Self {
            runtime: runtime.clone(),
            release: Release::V4,
            major: 4,
            suite: "trixie",
            // The oldest Debian with a Docker Compose that is no longer in Python; it runs outside too.
            packages: "rabbitmq-server,docker-compose",
            name: "RabbitMQ 4",
            files: "rabbitmq-4",
        }
    }

    fn root(&self) -> PathBuf {
        self.runtime.rabbitmq_dir(self.major)
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(&self.runtime, self.files)
            .depends_on(self.suite)
            .depends_on(self.packages)
            .depends_on(UNPACK)
            .makes(self.root().join("usr/lib/rabbitmq/bin/rabbitmq-server"))
    }
}

impl Step for UnpackedRabbitMq {
    fn name(&self) -> &'static str {
        self.name
    }

    fn look(&self) -> Result<Finding> {
        let installed = Installation::find().and_then(|installed| installed.major());
        if installed == Some(self.major) {
            return Ok(Finding::Done("installed already".to_owned()));
        }
        let what = format!(
            "unpacking Debian {}, which has it, with debootstrap",
            self.suite
        );
        Ok(Finding::from_stamp(&self.stamp(), what))
    }

    fn perform(&self) -> Result<Option<String>> {
        let stamp = self.stamp();
        stamp.remove()?;
        let root = self.root();
        if !has_debootstrap() {
            // The keys of Debian's archive are there already on Debian, but not on Ubuntu.
            apt::install(&self.runtime, &["debootstrap", "debian-archive-keyring"])?;
        }
        let major = self.major;
        let mut command = apt::as_root(&format!(
            "run `cargo xtask setup` as root, or install RabbitMQ {major} yourself"
        ))?;
        command
            .args(["sh", "-c", UNPACK, "sh", self.suite])
            .arg(&root)
            .arg(TREE_WORK_DIR)
            .arg(self.packages);
        let what = format!("unpacking Debian {} with RabbitMQ {major}", self.suite);
        let remedy = format!(
            "check the network and run `cargo xtask setup` again, or install RabbitMQ {major} \
             yourself"
        );
        program::run(&self.runtime, self.files, command, &what, &remedy)?;
        // It is there, and its programs can be run.
        Installation::of(self.release)?;
        stamp.write()?;
        Ok(None)
    }
}

/// It is for root, whose folders are not on everybody's `PATH`.
fn has_debootstrap() -> bool {
    program::is_on_path("debootstrap") || Path::new("/usr/sbin/debootstrap").is_file()
}
