//! Several hosts on this machine, with a network between them that is slow and can be cut.
//!
//! The broker is on one host, the head; each of the others has a cable to it. Where this user may make
//! network namespaces (root, with iproute2), a host is one, and its cable a pair of virtual interfaces,
//! which is cut by taking its end at the head down. Elsewhere the hosts share the loopback interface, and
//! a [`Proxy`] is each one's cable. What delays is the kernel (`tc netem`) where it can, else a proxy on
//! the host.

mod namespace;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::place::Place;
use crate::proxy::Proxy;
use crate::rabbitmq::{RabbitMq, RabbitMqOptions, speaks_amqp, url_at};

use namespace::Namespace;

/// Packets that are on their way at most, in one direction: more than a window of TCP's.
const PACKETS: &str = "100000";

/// The head and the hosts around it. Dropping it removes them; the processes on them should have ended.
#[derive(Debug)]
pub struct Hosts {
    head: Place,
    /// The broker, and the host that it runs on.
    broker: RabbitMq,
    others: Vec<Host>,
    /// To be removed last.
    _head: Option<Namespace>,
}

/// A host for a worker.
#[derive(Debug)]
pub struct Host {
    place: Place,
    /// The broker, as programs on this host reach it.
    broker: SocketAddr,
    cable: Cable,
}

/// What lies between a host and the head.
#[derive(Debug)]
struct Cable {
    /// The ends of a pair of virtual interfaces, if there is one.
    veth: Option<Veth>,
    /// What delays and, where there is no pair, cuts.
    proxy: Option<Proxy>,
}

#[derive(Debug)]
struct Veth {
    host: Namespace,
    /// The head's namespace by its name.
    head: String,
    /// Its end there.
    interface: String,
}

/// How hosts are made on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Network namespaces, and the kernel delays.
    Netem,
    /// Network namespaces, and proxies in them delay.
    Namespaces,
    /// Proxies on the loopback interface do everything.
    Loopback,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Netem => "network namespaces with netem",
            Self::Namespaces => "network namespaces with proxies",
            Self::Loopback => "proxies on loopback",
        })
    }
}

