//! Every single figure, for `--json`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use super::cpu::Round;
use super::sticks::{Fleet, Inference};

/// Saved after each measurement, so that a later failure loses none.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) cpu: Vec<Round>,
    pub(super) emulated_sticks: EmulatedSticks,
    #[serde(skip)]
    file: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct EmulatedSticks {
    /// Of `ncs-worker bench`, without a broker.
    pub(super) inference: Vec<Inference>,
    /// Of the whole fleet.
    pub(super) fleet: Vec<Fleet>,
}

impl Figures {
    /// None yet. They are kept in `file`, if there is one.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self {
            cpu: Vec::new(),
            emulated_sticks: EmulatedSticks::default(),
            file,
        }
    }

    pub(super) fn save(&self) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let json = serde_json::to_string_pretty(self).context("cannot encode the figures")?;
        fs::write(file, json)
            .with_context(|| format!("cannot write the figures to --json {}", file.display()))
    }
}
