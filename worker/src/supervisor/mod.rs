//! Keeps a network running over the devices that answer.
//!
//! A thread of its own, because OpenVINO blocks (`inside`). It loads the network, starts its threads
//! and hears of their trouble. Then it finds out which device it is by trying each alone (`probe`),
//! leaves that one out for a while (`quarantine`), and loads the network over the others (`rebuild`).
//! While all goes well it looks for devices that come and go (`look`), and tells which are lost (`known`). Every call into OpenVINO has a
//! limit (`openvino`).
//!
//! What it tells the rest of the worker is one value, [`Service`].

mod inside;
mod known;
mod look;
mod openvino;
mod plan;
mod probe;
mod quarantine;
mod rebuild;

use crate::pool::{Jobs, Shared, Trouble};
use anyhow::Context;
use inside::Inside;
use ncs_engine::Runtime;
pub use plan::Plan;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What this host can do for the broker's jobs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The network runs: take jobs, so many at once.
    Up {
        /// Jobs in hand at most; to begin with, where that number may grow.
        prefetch: u16,
        /// Devices that the network runs on.
        devices: u16,
    },
    /// The network is rebuilt: keep what is in hand.
    Interrupted,
    /// There is no device to run it on: take no jobs, and give back those in hand.
    Down,
}

/// To the supervisor.
enum Event {
    Trouble(Trouble),
    Stop,
}

/// The supervisor's thread, seen from outside.
pub struct Supervisor {
    /// What this host can do now.
    pub service: watch::Receiver<Service>,
    events: Sender<Event>,
    thread: std::thread::JoinHandle<()>,
}

impl Supervisor {
    /// Starts it. `failed` gets the error that ends it by itself.
    pub fn start(
        runtime: Runtime,
        directory: Option<PathBuf>,
        plan: Plan,
        shared: Arc<Shared>,
        jobs: Arc<Jobs>,
        failed: tokio::sync::oneshot::Sender<anyhow::Error>,
    ) -> anyhow::Result<Self> {
        let (tell, service) = watch::channel(Service::Interrupted);
        let (events, heard) = channel();
        let inside = Inside::new(
            runtime,
            directory,
            plan,
            shared,
            jobs,
            tell,
            (events.clone(), heard),
        )?;
        let thread = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || inside.run(failed))
            .context("cannot start the supervisor's thread")?;
        Ok(Self {
            service,
            events,
            thread,
        })
    }

    /// Ends the network's threads, and lets go of the network, within `limit`: OpenVINO may not come
    /// back from a call.
    pub fn stop(self, limit: Duration) {
        let _ = self.events.send(Event::Stop);
        let deadline = Instant::now() + limit;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
