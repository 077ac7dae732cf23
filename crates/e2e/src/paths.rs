//! Where things are: the repository, what `cargo xtask setup` makes under `.runtime/`, and the
//! built binaries.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The release of the `PyPI` wheel `openvino` that tests, demo and bench run on.
pub const OPENVINO_VERSION: &str = "2026.4.1";

/// An older release for tests: of the wheels that carry `libopenvino_c.so` the oldest, so the nearest
/// to 2022.3, which is the last release with the plugin for sticks.
pub const OLDER_OPENVINO_VERSION: &str = "2024.3.0";

/// `GoogLeNet` v1 with seeded random weights, input `[1, 3, 224, 224]` f32 in BGR order.
pub const GOOGLENET: &str = "googlenet-v1-random-weights";

/// The same network and weights, input `[1, 224, 224, 3]` u8 in BGR order.
pub const GOOGLENET_U8: &str = "googlenet-v1-random-weights-u8-nhwc";

/// The folder that holds the workspace's `Cargo.toml`.
///
/// Cargo says at run time which package it runs or tests. What it said at compile time is the
/// second choice: two checkouts that share a `CARGO_TARGET_DIR` share the compiled program.
#[must_use]
pub fn repository_root() -> PathBuf {
    let compiled_in = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let running = non_empty_var("CARGO_MANIFEST_DIR");
    running
        .and_then(|package| root_above(&package))
        .or_else(|| root_above(&compiled_in))
        .unwrap_or(compiled_in)
}

fn root_above(package: &Path) -> Option<PathBuf> {
    let is_root = |dir: &&Path| dir.join("crates/e2e/Cargo.toml").is_file();
    package.ancestors().find(is_root).map(Path::to_owned)
}

/// A built program, for example `ncs-worker`.
///
/// It is looked for in `NCS_BIN_DIR`, else in the `release` folder of the target directory that
/// the running program was itself built into, so that `CARGO_TARGET_DIR` needs no second guess.
///
/// # Errors
/// When it is not there.
pub fn binary(name: &str) -> Result<PathBuf> {
    let file = bin_dir()?.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    existing(
        file,
        "`cargo build --release` makes it, and so do `cargo xtask demo` and `test`",
    )
}

/// The folder of the release binaries, whether it is there yet or not.
///
/// # Errors
/// When the running program does not lie in a target directory and `NCS_BIN_DIR` is not set.
pub fn bin_dir() -> Result<PathBuf> {
    if let Some(dir) = non_empty_var("NCS_BIN_DIR") {
        return Ok(std::path::absolute(dir)?);
    }
    let program = env::current_exe().context("cannot tell where the running program lies")?;
    release_dir_beside(&program).with_context(|| {
        format!(
            "{} is not in a target directory: set NCS_BIN_DIR",
            program.display()
        )
    })
}

/// `target/release` for `target/debug/xtask` as well as for `target/release/deps/test-0123`.
fn release_dir_beside(program: &Path) -> Option<PathBuf> {
    let dir = program.parent()?;
    let profile_dir = if dir.ends_with("deps") {
        dir.parent()?
    } else {
        dir
    };
    Some(profile_dir.parent()?.join("release"))
}

/// What `cargo xtask setup` makes, in `.runtime/` of the repository or in `NCS_RUNTIME_DIR`.
///
/// The plain accessors name a place, whether it is there or not; [`Runtime::model`] and the other
/// fallible ones look, and say what to run when it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    dir: PathBuf,
}

