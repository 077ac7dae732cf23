//! A real OpenVINO behind the emulated sticks: its CPU computes the scores, at the sticks' pace.
//!
//! Each infer request of an emulated network has a real one. Bytes are copied between their tensors,
//! so that nothing here depends on how the real library numbers element types.

#![expect(unsafe_code, reason = "the functions of a C library")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

use crate::memory::Memory;
use crate::status::{OK, Status};

type Object = *mut c_void;

/// Declares what is called of the library, and looks it up.
macro_rules! functions {
    ($($name:ident: $type:ty,)+) => {
        #[derive(Debug)]
        struct Functions { $($name: $type,)+ }

        impl Functions {
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: these are the types of the header. The library is never unloaded.
                unsafe {
                    Ok(Self { $($name: *library.get(stringify!($name).as_bytes())?,)+ })
                }
            }
        }
    };
}

functions! {
    ov_core_create: unsafe extern "C" fn(*mut Object) -> c_int,
    ov_core_read_model:
        unsafe extern "C" fn(Object, *const c_char, *const c_char, *mut Object) -> c_int,
    ov_core_compile_model:
        unsafe extern "C" fn(Object, Object, *const c_char, usize, *mut Object, ...) -> c_int,
    ov_model_free: unsafe extern "C" fn(Object),
    ov_compiled_model_create_infer_request: unsafe extern "C" fn(Object, *mut Object) -> c_int,
    ov_infer_request_get_input_tensor: unsafe extern "C" fn(Object, *mut Object) -> c_int,
    ov_infer_request_get_output_tensor: unsafe extern "C" fn(Object, *mut Object) -> c_int,
    ov_infer_request_start_async: unsafe extern "C" fn(Object) -> c_int,
    ov_infer_request_wait: unsafe extern "C" fn(Object) -> c_int,
    ov_infer_request_free: unsafe extern "C" fn(Object),
    ov_tensor_data: unsafe extern "C" fn(Object, *mut Object) -> c_int,
    ov_tensor_get_byte_size: unsafe extern "C" fn(Object, *mut usize) -> c_int,
    ov_tensor_free: unsafe extern "C" fn(Object),
}

/// The real library with its core. Neither is ever freed: there is one in a process.
#[derive(Debug)]
pub(crate) struct Backend {
    functions: Functions,
    core: Object,
    /// Compiled once for each file, so that compiling for sticks takes the sticks' time only.
    networks: Mutex<HashMap<String, Arc<RealNetwork>>>,
    _library: Library,
}

/// A model, compiled for the CPU and kept for ever.
#[derive(Debug)]
pub(crate) struct RealNetwork {
    compiled: Object,
}

/// A real infer request, with the tensors that are its own.
#[derive(Debug)]
pub(crate) struct RealRequest {
    backend: Arc<Backend>,
    request: Object,
    input: RealTensor,
    output: RealTensor,
}

#[derive(Debug)]
struct RealTensor {
    tensor: Object,
    data: Object,
    len: usize,
}

// SAFETY: OpenVINO's objects may be used by any thread; that an infer request is used by one at a
// time is seen to by the lock of the emulated request it belongs to.
unsafe impl Send for Backend {}
// SAFETY: the same.
unsafe impl Sync for Backend {}
// SAFETY: the same.
unsafe impl Send for RealNetwork {}
// SAFETY: the same.
unsafe impl Sync for RealNetwork {}
// SAFETY: the same.
unsafe impl Send for RealRequest {}
// SAFETY: the same.
unsafe impl Sync for RealRequest {}

