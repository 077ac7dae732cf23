//! Finding `libopenvino_c` and holding on to it.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::last_error::{Free, GetLastError};
use crate::EngineError;

/// The one library of this process. It is never unloaded: OpenVINO's threads outlive its objects,
/// and objects may be dropped by any thread at any time.
pub(super) struct Library {
    pub(super) path: PathBuf,
    /// From 2023.3 on.
    pub(super) last_error: Option<(GetLastError, Free)>,
    _handle: libloading::Library,
}

static LOADED: OnceLock<Library> = OnceLock::new();

const FILE_NAME: &str = "libopenvino_c.so";

/// Where the library may be below the directory that was given.
const SUBDIRECTORIES: &[&str] = &[
    "",
    "libs",
    "openvino/libs",
    "runtime/lib/intel64",
    "runtime/lib/aarch64",
    "runtime/lib/arm64",
    "runtime/lib/intel64/Release",
    "lib/intel64",
    "lib/aarch64",
    "lib/arm64",
];

/// What this crate calls, directly or through `openvino`. The sys crate panics when it calls one
/// that is not there; better to know at once.
const SYMBOLS: &[&str] = &[
    "ov_available_devices_free",
    "ov_compiled_model_create_infer_request",
    "ov_compiled_model_free",
    "ov_core_compile_model",
    "ov_core_create",
    "ov_core_free",
    "ov_core_get_available_devices",
    "ov_core_get_property",
    "ov_core_read_model",
    "ov_core_set_property",
    "ov_get_openvino_version",
    "ov_infer_request_free",
    "ov_infer_request_get_input_tensor",
    "ov_infer_request_get_output_tensor",
    "ov_infer_request_start_async",
    "ov_infer_request_wait_for",
    "ov_model_free",
    "ov_model_inputs_size",
    "ov_model_is_dynamic",
    "ov_model_outputs_size",
    "ov_shape_free",
    "ov_tensor_data",
    "ov_tensor_free",
    "ov_tensor_get_byte_size",
    "ov_tensor_get_shape",
    "ov_tensor_get_size",
    "ov_version_free",
];

/// The library, once it is loaded.
pub(super) fn loaded() -> Option<&'static Library> {
    LOADED.get()
}

/// Finds and loads the library, or takes the one that is loaded already.
pub(super) fn load(directory: Option<&Path>) -> Result<&'static Library, EngineError> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);

    let path = match directory {
        Some(directory) => point_the_finder_at(&find_below(directory)?)?,
        None => openvino_sys::library::find().ok_or_else(not_found)?,
    };
    if let Some(library) = LOADED.get() {
        // Objects of one library must not meet the functions of another.
        if !is_same_file(&library.path, &path) {
            return Err(EngineError::Runtime(format!(
                "{} was asked for, but this process has loaded {}; a process can use one only",
                path.display(),
                library.path.display()
            )));
        }
        return Ok(library);
    }
    let library = open(path)?;
    Ok(LOADED.get_or_init(|| library))
}

fn not_found() -> EngineError {
    EngineError::Runtime(format!(
        "{FILE_NAME} is neither in LD_LIBRARY_PATH nor in the usual places; install OpenVINO and \
         give its directory with --openvino-dir or NCS_OPENVINO_DIR, or source its setupvars.sh"
    ))
}

fn find_below(directory: &Path) -> Result<PathBuf, EngineError> {
    let candidates = || SUBDIRECTORIES.iter().map(|below| directory.join(below));
    if let Some(library) = candidates()
        .map(|d| d.join(FILE_NAME))
        .find(|path| path.is_file())
    {
        return Ok(library);
    }
    // What pip installs has only the versioned name.
    let versioned = candidates().find_map(|directory| {
        let names = directory
            .read_dir()
            .ok()?
            .flatten()
            .map(|entry| entry.file_name());
        let name = names
            .into_iter()
            .find(|n| n.to_string_lossy().starts_with("libopenvino_c.so."));
        name.map(|name| (directory, name))
    });
    Err(EngineError::Runtime(match versioned {
        Some((found_in, name)) => format!(
            "{} has {} but not under the name {FILE_NAME}; link it: ln -s {} {}",
            found_in.display(),
            name.display(),
            name.display(),
            found_in.join(FILE_NAME).display()
        ),
        None => format!(
            "no {FILE_NAME} in {} (nor in its libs or runtime/lib/<architecture>); give the \
             directory of an OpenVINO archive, of openvino in site-packages, or of the file itself",
            directory.display()
        ),
    }))
}

