//! `ncs-worker run`: set up, then serve from connection to connection until shutdown.

use crate::answer::Answers;
use crate::cli::RunArgs;
use crate::http::Endpoint;
use crate::identity::Identity;
use crate::labels::Labels;
use crate::metrics::Metrics;
use crate::network::{self, Loaded};
use crate::pool::{Pool, Shared};
use crate::session::{Drained, Session, Settings};
use anyhow::{Context, bail};
use ncs_broker::{Address, BrokerError, reconnect_delays};
use ncs_engine::{EngineError, ImageDecoder, ImageLimits, InferRequest};
use ncs_program::shutdown;
use ncs_protocol::{ModelName, topology};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long the inference threads may take to end; they have nothing left to do.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Runs the worker until SIGTERM or Ctrl-C.
pub fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    // A bad address is told before a network is compiled for minutes.
    let address = arguments.amqp_url.check()?;
    // Before the first thread starts: finding OpenVINO may set a variable of the environment.
    let mut loaded = network::load(&arguments.network)?;
    let answers = answers(arguments, &loaded)?;
    let requests = with_decoders(arguments, &mut loaded)?;
    let prefetch = arguments
        .prefetch
        .unwrap_or_else(|| u16::try_from(loaded.infer_requests).unwrap_or(u16::MAX));
    let metrics = Metrics::new()?;
    let shared = Shared {
        answers,
        input: *loaded.network.input(),
        metrics: metrics.clone(),
        infer_timeout: arguments.infer_timeout,
    };
    let settings = settings(arguments, &shared, &loaded, prefetch, address)?;
    let (failed, failures) = mpsc::channel(1);
    let pool = Pool::start(requests, usize::from(prefetch), &Arc::new(shared), &failed)?;
    // All that blocks runs on threads of its own, so one async thread is enough; more would cost
    // a small host more in switching than they bring.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let end = runtime.block_on(serve(arguments.metrics_addr, &settings, &pool, failures));
    pool.stop(STOP_LIMIT);
    end
}

fn answers(arguments: &RunArgs, loaded: &Loaded) -> anyhow::Result<Answers> {
    let labels = match &arguments.labels {
        Some(path) => Labels::read(path, loaded.network.classes())?,
        None => Labels::default(),
    };
    let model = match &arguments.model_name {
        Some(name) => name.clone(),
        None => name_of(&arguments.network.model)?,
    };
    Ok(Answers {
        identity: Identity::of_this_process(),
        model,
        labels,
        top_k: arguments.top_k,
    })
}

/// `models/googlenet-v1.xml` → `googlenet-v1`.
fn name_of(model: &Path) -> anyhow::Result<ModelName> {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    stem.parse()
        .context("the file's name does not serve as the model's; give --model-name")
}

fn with_decoders(
    arguments: &RunArgs,
    loaded: &mut Loaded,
) -> Result<Vec<(InferRequest, ImageDecoder)>, EngineError> {
    let input = *loaded.network.input();
    let with_decoder = |request| {
        let preprocessing = arguments.pixels.preprocessing();
        let decoder = ImageDecoder::new(input, preprocessing, ImageLimits::default())?;
        Ok((request, decoder))
    };
    loaded
        .network
        .take_requests()
        .into_iter()
        .map(with_decoder)
        .collect()
}

/// Fills in the figures that stay as they are, and says what a session needs.
fn settings(
    arguments: &RunArgs,
    shared: &Shared,
    loaded: &Loaded,
    prefetch: u16,
    address: Address,
) -> anyhow::Result<Settings> {
    let Shared {
        answers: Answers {
            identity, model, ..
        },
        metrics,
        ..
    } = shared;
    metrics.set_info(
        &loaded.openvino_version,
        model.as_str(),
        &loaded.target.device,
    );
    metrics
        .devices
        .set(i64::try_from(loaded.target.members.len())?);
    metrics
        .infer_requests
        .set(i64::try_from(loaded.infer_requests)?);
    metrics.prefetch.set(i64::from(prefetch));
    Ok(Settings {
        address,
        name: format!("ncs-worker {identity} {model}"),
        topology: topology::for_worker(model),
        queue: topology::jobs_queue(model),
        prefetch,
        drain_timeout: arguments.drain_timeout,
        metrics: metrics.clone(),
    })
}

async fn serve(
    metrics_addr: SocketAddr,
    settings: &Settings,
    pool: &Pool,
    mut failures: mpsc::Receiver<anyhow::Error>,
) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    shutdown::on_signal(&shutdown)?;
    let endpoint = Endpoint::bind(metrics_addr).await?;
    tracing::info!(address = %endpoint.address()?, "serving /metrics, /healthz and /readyz");
    tokio::select! {
        end = serve_until_shutdown(settings, pool, &shutdown) => end,
        end = endpoint.serve(settings.metrics.clone()) => {
            end.context("the metrics endpoint failed")?;
            bail!("the metrics endpoint ended by itself")
        }
        Some(error) = failures.recv() => {
            Err(error.context("inference failed; the jobs in hand go back to the broker"))
        }
    }
}

/// Serves from connection to connection, with one log line per change of state, not per try.
async fn serve_until_shutdown(
    settings: &Settings,
    pool: &Pool,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut delays = reconnect_delays();
    let mut reported = false;
    loop {
        let opened = tokio::select! {
            opened = Session::open(settings) => opened,
            () = shutdown.cancelled() => return Ok(()),
        };
        let error = match opened {
            Ok(session) => {
                let Settings {
                    address,
                    queue,
                    prefetch,
                    ..
                } = settings;
                tracing::info!(broker = %address, queue, prefetch, "connected; taking jobs");
                delays = reconnect_delays();
                reported = false;
                match session.serve(pool, shutdown).await {
                    Ok(drained) => {
                        report(drained);
                        return Ok(());
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error.into(),
        };
        match error.downcast_ref::<BrokerError>() {
            Some(broken) if broken.is_temporary() => {}
            _ => return Err(error),
        }
        if !std::mem::replace(&mut reported, true) {
            tracing::warn!("{error:#}; trying until it is back");
        }
        tokio::select! {
            () = tokio::time::sleep(delays.next().unwrap_or_default()) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

fn report(drained: Drained) {
    match drained.left {
        0 => tracing::info!("done: all jobs in hand are answered and acked"),
        left => tracing::warn!(
            left,
            "the drain timeout is over; the rest goes back to the broker"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_name_is_its_files_name() {
        assert_eq!(
            name_of(Path::new("m/googlenet-v1.xml")).unwrap().as_str(),
            "googlenet-v1"
        );
        let error = format!("{:#}", name_of(Path::new("m/my net.xml")).unwrap_err());
        assert!(
            error.contains("--model-name") && error.contains("my net"),
            "{error}"
        );
    }
}
