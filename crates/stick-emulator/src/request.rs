//! An infer request: its tensors, and the inference it has under way.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::answer::{self, BEST_SCORE, SECOND_SCORE};
use crate::backend::RealRequest;
use crate::ir::{Element, Port};
use crate::memory::Memory;
use crate::network::Network;
use crate::status::Status;
use crate::stick::{Inference, Outcome};

/// A tensor. Cheap to clone: the memory is shared.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) memory: Arc<Memory>,
    pub(crate) element: Element,
    pub(crate) shape: Vec<i64>,
    pub(crate) elements: usize,
}

impl Tensor {
    fn for_port(port: &Port) -> Result<Self, Status> {
        let (Some(elements), Some(bytes)) = (port.elements(), port.byte_len()) else {
            return Err(Status::GeneralError);
        };
        let dimensions = port.shape.iter().flatten();
        Ok(Self {
            memory: Arc::new(Memory::new(bytes)),
            element: port.element,
            shape: dimensions
                .map(|&n| i64::try_from(n).unwrap_or(i64::MAX))
                .collect(),
            elements,
        })
    }
}

/// An infer request of a network, which stays loaded as long as the request.
#[derive(Debug)]
pub(crate) struct Request {
    network: Arc<Network>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// Computes the scores, if there is a real OpenVINO. Used under the state's lock.
    real: Option<RealRequest>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    inference: Option<Arc<Inference>>,
    /// What the scores follow from, until they are written.
    unanswered: Option<Source>,
    /// The two classes that are not 0 in the output.
    scored: [Option<usize>; 2],
}

#[derive(Debug, Clone, Copy)]
enum Source {
    /// The hash of the input.
    Hash(u64),
    /// The real request, which is running.
    Real,
}

/// Which tensors of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Input,
    Output,
}

impl Request {
    /// # Errors
    ///
    /// [`Status::GeneralError`] if the model is dynamic, or the real OpenVINO does not take it.
    pub(crate) fn new(network: Arc<Network>) -> Result<Self, Status> {
        let tensors =
            |ports: &[Port]| -> Result<Vec<_>, _> { ports.iter().map(Tensor::for_port).collect() };
        let request = Self {
            inputs: tensors(&network.model.inputs)?,
            outputs: tensors(&network.model.outputs)?,
            real: match &network.real {
                Some((backend, real)) => Some(backend.request(real)?),
                None => None,
            },
            state: Mutex::default(),
            network,
        };
        if let Some(real) = &request.real {
            let (input, output) = (request.only(Side::Input)?, request.only(Side::Output)?);
            if !real.fits(&input.memory, &output.memory) {
                return Err(Status::GeneralError);
            }
        }
        request.network.requests.fetch_add(1, Ordering::Relaxed);
        Ok(request)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an inference.
    ///
    /// # Errors
    ///
    /// [`Status::RequestBusy`] if one is running.
    pub(crate) fn start(&self, now: Instant) -> Result<(), Status> {
        let mut state = self.lock();
        state.refuse_if_busy(now)?;
        if let (Some(poison), Some(input)) = (self.network.poison, self.inputs.first())
            && input.memory.word_at(0) == poison
        {
            eprintln!("stick emulator: this input kills the process, as STICKS_POISON says");
            std::process::abort();
        }
        let source = match (&self.real, self.inputs.first()) {
            (Some(real), Some(input)) => {
                // Left over from an inference whose stick failed.
                if matches!(state.unanswered.take(), Some(Source::Real)) {
                    let _ = real.finish(None);
                }
                real.start(&input.memory)?;
                Some(Source::Real)
            }
            // A stick is sent the input when the inference starts, and by now it is still in the
            // CPU's cache.
            (None, Some(input)) => Some(Source::Hash(answer::hash(&input.memory))),
            (_, None) => None,
        };
        state.unanswered = source;
        state.inference = self.network.start(now);
        Ok(())
    }

    /// Waits for the end of the inference, at most `limit`. OK also when it has not ended by then or
    /// was never started: 2022.3's C API drops the answer of `ov::InferRequest::wait_for`.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if the inference failed; again each time, until the next one starts.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Result<(), Status> {
        // A limit beyond the end of the clock is none.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let Some(inference) = self.lock().inference.clone() else {
            return Ok(());
        };
        match inference.wait(deadline) {
            None => Ok(()),
            Some(Outcome::Failed) => Err(Status::GeneralError),
            Some(Outcome::Completed) => {
                let mut state = self.lock();
                // Another thread may have started the next one meanwhile.
                let still = state.inference.as_ref();
                if still.is_some_and(|still| Arc::ptr_eq(still, &inference)) {
                    return self.answer(&mut state);
                }
                Ok(())
            }
        }
    }

    /// The request's own tensor.
    ///
    /// # Errors
    ///
    /// [`Status::RequestBusy`] while an inference runs. [`Status::OutOfBounds`] if there is none with
    /// this index; without an index, [`Status::GeneralError`] if there is not exactly one.
    pub(crate) fn tensor(&self, side: Side, index: Option<usize>) -> Result<Tensor, Status> {
        let mut state = self.lock();
        state.refuse_if_busy(Instant::now())?;
        if state.succeeded() {
            self.answer(&mut state)?;
        }
        match index {
            Some(index) => {
                let tensor = self.tensors(side).get(index).cloned();
                tensor.ok_or(Status::OutOfBounds)
            }
            None => self.only(side).cloned(),
        }
    }

    fn tensors(&self, side: Side) -> &[Tensor] {
        match side {
            Side::Input => &self.inputs,
            Side::Output => &self.outputs,
        }
    }

    fn only(&self, side: Side) -> Result<&Tensor, Status> {
        match self.tensors(side) {
            [only] => Ok(only),
            _ => Err(Status::GeneralError),
        }
    }

    /// Writes the scores into the first output, once for each inference.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if the real OpenVINO failed.
    fn answer(&self, state: &mut State) -> Result<(), Status> {
        let (Some(source), Some(output)) = (state.unanswered.take(), self.outputs.first()) else {
            return Ok(());
        };
        let hash = match (source, &self.real) {
            (Source::Hash(hash), _) => hash,
            (Source::Real, Some(real)) => return real.finish(Some(&output.memory)),
            (Source::Real, None) => return Ok(()),
        };
        let set = |class, score| answer::set_score(&output.memory, output.element, class, score);
        for class in state.scored.into_iter().flatten() {
            set(class, 0.0);
        }
        let (best, second) = answer::best_two(hash, output.elements);
        set(best, BEST_SCORE);
        if let Some(second) = second {
            set(second, SECOND_SCORE);
        }
        state.scored = [Some(best), second];
        Ok(())
    }
}

impl State {
    fn refuse_if_busy(&self, now: Instant) -> Result<(), Status> {
        match &self.inference {
            Some(inference) if inference.ended(now).is_none() => Err(Status::RequestBusy),
            _ => Ok(()),
        }
    }

    fn succeeded(&self) -> bool {
        let ended = |inference: &Arc<Inference>| inference.ended(Instant::now());
        self.inference.as_ref().and_then(ended) == Some(Outcome::Completed)
    }
}

impl Drop for Request {
    /// Waits for the end of a running inference, as the real one does: for ever if its stick hangs.
    fn drop(&mut self) {
        let _ = self.wait(None);
    }
}
