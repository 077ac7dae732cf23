//! `ov_core.h` and `ov_common.h`: version, devices, properties, compiling.

use std::ffi::{c_char, c_int};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::handle::{
    answer, give, give_array, give_text, object, place, put, quietly, take_array_back, take_back,
    take_text_back, text,
};
use crate::device;
use crate::host::{Core, Host};
use crate::ir::Model;
use crate::network::Network;
use crate::status::Status;

/// As 2022.3.1 names itself.
const BUILD_NUMBER: &str = "2022.3.1-9227-cf2c7da5689-releases/2022/3";
const DESCRIPTION: &str = "OpenVINO Runtime (emulated: ncs-stick-emulator)";

/// `ov_version_t`
#[repr(C)]
struct Version {
    build_number: *mut c_char,
    description: *mut c_char,
}

/// `ov_available_devices_t`
#[repr(C)]
struct AvailableDevices {
    devices: *mut *mut c_char,
    size: usize,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_get_openvino_version(version: *mut Version) -> c_int {
    answer(|| {
        let version = place(version)?;
        let told = Version {
            build_number: give_text(BUILD_NUMBER),
            description: give_text(DESCRIPTION),
        };
        // SAFETY: see the module's contract.
        unsafe { put(version, told) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_version_free(version: *mut Version) {
    // SAFETY: see the module's contract; the strings are forgotten once they are freed.
    unsafe {
        if let Some(version) = version.as_mut() {
            take_text_back(std::mem::replace(
                &mut version.build_number,
                std::ptr::null_mut(),
            ));
            take_text_back(std::mem::replace(
                &mut version.description,
                std::ptr::null_mut(),
            ));
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_create(core: *mut *mut Core) -> c_int {
    answer(|| {
        let core = place(core)?;
        // SAFETY: see the module's contract.
        unsafe { put(core, give(Core::new(Host::of_this_process()))) }
    })
}

/// The devices of a configuration file are others; the sticks are the same.
#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_create_with_config(
    config: *const c_char,
    core: *mut *mut Core,
) -> c_int {
    // SAFETY: see the module's contract.
    match unsafe { text(config) } {
        Ok(_) => unsafe { ov_core_create(core) },
        Err(status) => status.code(),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_free(core: *mut Core) {
    // SAFETY: see the module's contract.
    unsafe { take_back(core) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_read_model(
    core: *const Core,
    model_path: *const c_char,
    bin_path: *const c_char,
    model: *mut *mut Arc<Model>,
) -> c_int {
    // SAFETY: see the module's contract; `bin_path` may be NULL.
    answer(|| unsafe {
        object(core)?;
        let model_path = text(model_path)?;
        let model = place(model)?;
        let bin_path = if bin_path.is_null() {
            ""
        } else {
            text(bin_path)?
        };
        put(model, give(Arc::new(read_model(model_path, bin_path)?)))
    })
}

fn read_model(model_path: &str, bin_path: &str) -> Result<Model, Status> {
    let complain = |why: &str| {
        eprintln!("stick emulator: {model_path} is no IR: {why}");
        Status::GeneralError
    };
    if !bin_path.is_empty() && !Path::new(bin_path).is_file() {
        return Err(Status::GeneralError);
    }
    Model::read(model_path).map_err(|why| complain(&why))
}

/// In C this is variadic: the pairs of `property_args_size` follow. Stable Rust cannot define such a
/// function, and need not: on Linux, the calling conventions of x86-64 and aarch64 pass the fixed
/// parameters of a variadic call as those of any other, and the caller cleans up. (On Apple's arm64
/// they do not pass the others so, which is why no other place may read them.)
#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_compile_model(
    core: *const Core,
    model: *const Arc<Model>,
    device_name: *const c_char,
    _property_args_size: usize,
    compiled_model: *mut *mut Arc<Network>,
) -> c_int {
    // SAFETY: see the module's contract.
    answer(|| unsafe {
        let core = object(core)?;
        let model = object(model)?;
        let device = text(device_name)?;
        let compiled_model = place(compiled_model)?;
        put(
            compiled_model,
            give(core.compile(Arc::clone(model), device)?),
        )
    })
}

/// Variadic in C, with the key and the value behind the name; see [`ov_core_compile_model`].
#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_set_property(
    core: *const Core,
    device_name: *const c_char,
    key: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: see the module's contract. The two are always there, by the header.
    answer(|| unsafe {
        object(core)?;
        let device = text(device_name)?;
        let (key, _value) = (text(key)?, text(value)?);
        if !device::is_known(device) {
            return Err(Status::GeneralError);
        }
        if device::is_settable(key) {
            Ok(())
        } else {
            Err(Status::NotFound)
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_get_property(
    core: *const Core,
    device_name: *const c_char,
    key: *const c_char,
    value: *mut *mut c_char,
) -> c_int {
    // SAFETY: see the module's contract.
    answer(|| unsafe {
        let core = object(core)?;
        let (device, key) = (text(device_name)?, text(key)?);
        let value = place(value)?;
        put(value, give_text(&core.property(device, key)?))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_core_get_available_devices(
    core: *const Core,
    devices: *mut AvailableDevices,
) -> c_int {
    // SAFETY: see the module's contract.
    answer(|| unsafe {
        let core = object(core)?;
        let devices = place(devices)?;
        let names = core.devices(Instant::now());
        let names: Vec<_> = names.iter().map(|name| give_text(name)).collect();
        let size = names.len();
        let found = AvailableDevices {
            devices: give_array(names),
            size,
        };
        put(devices, found)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ov_available_devices_free(devices: *mut AvailableDevices) {
    // SAFETY: see the module's contract; the array is forgotten once it is freed.
    quietly(|| unsafe {
        if let Some(devices) = devices.as_mut() {
            let names = std::mem::replace(&mut devices.devices, std::ptr::null_mut());
            for &name in &take_array_back(names, std::mem::take(&mut devices.size)) {
                take_text_back(name);
            }
        }
    });
}

/// For strings, as in `ov_core_get_property`.
#[unsafe(no_mangle)]
unsafe extern "C" fn ov_free(content: *const c_char) {
    // SAFETY: see the module's contract.
    unsafe { take_text_back(content.cast_mut()) }
}

#[unsafe(no_mangle)]
extern "C" fn ov_get_error_info(status: c_int) -> *const c_char {
    let info = match status {
        0 => c"success",
        -1 => c"general error",
        -2 => c"not implement",
        -3 => c"network not loaded",
        -4 => c"input parameter mismatch",
        -5 => c"cannot find the value",
        -6 => c"out of bounds",
        -7 => c"run with unexpected error",
        -8 => c"request is busy now",
        -9 => c"result is not ready now",
        -10 => c"allocated failed",
        -11 => c"inference start with error",
        -12 => c"network is not ready now",
        -13 => c"inference is canceled",
        -14 => c"invalid c input parameters",
        -15 => c"unknown c error",
        -16 => c"not implement in c method",
        -17 => c"unknown exception",
        _ => c"unknown error code",
    };
    info.as_ptr()
}
