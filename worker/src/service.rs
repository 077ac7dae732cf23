//! `ncs-worker run`: set up, then serve from connection to connection until shutdown.

use crate::answer::Answers;
use crate::cli::RunArgs;
use crate::identity::Identity;
use crate::labels::Labels;
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::pool::{Gate, Jobs, Shared};
use crate::prefetch::Prefetch;
use crate::session::{Drained, MetricsAddress, Session, Settings};
use crate::supervisor::{Plan, Supervisor};
use anyhow::Context;
use ncs_broker::{BrokerError, Outage};
use ncs_engine::Runtime;
use ncs_program::exit::StartMeAgain;
use ncs_program::http::Endpoint;
use ncs_program::{exit, shutdown};
use ncs_protocol::{ModelName, topology};
use std::cell::RefCell;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long the supervisor may take to end: threads that hang get 1 s, freeing the network and letting
/// go of the runtime 3 s each.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// Runs the worker until SIGTERM or Ctrl-C, and ends the process. Comes back only with an error of the
/// start.
pub fn run(arguments: &RunArgs) -> anyhow::Result<Infallible> {
    // What is wrong with the arguments is told before a network is compiled for minutes.
    let address = arguments.broker.address()?;
    let answers = answers(arguments)?;
    ncs_engine::check_model_files(&arguments.network.model)?;
    let directory = arguments.network.runtime.openvino_dir.clone();
    // Before the first thread starts: the one sets the allocator, and finding OpenVINO may set a variable
    // of the environment.
    ncs_image::give_back_large_buffers();
    let runtime = Runtime::load(directory.as_deref())?;
    let metrics = Metrics::new()?;
    let answers = Arc::new(answers);
    let decode_threads = arguments.limits.decode_threads();
    let shown = i64::try_from(decode_threads).unwrap_or(i64::MAX);
    metrics.decode_threads.set(shown);
    let shared = Arc::new(Shared {
        answers: Arc::clone(&answers),
        preprocessing: arguments.pixels.preprocessing(),
        max_body: arguments.limits.max_body,
        images: arguments.limits.image(),
        decoding: Gate::new(decode_threads),
        metrics: metrics.clone(),
        infer_timeout: arguments.infer_timeout,
    });
    let jobs = Arc::new(Jobs::default());
    let (failed, failure) = oneshot::channel();
    let supervisor = Supervisor::start(
        runtime,
        directory,
        plan(arguments),
        shared,
        Arc::clone(&jobs),
        failed,
    )?;
    let settings = Settings {
        address,
        name: format!("ncs-worker {} {}", answers.identity, answers.model),
        topology: topology::for_worker(&answers.model),
        answers,
        drain_timeout: arguments.drain_timeout,
        max_unconfirmed_results: arguments.limits.max_unconfirmed_results.into(),
        metrics,
        metrics_address: MetricsAddress {
            advertised: arguments.advertise_addr.clone(),
            bound: arguments.metrics_addr,
        },
        jobs,
        service: supervisor.service.clone(),
        growth: matches!(arguments.prefetch, Some(Prefetch::Auto)).then(RefCell::default),
    };
    // All that blocks runs on threads of its own, so one async thread is enough; more would cost
    // a small host more in switching than they bring.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let end = runtime.block_on(serve(settings, failure));
    supervisor.stop(STOP_LIMIT);
    let code = match &end {
        Ok(()) => 0,
        Err(error) => exit::tell("ncs-worker", error),
    };
    // Networks and runtime are freed, as far as they can be; inferences that hang may still run, and
    // OpenVINO's own cleaning up would wait for them, or pull the ground from under them.
    ncs_engine::end_process(code)
}

fn plan(arguments: &RunArgs) -> Plan {
    Plan {
        network: arguments.network.clone(),
        prefetch: arguments.prefetch,
        infer_timeout: arguments.infer_timeout,
        load_timeout: arguments.load_timeout,
        rescan: arguments.rescan,
        max_failed_rebuilds: arguments.max_failed_rebuilds,
    }
}

fn answers(arguments: &RunArgs) -> anyhow::Result<Answers> {
    let labels = match &arguments.labels {
        Some(path) => Labels::read(path)?,
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
        max_top_k: arguments.limits.max_top_k,
    })
}

/// `models/googlenet-v1.xml` → `googlenet-v1`.
fn name_of(model: &Path) -> anyhow::Result<ModelName> {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    stem.parse()
        .context("the file's name does not serve as the model's; give --model-name")
}

async fn serve(
    mut settings: Settings,
    failure: oneshot::Receiver<anyhow::Error>,
) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    shutdown::on_signal(&shutdown, ncs_engine::end_process)?;
    let endpoint = Endpoint::bind(settings.metrics_address.bound).await?;
    let bound = endpoint.address()?;
    tracing::info!(address = %bound, "serving /metrics, /healthz and /readyz");
    settings.metrics_address.bound = bound;
    let settings = &settings;
    let pages = Pages {
        metrics: settings.metrics.clone(),
        service: settings.service.clone(),
    };
    // When there is nothing to infer on any more, the jobs in hand are given back before the end.
    let stop = shutdown.child_token();
    let failed = async {
        // Without a word, it panicked: it is told to end only after this.
        let error = failure.await.unwrap_or_else(|_| {
            StartMeAgain("the supervisor's thread panicked; what it said is above".to_owned())
                .into()
        });
        stop.cancel();
        error
    };
    let serving = async {
        let served = async {
            let end = serve_until_shutdown(settings, &stop).await;
            stop.cancel();
            end
        };
        let failed = async {
            tokio::select! {
                error = failed => Some(error),
                () = stop.cancelled() => None,
            }
        };
        let (end, failure) = tokio::join!(served, failed);
        failure.map_or(end, Err)
    };
    tokio::select! {
        end = serving => end,
        never = endpoint.serve(move |path| pages.answer(path)) => match never {},
    }
}

/// Serves from link to link, with one log line per change of state, not per try.
///
/// What a broker declines ends the worker only at its start, when a person watches. Later it may pass:
/// a password is changed in two places, a certificate is renewed, a broker starts before whoever it asks.
async fn serve_until_shutdown(
    settings: &Settings,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut outage = Outage::default();
    let mut has_served = false;
    loop {
        let opened = tokio::select! {
            opened = Session::open(settings) => opened,
            () = shutdown.cancelled() => return Ok(()),
        };
        let error = match opened {
            Ok(session) => {
                let queue = topology::jobs_queue(&settings.answers.model);
                tracing::info!(broker = %session.broker(), queue, "connected");
                outage.over();
                has_served = true;
                match session.serve(shutdown).await {
                    Ok(drained) => {
                        report(drained);
                        return Ok(());
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error.into(),
        };
        let wait = async {
            match error.downcast_ref::<BrokerError>() {
                Some(broken) if broken.is_temporary() => outage.wait(&error).await,
                Some(_) if has_served => outage.wait_for_help(&error).await,
                _ => return Err(error),
            }
            Ok(())
        };
        tokio::select! {
            waited = wait => waited?,
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

fn report(drained: Drained) {
    match drained.left {
        0 => tracing::info!("done: no job is left in hand"),
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
