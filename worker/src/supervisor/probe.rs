//! Trying devices one by one: an infer request of MULTI does not tell which device failed it.

use super::openvino::{OpenVino, Refused, free};
use super::plan::Plan;
use ncs_engine::{EngineError, InferRequest, Target};
use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the slowest device gets at least, once the fastest has answered.
const PATIENCE: Duration = Duration::from_millis(500);

/// And at least so many times what the fastest needed: slow is no failure.
const SLOWEST: u32 = 10;

/// The time for each of several inferences: a stick takes 25 ms for one. A device that takes longer
/// does fewer.
const PER_INFERENCE: Duration = Duration::from_millis(30);

/// For threads to be scheduled and to tell what they found.
const MARGIN: Duration = Duration::from_secs(1);

/// A device that does not work.
pub(super) struct Failing {
    /// What it did.
    pub(super) reason: String,
    /// It keeps calls for ever: each further try costs a thread.
    pub(super) stuck: bool,
}

/// What came of trying.
pub(super) struct Tried {
    /// Those that failed.
    pub(super) failing: BTreeMap<String, Failing>,
    /// Threads that have not come back from OpenVINO.
    pub(super) left_behind: Vec<JoinHandle<()>>,
}

type Outcome = (String, Result<(), EngineError>);

/// Loads the network on each device alone, each within `limit`, and lets all of them infer a gray
/// image at the same time, `inferences` times.
///
/// When one has answered, the others have little time left: devices that work shall not wait for one
/// that hangs.
pub(super) fn try_each(
    openvino: &mut OpenVino,
    plan: &Plan,
    devices: &[String],
    inferences: u32,
    limit: Duration,
) -> anyhow::Result<Tried> {
    let mut failing = BTreeMap::new();
    let (mut networks, mut requests) = (Vec::new(), Vec::new());
    for device in devices {
        let target = Target::over(vec![device.clone()]);
        match plan.load(openvino, &target, 1, limit)? {
            Ok(mut network) => {
                requests.extend(
                    network
                        .take_requests()
                        .into_iter()
                        .map(|r| (device.clone(), r)),
                );
                networks.push(network);
            }
            Err(refused) => {
                let stuck = matches!(refused, Refused::Stuck { .. });
                let reason = refused.to_string();
                failing.insert(device.clone(), Failing { reason, stuck });
            }
        }
    }
    let (tell, told) = channel();
    let mut running: Vec<String> = requests.iter().map(|(device, _)| device.clone()).collect();
    let start = Instant::now();
    let threads = requests
        .into_iter()
        .map(|(device, request)| infer_aside(request, device, inferences, plan, &tell))
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut deadline =
        start + PER_INFERENCE.saturating_mul(inferences) + plan.infer_timeout + MARGIN;
    while !running.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((device, outcome)) = told.recv_timeout(left) else {
            break;
        };
        running.retain(|other| *other != device);
        match outcome {
            Ok(()) => {
                let patience = start.elapsed().saturating_mul(SLOWEST).max(PATIENCE);
                deadline = deadline.min(start + patience);
            }
            Err(error) => {
                let reason = error.to_string();
                let stuck = false;
                failing.insert(device, Failing { reason, stuck });
            }
        }
    }
    for device in running {
        let reason = format!("no answer within {:.1?}", start.elapsed());
        let stuck = false;
        failing.insert(device, Failing { reason, stuck });
    }
    let freeing = free(networks);
    let threads = threads.into_iter().chain(freeing);
    let left_behind = threads.filter(|thread| !thread.is_finished()).collect();
    Ok(Tried {
        failing,
        left_behind,
    })
}

/// On a thread of its own, which nobody waits for.
fn infer_aside(
    mut request: InferRequest,
    device: String,
    inferences: u32,
    plan: &Plan,
    tell: &Sender<Outcome>,
) -> std::io::Result<JoinHandle<()>> {
    let (limit, tell) = (plan.infer_timeout, tell.clone());
    std::thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || {
            let outcome = infer(&mut request, inferences, limit);
            let _ = tell.send((device, outcome));
        })
}

fn infer(request: &mut InferRequest, inferences: u32, limit: Duration) -> Result<(), EngineError> {
    // Some value between black and white, so that no layer is fed zeros alone.
    request.input_mut()?.fill(0x3c);
    let (start, time) = (Instant::now(), PER_INFERENCE.saturating_mul(inferences));
    for _ in 0..inferences {
        request.infer(limit)?;
        if start.elapsed() > time {
            break;
        }
    }
    Ok(())
}
