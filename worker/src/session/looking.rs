//! Looks at queues beside the taking of jobs: a look takes some round trips to the broker, and jobs that
//! arrive meanwhile shall not wait for it.

use super::Work;
use crate::prefetch::{self, Verdict};
use crate::supervisor::Service;
use ncs_broker::{BrokerError, Connection};
use ncs_protocol::topology;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often a worker looks whether others have set suspects aside. Looking costs the broker one small
/// request.
const SUSPECTS_LOOK: Duration = Duration::from_secs(5);

impl Work<'_> {
    /// Looks from time to time whether there are suspects to be tried. Ends by itself only with an error.
    pub(super) async fn look_for_suspects(
        &self,
        connection: &Connection,
        shutdown: &CancellationToken,
    ) -> Result<Infallible, BrokerError> {
        let queue = topology::suspects_queue(&self.settings.answers.model);
        let mut look = every(SUSPECTS_LOOK);
        loop {
            look.tick().await;
            if !self.is_taking(shutdown) {
                continue;
            }
            if self.ready(connection, &queue).await? > 0 {
                self.suspects.set(true);
                self.news.notify_one();
            }
        }
    }

    /// Lets the prefetch grow while infer requests wait for jobs although there are some. Ends by itself
    /// only with an error.
    pub(super) async fn grow_prefetch(
        &self,
        connection: &Connection,
        shutdown: &CancellationToken,
    ) -> Result<Infallible, BrokerError> {
        let Some(growth) = &self.settings.growth else {
            return std::future::pending().await;
        };
        let queue = topology::jobs_queue(&self.settings.answers.model);
        // The time of all requests together.
        let idle = &self.settings.metrics.network.idle;
        let mut look = every(prefetch::INTERVAL);
        let mut before = (Instant::now(), idle.seconds());
        loop {
            look.tick().await;
            let now = (Instant::now(), idle.seconds());
            let (elapsed, idled) = (now.0 - before.0, now.1 - before.1);
            before = now;
            if !self.is_taking(shutdown) {
                growth.borrow_mut().interrupted();
                continue;
            }
            // The first tick comes at once.
            if elapsed < prefetch::INTERVAL / 2 {
                continue;
            }
            let waiting = idled / elapsed.as_secs_f64();
            let is_worth_it = growth.borrow().is_worth_a_look(waiting);
            let ready = if is_worth_it {
                Some(self.ready(connection, &queue).await?)
            } else {
                None
            };
            let verdict = growth.borrow_mut().observe(waiting, ready);
            tracing::debug!(waiting, ready, ?verdict, "requests wait for jobs");
            match verdict {
                Verdict::Keep => {}
                Verdict::Grow(_) => self.news.notify_one(),
                Verdict::Settled(why) => {
                    let prefetch = growth.borrow().prefetch();
                    tracing::info!(prefetch, "prefetch has settled: {}", why.reason());
                }
            }
        }
    }

    fn is_taking(&self, shutdown: &CancellationToken) -> bool {
        let up = matches!(*self.settings.service.borrow(), Service::Up { .. });
        up && !self.suspects.get() && !shutdown.is_cancelled()
    }

    async fn ready(&self, connection: &Connection, queue: &str) -> Result<u32, BrokerError> {
        let state = connection.queue_state(queue).await;
        Ok(state.map_err(BrokerError::while_working)?.messages)
    }
}

/// Ticks, the first one at once.
fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
