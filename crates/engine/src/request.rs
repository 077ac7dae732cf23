//! One infer request: its input tensor, its inference, its scores.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ncs_image::InputSpec;
use openvino::{InferenceError, Tensor};
use tracing::debug;

use crate::runtime::failure;
use crate::scores::{as_f32, top_k};
use crate::{EngineError, Score};

/// An infer request of a [`Network`](crate::Network). `Send`, not `Sync`: one thread fills it,
/// infers and reads it.
///
/// Dropping it waits for nothing: OpenVINO's own destructor waits for an inference that is still
/// running, for ever if its stick hangs, so such a request is kept until it has ended; see
/// [`unfinished_requests`].
pub struct InferRequest {
    request: ManuallyDrop<openvino::InferRequest>,
    input: InputSpec,
    classes: usize,
    /// An inference did not end in time, and nobody has seen its end yet.
    overdue: bool,
    /// A request is not to be shared between threads, whatever the `openvino` crate says.
    not_sync: PhantomData<Cell<()>>,
}

impl InferRequest {
    pub(crate) fn new(request: openvino::InferRequest, input: InputSpec, classes: usize) -> Self {
        let request = ManuallyDrop::new(request);
        Self {
            request,
            input,
            classes,
            overdue: false,
            not_sync: PhantomData,
        }
    }

    /// The request's own input tensor, as bytes in the model's layout.
    ///
    /// # Errors
    ///
    /// [`EngineError::OpenVino`], also while an inference that timed out is still running.
    pub fn input_mut(&mut self) -> Result<InputTensor<'_>, EngineError> {
        self.settle("lend the input tensor")?;
        let mut tensor = self
            .request
            .get_input_tensor()
            .map_err(|error| failure("lend the input tensor", &error))?;
        let bytes = tensor
            .get_raw_data_mut()
            .map_err(|error| failure("lend the data of the input tensor", &error))?;
        if bytes.len() != self.input.byte_len() {
            return Err(wrong_size("input", bytes.len()));
        }
        let (data, len) = (NonNull::from(bytes).cast(), self.input.byte_len());
        Ok(InputTensor {
            data,
            len,
            _tensor: tensor,
            request: PhantomData,
        })
    }

    /// Starts the inference and waits for its end, at most `limit` (in whole milliseconds).
    ///
    /// # Errors
    ///
    /// [`EngineError::Timeout`] if it did not end in time: the request then refuses to be used until
    /// it has ended. [`EngineError::OpenVino`] if the inference failed.
    pub fn infer(&mut self, limit: Duration) -> Result<(), EngineError> {
        self.settle("start an inference")?;
        let started = Instant::now();
        self.request
            .infer_async()
            .map_err(|error| failure("start an inference", &error))?;
        let milliseconds = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX).max(1);
        // A duration of that many milliseconds must not overflow in nanoseconds, as OpenVINO counts.
        let milliseconds = milliseconds.min(LONGEST_WAIT_MS);
        let limit_reached = |started: Instant| {
            started.elapsed().as_millis() >= u128::from(milliseconds.unsigned_abs())
        };
        match self.request.wait(milliseconds) {
            // Older runtimes (2022.3 among them) answer OK after a timeout too. They never come
            // back early, so it is the clock that tells: better to try one slow inference again
            // than to hand out the scores of the image before.
            Ok(()) if !limit_reached(started) => Ok(()),
            Ok(()) | Err(InferenceError::ResultNotReady) => {
                self.overdue = true;
                Err(EngineError::Timeout { limit })
            }
            Err(error) => Err(failure("infer", &error)),
        }
    }

    /// The `k` best classes of the last inference, highest first; equal scores by lower index; NaN
    /// last. Fewer if the model has fewer.
    pub fn top_k(&self, k: usize) -> Result<Vec<Score>, EngineError> {
        self.with_output(|bytes, classes| top_k(as_f32(bytes, classes), k))
    }

    /// All scores of the last inference, by class.
    pub fn scores(&self) -> Result<Vec<f32>, EngineError> {
        self.with_output(|bytes, classes| as_f32(bytes, classes).collect())
    }

    fn with_output<T>(&self, read: impl FnOnce(&[u8], usize) -> T) -> Result<T, EngineError> {
        if self.overdue {
            return Err(still_running("show the scores"));
        }
        let failed = |error| failure("show the scores", &error);
        let tensor = self.request.get_output_tensor().map_err(failed)?;
        let bytes = tensor.get_raw_data().map_err(failed)?;
        if bytes.len() != self.classes * 2 && bytes.len() != self.classes * 4 {
            return Err(wrong_size("output", bytes.len()));
        }
        Ok(read(bytes, self.classes))
    }

    /// Refuses while an inference that timed out is still running.
    fn settle(&mut self, action: &str) -> Result<(), EngineError> {
        self.overdue = self.overdue && self.is_running();
        if self.overdue {
            Err(still_running(action))
        } else {
            Ok(())
        }
    }

    /// Asks in two ways, since older runtimes answer the first with OK always. The second is refused
    /// while the request is busy.
    fn is_running(&mut self) -> bool {
        is_running(&mut self.request)
    }
}

