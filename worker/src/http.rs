//! `/metrics`, `/healthz` and `/readyz`.

use crate::metrics::Metrics;
use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use tokio::net::TcpListener;

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
    pub async fn serve(self, metrics: Metrics) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(render))
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(readiness))
            .with_state(metrics);
        axum::serve(self.listener, routes).await
    }
}

async fn render(State(metrics): State<Metrics>) -> Response {
    match metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readiness(State(metrics): State<Metrics>) -> Response {
    let missing = if metrics.network.serving.get() != 1 {
        "not consuming: no device to infer on, or the network is being loaded\n"
    } else if metrics.broker_connected.get() != 1 {
        "not consuming: no connection to the broker\n"
    } else {
        return "ready\n".into_response();
    };
    (StatusCode::SERVICE_UNAVAILABLE, missing).into_response()
}
