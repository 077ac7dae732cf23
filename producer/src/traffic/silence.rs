//! Watching that something moves: silence of the fleet ends a run, silence of the broker does not.

use super::{Campaign, End, INTERVAL, Traffic};
use ncs_broker::{Link, Publisher};
use ncs_protocol::topology;
use std::time::{Duration, Instant};

/// Silence that makes us ask the broker whether it blocks publishers, and say so if it does.
const SILENCE: Duration = Duration::from_secs(5);

/// A broker that takes longer for an empty message holds up the workers' results too.
const HELD_UP: Duration = Duration::from_secs(1);

/// How often the queue's depth is asked for.
const LOOK_AT_QUEUE: Duration = Duration::from_secs(1);

/// How long to wait where that fails, and how often it may on one link: RabbitMQ allows 2,047 channels.
const AFTER_FAILED_LOOK: Duration = Duration::from_secs(10);
const MOST_FAILED_LOOKS: usize = 100;

impl<C: Campaign> Traffic<'_, C> {
    /// Until jobs are unanswered and none was answered for too long.
    pub(super) async fn watch(&self, link: &Link, publishers: &[Publisher]) -> anyhow::Result<End> {
        let looking = async {
            let queue = topology::jobs_queue(&self.route.model);
            // A queue may be out of reach for a while, when its node has just come back. Each such look
            // costs a channel.
            for _failed in 0..MOST_FAILED_LOOKS {
                while let Ok(state) = link.consuming.queue_state(&queue).await {
                    self.queued.set(Some(state.messages));
                    tokio::time::sleep(LOOK_AT_QUEUE).await;
                }
                self.queued.set(None);
                tokio::time::sleep(AFTER_FAILED_LOOK).await;
            }
            std::future::pending().await
        };
        let watching = async {
            while !self.has_timed_out(publishers).await? {
                tokio::time::sleep(INTERVAL).await;
            }
            Ok(End::GaveUp)
        };
        tokio::select! {
            end = looking => end,
            end = watching => end,
        }
    }

    /// Jobs are unanswered, and none has been answered for too long, although workers may publish.
    async fn has_timed_out(&self, publishers: &[Publisher]) -> anyhow::Result<bool> {
        let timeout = self.route.timeout;
        let silent_for = |limit| {
            let silence = self.last_progress.get().elapsed();
            self.books.borrow().unanswered() > 0 && silence > limit
        };
        if self.held.get() || publishers.iter().any(Publisher::is_blocked) {
            self.last_progress.set(Instant::now());
        }
        // With a full window we publish nothing, so we are not told that publishers are blocked: we ask
        // early in each silence, and once more before we give up.
        let was_asked = self.asked.get() > self.last_progress.get();
        let patience = if was_asked {
            timeout
        } else {
            SILENCE.min(timeout)
        };
        let Some(publisher) = publishers.first().filter(|_| silent_for(patience)) else {
            return Ok(false);
        };
        let now = Instant::now();
        self.asked.set(now);
        publisher.knock().await?;
        if now.elapsed() > HELD_UP {
            self.last_progress.set(Instant::now());
        }
        if !silent_for(timeout) {
            return Ok(false);
        }
        let unanswered = self.books.borrow().unanswered();
        let timeout = humantime::format_duration(timeout);
        tracing::error!("no answer for {timeout}; giving up {unanswered} unanswered jobs");
        Ok(true)
    }
}