impl Backend {
    /// Loads the library at `path`, or in that folder.
    ///
    /// # Errors
    ///
    /// A sentence about why it cannot be used.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let file = if path.is_dir() {
            path.join("libopenvino_c.so")
        } else {
            PathBuf::from(path)
        };
        // SAFETY: loading runs the initialisers of a library that the user names as OpenVINO's.
        let library = unsafe { Library::new(&file) }.map_err(|error| error.to_string())?;
        let functions = Functions::of(&library).map_err(|error| error.to_string())?;
        let mut core = null_mut();
        // SAFETY: as the header says.
        let status = unsafe { (functions.ov_core_create)(&raw mut core) };
        if status != OK {
            return Err(format!("it makes no core: status {status}"));
        }
        Ok(Self {
            functions,
            core,
            networks: Mutex::default(),
            _library: library,
        })
    }

    /// The model in this file, compiled for the CPU.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if the real library cannot read or compile it.
    pub(crate) fn network(&self, xml: &str) -> Result<Arc<RealNetwork>, Status> {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = networks.get(xml) {
            return Ok(Arc::clone(network));
        }
        let path = CString::new(xml).map_err(|_| Status::InvalidCParam)?;
        let f = &self.functions;
        let (mut model, mut compiled) = (null_mut(), null_mut());
        // SAFETY: as the header says; an empty name for the weights means those beside the model.
        // The model is freed once, the compiled one never.
        unsafe {
            checked((f.ov_core_read_model)(
                self.core,
                path.as_ptr(),
                c"".as_ptr(),
                &raw mut model,
            ))?;
            // In the precision that the CPU likes best: with AMX, f32 takes four times as long as
            // bfloat16, and two cores cannot keep up with one stick.
            let (key, value): (&CStr, &CStr) = (c"PERFORMANCE_HINT", c"THROUGHPUT");
            let status = (f.ov_core_compile_model)(
                self.core,
                model,
                c"CPU".as_ptr(),
                2,
                &raw mut compiled,
                key.as_ptr(),
                value.as_ptr(),
            );
            (f.ov_model_free)(model);
            checked(status)?;
        }
        let network = Arc::new(RealNetwork { compiled });
        networks.insert(xml.to_owned(), Arc::clone(&network));
        Ok(network)
    }

    /// A request of such a network.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if the real library makes none.
    pub(crate) fn request(self: &Arc<Self>, network: &RealNetwork) -> Result<RealRequest, Status> {
        let f = &self.functions;
        let mut request = null_mut();
        // SAFETY: as the header says.
        unsafe {
            checked((f.ov_compiled_model_create_infer_request)(
                network.compiled,
                &raw mut request,
            ))?;
        }
        let none = || RealTensor {
            tensor: null_mut(),
            data: null_mut(),
            len: 0,
        };
        // From here on dropping it frees what there is of it; freeing NULL does nothing.
        let mut request = RealRequest {
            backend: Arc::clone(self),
            request,
            input: none(),
            output: none(),
        };
        request.input = self.tensor(request.request, f.ov_infer_request_get_input_tensor)?;
        request.output = self.tensor(request.request, f.ov_infer_request_get_output_tensor)?;
        Ok(request)
    }

    fn tensor(
        &self,
        request: Object,
        getter: unsafe extern "C" fn(Object, *mut Object) -> c_int,
    ) -> Result<RealTensor, Status> {
        let (mut tensor, mut data, mut len) = (null_mut(), null_mut(), 0);
        // SAFETY: as the header says. A tensor whose data is not to be had is lost, 16 bytes.
        unsafe {
            checked(getter(request, &raw mut tensor))?;
            checked((self.functions.ov_tensor_data)(tensor, &raw mut data))?;
            checked((self.functions.ov_tensor_get_byte_size)(
                tensor,
                &raw mut len,
            ))?;
        }
        Ok(RealTensor { tensor, data, len })
    }
}

impl RealRequest {
    /// Whether the tensors are as large as those of the emulated request.
    pub(crate) fn fits(&self, input: &Memory, output: &Memory) -> bool {
        (self.input.len, self.output.len) == (input.len(), output.len())
    }

    /// Starts an inference on this input. None may be running.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if it does not start.
    pub(crate) fn start(&self, input: &Memory) -> Result<(), Status> {
        let len = self.input.len.min(input.len());
        // SAFETY: both have so many bytes, and nobody uses either now: the emulated request is idle
        // and locked, and the real one is known to nobody else.
        unsafe {
            let data = self.input.data.cast::<u8>();
            data.copy_from_nonoverlapping(input.as_ptr().cast(), len);
            checked((self.backend.functions.ov_infer_request_start_async)(
                self.request,
            ))
        }
    }

    /// Waits for the end of the inference, and copies the scores if there is a place for them.
    ///
    /// # Errors
    ///
    /// [`Status::GeneralError`] if it failed.
    pub(crate) fn finish(&self, output: Option<&Memory>) -> Result<(), Status> {
        // SAFETY: both have so many bytes, and nobody uses either now, as above. What is behind the
        // pointer of a `Memory` are atomics, which may be written through it.
        unsafe {
            checked((self.backend.functions.ov_infer_request_wait)(self.request))?;
            if let Some(output) = output {
                let len = self.output.len.min(output.len());
                let to = output.as_ptr().cast_mut().cast::<u8>();
                to.copy_from_nonoverlapping(self.output.data.cast(), len);
            }
        }
        Ok(())
    }
}

impl Drop for RealRequest {
    fn drop(&mut self) {
        let f = &self.backend.functions;
        // SAFETY: each is freed once. The request is freed last, and waits for its end.
        unsafe {
            (f.ov_tensor_free)(self.input.tensor);
            (f.ov_tensor_free)(self.output.tensor);
            (f.ov_infer_request_free)(self.request);
        }
    }
}

fn checked(status: c_int) -> Result<(), Status> {
    if status == OK {
        Ok(())
    } else {
        Err(Status::GeneralError)
    }
}
