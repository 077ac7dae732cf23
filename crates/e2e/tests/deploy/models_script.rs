//! `deploy/models.sh`, with programs in place of Open Model Zoo's tools, which would need the internet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ncs_e2e::paths::repository_root;

use crate::project::{HEAD, Project, SECRETS, text_of};
use crate::scratch::Scratch;

/// Each call of a tool is a line in the file `calls`. The converter makes what the real one does,
/// `public/<model>/FP16/<model>.xml` in its output folder, each time anew, and passes over what it cannot
/// convert.
const DOWNLOADER: &str = "#!/bin/sh\necho \"downloader $*\" >> \"$CALLS\"\nexit \"${FAILS:-0}\"\n";
const CONVERTER: &str = r#"#!/bin/sh
echo "converter $*" >> "$CALLS"
while read -r model; do
    [ "$model" = unconvertible ] && continue
    mkdir -p "$6/public/$model/FP16"
    echo "made at call $(wc -l < "$CALLS")" > "$6/public/$model/FP16/$model.xml"
done < "$2"
"#;

struct Host {
    scratch: Scratch,
    list: PathBuf,
    models: PathBuf,
}

impl Host {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        for (program, text) in [("omz_downloader", DOWNLOADER), ("omz_converter", CONVERTER)] {
            let file = scratch.file(&format!("bin/{program}"), text);
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(file, executable).expect("its mode");
        }
        scratch.file("labels/imagenet_2012.txt", "tench\n");
        let list = scratch.file("models.lst", &text_of("models.lst"));
        let models = scratch.path().join("models");
        fs::create_dir_all(&models).expect("a folder");
        Self {
            scratch,
            list,
            models,
        }
    }

    fn run(&self, path: &str, fails: &str) -> (Option<i32>, String) {
        let output = Command::new("/bin/sh")
            .arg(repository_root().join("deploy/models.sh"))
            .args([&self.list, &self.models])
            .env("PATH", path)
            .env("CALLS", self.scratch.path().join("calls"))
            .env("FAILS", fails)
            .env(
                "NCS_LABELS_SOURCE",
                self.scratch.path().join("labels/imagenet_2012.txt"),
            )
            .output()
            .expect("sh runs");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    fn with_tools(&self, fails: &str) -> (Option<i32>, String) {
        let bin = self.scratch.path().join("bin");
        self.run(&format!("{}:/usr/bin:/bin", bin.display()), fails)
    }

    fn calls(&self) -> usize {
        let calls = fs::read_to_string(self.scratch.path().join("calls"));
        calls.unwrap_or_default().lines().count()
    }
}

#[test]
fn models_are_made_where_the_worker_looks_once() {
    let host = Host::new("models");
    let (code, said) = host.with_tools("0");
    assert_eq!((code, host.calls()), (Some(0), 2), "{said}");
    let project = Project::read(HEAD, &SECRETS);
    let worker = project.service("worker");
    for variable in ["NCS_MODEL", "NCS_LABELS"] {
        let inside = Path::new(worker.variable(variable)).strip_prefix("/models");
        let file = host.models.join(inside.expect("in the volume"));
        assert!(file.is_file(), "{}", file.display());
    }

    let (code, said) = host.with_tools("0");
    assert_eq!((code, host.calls()), (Some(0), 2), "{said}");
    assert!(said.contains("there already"), "{said}");
}

#[test]
fn a_model_that_a_worker_may_have_open_is_left_as_it_is() {
    let host = Host::new("more-models");
    assert_eq!(host.with_tools("0").0, Some(0));
    let file = |model: &str| host.models.join(format!("public/{model}/FP16/{model}.xml"));
    let first = fs::read(file("googlenet-v1")).expect("the first");

    fs::write(&host.list, "googlenet-v1\nsqueezenet1.1\n").expect("a longer list");
    let (code, said) = host.with_tools("0");
    assert_eq!((code, host.calls()), (Some(0), 4), "{said}");
    assert_eq!(fs::read(file("googlenet-v1")).expect("still there"), first);
    assert!(file("squeezenet1.1").is_file(), "{said}");
    assert!(!host.models.join(".making").exists());
}

#[test]
fn a_model_that_is_not_converted_is_no_success() {
    let host = Host::new("unconvertible");
    fs::write(&host.list, "googlenet-v1\nunconvertible\n").expect("a list");
    for _ in 0..2 {
        let (code, said) = host.with_tools("0");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("unconvertible has not become"), "{said}");
    }
}

#[test]
fn a_download_that_fails_is_said_and_tried_again() {
    let host = Host::new("download");
    let (code, said) = host.with_tools("1");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("models: the download failed; check this host's way"),
        "{said}"
    );
    assert_eq!(host.with_tools("0").0, Some(0));
    assert_eq!(host.calls(), 3);
}

#[test]
fn where_the_tools_do_not_exist_a_converted_model_can_be_brought() {
    let host = Host::new("arm");
    let (code, said) = host.run("/usr/bin:/bin", "0");
    assert_eq!(code, Some(1));
    assert!(said.contains("convert on an x86-64 host"), "{said}");
    fs::copy(&host.list, host.models.join("models.lst")).expect("brought");
    let (code, said) = host.run("/usr/bin:/bin", "0");
    assert_eq!(code, Some(0), "{said}");
}
