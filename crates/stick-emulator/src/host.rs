//! The host: which sticks are on its bus, and the networks that are loaded on them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::backend::Backend;
use crate::condition::{Condition, Line};
use crate::control;
use crate::device::{self, StickName, Target};
use crate::ir::Model;
use crate::network::{Member, Network};
use crate::settings::Settings;
use crate::stats::Registry;
use crate::status::Status;
use crate::stick::Stick;

/// The one host of this process.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) settings: Settings,
    /// By port. A stick that was seen once stays here, and is unplugged when it is not there.
    sticks: Mutex<BTreeMap<String, Arc<Stick>>>,
    pub(crate) registry: Registry,
    pub(crate) max_in_flight: Arc<AtomicUsize>,
    /// A real OpenVINO, loaded when the first network is compiled: threads that it starts earlier
    /// could disturb a program that has not finished its own preparations.
    backend: OnceLock<Option<Arc<Backend>>>,
}

impl Host {
    /// The host that the environment describes when this is called first. Its control thread runs
    /// as long as the process.
    pub(crate) fn of_this_process() -> Arc<Self> {
        static HOST: OnceLock<Arc<Host>> = OnceLock::new();
        let host = HOST.get_or_init(|| {
            // The program cannot tell, but whoever keeps its figures should know.
            eprintln!("stick emulator: these sticks are emulated, there is no hardware");
            let host = Arc::new(Self::new(Settings::from_env(), Instant::now()));
            if let Some(folder) = host.settings.control.clone() {
                control::start(Arc::clone(&host), folder);
            }
            host
        });
        Arc::clone(host)
    }

