//! A program's life with the broker: two connections, and what follows when they break.

use crate::reconnect::reconnect_delays;
use crate::{Address, BrokerError, Connection};
use std::fmt;
use std::time::{Duration, Instant};

/// A link that lasted so long was a good one.
const STABLE: Duration = Duration::from_secs(5);

/// The two connections of a program. While RabbitMQ blocks a publisher (memory or disk alarm), it
/// reads nothing from its connection, and acks must still get through.
///
/// When either is lost, so is everything that was opened on both: the program drops it all, waits as
/// [`Outage::wait`] says, and opens another link.
pub struct Link {
    /// To consume, ack and declare.
    pub consuming: Connection,
    /// To publish.
    pub publishing: Connection,
}

impl Link {
    /// Connects twice. `name` is what RabbitMQ's own UI shows, with each one's purpose behind it.
    pub async fn open(address: &Address, name: &str) -> Result<Self, BrokerError> {
        let consuming = Connection::open(address, &format!("{name} consuming")).await?;
        let publishing = Connection::open(address, &format!("{name} publishing")).await?;
        Ok(Self {
            consuming,
            publishing,
        })
    }

    /// Completes when either is lost. May be dropped at any time and called again.
    pub async fn lost(&self) -> BrokerError {
        tokio::select! {
            error = self.consuming.lost() => error,
            error = self.publishing.lost() => error,
        }
    }

    /// Says goodbye on both.
    pub async fn close(self) {
        tokio::join!(self.consuming.close(), self.publishing.close());
    }
}

/// The pace of a program's tries, and its words about them: one line when the broker is gone, none
/// per try.
pub struct Outage {
    delays: Box<dyn Iterator<Item = Duration> + Send>,
    connected: Option<Instant>,
    /// That the broker is gone.
    told: bool,
    /// That it is there, and declines.
    told_declined: bool,
}

impl Default for Outage {
    fn default() -> Self {
        Self {
            delays: Box::new(reconnect_delays()),
            connected: None,
            told: false,
            told_declined: false,
        }
    }
}

impl Outage {
    /// There is a link again.
    pub fn over(&mut self) {
        self.connected = Some(Instant::now());
        self.told = false;
        self.told_declined = false;
    }

    /// The link was lost, or none could be opened: says so once, and waits until the next try. May be
    /// dropped while it waits.
    pub async fn wait(&mut self, error: &impl fmt::Display) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!("{error:#}; trying until it is back");
        }
        tokio::time::sleep(self.delay(Instant::now())).await;
    }

    /// The same where the broker is there and declines, which a person must mend: it is worth a line of
    /// its own.
    pub async fn wait_for_help(&mut self, error: &impl fmt::Display) {
        self.told = true;
        if !std::mem::replace(&mut self.told_declined, true) {
            tracing::error!("{error:#}; trying until it works again");
        }
        tokio::time::sleep(self.delay(Instant::now())).await;
    }

    fn delay(&mut self, now: Instant) -> Duration {
        let connected = self.connected.take();
        // A link that does not last is no reason to hurry.
        if connected.is_some_and(|since| now.saturating_duration_since(since) > STABLE) {
            self.delays = Box::new(reconnect_delays());
        }
        // They never end.
        self.delays.next().unwrap_or(STABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_slow_down_and_a_link_that_lasted_starts_anew() {
        let quick = Duration::from_millis(200);
        let mut outage = Outage::default();
        let now = Instant::now();
        assert!(outage.delay(now) <= quick);
        for _ in 0..10 {
            outage.delay(now);
        }
        outage.over();
        assert!(
            outage.delay(now) >= Duration::from_secs(1),
            "it broke at once"
        );
        outage.over();
        assert!(outage.delay(now + 2 * STABLE) <= quick);
    }
}