/// Makes the `openvino` crate's finder find `library`, and returns what it finds.
fn point_the_finder_at(library: &Path) -> Result<PathBuf, EngineError> {
    let finds_it = || openvino_sys::library::find().filter(|found| is_same_file(found, library));
    if let Some(found) = finds_it() {
        return Ok(found);
    }
    let threads = threads_of_this_process();
    if threads != 1 {
        return Err(EngineError::Runtime(format!(
            "its directory must be set before the process starts threads, and there are {threads}; \
             load it first thing, or set LD_LIBRARY_PATH outside"
        )));
    }
    // Absolute, so that it holds wherever the process goes.
    let directory = library.parent().unwrap_or(Path::new("."));
    let directory = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.to_owned());
    let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let paths = std::iter::once(directory)
        .chain(env::split_paths(&before).filter(|path| !path.as_os_str().is_empty()));
    let paths = env::join_paths(paths).map_err(|error| EngineError::Runtime(error.to_string()))?;
    #[expect(
        unsafe_code,
        reason = "the finder of the openvino crate reads the environment only"
    )]
    // SAFETY: this is the only thread of the process, as counted above, so nobody reads the
    // environment at the same time.
    unsafe {
        for outranking in [
            "OPENVINO_BUILD_DIR",
            "OPENVINO_INSTALL_DIR",
            "INTEL_OPENVINO_DIR",
        ] {
            env::remove_var(outranking);
        }
        env::set_var("LD_LIBRARY_PATH", paths);
    }
    finds_it().ok_or_else(not_found)
}

/// On Linux, as the kernel counts them; elsewhere nobody knows, which must count as several.
fn threads_of_this_process() -> usize {
    Path::new("/proc/self/task")
        .read_dir()
        .map_or(usize::MAX, Iterator::count)
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn open(path: PathBuf) -> Result<Library, EngineError> {
    let unusable = |reason: String| {
        EngineError::Runtime(format!("{} cannot be loaded: {reason}", path.display()))
    };
    #[expect(
        unsafe_code,
        reason = "a library is loaded at run time, so that one binary serves all"
    )]
    // SAFETY: loading runs the initialisers of a library that the user named as OpenVINO's; the
    // `openvino` crate loads the same file the same way.
    let handle =
        unsafe { libloading::Library::new(&path) }.map_err(|error| unusable(error.to_string()))?;

    #[expect(unsafe_code, reason = "looks up symbols")]
    // SAFETY: the symbols are only compared with absence, never called through this type.
    let missing = SYMBOLS
        .iter()
        .find(|symbol| unsafe { handle.get::<*const ()>(symbol.as_bytes()).is_err() });
    if let Some(symbol) = missing {
        return Err(unusable(format!(
            "it has no {symbol}; OpenVINO 2022.3 or newer is needed"
        )));
    }
    #[expect(unsafe_code, reason = "looks up symbols")]
    // SAFETY: these are the types that `ov_common.h` declares. The pointers are copied out of the
    // library's symbols, and the library is never unloaded.
    let last_error = unsafe {
        let get = handle.get::<GetLastError>(b"ov_get_last_err_msg\0");
        let free = handle.get::<Free>(b"ov_free\0");
        get.and_then(|get| Ok((*get, *free?))).ok()
    };
    Ok(Library {
        path,
        last_error,
        _handle: handle,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = env::temp_dir().join(format!("ncs-engine-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn archives_and_site_packages_are_searched() {
        let root = directory("layouts");
        for below in ["runtime/lib/intel64", "libs", ""] {
            fs::create_dir_all(root.join(below)).unwrap();
            let library = root.join(below).join(FILE_NAME);
            fs::write(&library, "").unwrap();
            assert_eq!(find_below(&root).unwrap(), library);
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_versioned_name_gets_the_command_that_links_it() {
        let root = directory("versioned");
        fs::create_dir_all(root.join("libs")).unwrap();
        fs::write(root.join("libs/libopenvino_c.so.2641"), "").unwrap();
        let error = find_below(&root).unwrap_err().to_string();
        assert!(error.contains("ln -s libopenvino_c.so.2641 "), "{error}");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_directory_is_refused_once_there_are_threads() {
        let root = directory("threads");
        fs::write(root.join(FILE_NAME), "").unwrap();
        // The test's own thread and the harness's.
        let error = point_the_finder_at(&root.join(FILE_NAME))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("before the process starts threads"),
            "{error}"
        );
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_library_that_is_not_openvino_is_refused() {
        let root = directory("other");
        fs::write(root.join(FILE_NAME), "no library").unwrap();
        assert!(open(root.join(FILE_NAME)).is_err());
        let libc = [
            "/lib/x86_64-linux-gnu/libm.so.6",
            "/lib/aarch64-linux-gnu/libm.so.6",
        ];
        let libc = libc.iter().map(PathBuf::from).find(|path| path.is_file());
        let error = open(libc.expect("a libm to load"))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("it has no ov_"), "{error}");
        fs::remove_dir_all(root).unwrap();
    }
}