    /// A host whose sticks have been plugged in for long.
    pub(crate) fn new(settings: Settings, now: Instant) -> Self {
        let ports = 1..=settings.count;
        let all_well = ports.map(|n| {
            let line = Line {
                condition: Condition::Ok,
                celsius: None,
            };
            (format!("1.{n}"), line)
        });
        let lines: BTreeMap<_, _> = match &settings.control {
            Some(folder) => control::read(folder).unwrap_or_else(|| all_well.collect()),
            None => all_well.collect(),
        };
        let stick = |(port, line): (String, Line)| {
            let stick = Stick::new(&port, line, settings.pace, settings.boot, now);
            (port, Arc::new(stick))
        };
        Self {
            sticks: Mutex::new(lines.into_iter().map(stick).collect()),
            registry: Registry::default(),
            max_in_flight: Arc::default(),
            backend: OnceLock::new(),
            settings,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Stick>>> {
        self.sticks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All sticks there ever were, by port.
    pub(crate) fn all(&self) -> Vec<Arc<Stick>> {
        self.lock().values().cloned().collect()
    }

    /// The real OpenVINO, if one is wanted.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if it is wanted and cannot be used.
    fn backend(&self) -> Result<Option<&Arc<Backend>>, Status> {
        let Some(path) = &self.settings.backend else {
            return Ok(None);
        };
        let backend = self.backend.get_or_init(|| match Backend::load(path) {
            Ok(backend) => Some(Arc::new(backend)),
            Err(why) => {
                eprintln!(
                    "stick emulator: cannot use STICKS_BACKEND={}: {why}",
                    path.display()
                );
                None
            }
        });
        backend.as_ref().map(Some).ok_or(Status::GeneralError)
    }

    /// Puts every stick into the condition that the control file gives it.
    pub(crate) fn apply(&self, lines: &BTreeMap<String, Line>, now: Instant) {
        let mut sticks = self.lock();
        for (port, stick) in sticks.iter() {
            stick.apply(lines.get(port).copied(), now);
        }
        for (port, line) in lines {
            let settings = &self.settings;
            sticks.entry(port.clone()).or_insert_with(|| {
                let absent = Line {
                    condition: Condition::Unplugged,
                    ..*line
                };
                let stick = Stick::new(port, absent, settings.pace, settings.boot, now);
                stick.apply(Some(*line), now);
                Arc::new(stick)
            });
        }
    }
}

/// OpenVINO's core: the host as one user of the library sees it.
#[derive(Debug)]
pub(crate) struct Core {
    host: Arc<Host>,
    /// The sticks this core has opened, with the life they were opened in. The real plugin never
    /// forgets one of them; see `STICKS_KEEP_LOST`.
    opened: Mutex<Vec<(String, u64)>>,
}

impl Core {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        Self {
            host,
            opened: Mutex::default(),
        }
    }

    fn opened(&self) -> Vec<(String, u64)> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.clone()
    }

    /// The ports of the sticks in the list, in its order, which is that of their names.
    fn listed_ports(&self, now: Instant) -> Vec<String> {
        let present = self
            .host
            .all()
            .into_iter()
            .filter(|stick| stick.is_listed(now));
        let mut ports: Vec<String> = if self.host.settings.keep_lost {
            // As the real one: those that wait to be booted, and all that this core has booted. So a
            // stick that was lost and plugged in again is listed twice.
            let opened = self.opened();
            let waiting = present.filter(|stick| {
                let now_open =
                    |(port, life): &(String, u64)| *port == stick.port && *life == stick.life();
                !opened.iter().any(now_open)
            });
            let waiting: Vec<_> = waiting.map(|stick| stick.port.clone()).collect();
            waiting
                .into_iter()
                .chain(opened.into_iter().map(|(port, _)| port))
                .collect()
        } else {
            present.map(|stick| stick.port.clone()).collect()
        };
        ports.sort();
        ports
    }

    /// The names of the devices.
    pub(crate) fn devices(&self, now: Instant) -> Vec<String> {
        device::names(&self.listed_ports(now))
    }

    /// The stick that a name means.
    pub(crate) fn find(&self, name: &StickName, now: Instant) -> Option<Arc<Stick>> {
        if self.host.settings.keep_lost && self.has_lost(name) {
            return None;
        }
        let sticks = self
            .host
            .all()
            .into_iter()
            .filter(|stick| stick.is_listed(now));
        match name {
            StickName::At(port) => sticks.into_iter().find(|stick| stick.port == *port),
            StickName::Any => sticks.into_iter().min_by_key(|stick| stick.networks()),
        }
    }

    /// Whether a stick of that name was opened by this core and is gone. The real plugin finds its
    /// remains first, and fails over them, whether it was plugged in again or not.
    fn has_lost(&self, name: &StickName) -> bool {
        let opened = self.opened();
        self.host.all().iter().any(|stick| {
            let lost = |(port, life): &(String, u64)| *port == stick.port && *life != stick.life();
            let meant = *name == StickName::Any || *name == StickName::At(stick.port.clone());
            meant && opened.iter().any(lost)
        })
    }

    /// Loads a model on the sticks of `device`, one after the other.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if one of them is not there, or cannot load it; and if the model is
    /// dynamic.
    pub(crate) fn compile(&self, model: Arc<Model>, device: &str) -> Result<Arc<Network>, Status> {
        let target = Target::parse(device).ok_or(Status::GeneralError)?;
        if model.is_dynamic() {
            return Err(Status::GeneralError);
        }
        let host = &self.host;
        let mut network = Network::new(model, Vec::new(), Arc::clone(&host.max_in_flight));
        network.poison = host.settings.poison;
        if let Some(backend) = host.backend()? {
            let real = backend.network(&network.model.path)?;
            network.real = Some((Arc::clone(backend), real));
        }
        for name in &target.members {
            let stick = self
                .find(name, Instant::now())
                .ok_or(Status::GeneralError)?;
            let life = stick
                .load_network(host.settings.compile)
                .ok_or(Status::GeneralError)?;
            self.remember(&stick.port, life);
            network.members.push(Member { stick, life });
        }
        let network = Arc::new(network);
        host.registry.compiled(device, &network);
        Ok(network)
    }

    fn remember(&self, port: &str, life: u64) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.iter().any(|(known, _)| known == port) {
            opened.push((port.to_owned(), life));
        }
    }

    /// The value of a property of a device.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if the device is not there, [`Status::NotFound`] if it has no such
    /// property.
    pub(crate) fn property(&self, device: &str, key: &str) -> Result<String, Status> {
        let now = Instant::now();
        let name = StickName::parse(device).ok_or(Status::GeneralError)?;
        if key == "AVAILABLE_DEVICES" {
            let ports = self.listed_ports(now);
            let ids: Vec<_> = ports.iter().map(|port| device::id(port)).collect();
            return Ok(ids.join(" "));
        }
        let stick = self.find(&name, now);
        match key {
            "FULL_DEVICE_NAME" if stick.is_some() => Ok(device::FULL_NAME.to_owned()),
            "DEVICE_THERMAL" => stick
                .map(|stick| stick.celsius().to_string())
                .ok_or(Status::GeneralError),
            "DEVICE_ARCHITECTURE" => Ok("MYRIAD".to_owned()),
            "OPTIMIZATION_CAPABILITIES" => Ok("EXPORT_IMPORT FP16".to_owned()),
            "RANGE_FOR_ASYNC_INFER_REQUESTS" => Ok("3 6 1".to_owned()),
            "FULL_DEVICE_NAME" => Err(Status::GeneralError),
            _ => Err(Status::NotFound),
        }
    }
}

#[cfg(test)]
mod tests;
