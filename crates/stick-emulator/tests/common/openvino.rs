//! As much of OpenVINO's C API as these tests call.

#![expect(unsafe_code, reason = "the functions of a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null_mut, slice_from_raw_parts};
use std::sync::OnceLock;

use libloading::Library;

type Pointer = *mut c_void;

pub(crate) const OK: c_int = 0;
pub(crate) const GENERAL_ERROR: c_int = -1;
pub(crate) const NOT_FOUND: c_int = -5;
pub(crate) const REQUEST_BUSY: c_int = -8;
pub(crate) const INVALID_C_PARAM: c_int = -14;

/// The library, never unloaded.
pub(crate) fn openvino() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // SAFETY: it has no initialisers.
        unsafe { Library::new(super::library()) }.expect("the library loads")
    })
}

/// Calls a function by its name.
macro_rules! call {
    ($name:ident($($value:expr => $type:ty),*) -> $result:ty) => {{
        // SAFETY: the types are those of the header.
        unsafe {
            let function = openvino()
                .get::<unsafe extern "C" fn($($type),*) -> $result>(stringify!($name).as_bytes())
                .expect(stringify!($name));
            function($($value),*)
        }
    }};
}

fn text(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

fn checked<T>(status: c_int, value: T) -> Result<T, c_int> {
    if status == OK { Ok(value) } else { Err(status) }
}

pub(crate) struct Core(Pointer);

#[repr(C)]
struct Devices {
    names: *mut *mut c_char,
    size: usize,
}

impl Core {
    pub(crate) fn new() -> Self {
        let mut core = null_mut();
        let status = call!(ov_core_create(&raw mut core => *mut Pointer) -> c_int);
        Self(checked(status, core).expect("a core"))
    }

    pub(crate) fn devices(&self) -> Vec<String> {
        let mut devices = Devices {
            names: null_mut(),
            size: 0,
        };
        let status = call!(ov_core_get_available_devices(
            self.0 => Pointer, &raw mut devices => *mut Devices) -> c_int);
        assert_eq!(status, OK);
        assert!(!devices.names.is_null(), "a slice is made of it");
        // SAFETY: an array of so many strings.
        let names = unsafe { &*slice_from_raw_parts(devices.names, devices.size) };
        let name = |&name: &*mut c_char| {
            // SAFETY: a string that ends with a NUL.
            let name = unsafe { CStr::from_ptr(name) };
            name.to_str().expect("ASCII").to_owned()
        };
        let names = names.iter().map(name).collect();
        call!(ov_available_devices_free(&raw mut devices => *mut Devices) -> ());
        names
    }

    pub(crate) fn property(&self, device: &str, key: &str) -> Result<String, c_int> {
        let mut value = null_mut();
        let status = call!(ov_core_get_property(
            self.0 => Pointer, text(device).as_ptr() => *const c_char,
            text(key).as_ptr() => *const c_char, &raw mut value => *mut *mut c_char) -> c_int);
        checked(status, ())?;
        // SAFETY: a string that ends with a NUL.
        let owned = unsafe { CStr::from_ptr(value) }
            .to_string_lossy()
            .into_owned();
        call!(ov_free(value => *mut c_char) -> ());
        Ok(owned)
    }

    pub(crate) fn set_property(&self, device: &str, key: &str, value: &str) -> c_int {
        // SAFETY: the types are those of the header, where this is variadic.
        unsafe {
            let function = openvino()
                .get::<unsafe extern "C" fn(Pointer, *const c_char, ...) -> c_int>(
                    b"ov_core_set_property",
                )
                .expect("ov_core_set_property");
            let (device, key, value) = (text(device), text(key), text(value));
            function(self.0, device.as_ptr(), key.as_ptr(), value.as_ptr())
        }
    }

    pub(crate) fn read_model(&self, xml: &Path, bin: &str) -> Result<Model, c_int> {
        let xml = text(xml.to_str().expect("UTF-8"));
        let mut model = null_mut();
        let status = call!(ov_core_read_model(
            self.0 => Pointer, xml.as_ptr() => *const c_char,
            text(bin).as_ptr() => *const c_char, &raw mut model => *mut Pointer) -> c_int);
        checked(status, Model(model))
    }

    pub(crate) fn compile(&self, model: &Model, device: &str) -> Result<Network, c_int> {
        let mut network = null_mut();
        // SAFETY: the types are those of the header, where this is variadic.
        let status = unsafe {
            let function = openvino()
                .get::<unsafe extern "C" fn(
                    Pointer,
                    Pointer,
                    *const c_char,
                    usize,
                    *mut Pointer,
                    ...
                ) -> c_int>(b"ov_core_compile_model")
                .expect("ov_core_compile_model");
            let (device, key, value) = (text(device), text("PERFORMANCE_HINT"), text("LATENCY"));
            function(
                self.0,
                model.0,
                device.as_ptr(),
                2,
                &raw mut network,
                key.as_ptr(),
                value.as_ptr(),
            )
        };
        checked(status, Network(network))
    }
}

pub(crate) struct Model(Pointer);

impl Model {
    pub(crate) fn inputs(&self) -> usize {
        let mut size = 0;
        let status =
            call!(ov_model_inputs_size(self.0 => Pointer, &raw mut size => *mut usize) -> c_int);
        checked(status, size).expect("a size")
    }

    pub(crate) fn is_dynamic(&self) -> bool {
        call!(ov_model_is_dynamic(self.0 => Pointer) -> bool)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        call!(ov_model_free(self.0 => Pointer) -> ());
    }
}

pub(crate) struct Network(Pointer);

impl Network {
    pub(crate) fn request(&self) -> Request {
        let mut request = null_mut();
        let status = call!(ov_compiled_model_create_infer_request(
            self.0 => Pointer, &raw mut request => *mut Pointer) -> c_int);
        Request(checked(status, request).expect("a request"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        call!(ov_compiled_model_free(self.0 => Pointer) -> ());
    }
}

pub(crate) struct Request(Pointer);

// SAFETY: OpenVINO's objects may be used by any thread.
unsafe impl Send for Request {}

impl Request {
    pub(crate) fn start(&self) -> c_int {
        call!(ov_infer_request_start_async(self.0 => Pointer) -> c_int)
    }

    pub(crate) fn wait_for(&self, milliseconds: i64) -> c_int {
        call!(ov_infer_request_wait_for(self.0 => Pointer, milliseconds => i64) -> c_int)
    }

    pub(crate) fn infer(&self) -> c_int {
        call!(ov_infer_request_infer(self.0 => Pointer) -> c_int)
    }

    pub(crate) fn set_input(&self, bytes: &[u8]) -> Result<(), c_int> {
        self.with_tensor("ov_infer_request_get_input_tensor", |data, len| {
            assert_eq!(len, bytes.len());
            // SAFETY: so many bytes, which nobody else uses.
            unsafe {
                data.cast::<u8>()
                    .copy_from_nonoverlapping(bytes.as_ptr(), len);
            }
        })
    }

    /// The scores of the 10 classes.
    pub(crate) fn scores(&self) -> Result<Vec<f32>, c_int> {
        self.with_tensor("ov_infer_request_get_output_tensor", |data, len| {
            let scores = slice_from_raw_parts(data.cast::<f32>(), len / 4);
            // SAFETY: so many bytes, which nobody writes now.
            unsafe { &*scores }.to_vec()
        })
    }

    /// The shape of the input, by way of `ov_shape_free`.
    pub(crate) fn input_shape(&self) -> Vec<i64> {
        #[repr(C)]
        struct Shape {
            rank: i64,
            dims: *mut i64,
        }
        let mut tensor = null_mut();
        let status = call!(ov_infer_request_get_input_tensor(
            self.0 => Pointer, &raw mut tensor => *mut Pointer) -> c_int);
        assert_eq!(status, OK);
        let mut shape = Shape {
            rank: 0,
            dims: null_mut(),
        };
        let status = call!(ov_tensor_get_shape(
            tensor => Pointer, &raw mut shape => *mut Shape) -> c_int);
        assert_eq!(status, OK);
        let rank = usize::try_from(shape.rank).expect("a rank");
        // SAFETY: an array of so many dimensions.
        let dimensions = unsafe { &*slice_from_raw_parts(shape.dims, rank) }.to_vec();
        assert_eq!(
            call!(ov_shape_free(&raw mut shape => *mut Shape) -> c_int),
            OK
        );
        call!(ov_tensor_free(tensor => Pointer) -> ());
        dimensions
    }

    fn with_tensor<T>(
        &self,
        getter: &str,
        body: impl FnOnce(*mut c_void, usize) -> T,
    ) -> Result<T, c_int> {
        let (mut tensor, mut data, mut len) = (null_mut(), null_mut(), 0);
        // SAFETY: the types are those of the header.
        let status = unsafe {
            openvino()
                .get::<unsafe extern "C" fn(Pointer, *mut Pointer) -> c_int>(getter.as_bytes())
                .expect("a getter")(self.0, &raw mut tensor)
        };
        checked(status, ())?;
        let status =
            call!(ov_tensor_data(tensor => Pointer, &raw mut data => *mut Pointer) -> c_int);
        assert_eq!(status, OK);
        let status =
            call!(ov_tensor_get_byte_size(tensor => Pointer, &raw mut len => *mut usize) -> c_int);
        assert_eq!(status, OK);
        let result = body(data, len);
        call!(ov_tensor_free(tensor => Pointer) -> ());
        Ok(result)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        call!(ov_infer_request_free(self.0 => Pointer) -> ());
    }
}

/// What each function that takes a pointer first answers to NULL.
pub(crate) fn status_of_null(function: &str) -> c_int {
    // SAFETY: NULL is a value that each of them expects.
    unsafe {
        let function = openvino()
            .get::<unsafe extern "C" fn(Pointer, Pointer, Pointer, Pointer, Pointer) -> c_int>(
                function.as_bytes(),
            )
            .expect("a function");
        function(null_mut(), null_mut(), null_mut(), null_mut(), null_mut())
    }
}
