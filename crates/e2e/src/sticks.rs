//! A host with emulated Neural Compute Sticks, which are unplugged, plugged in and broken while a
//! worker runs on them.
//!
//! The emulator is `crates/stick-emulator`, a library that a worker loads in place of OpenVINO's; its
//! documentation says what each state does. `cargo build --release` builds it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;
use crate::run_dir::RunDir;
use crate::worker::WorkerOptions;

/// A host with emulated sticks: the library to load, and the folder that controls it. Several
/// workers can be started on it; each has its own networks, and all see the same states. Dropping it
/// removes its files.
#[derive(Debug)]
pub struct Sticks {
    dir: RunDir,
    openvino_dir: PathBuf,
    /// Further variables of the emulator.
    variables: Vec<(OsString, OsString)>,
    /// By port, as the control file has them. Held while the file is written.
    states: Mutex<BTreeMap<String, State>>,
}

/// What a stick does. A change takes effect within about 20 ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// It works.
    Ok,
    /// It leaves the list of devices, and all its inferences fail at once. Plugged in again it boots
    /// first, and networks that were compiled before do not get it back.
    Unplugged,
    /// It is listed and compiles, and every inference fails at once.
    Failing,
    /// One inference in so many fails, at its end.
    Flaky(u32),
    /// No inference ends, until the state changes. Waiting for one keeps its time limit; freeing its
    /// request waits for the end.
    Hanging,
    /// As [`State::Hanging`], and waiting ignores its time limit, and compiling for it does not return
    /// either.
    Stuck,
    /// Everything takes so many times as long.
    Slow(f64),
    /// It is listed, and compiling for it fails.
    Uncompilable,
}

impl fmt::Display for State {
    /// As in the control file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Unplugged => f.write_str("unplugged"),
            Self::Failing => f.write_str("failing"),
            Self::Flaky(one_in) => write!(f, "flaky {one_in}"),
            Self::Hanging => f.write_str("hanging"),
            Self::Stuck => f.write_str("stuck"),
            Self::Slow(factor) => write!(f, "slow {factor}"),
            Self::Uncompilable => f.write_str("uncompilable"),
        }
    }
}

impl Sticks {
    /// A host with so many sticks, on the ports `1.1`, `1.2`, …, all well.
    ///
    /// # Errors
    /// When the emulator is not built, or the folder cannot be made.
    pub fn plugged_in(count: u16) -> Result<Self> {
        let library = paths::bin_dir()?.join("libncs_stick_emulator.so");
        if !library.is_file() {
            bail!(
                "{} is missing: `cargo build --release` makes it",
                library.display()
            );
        }
        let dir = RunDir::create("sticks")?;
        // The library is linked under OpenVINO's name, in a folder where nothing else is.
        let openvino_dir = dir.path().join("openvino");
        fs::create_dir(&openvino_dir)?;
        let link = openvino_dir.join("libopenvino_c.so");
        symlink(&library, &link).with_context(|| format!("cannot link {}", link.display()))?;

        let ports = (1..=count).map(|n| format!("1.{n}"));
        let states = ports.map(|port| (port, State::Ok)).collect();
        let sticks = Self {
            dir,
            openvino_dir,
            variables: Vec::new(),
            states: Mutex::new(states),
        };
        sticks.write(&sticks.lock())?;
        Ok(sticks)
    }

    /// With a further variable of the emulator for the workers that are started from now on, for
    /// example `("STICKS_BOOT_MS", "100")`.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The folder of the library, for `--openvino-dir`.
    #[must_use]
    pub fn openvino_dir(&self) -> &Path {
        &self.openvino_dir
    }

