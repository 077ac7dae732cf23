//! `/metrics`, `/healthz` and `/readyz`.

use crate::metrics::Metrics;
use crate::supervisor::Service;
use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The HTTP side, bound to its address but not yet serving.
pub struct Endpoint {
    listener: TcpListener,
}

impl Endpoint {
    /// Binds the address, so that a port in use is an error at start.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot serve metrics on {address}; choose another --metrics-addr")
        })?;
        Ok(Self { listener })
    }

    /// Where it listens; with port 0, the port that the system chose.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn serve(
        self,
        metrics: Metrics,
        service: watch::Receiver<Service>,
    ) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(render))
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(readiness))
            .with_state((metrics, service));
        axum::serve(self.listener, routes).await
    }
}

type Shown = (Metrics, watch::Receiver<Service>);

async fn render(State((metrics, _)): State<Shown>) -> Response {
    match metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readiness(State((metrics, service)): State<Shown>) -> Response {
    let service = *service.borrow();
    let missing = match service {
        Service::Down => "not consuming: no device to infer on; looking for one\n",
        Service::Interrupted => "not consuming: the network is being loaded\n",
        Service::Up { .. } if metrics.broker_connected.get() == 1 => {
            return "ready\n".into_response();
        }
        Service::Up { .. } => "not consuming: no connection to the broker\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, missing).into_response()
}