impl Way {
    /// The nearest to real hosts that works here.
    #[must_use]
    pub fn best() -> Self {
        let Ok(probe) = Namespace::create() else {
            return Self::Loopback;
        };
        let entered = probe.place().run(|| ());
        let cable = probe.ip(&[
            "link", "add", "probe0", "type", "veth", "peer", "name", "probe1",
        ]);
        let netem = probe.tc(&["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]);
        match (entered.and(cable), netem) {
            (Err(_), _) => Self::Loopback,
            (Ok(()), Ok(())) => Self::Netem,
            (Ok(()), Err(_)) => Self::Namespaces,
        }
    }
}

impl Hosts {
    /// A new broker on the head, and so many hosts around it.
    ///
    /// # Errors
    /// When the broker does not start, or the kernel refuses what it has just granted.
    pub fn around(mut options: RabbitMqOptions, count: u8, way: Way) -> Result<Self> {
        if way == Way::Loopback {
            let broker = RabbitMq::start(options)?;
            let hosts = (0..count).map(|_| Host::on_loopback(broker.amqp_addr()));
            return Ok(Self {
                head: Place::default(),
                others: hosts.collect::<Result<_>>()?,
                broker,
                _head: None,
            });
        }
        let head = Namespace::create()?;
        options.place = head.place();
        // Else guest may only log in from the broker's own host.
        options.config.push("loopback_users = none".to_owned());
        let broker = RabbitMq::start(options)?;
        let port = broker.amqp_addr().port();
        let hosts = (1..=count).map(|number| Host::in_namespace(&head, number, port, way));
        Ok(Self {
            head: head.place(),
            others: hosts.collect::<Result<_>>()?,
            broker,
            _head: Some(head),
        })
    }

    /// The head, where the broker runs.
    #[must_use]
    pub fn head(&self) -> &Place {
        &self.head
    }

    /// The broker. Its own address is that for programs on the head.
    #[must_use]
    pub fn broker(&self) -> &RabbitMq {
        &self.broker
    }

    /// The others, in a fixed order.
    #[must_use]
    pub fn others(&self) -> &[Host] {
        &self.others
    }
}

impl Host {
    fn on_loopback(broker: SocketAddr) -> Result<Self> {
        let proxy = Proxy::to(broker)?;
        Ok(Self {
            place: Place::default(),
            broker: proxy.addr(),
            cable: Cable {
                veth: None,
                proxy: Some(proxy),
            },
        })
    }

    fn in_namespace(head: &Namespace, number: u8, port: u16, way: Way) -> Result<Self> {
        let host = Namespace::create()?;
        let interface = format!("host{number}");
        // Made within the namespaces, so that this machine's own network never sees it.
        head.ip(&[
            "link",
            "add",
            &interface,
            "type",
            "veth",
            "peer",
            "name",
            "head",
            "netns",
            host.name(),
        ])?;
        for (end, interface, last) in [(head, &*interface, 1), (&host, "head", 2)] {
            let address = format!("10.213.{number}.{last}/24");
            end.ip(&["address", "add", &address, "dev", interface])?;
            end.ip(&["link", "set", interface, "up"])?;
        }
        let place = host.place();
        let broker = SocketAddr::from((Ipv4Addr::new(10, 213, number, 1), port));
        let proxy = match way {
            // Its thread stays there.
            Way::Namespaces => Some(place.run(|| Proxy::to(broker))??),
            Way::Netem | Way::Loopback => None,
        };
        Ok(Self {
            broker: proxy.as_ref().map_or(broker, Proxy::addr),
            place,
            cable: Cable {
                veth: Some(Veth {
                    host,
                    head: head.name().to_owned(),
                    interface,
                }),
                proxy,
            },
        })
    }

    /// Where its programs run.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The broker, for programs on this host.
    #[must_use]
    pub fn amqp_url(&self) -> String {
        url_at(self.broker)
    }

    /// Adds so much to each round trip from now on.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add_round_trip(&self, added: Duration) -> Result<()> {
        let one_way = added / 2;
        match (&self.cable.proxy, &self.cable.veth) {
            (Some(proxy), _) => proxy.delay(one_way),
            (None, Some(veth)) => veth.delay(one_way)?,
            (None, None) => {}
        }
        Ok(())
    }

    /// How long the broker's answer to a few bytes takes, at best.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn round_trip(&self) -> Result<Duration> {
        let tries = (0..5).map(|_| {
            let answer = self.place.run(|| {
                let start = Instant::now();
                speaks_amqp(self.broker).then(|| start.elapsed())
            });
            answer?.context("the broker does not answer")
        });
        let tries: Vec<Duration> = tries.collect::<Result<_>>()?;
        tries.into_iter().min().context("it was never asked")
    }

    /// Pulls its cable: nothing passes any more, and nobody is told.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn cut_off(&self) -> Result<()> {
        self.set_cut(true)
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn reconnect(&self) -> Result<()> {
        self.set_cut(false)
    }

    fn set_cut(&self, cut: bool) -> Result<()> {
        match (&self.cable.veth, &self.cable.proxy) {
            (Some(veth), _) => veth.set_up(!cut)?,
            (None, Some(proxy)) if cut => proxy.cut(),
            (None, Some(proxy)) => proxy.heal(),
            (None, None) => {}
        }
        Ok(())
    }
}

impl Veth {
    fn delay(&self, one_way: Duration) -> Result<()> {
        let delay = format!("{}us", one_way.as_micros());
        for (namespace, interface) in [(&*self.head, &*self.interface), (self.host.name(), "head")]
        {
            namespace::run(
                "tc",
                &[
                    "-n", namespace, "qdisc", "replace", "dev", interface, "root", "netem",
                    "delay", &delay, "limit", PACKETS,
                ],
            )?;
        }
        Ok(())
    }

    fn set_up(&self, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        namespace::run(
            "ip",
            &["-n", &self.head, "link", "set", &self.interface, state],
        )
    }
}