    /// The environment of a program that shall see these sticks.
    #[must_use]
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let control = ("STICKS_CONTROL".into(), self.dir.path().into());
        let further = self.variables.iter().cloned();
        std::iter::once(control).chain(further).collect()
    }

    /// A worker on all of these sticks, not started yet.
    #[must_use]
    pub fn worker(&self, model_ir: PathBuf, amqp_url: &str) -> WorkerOptions {
        let options = WorkerOptions::with_model(self.openvino_dir.clone(), model_ir, amqp_url)
            .arguments(["--devices", "sticks"]);
        let environment = self.environment().into_iter();
        environment.fold(options, |options, (name, value)| options.env(name, value))
    }

    /// The ports, in the order of their names.
    #[must_use]
    pub fn ports(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Puts the stick on this port into another state. A port that is new gets a stick.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn set(&self, port: &str, state: State) -> Result<()> {
        let mut states = self.lock();
        states.insert(port.to_owned(), state);
        self.write(&states)
    }

    /// Puts all sticks into another state, all at once.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn set_all(&self, state: State) -> Result<()> {
        let mut states = self.lock();
        states.values_mut().for_each(|now| *now = state);
        self.write(&states)
    }

    /// Pulls one stick out.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn unplug(&self, port: &str) -> Result<()> {
        self.set(port, State::Unplugged)
    }

    /// Plugs one stick in. It boots for `STICKS_BOOT_MS`, 2 s by default.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn plug_in(&self, port: &str) -> Result<()> {
        self.set(port, State::Ok)
    }

    /// Pulls all sticks out at once, as a hub that loses its power.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn unplug_all(&self) -> Result<()> {
        self.set_all(State::Unplugged)
    }

    /// Plugs all sticks in.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn plug_in_all(&self) -> Result<()> {
        self.set_all(State::Ok)
    }

    /// What the sticks did for the process with this id, as of at most 60 ms ago.
    ///
    /// # Errors
    /// When that process has no core of the emulator, or what it wrote is not understood.
    pub fn stats(&self, pid: u32) -> Result<Stats> {
        let file = self.dir.path().join(format!("stats-{pid}.json"));
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let json = serde_json::from_str(&text)?;
        Stats::from_json(&json).with_context(|| format!("{} is odd: {text}", file.display()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the file as a whole, so that nobody reads half of it.
    fn write(&self, states: &BTreeMap<String, State>) -> Result<()> {
        let file = self.dir.path().join("sticks");
        let new = self.dir.path().join("sticks.new");
        let line = |(port, state): (&String, &State)| format!("{port} {state}\n");
        let text: String = states.iter().map(line).collect();
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// What the sticks did for one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The last 64 networks, oldest first.
    pub compiled: Vec<CompiledNetwork>,
    /// Networks there ever were.
    pub compiles_total: u64,
    /// Infer requests there ever were.
    pub requests_created: u64,
    /// Inferences that were started.
    pub started: u64,
    /// Inferences that ended well.
    pub completed: u64,
    /// Inferences that failed.
    pub failed: u64,
    /// Inferences under way.
    pub in_flight: u64,
    /// The most that were under way at once, on one network.
    pub max_in_flight: u64,
    /// By port.
    pub sticks: BTreeMap<String, StickStats>,
}

/// A network that was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledNetwork {
    /// `MYRIAD` or `MULTI:…`, as the program gave it.
    pub device: String,
    /// The ports of the sticks it was loaded on.
    pub ports: Vec<String>,
    /// Infer requests that were created for it.
    pub requests: u64,
    /// Whether it, or one of its requests, has not been freed.
    pub alive: bool,
}

/// What one stick did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickStats {
    /// What it does, as [`State`] is written: the state that was set, once it is in effect.
    pub state: String,
    /// Inferences that it was given.
    pub inferences: u64,
    /// Inferences under way.
    pub in_flight: u64,
    /// The most that were under way at once.
    pub max_in_flight: u64,
}

impl Stats {
    fn from_json(json: &Value) -> Option<Self> {
        let number = |value: &Value, name: &str| value.get(name)?.as_u64();
        let text = |value: &Value| Some(value.as_str()?.to_owned());
        let network = |value: &Value| {
            Some(CompiledNetwork {
                device: text(value.get("device")?)?,
                ports: value
                    .get("sticks")?
                    .as_array()?
                    .iter()
                    .map(text)
                    .collect::<Option<_>>()?,
                requests: number(value, "requests")?,
                alive: value.get("alive")?.as_bool()?,
            })
        };
        let stick = |value: &Value| {
            let stats = StickStats {
                state: text(value.get("state")?)?,
                inferences: number(value, "inferences")?,
                in_flight: number(value, "in_flight")?,
                max_in_flight: number(value, "max_in_flight")?,
            };
            Some((text(value.get("port")?)?, stats))
        };
        let list = |name: &str| json.get(name)?.as_array();
        let inferences = json.get("inferences")?;
        Some(Self {
            compiled: list("compiled")?
                .iter()
                .map(network)
                .collect::<Option<_>>()?,
            compiles_total: number(json, "compiles_total")?,
            requests_created: number(json, "requests_created")?,
            started: number(inferences, "started")?,
            completed: number(inferences, "completed")?,
            failed: number(inferences, "failed")?,
            in_flight: number(json, "in_flight")?,
            max_in_flight: number(json, "max_in_flight")?,
            sticks: list("sticks")?.iter().map(stick).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_are_written_as_the_emulator_reads_them() {
        let written = |state: State| state.to_string();
        assert_eq!(written(State::Ok), "ok");
        assert_eq!(written(State::Flaky(7)), "flaky 7");
        assert_eq!(written(State::Slow(2.5)), "slow 2.5");
        assert_eq!(written(State::Uncompilable), "uncompilable");
    }

    #[test]
    fn the_counts_are_read() {
        let mut json = json!({
            "compiled": [
                {"device": "MYRIAD", "sticks": ["1.1"], "requests": 4, "alive": true}
            ],
            "compiles_total": 3, "requests_created": 12,
            "inferences": {"started": 10, "completed": 7, "failed": 1},
            "in_flight": 2, "max_in_flight": 4,
            "sticks": [
                {"port": "1.1", "state": "slow 3", "inferences": 10, "in_flight": 2, "max_in_flight": 4}
            ]
        });
        let stats = Stats::from_json(&json).expect("complete");
        assert_eq!(stats.compiled[0].ports, ["1.1"]);
        assert_eq!((stats.started, stats.completed, stats.failed), (10, 7, 1));
        assert_eq!(stats.sticks["1.1"].max_in_flight, 4);
        assert_eq!(stats.sticks["1.1"].state, State::Slow(3.0).to_string());
        json["compiled"][0]["alive"] = json!("yes");
        assert_eq!(Stats::from_json(&json), None);
    }
}
