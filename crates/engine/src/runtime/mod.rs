//! The OpenVINO runtime: loaded once per process, asked for devices, and given models.

mod last_error;
mod library;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use openvino::{Core, DeviceType, InferenceError, PropertyKey, SetupError};
use tracing::debug;

use self::library::Library;
use crate::network::{self, Network};
use crate::{Device, EngineError, Precision, Target};

/// A loaded `libopenvino_c` with one OpenVINO core. `Send`, not `Sync`: give it to the thread that
/// looks after devices and networks.
pub struct Runtime {
    core: Core,
    library: &'static Library,
    version: String,
    /// Full names by device name. OpenVINO's getter leaks its string, so each is asked for once.
    full_names: RefCell<HashMap<String, String>>,
}

impl Runtime {
    /// Finds and loads OpenVINO.
    ///
    /// `directory` is that of `libopenvino_c.so` itself, the root of an unpacked archive (below it
    /// `runtime/lib/intel64`, `aarch64` or `arm64`), or a `site-packages/openvino` (below it
    /// `libs`). Because the `openvino` crate finds the library through the environment, this puts
    /// the directory first in `LD_LIBRARY_PATH` and removes `OPENVINO_BUILD_DIR`,
    /// `OPENVINO_INSTALL_DIR` and `INTEL_OPENVINO_DIR`, which outrank it. Without a directory the
    /// environment is left alone and searched as it is, then the usual places of the system.
    ///
    /// # Errors
    ///
    /// [`EngineError::Runtime`] if there is no library, if it is no OpenVINO of 2022.3 or newer, if
    /// this process has loaded another one before, or if a directory is given while the process
    /// already has several threads: changing the environment would then be a data race.
    pub fn load(directory: Option<&Path>) -> Result<Self, EngineError> {
        let library = library::load(directory)?;
        let core = Core::new().map_err(|error| match error {
            SetupError::Inference(error) => failure("start", &error),
            SetupError::Loading(error) => EngineError::Runtime(error.to_string()),
        })?;
        let version = openvino::version().build_number;
        debug!(library = %library.path.display(), version, "loaded OpenVINO");
        Ok(Self {
            core,
            library,
            version,
            full_names: RefCell::default(),
        })
    }

    /// The build number, such as `2026.4.1-22982-…`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The `libopenvino_c` that was loaded.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library.path
    }

    /// The devices there are now, in OpenVINO's order. Cheap enough to be asked every few seconds.
    ///
    /// The plugin for sticks lists those that this runtime has opened, for as long as it lives and
    /// whether they are still there or not, and beside them those that wait to be opened (its
    /// `MyriadMetrics::AvailableDevicesNames`). So a stick that was lost stays in the list, and
    /// once it is back it is there twice; only a new `Runtime` can open it again.
    pub fn devices(&self) -> Result<Vec<Device>, EngineError> {
        let found = self
            .core
            .available_devices()
            .map_err(|error| failure("list the devices", &error))?;
        Ok(found
            .iter()
            .map(|device| Device {
                name: device.as_ref().to_owned(),
                full_name: self.full_name(device),
            })
            .collect())
    }

    fn full_name(&self, device: &DeviceType) -> Option<String> {
        let mut known = self.full_names.borrow_mut();
        if let Some(name) = known.get(device.as_ref()) {
            return Some(name.clone());
        }
        let name = self
            .core
            .get_property(device, &PropertyKey::DeviceFullName)
            .inspect_err(|error| debug!(device = device.as_ref(), %error, "no full name"))
            .ok()?;
        known.insert(device.as_ref().to_owned(), name.trim().to_owned());
        Some(name.trim().to_owned())
    }

    /// A stick's temperature in °C, if it says one. The `openvino` crate leaks the few bytes of each
    /// answer: ask once in a while.
    #[must_use]
    pub fn temperature(&self, device: &str) -> Option<f64> {
        let key = PropertyKey::Other("DEVICE_THERMAL".into());
        let answer = self.core.get_property(&DeviceType::from(device), &key);
        answer
            .ok()?
            .trim()
            .parse()
            .ok()
            .filter(|t: &f64| t.is_finite())
    }

    /// Reads `model` (an IR's `.xml` with its `.bin` beside it), compiles it for `target` and
    /// creates `infer_requests` requests, at least one. 4 per stick saturate the sticks. Without a
    /// `precision`, each device computes as it likes: a stick in f16, a CPU with AMX in bfloat16.
    ///
    /// # Errors
    ///
    /// [`EngineError::Model`] if a file is missing or the model is no image classifier with one
    /// input of batch 1 and one output; [`EngineError::OpenVino`] if OpenVINO cannot read or compile
    /// it.
    pub fn load_network(
        &mut self,
        model: &Path,
        target: &Target,
        infer_requests: usize,
        precision: Option<Precision>,
    ) -> Result<Network, EngineError> {
        network::load(&mut self.core, model, target, infer_requests, precision)
    }
}

/// Ends the process at once, without the cleaning up that libraries do at the end of a process.
///
/// For a process with threads that do not come back from OpenVINO: its own cleaning up may wait for
/// them for ever, or pull the ground from under them.
pub fn end_process(code: u8) -> ! {
    // What was printed is not lost: Rust's standard output keeps at most a line.
    let _ = std::io::stdout().flush();
    #[expect(unsafe_code, reason = "the standard library has no such end")]
    // SAFETY: `_exit` takes any number and touches no memory of the process.
    unsafe {
        libc::_exit(i32::from(code))
    }
}

/// An error of OpenVINO with what it was asked to do, and its own sentence if it left one.
pub(crate) fn failure(action: impl Into<String>, error: &InferenceError) -> EngineError {
    // These come back without an exception inside OpenVINO: its last message is about another one.
    let silent = matches!(
        error,
        InferenceError::ResultNotReady
            | InferenceError::InvalidCParam
            | InferenceError::Undefined(_)
    );
    let sentence = if silent { None } else { last_error::sentence() };
    let reason = sentence.unwrap_or_else(|| error.to_string());
    EngineError::OpenVino {
        action: action.into(),
        reason,
    }
}
