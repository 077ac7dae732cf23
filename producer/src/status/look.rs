//! One look after the other: AMQP's figures, which are of now, over those of the management API.

use super::amqp::Amqp;
use super::crew;
use super::fleet::{self, Fleet, Host, Queue, Role};
use super::management::{self, Told};
use crate::cli::StatusArgs;
use ncs_broker::{BrokerError, Management};
use ncs_protocol::ModelName;
use ncs_protocol::topology::{DEAD, RESULTS_QUEUE, UNANSWERED, jobs_queue, suspects_queue};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

/// A broker to be looked at again and again.
pub(super) struct Looks {
    broker: String,
    amqp: Amqp,
    /// `None`: not to be asked.
    management: Option<Management>,
    /// A person has said where that is.
    asked_for: bool,
    /// Only these. Empty: all that can be found.
    models: BTreeSet<ModelName>,
    /// How many messages waited in each queue at the last look.
    before: BTreeMap<String, (Instant, u64)>,
}

impl Looks {
    /// Reads what the command line names; nothing is asked yet.
    pub(super) fn new(arguments: &StatusArgs) -> Result<Self, BrokerError> {
        let address = arguments.broker.address()?;
        let management = match &arguments.management_url {
            _ if arguments.no_management => None,
            Some(url) => Some(Management::at(url, &address)?),
            None => Some(Management::beside(&address)?),
        };
        Ok(Self {
            broker: address.to_string(),
            amqp: Amqp::new(address),
            management,
            asked_for: arguments.management_url.is_some(),
            models: arguments.model.iter().cloned().collect(),
            before: BTreeMap::new(),
        })
    }

    /// Looks at all that can be seen. May be dropped at any time, and called again.
    pub(super) async fn look(&mut self) -> Result<Fleet, BrokerError> {
        // First of all: where there is no broker, nothing else needs to be asked.
        self.amqp.open().await?;
        let (told, management) = self.ask().await;
        let mut fleet = Fleet {
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            broker: self.broker.clone(),
            management,
            ..Fleet::default()
        };
        let mut found = BTreeMap::new();
        if let Some(told) = told {
            fleet.hosts = told.hosts.ok().map(|hosts| self.hosts_of_interest(hosts));
            found.extend(
                told.queues
                    .into_iter()
                    .map(|queue| (queue.name.clone(), queue)),
            );
        }
        for (name, role, model) in self.to_look_at(&found) {
            if let Some(state) = self.amqp.queue(&name).await? {
                let new = || Queue::new(&name, role, model.as_ref());
                let queue = found.entry(name.clone()).or_insert_with(new);
                queue.ready = state.messages.into();
                queue.consumers = state.consumers.into();
            } else {
                // Deleted a moment ago, if it was listed.
                found.remove(&name);
                if let (Role::Jobs, Some(model)) = (role, model)
                    && self.models.contains(&model)
                {
                    fleet.never_served.push(model.to_string());
                }
            }
        }
        let connected = found.get(UNANSWERED).map_or(0, |queue| queue.consumers);
        fleet.workers = self.amqp.workers(connected).await?;
        fleet.workers.retain(|worker| {
            let asked = |model: &ModelName| model.as_str() == worker.model;
            self.models.is_empty() || self.models.iter().any(asked)
        });
        if fleet.hosts.is_some() || !fleet.workers.is_empty() {
            crew::add(fleet.hosts.get_or_insert_default(), &fleet.workers);
        }
        let of_interest = |queue: &Queue| match &queue.model {
            Some(model) if !self.models.is_empty() => {
                self.models.iter().any(|asked| asked.as_str() == model)
            }
            _ => true,
        };
        fleet.queues = found.into_values().filter(of_interest).collect();
        self.reckon(&mut fleet.queues);
        Ok(fleet)
    }

    /// Waits until the next look, and listens to the workers meanwhile.
    pub(super) async fn rest(&mut self, pause: Duration) {
        let Err(_elapsed) = tokio::time::timeout(pause, self.amqp.listen()).await;
    }

    /// Says goodbye.
    pub(super) async fn end(mut self) {
        self.amqp.close().await;
    }

    /// What the management API tells, if it is to be asked, and how that went.
    async fn ask(&self) -> (Option<Told>, Option<fleet::Management>) {
        let Some(management) = &self.management else {
            return (None, None);
        };
        let told = management::ask(management).await;
        let problem = match &told {
            Ok(told) => told.hosts.as_ref().err(),
            Err(error) => Some(error),
        };
        let how = fleet::Management {
            url: management.url().to_owned(),
            asked_for: self.asked_for,
            problem: problem.map(ToString::to_string),
        };
        (told.ok(), Some(how))
    }

    /// What AMQP shall look at: the queues of the models, and those that all models share.
    fn to_look_at(
        &self,
        found: &BTreeMap<String, Queue>,
    ) -> Vec<(String, Role, Option<ModelName>)> {
        let models: BTreeSet<ModelName> = if self.models.is_empty() {
            let of_queue = |name: &String| Role::of(name)?.1;
            found.keys().filter_map(of_queue).collect()
        } else {
            self.models.clone()
        };
        let of_models = models.into_iter().flat_map(|model| {
            [
                (jobs_queue(&model), Role::Jobs, Some(model.clone())),
                (suspects_queue(&model), Role::Suspects, Some(model)),
            ]
        });
        let shared = [
            (RESULTS_QUEUE, Role::Results),
            (DEAD, Role::Dead),
            (UNANSWERED, Role::Unanswered),
        ];
        let shared = shared.map(|(name, role)| (name.to_owned(), role, None));
        of_models.chain(shared).collect()
    }

    fn hosts_of_interest(&self, hosts: Vec<Host>) -> Vec<Host> {
        let serves = |host: &Host| {
            self.models
                .iter()
                .any(|model| host.models.contains(model.as_str()))
        };
        let mut hosts = hosts;
        hosts.retain(|host| self.models.is_empty() || serves(host));
        hosts
    }

    /// What follows from this look, and from the one before.
    fn reckon(&mut self, queues: &mut [Queue]) {
        let now = Instant::now();
        for queue in queues.iter_mut() {
            queue.estimate();
            if let Some((then, ready)) = self.before.get(&queue.name) {
                let seconds = now.duration_since(*then).as_secs_f64();
                #[expect(clippy::cast_precision_loss, reason = "a number of messages fits")]
                let change = queue.ready as f64 - *ready as f64;
                queue.ready_change_per_second = Some(change / seconds.max(0.001));
            }
        }
        let depth = |queue: &Queue| (queue.name.clone(), (now, queue.ready));
        self.before = queues.iter().map(depth).collect();
    }
}
