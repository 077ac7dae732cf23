//! What can happen, and to whom.

use std::fmt;
use std::time::Duration;

use super::random::Random;

/// Hosts with a worker each.
pub const HOSTS: usize = 2;

/// Sticks of each host.
pub const STICKS: u16 = 2;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL of a worker, which is started again half a second later.
    WorkerKilled,
    /// The same, and the other worker's a moment later, with the first one's jobs in its hands.
    WorkersKilled,
    /// SIGSTOP of a worker, then SIGCONT.
    WorkerPaused,
    /// The network between a worker and the broker passes nothing, then all that was held back.
    NetworkCut,
    /// The same, and the worker behind it is killed: nobody closes its connections.
    HostVanished,
    /// The broker is ended in order, and started.
    BrokerRestarted,
    /// The broker is ended with -9, and started.
    BrokerKilled,
    /// The broker closes every connection.
    ConnectionsClosed,
    /// The broker has too little memory, and blocks publishers.
    MemoryAlarm,
    /// The broker has too little disk, and blocks publishers.
    DiskAlarm,
    /// A stick is pulled out, and plugged in again.
    StickUnplugged,
    /// All sticks of a host are pulled out at once, as by a hub that loses its power.
    SticksUnplugged,
    /// Each inference of a stick fails, until it is mended.
    StickFailing,
    /// No inference of a stick ends, until it is mended.
    StickHanging,
}

/// Something that happens, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// To which host, from 0; of no meaning where it happens to the broker.
    pub host: usize,
    /// To which of its sticks, from 0; of no meaning where it happens to no stick.
    pub stick: u16,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::WorkerKilled,
        Self::WorkersKilled,
        Self::WorkerPaused,
        Self::NetworkCut,
        Self::HostVanished,
        Self::BrokerRestarted,
        Self::BrokerKilled,
        Self::ConnectionsClosed,
        Self::MemoryAlarm,
        Self::DiskAlarm,
        Self::StickUnplugged,
        Self::SticksUnplugged,
        Self::StickFailing,
        Self::StickHanging,
    ];

    /// The broker is away while it lasts.
    pub(super) fn is_outage(self) -> bool {
        matches!(self, Self::BrokerRestarted | Self::BrokerKilled)
    }

    /// The broker blocks publishers while it lasts.
    pub(super) fn is_alarm(self) -> bool {
        matches!(self, Self::MemoryAlarm | Self::DiskAlarm)
    }

    /// What doing and undoing it takes on two cores, besides the time that it lasts: a node starts in
    /// 3 to 5 s, rabbitmqctl in one and a half.
    pub(super) fn effort(self) -> Duration {
        Duration::from_millis(match self {
            Self::BrokerRestarted | Self::BrokerKilled => 5_000,
            Self::MemoryAlarm | Self::DiskAlarm => 3_000,
            Self::ConnectionsClosed => 1_500,
            _ => 0,
        })
    }
}

impl Fault {
    /// Whether it happens to one host, and not to the broker.
    #[must_use]
    pub fn is_a_hosts(&self) -> bool {
        !(self.kind.is_outage() || self.kind.is_alarm() || self.kind == Kind::ConnectionsClosed)
    }

    pub(super) fn draw(kind: Kind, random: &mut Random) -> Self {
        Self {
            kind,
            host: random.below(HOSTS),
            stick: u16::try_from(random.below(STICKS.into())).unwrap_or(0),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WorkerKilled => "worker killed",
            Self::WorkersKilled => "both workers killed",
            Self::WorkerPaused => "worker paused",
            Self::NetworkCut => "network cut",
            Self::HostVanished => "host vanished",
            Self::BrokerRestarted => "broker restarted",
            Self::BrokerKilled => "broker killed",
            Self::ConnectionsClosed => "connections closed",
            Self::MemoryAlarm => "memory alarm",
            Self::DiskAlarm => "disk alarm",
            Self::StickUnplugged => "stick unplugged",
            Self::SticksUnplugged => "all sticks unplugged",
            Self::StickFailing => "stick failing",
            Self::StickHanging => "stick hanging",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.is_a_hosts() {
            write!(f, ", host {}", self.host + 1)?;
        }
        if self.kind == Kind::WorkersKilled {
            f.write_str(" first")?;
        }
        if let Kind::StickUnplugged | Kind::StickFailing | Kind::StickHanging = self.kind {
            write!(f, ", stick {}", self.stick + 1)?;
        }
        Ok(())
    }
}
