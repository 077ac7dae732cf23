//! The supervisor's thread: the first network, its threads' trouble, and the switch to the next.

use super::known::KnownSticks;
use super::look::stick_names;
use super::openvino::{self, OpenVino, Refused};
use super::probe::Failing;
use super::quarantine::Quarantine;
use super::{Event, Plan, Service};
use crate::metrics::NetworkMetrics;
use crate::network::{announce, announcement};
use crate::pool::{Cause, Generation, Jobs, Shared, Trouble};
use ncs_engine::{
    Device, DeviceChoice, EngineError, Network, Runtime, Target, unfinished_requests,
};
use ncs_program::exit::StartMeAgain;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How often threads are looked at that may be stuck.
const TICK: Duration = Duration::from_millis(250);

/// How long after its time an inference has not come back from OpenVINO.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// How long the threads of a network may take to end. An inference on a stick takes 25 to 45 ms; a
/// thread that takes longer than this hangs, or its job is done again for nothing.
const RETIRE_LIMIT: Duration = Duration::from_secs(1);

/// While others serve, a device gets so many times what loading the network on all took, and at
/// least so long.
const LONGER_THAN_USUAL: u32 = 10;
const SHORTEST_LOAD_LIMIT: Duration = Duration::from_secs(5);

/// The supervisor's state, on its thread.
pub(super) struct Inside {
    pub(super) plan: Plan,
    shared: Arc<Shared>,
    jobs: Arc<Jobs>,
    pub(super) metrics: NetworkMetrics,
    version: String,
    pub(super) openvino: OpenVino,
    pub(super) quarantine: Quarantine,
    events: Sender<Event>,
    heard: Receiver<Event>,
    service: watch::Sender<Service>,
    pub(super) serving: Option<Serving>,
    generations: u64,
    /// The sticks that were ever there.
    pub(super) known: KnownSticks,
    /// Rebuilds in a row after which no network ran.
    pub(super) failed_rebuilds: u32,
    /// Networks in a row that failed before they answered a job.
    pub(super) useless_networks: u32,
    /// As listed last.
    pub(super) found: Vec<Device>,
    longest_load: Duration,
    /// How often to try each device in the next search for a culprit.
    pub(super) inferences: u32,
    /// When the last search was.
    pub(super) searched: Option<Instant>,
    pub(super) looked: Instant,
    /// When to ask the sticks for their temperatures; None after one that did not answer.
    pub(super) measure_at: Option<Instant>,
    /// Threads that had not come back from OpenVINO when last seen.
    left_behind: Vec<JoinHandle<()>>,
}

/// The network that runs, and what it runs on.
pub(super) struct Serving {
    pub(super) generation: Generation,
    pub(super) network: Network,
    pub(super) members: Vec<String>,
}

impl Inside {
    pub(super) fn new(
        runtime: Runtime,
        directory: Option<PathBuf>,
        plan: Plan,
        shared: Arc<Shared>,
        jobs: Arc<Jobs>,
        service: watch::Sender<Service>,
        (events, heard): (Sender<Event>, Receiver<Event>),
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let version = runtime.version().to_owned();
        let metrics = shared.metrics.network.clone();
        metrics.without_service.set(1);
        metrics.clear(&version, shared.answers.model.as_str());
        Ok(Self {
            version,
            openvino: OpenVino::new(runtime, directory)?,
            quarantine: Quarantine::new(plan.rescan),
            metrics,
            plan,
            shared,
            jobs,
            events,
            heard,
            service,
            serving: None,
            generations: 0,
            known: KnownSticks::default(),
            failed_rebuilds: 0,
            useless_networks: 0,
            found: Vec::new(),
            longest_load: Duration::ZERO,
            inferences: 1,
            searched: None,
            looked: now,
            measure_at: Some(now),
            left_behind: Vec::new(),
        })
    }

    /// Serves until it is told to stop, or until an error.
    pub(super) fn run(mut self, failed: oneshot::Sender<anyhow::Error>) {
        let end = self.keep_serving();
        // Whatever it was, nobody shall go on taking jobs. Told last, so that the session finds all
        // that is to be given back.
        self.let_go();
        self.tell(Service::Down);
        if let Err(error) = end {
            let _ = failed.send(error);
        }
        self.openvino.close();
    }