impl Runtime {
    /// The place that the environment names, else `.runtime/` in the repository.
    ///
    /// # Errors
    /// When `NCS_RUNTIME_DIR` is relative and the current folder is gone.
    pub fn locate() -> Result<Self> {
        let dir = match non_empty_var("NCS_RUNTIME_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => repository_root().join(".runtime"),
        };
        Ok(Self { dir })
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The IRs, as `<name>.xml` and `<name>.bin`.
    #[must_use]
    pub fn models_dir(&self) -> PathBuf {
        self.dir.join("models")
    }

    /// Two real photos of 640×427 pixels.
    #[must_use]
    pub fn photos_dir(&self) -> PathBuf {
        self.dir.join("photos")
    }

    /// 24 pieces of those photos, JPEGs of 224×224 pixels.
    #[must_use]
    pub fn small_photos_dir(&self) -> PathBuf {
        self.dir.join("photos-224")
    }

    /// The same 24 as ready input tensors of [`GOOGLENET_U8`]: `[1, 224, 224, 3]` u8, BGR.
    #[must_use]
    pub fn small_tensors_dir(&self) -> PathBuf {
        self.dir.join("tensors-224")
    }

    /// The handwritten digits: `digits.xml`, `labels.txt`, `truth.csv`, `expected.csv`, and
    /// `0000.png` to `1796.png`.
    #[must_use]
    pub fn digits_dir(&self) -> PathBuf {
        self.dir.join("digits")
    }

    /// What `OpenCV` and OpenVINO's own Python API answer, for the engine's tests.
    #[must_use]
    pub fn references_dir(&self) -> PathBuf {
        self.dir.join("references")
    }

    /// The Python environment.
    #[must_use]
    pub fn venv_dir(&self) -> PathBuf {
        self.dir.join("venv")
    }

    /// Where the Python package with Grafana's schema is unpacked.
    #[must_use]
    pub fn grafana_schema_dir(&self) -> PathBuf {
        self.dir.join("grafana-schema")
    }

    /// Where cargo-fuzz is installed.
    #[must_use]
    pub fn cargo_fuzz_dir(&self) -> PathBuf {
        self.dir.join("cargo-fuzz")
    }

    /// The program cargo-fuzz.
    #[must_use]
    pub fn cargo_fuzz(&self) -> PathBuf {
        self.cargo_fuzz_dir().join("bin").join("cargo-fuzz")
    }

    /// Where the OpenVINO wheel of this version is unpacked, for example [`OPENVINO_VERSION`].
    #[must_use]
    pub fn openvino_dir(&self, version: &str) -> PathBuf {
        self.dir.join(format!("openvino-{version}"))
    }

    /// The folder of that wheel that holds `libopenvino_c.so`.
    #[must_use]
    pub fn openvino_libs_dir(&self, version: &str) -> PathBuf {
        self.openvino_dir(version).join("openvino").join("libs")
    }

    /// Where a Debian with `RabbitMQ` of this major release is unpacked, if the machine's own is of
    /// another.
    #[must_use]
    pub fn rabbitmq_dir(&self, major: u8) -> PathBuf {
        self.dir.join(format!("rabbitmq-{major}"))
    }

    /// The interpreter of the Python environment.
    #[must_use]
    pub fn venv_python(&self) -> PathBuf {
        self.venv_dir().join("bin").join("python")
    }

    /// The IR of that name, for example [`GOOGLENET`].
    ///
    /// # Errors
    /// When it is not there.
    pub fn model(&self, name: &str) -> Result<PathBuf> {
        set_up(self.models_dir().join(format!("{name}.xml")))
    }

    /// The IR of the handwritten digits: input `[1, 1, 8, 8]` f32, pixel values 0 to 240.
    ///
    /// # Errors
    /// When it is not there.
    pub fn digits_model(&self) -> Result<PathBuf> {
        set_up(self.digits_dir().join("digits.xml"))
    }

    /// The folder for `--openvino-dir` and `LD_LIBRARY_PATH`, with the library of
    /// [`OPENVINO_VERSION`] in it.
    ///
    /// # Errors
    /// When the library is not there.
    pub fn openvino(&self) -> Result<PathBuf> {
        self.openvino_of(OPENVINO_VERSION)
    }

    /// The same of another version, for example [`OLDER_OPENVINO_VERSION`].
    ///
    /// # Errors
    /// When the library is not there.
    pub fn openvino_of(&self, version: &str) -> Result<PathBuf> {
        let dir = self.openvino_libs_dir(version);
        set_up(dir.join("libopenvino_c.so")).map(|_| dir)
    }

    /// The interpreter, `NCS_PYTHON` if that is set.
    ///
    /// # Errors
    /// When it is not there.
    pub fn python(&self) -> Result<PathBuf> {
        match non_empty_var("NCS_PYTHON") {
            Some(python) => existing(python, "NCS_PYTHON names it"),
            None => set_up(self.venv_python()),
        }
    }
}

/// `path`, if it is there.
///
/// # Errors
/// That it is missing, and that `cargo xtask setup` makes it.
pub fn set_up(path: PathBuf) -> Result<PathBuf> {
    existing(path, "run `cargo xtask setup`")
}

fn existing(path: PathBuf, remedy: &str) -> Result<PathBuf> {
    if !path.exists() {
        bail!("{} is missing: {remedy}", path.display());
    }
    Ok(path)
}

fn non_empty_var(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_root_holds_the_workspace() {
        assert!(repository_root().join("crates/e2e/Cargo.toml").is_file());
    }

    #[test]
    fn release_binaries_are_found_from_any_profile_and_from_tests() {
        for program in [
            "/t/debug/xtask",
            "/t/release/xtask",
            "/t/debug/deps/rabbitmq_node-0f1e",
        ] {
            let found = release_dir_beside(Path::new(program));
            assert_eq!(found, Some(PathBuf::from("/t/release")), "{program}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_remedy() {
        let error = set_up(PathBuf::from("/nowhere/digits.xml")).expect_err("it is missing");
        assert_eq!(
            error.to_string(),
            "/nowhere/digits.xml is missing: run `cargo xtask setup`"
        );
    }
}
