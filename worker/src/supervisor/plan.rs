//! What to load, how, and how long that may take.

use super::openvino::{OpenVino, Refused};
use crate::cli::NetworkArgs;
use crate::prefetch::Prefetch;
use ncs_engine::{Network, Target};
use std::time::Duration;

/// What the supervisor was told.
pub struct Plan {
    /// The network, and where it shall run.
    pub network: NetworkArgs,
    /// How many jobs may be in hand; by default one for each infer request.
    pub prefetch: Option<Prefetch>,
    /// How long an inference may take.
    pub infer_timeout: Duration,
    /// How long loading the network may take.
    pub load_timeout: Duration,
    /// How often to look for devices.
    pub rescan: Duration,
    /// Give up after so many rebuilds in a row that did not help.
    pub max_failed_rebuilds: u32,
}

impl Plan {
    /// Jobs that may be in hand with so many infer requests, to begin with.
    #[must_use]
    pub(super) fn prefetch(&self, infer_requests: usize) -> u16 {
        let one_each = u16::try_from(infer_requests).unwrap_or(u16::MAX);
        match self.prefetch {
            Some(Prefetch::Fixed(jobs)) => jobs,
            Some(Prefetch::Auto) | None => one_each,
        }
    }

    /// Loads the network.
    pub(super) fn load(
        &self,
        openvino: &mut OpenVino,
        target: &Target,
        infer_requests: usize,
        limit: Duration,
    ) -> anyhow::Result<Result<Network, Refused>> {
        let (model, target) = (self.network.model.clone(), target.clone());
        let precision = self.network.precision;
        openvino.call("loading the network", limit, move |runtime| {
            runtime.load_network(&model, &target, infer_requests, precision)
        })
    }
}