    fn keep_serving(&mut self) -> anyhow::Result<()> {
        self.begin()?;
        loop {
            match self.heard.recv_timeout(TICK) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Event::Trouble(trouble)) => {
                    // Of a network that is replaced already: the others have told it first.
                    if self.is_serving(trouble.generation) {
                        let Trouble {
                            cause,
                            error,
                            first,
                            ..
                        } = trouble;
                        tracing::warn!("{error:#}; finding out which device it is");
                        self.recover(cause, first)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.has_stuck_inference() {
                tracing::warn!("openvino does not come back from an inference");
                self.recover(Cause::Stuck, true)?;
            }
            if self.looked.elapsed() >= self.plan.rescan {
                self.look()?;
            }
        }
    }

    /// The first network. What can never work ends the worker here.
    fn begin(&mut self) -> anyhow::Result<()> {
        let found = match self.openvino.devices()? {
            Ok(found) => found,
            Err(Refused::Failed(error)) => return Err(error.into()),
            Err(stuck) => return Err(StartMeAgain(stuck.to_string()).into()),
        };
        self.note(&found);
        let target = match self.target(&found, &BTreeMap::new()) {
            Err(error) if self.waits_for_sticks() => {
                tracing::warn!("{error}; looking for them");
                self.go_down("there is no stick");
                return Ok(());
            }
            resolved => resolved?,
        };
        let refused = match self.load(&target)? {
            Ok(network) => return self.switch_to(network, target),
            Err(refused) => refused,
        };
        match refused {
            Refused::Failed(EngineError::OpenVino { .. }) if self.known.most() > 0 => {}
            Refused::Failed(error) => return Err(error.into()),
            Refused::Stuck { .. } => {}
        }
        tracing::warn!("{refused}; trying the devices one by one");
        self.rebuild(Cause::Appeared)
    }

    /// Whether sticks may still come: they boot, and they are plugged in. From 2023.0 on, OpenVINO has
    /// no plugin for them. A build of one's own may have any version.
    fn waits_for_sticks(&self) -> bool {
        let named = matches!(self.plan.network.devices, DeviceChoice::Named(_));
        let year = self.version.split('.').next().unwrap_or_default();
        let too_new = year.parse().is_ok_and(|year: u32| year > 2022);
        !too_new && (!named || self.known.most() > 0)
    }

    /// The target over the devices that are not left out, and not among these; over those that are
    /// left out, where there is nothing else.
    pub(super) fn target(
        &self,
        found: &[Device],
        failing: &BTreeMap<String, Failing>,
    ) -> Result<Target, EngineError> {
        let now = Instant::now();
        let choice = match &self.plan.network.devices {
            // Where there were sticks, jobs wait for them rather than take a CPU's time.
            DeviceChoice::Auto if self.known.most() > 0 => &DeviceChoice::Sticks,
            choice => choice,
        };
        let works = |device: &&Device| !failing.contains_key(&device.name);
        let is_in = |device: &&Device| !self.quarantine.holds(&device.name, now);
        let all: Vec<Device> = found.iter().filter(works).cloned().collect();
        let left: Vec<Device> = all.iter().filter(is_in).cloned().collect();
        choice.resolve(&left).or_else(|_| choice.resolve(&all))
    }

    /// Lists the devices. None: it could not be done now.
    pub(super) fn list(&mut self) -> anyhow::Result<Option<Vec<Device>>> {
        match self.openvino.devices()? {
            Ok(found) => {
                self.note(&found);
                Ok(Some(found))
            }
            Err(refused) => {
                tracing::warn!("{refused}");
                Ok(None)
            }
        }
    }

    fn note(&mut self, found: &[Device]) {
        let names: Vec<&str> = found.iter().map(|device| device.name.as_str()).collect();
        self.quarantine.saw(&names, Instant::now());
        self.known.saw(&stick_names(found));
        self.found = found.to_vec();
        self.show_sticks();
    }

    /// Loads the network with all its requests.
    pub(super) fn load(&mut self, target: &Target) -> anyhow::Result<Result<Network, Refused>> {
        let requests = self.plan.network.infer_requests(target.members.len());
        let (start, limit) = (Instant::now(), self.plan.load_timeout);
        let loaded = self
            .plan
            .load(&mut self.openvino, target, requests, limit)?;
        if loaded.is_ok() {
            self.longest_load = self.longest_load.max(start.elapsed());
        }
        Ok(loaded)
    }

    /// How long loading the network on one device may take while others serve, who need the supervisor
    /// when they fail.
    pub(super) fn load_limit(&self) -> Duration {
        let all = self.plan.load_timeout;
        if self.serving.is_none() {
            return all;
        }
        let usual = self.longest_load.saturating_mul(LONGER_THAN_USUAL);
        usual.max(SHORTEST_LOAD_LIMIT).min(all)
    }

    /// Lets the new network take the jobs, then ends the old one.
    pub(super) fn switch_to(&mut self, mut network: Network, target: Target) -> anyhow::Result<()> {
        self.shared.answers.labels.check(network.classes())?;
        let requests = network.take_requests();
        let infer_requests = requests.len();
        self.generations += 1;
        let events = self.events.clone();
        let tell = move |trouble| {
            // The supervisor ends after its threads.
            let _ = events.send(Event::Trouble(trouble));
        };
        let generation = Generation::start(
            self.generations,
            requests,
            *network.input(),
            &self.shared,
            &self.jobs,
            &tell,
        )?;
        announce(&announcement(
            &self.plan.network,
            &network,
            &target,
            infer_requests,
        ));
        let prefetch = self.plan.prefetch(infer_requests);
        let device = target.device.clone();
        let devices = u16::try_from(target.members.len()).unwrap_or(u16::MAX);
        self.metrics.set(
            &self.version,
            self.shared.answers.model.as_str(),
            &target,
            infer_requests,
            prefetch,
        );
        let next = Serving {
            generation,
            network,
            members: target.members,
        };
        tracing::info!(prefetch, "the network runs on {device}");
        let before = self.serving.replace(next);
        self.tell(Service::Up { prefetch, devices });
        self.leave_behind(end(before));
        self.show_sticks();
        Ok(())
    }

    /// Ends the network that runs. Jobs in its hands wait for the next.
    pub(super) fn let_go(&mut self) {
        self.jobs.serve(None);
        let left = end(self.serving.take());
        self.leave_behind(left);
    }

    /// Keeps an eye on threads that do not come back.
    pub(super) fn leave_behind(&mut self, threads: Vec<JoinHandle<()>>) {
        self.left_behind.extend(threads);
        self.left_behind.retain(|thread| !thread.is_finished());
    }

    /// How many threads and inferences have not come back from OpenVINO.
    pub(super) fn left_behind(&mut self) -> usize {
        self.leave_behind(Vec::new());
        self.left_behind.len() + unfinished_requests()
    }

    pub(super) fn go_down(&mut self, why: &str) {
        if *self.service.borrow() != Service::Down {
            let rescan = humantime::format_duration(self.plan.rescan);
            tracing::warn!("{why}: taking no jobs, and trying again every {rescan}");
        }
        let model = self.shared.answers.model.as_str();
        self.metrics.clear(&self.version, model);
        self.show_sticks();
        self.tell(Service::Down);
    }

    pub(super) fn tell(&mut self, service: Service) {
        let up = matches!(service, Service::Up { .. });
        self.metrics.serving.set(i64::from(up));
        self.metrics.without_service.set(u32::from(!up));
        self.service.send_if_modified(|before| {
            let changed = *before != service;
            *before = service;
            changed
        });
    }

    fn is_serving(&self, generation: u64) -> bool {
        self.serving
            .as_ref()
            .is_some_and(|serving| serving.generation.id == generation)
    }

    fn has_stuck_inference(&self) -> bool {
        let limit = self.plan.infer_timeout.saturating_add(STUCK_AFTER);
        self.serving
            .as_ref()
            .is_some_and(|serving| serving.generation.has_inference_over(limit))
    }
}

/// Ends a network's threads, then frees it. Returns the threads that do not come back.
fn end(serving: Option<Serving>) -> Vec<JoinHandle<()>> {
    let Some(serving) = serving else {
        return Vec::new();
    };
    let mut left = serving.generation.retire(RETIRE_LIMIT);
    if !left.is_empty() {
        let threads = left.len();
        tracing::warn!(
            "inferences that do not come back: {threads}; going on without their threads"
        );
    }
    left.extend(openvino::free(serving.network));
    left
}
