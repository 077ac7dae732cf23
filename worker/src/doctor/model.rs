//! Trying the model: compiled for each device, and one inference on it.

use super::finding::{Finding, Report};
use super::sticks;
use super::usb::{Usb, look};
use crate::cli::DoctorArgs;
use anyhow::Context;
use ncs_engine::{EngineError, Network, Precision, Runtime, Target, is_stick};
use ncs_image::{Element, InputSpec};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Compiling and one inference on one device. A stick takes seconds, a GPU up to a minute.
const TRIAL_LIMIT: Duration = Duration::from_secs(120);
/// Of that, the inference.
const INFER_LIMIT: Duration = Duration::from_secs(10);
/// For OpenVINO to put the devices away, so that the process ends in peace.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// Each device by itself: MULTI goes on in silence with those that work.
struct Trials {
    runtime: Runtime,
    model: PathBuf,
    precision: Option<Precision>,
    /// The members of the target.
    devices: Vec<Target>,
}

/// What came of one device.
struct Trial {
    input: String,
    classes: usize,
    compiled_in: Duration,
    inferred_in: Duration,
    /// All scores are numbers.
    finite: bool,
}

/// Tries `model` on the devices behind `target`, on a thread that is left behind if it hangs: the
/// one returned is finished, unless it hangs in OpenVINO. `usb` is what USB has shown before.
pub(super) fn check(
    report: &mut Report,
    arguments: &DoctorArgs,
    model: &Path,
    runtime: Runtime,
    target: &Target,
    usb: &Usb,
) -> anyhow::Result<JoinHandle<()>> {
    let only = |member: &String| Target::over(vec![member.clone()]);
    let trials = Trials {
        runtime,
        model: model.to_owned(),
        precision: arguments.precision,
        devices: target.members.iter().map(only).collect(),
    };
    let (results, outcomes) = channel();
    let (release, released) = channel::<()>();
    let thread = thread::Builder::new()
        .name("trial".to_owned())
        .spawn(move || trials.run(&results, &released))
        .context("cannot start a thread")?;
    if !listen(report, &target.members, &outcomes, TRIAL_LIMIT) {
        return Ok(thread);
    }
    if target.members.iter().any(|device| is_stick(device)) {
        report.tell_all(sticks::speed_once_booted(usb, &look(&arguments.sysfs_root)));
    }
    drop(release);
    let deadline = Instant::now() + RELEASE_LIMIT;
    while !thread.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(thread)
}

/// Tells what comes of each device; false when the thread that tries them is lost.
fn listen(
    report: &mut Report,
    devices: &[String],
    outcomes: &Receiver<Result<Trial, EngineError>>,
    limit: Duration,
) -> bool {
    for (number, device) in devices.iter().enumerate() {
        match outcomes.recv_timeout(limit) {
            Ok(outcome) => report.tell(&judge(device, &outcome)),
            Err(error) => {
                report.tell(&silence(device, error, limit));
                report.tell_all(not_tried(&devices[number + 1..]));
                return false;
            }
        }
    }
    true
}

impl Trials {
    /// Keeps all devices until `released` is closed, as a worker does.
    fn run(mut self, results: &Sender<Result<Trial, EngineError>>, released: &Receiver<()>) {
        let mut kept = Vec::new();
        for target in std::mem::take(&mut self.devices) {
            let outcome = self.run_on(&target, &mut kept);
            if results.send(outcome).is_err() {
                return;
            }
        }
        // Nothing is ever sent: this waits for the other end to be dropped.
        let _ = released.recv();
    }

    fn run_on(&mut self, target: &Target, kept: &mut Vec<Network>) -> Result<Trial, EngineError> {
        let start = Instant::now();
        let mut network = self
            .runtime
            .load_network(&self.model, target, 1, self.precision)?;
        let compiled_in = start.elapsed();
        let (input, classes) = (*network.input(), network.classes());
        let mut requests = network.take_requests();
        kept.push(network);
        let mut trial = Trial {
            input: input.to_string(),
            classes,
            compiled_in,
            inferred_in: Duration::ZERO,
            finite: true,
        };
        for request in &mut requests {
            paint_gray(&mut request.input_mut()?, &input);
            let start = Instant::now();
            request.infer(INFER_LIMIT)?;
            trial.inferred_in = start.elapsed();
            trial.finite = request.scores()?.iter().all(|score| score.is_finite());
        }
        Ok(trial)
    }
}

