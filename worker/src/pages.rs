//! `/metrics`, `/healthz` and `/readyz`.

use crate::metrics::Metrics;
use crate::supervisor::Service;
use ncs_program::http::{self, Page};
use tokio::sync::watch;

/// What there is to be seen of a worker.
#[derive(Clone)]
pub struct Pages {
    /// Its figures.
    pub metrics: Metrics,
    /// Whether it can serve.
    pub service: watch::Receiver<Service>,
}

impl Pages {
    /// The page of a path.
    #[must_use]
    pub fn answer(&self, path: &str) -> Page {
        match path {
            "/metrics" => http::figures(self.metrics.registry()),
            "/healthz" => http::ok("alive\n"),
            "/readyz" => self.readiness(),
            _ => http::not_found("there are /metrics, /healthz and /readyz\n"),
        }
    }

    fn readiness(&self) -> Page {
        let missing = match *self.service.borrow() {
            Service::Down => "not consuming: no device to infer on; looking for one\n",
            Service::Interrupted => "not consuming: the network is being loaded\n",
            Service::Up { .. } if self.metrics.broker_connected.get() == 1 => {
                return http::ok("ready\n");
            }
            Service::Up { .. } => "not consuming: no connection to the broker\n",
        };
        http::unavailable(missing)
    }
}
