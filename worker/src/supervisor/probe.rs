//! Trying devices one by one: an infer request of MULTI does not tell which device failed it.

use super::openvino::OpenVino;
use super::plan::{Plan, free};
use ncs_engine::{EngineError, InferRequest, Network, Target};
use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// What the slowest device gets at least, once the fastest has answered.
const PATIENCE: Duration = Duration::from_millis(500);

/// And at least so many times what the fastest needed: slow is no failure.
const SLOWEST: u32 = 20;

/// Loads the network on each device alone and lets all of them infer a gray image, `inferences`
/// times. Returns those that failed, and why.
///
/// When one has answered, the others have little time left: devices that work shall not wait for one
/// that hangs.
pub(super) fn failing(
    openvino: &mut OpenVino,
    plan: &Plan,
    devices: &[String],
    inferences: u32,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut failed = BTreeMap::new();
    let mut networks: Vec<Network> = Vec::new();
    let (tell, told) = channel();
    let mut running = Vec::new();
    for device in devices {
        if openvino.is_lost() {
            openvino.renew()?;
        }
        let target = Target::over(vec![device.clone()]);
        let loaded = plan
            .load(openvino, &target, 1)
            .map_err(|stuck| stuck.to_string())
            .and_then(|loaded| loaded.map_err(|error| error.to_string()));
        match loaded {
            Ok(mut network) => {
                for request in network.take_requests() {
                    infer_aside(request, device, inferences, plan.infer_timeout, &tell)?;
                    running.push(device.clone());
                }
                networks.push(network);
            }
            Err(reason) => {
                failed.insert(device.clone(), reason);
            }
        }
    }
    let start = Instant::now();
    let mut deadline = start + plan.infer_timeout.saturating_mul(inferences);
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
                failed.insert(device, error.to_string());
            }
        }
    }
    for device in running {
        let reason = format!("no answer within {:?}", start.elapsed());
        failed.insert(device, reason);
    }
    // Where one does not come back, its device is among the failing.
    free(networks);
    Ok(failed)
}

/// On a thread of its own, which nobody waits for.
fn infer_aside(
    mut request: InferRequest,
    device: &str,
    inferences: u32,
    limit: Duration,
    tell: &Sender<(String, Result<(), EngineError>)>,
) -> std::io::Result<()> {
    let (device, tell) = (device.to_owned(), tell.clone());
    std::thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || {
            let outcome = infer(&mut request, inferences, limit);
            let _ = tell.send((device, outcome));
        })?;
    Ok(())
}

fn infer(request: &mut InferRequest, inferences: u32, limit: Duration) -> Result<(), EngineError> {
    // Some value between black and white, so that no layer is fed zeros alone.
    request.input_mut()?.fill(0x3c);
    for _ in 0..inferences {
        request.infer(limit)?;
    }
    Ok(())
}