/// 127 in every element.
fn paint_gray(tensor: &mut [u8], input: &InputSpec) {
    match input.element {
        Element::U8 => tensor.fill(127),
        // 127 = 1.984375 × 2^6.
        Element::F16 => repeat(tensor, 0x57f0_u16.to_ne_bytes()),
        Element::F32 => repeat(tensor, 127_f32.to_ne_bytes()),
    }
}

fn repeat<const N: usize>(tensor: &mut [u8], value: [u8; N]) {
    for element in tensor.chunks_exact_mut(N) {
        element.copy_from_slice(&value);
    }
}

fn judge(device: &str, outcome: &Result<Trial, EngineError>) -> Finding {
    match outcome {
        Ok(trial) => {
            let said = format!(
                "model on {device}: input {}, {} classes; compiled in {:.2} s, the first inference \
                 in {:.1} ms",
                trial.input,
                trial.classes,
                trial.compiled_in.as_secs_f64(),
                trial.inferred_in.as_secs_f64() * 1e3,
            );
            if trial.finite {
                Finding::ok(said)
            } else {
                Finding::warning(format!(
                    "{said}; for a gray image not all scores are numbers"
                ))
                .remedy("the network may be broken, or overflow in this precision")
            }
        }
        Err(error) => {
            let finding = Finding::problem(format!("model on {device}: {error}"));
            match error {
                EngineError::Timeout { .. } => finding.remedy(unplug(device)),
                EngineError::OpenVino { .. } if is_stick(device) => finding.remedy(unplug(device)),
                _ => finding,
            }
        }
    }
}

fn silence(device: &str, error: RecvTimeoutError, limit: Duration) -> Finding {
    match error {
        RecvTimeoutError::Timeout => Finding::problem(format!(
            "model on {device}: OpenVINO does not come back from compiling and one inference within \
             {} s",
            limit.as_secs()
        ))
        .remedy(unplug(device)),
        RecvTimeoutError::Disconnected => {
            Finding::problem(format!("model on {device}: the trial panicked, see above"))
        }
    }
}

fn not_tried(devices: &[String]) -> Option<Finding> {
    let text = format!("model on {}: not tried after that", devices.join(", "));
    (!devices.is_empty()).then(|| Finding::warning(text))
}

fn unplug(device: &str) -> &'static str {
    if is_stick(device) {
        "unplug the stick, plug it in again, and try once more"
    } else {
        "try another device with --devices; a driver may hang"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Grade;

    #[test]
    fn gray_is_gray_in_every_element_type() {
        let mut tensor = [0; 4];
        repeat(&mut tensor, 127_f32.to_ne_bytes());
        assert!((f32::from_ne_bytes(tensor) - 127.0).abs() < f32::EPSILON);
        repeat(&mut tensor, 0x57f0_u16.to_ne_bytes());
        assert_eq!(tensor[..2], tensor[2..]);
    }

    #[test]
    fn a_trial_that_hangs_or_panics_is_not_waited_for() {
        let mut report = Report::default();
        let devices = ["CPU".to_owned(), "MYRIAD".to_owned()];
        let (results, outcomes) = channel();
        let failed = EngineError::Timeout { limit: INFER_LIMIT };
        results.send(Err(failed)).unwrap();
        assert!(!listen(&mut report, &devices, &outcomes, Duration::ZERO));
        drop(results);
        assert!(!listen(&mut report, &devices, &outcomes, TRIAL_LIMIT));
        assert_eq!(report.problems(), 3);
    }

    #[test]
    fn a_device_that_hangs_is_told_with_what_to_do() {
        let told = silence("MYRIAD.1.2-ma2480", RecvTimeoutError::Timeout, TRIAL_LIMIT);
        assert_eq!(told.grade, Grade::Problem);
        let text = told.to_string();
        assert!(
            text.contains("does not come back from compiling") && text.contains("unplug the stick"),
            "{text}"
        );
        let limit = TRIAL_LIMIT;
        let text = judge("CPU", &Err(EngineError::Timeout { limit })).to_string();
        assert!(!text.contains("unplug"), "{text}");
    }
}