fn is_running(request: &mut openvino::InferRequest) -> bool {
    request.wait(0) == Err(InferenceError::ResultNotReady)
        || request
            .get_output_tensor()
            .is_err_and(|e| e == InferenceError::RequestBusy)
}

/// Requests that were dropped while their inference was running.
static UNFINISHED: Mutex<Vec<openvino::InferRequest>> = Mutex::new(Vec::new());

/// How many requests were dropped while their inference was running, and are running still. Frees
/// those that have ended. As long as there is one, OpenVINO's plugin keeps all devices that it has
/// opened for it.
pub fn unfinished_requests() -> usize {
    let mut requests = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    requests.retain_mut(is_running);
    requests.len()
}

fn still_running(action: &str) -> EngineError {
    let reason = "the request's last inference did not end in time and may still run".to_owned();
    EngineError::OpenVino {
        action: action.to_owned(),
        reason,
    }
}

/// A year; `std::chrono::nanoseconds` overflow after 292.
const LONGEST_WAIT_MS: i64 = 365 * 24 * 3600 * 1000;

fn wrong_size(which: &str, bytes: usize) -> EngineError {
    EngineError::OpenVino {
        action: format!("keep the size of the {which} tensor"),
        reason: format!("it has {bytes} bytes now; load the network again"),
    }
}

impl Drop for InferRequest {
    fn drop(&mut self) {
        let running = self.overdue && self.is_running();
        #[expect(unsafe_code, reason = "drops the request unless it is running")]
        // SAFETY: this is the only place that takes it, and it is not used after.
        let request = unsafe { ManuallyDrop::take(&mut self.request) };
        if running {
            debug!("an infer request is still running; it is freed when it has ended");
            let mut requests = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
            requests.push(request);
        }
    }
}

/// The bytes of a request's input tensor. Values are in the machine's byte order. Not `Send`, and
/// it borrows the request: no inference starts while somebody writes.
pub struct InputTensor<'a> {
    data: NonNull<u8>,
    len: usize,
    /// Keeps the memory alive.
    _tensor: Tensor,
    request: PhantomData<&'a mut InferRequest>,
}

impl Deref for InputTensor<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        #[expect(unsafe_code, reason = "the tensor's memory belongs to OpenVINO")]
        // SAFETY: see `deref_mut`.
        unsafe {
            slice::from_raw_parts(self.data.as_ptr(), self.len)
        }
    }
}

impl DerefMut for InputTensor<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        #[expect(unsafe_code, reason = "the tensor's memory belongs to OpenVINO")]
        // SAFETY: `data` and `len` came from this tensor, which is held and never gets another
        // shape or memory. OpenVINO reads it only between `start_async` and its end; the borrow of
        // the request rules out a start, and `input_mut` ruled out one that has not ended.
        unsafe {
            slice::from_raw_parts_mut(self.data.as_ptr(), self.len)
        }
    }
}
