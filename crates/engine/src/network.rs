//! A model, compiled for its devices, with its infer requests.

use std::path::Path;

use ncs_image::InputSpec;
use openvino::{CompiledModel, Core, DeviceType, RwPropertyKey, Tensor};
use tracing::debug;

use crate::device::is_stick;
use crate::input::input_of;
use crate::runtime::failure;
use crate::scores::classes_of;
use crate::{EngineError, InferRequest, Precision, Target};

/// A compiled model.
pub struct Network {
    input: InputSpec,
    classes: usize,
    requests: Vec<InferRequest>,
    // Last, so that it goes after its requests. Requests that were taken keep the compiled model
    // alive inside OpenVINO, so a network may be dropped before them.
    _compiled: CompiledModel,
}

impl Network {
    /// The model's input.
    #[must_use]
    pub fn input(&self) -> &InputSpec {
        &self.input
    }

    /// How many classes the model tells apart: the number of elements of its single output.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The infer requests, to be given to one thread each. The second time there are none.
    #[must_use]
    pub fn take_requests(&mut self) -> Vec<InferRequest> {
        std::mem::take(&mut self.requests)
    }
}

pub(crate) fn load(
    core: &mut Core,
    path: &Path,
    target: &Target,
    infer_requests: usize,
    precision: Option<Precision>,
) -> Result<Network, EngineError> {
    let unsuitable = |reason: String| EngineError::Model {
        path: path.to_owned(),
        reason,
    };

    let (xml, bin) = files_of(path).map_err(unsuitable)?;
    let model = core
        .read_model_from_file(&xml, &bin)
        .map_err(|error| failure(format!("read the model {xml}"), &error))?;
    let count = |kind: &str, count: Result<usize, _>| match count {
        Ok(1) => Ok(()),
        Ok(n) => Err(unsuitable(format!(
            "it has {n} {kind}s, expected 1; cut the others off it"
        ))),
        Err(error) => Err(failure(format!("count the {kind}s of {xml}"), &error)),
    };
    count("input", model.get_inputs_len())?;
    count("output", model.get_outputs_len())?;
    if model.is_dynamic() {
        let remedy = "convert it with a fixed one, such as [1, 3, 224, 224]";
        return Err(unsuitable(format!("its shape is dynamic; {remedy}")));
    }

    // A name that OpenVINO never saw: `cstr!` in the crate would panic over a NUL.
    if target.device.contains('\0') {
        return Err(EngineError::DeviceName {
            name: target.device.clone(),
            reason: "it contains a NUL",
        });
    }
    ask_for_throughput(core, target);
    if let Some(precision) = precision {
        ask_for_precision(core, target, precision)?;
    }
    let mut compiled = core
        .compile_model(&model, DeviceType::from(target.device.as_str()))
        .map_err(|error| failure(format!("compile {xml} for {}", target.device), &error))?;

    let requests = (0..infer_requests.max(1))
        .map(|_| compiled.create_infer_request())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failure("create an infer request", &error))?;

    let input = requests[0]
        .get_input_tensor()
        .and_then(|tensor| describe(&tensor));
    let (shape, bytes, elements) = input.map_err(|error| failure("show its input", &error))?;
    let input = input_of(&shape, bytes, elements).map_err(unsuitable)?;

    let output = requests[0]
        .get_output_tensor()
        .and_then(|tensor| describe(&tensor));
    let (shape, bytes, elements) = output.map_err(|error| failure("show its output", &error))?;
    let classes = classes_of(&shape, bytes, elements).map_err(unsuitable)?;

    let requests = requests
        .into_iter()
        .map(|r| InferRequest::new(r, input, classes))
        .collect();
    Ok(Network {
        input,
        classes,
        requests,
        _compiled: compiled,
    })
}

/// Shape, bytes, elements. Never the element type, see [`input_of`].
fn describe(tensor: &Tensor) -> Result<(Vec<i64>, usize, usize), openvino::InferenceError> {
    let shape = tensor.get_shape()?.get_dimensions().to_vec();
    Ok((shape, tensor.get_byte_size()?, tensor.get_size()?))
}

/// Looks whether the model's files are there, long before it is loaded.
///
/// # Errors
///
/// [`EngineError::Model`] if one is missing.
pub fn check_model_files(path: &Path) -> Result<(), EngineError> {
    let missing = |reason| EngineError::Model {
        path: path.to_owned(),
        reason,
    };
    files_of(path).map(|_| ()).map_err(missing)
}

/// The model's file and its weights as OpenVINO wants them. Weights are named for an IR only; an
/// empty name lets OpenVINO read the other formats it knows.
fn files_of(path: &Path) -> Result<(String, String), String> {
    let text = |path: &Path| match path.to_str() {
        Some(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err("its path is not UTF-8, or has a NUL; rename it".to_owned()),
    };
    if !path.is_file() {
        return Err("there is no such file; expected an IR's .xml".to_owned());
    }
    if path
        .extension()
        .is_none_or(|extension| !extension.eq_ignore_ascii_case("xml"))
    {
        return Ok((text(path)?, String::new()));
    }
    let weights = path.with_extension("bin");
    if !weights.is_file() {
        let weights = weights.display();
        return Err(format!(
            "its weights {weights} are missing; put them beside the .xml"
        ));
    }
    Ok((text(path)?, text(&weights)?))
}

/// Asks the devices that are no sticks to run several requests side by side. By default a CPU
/// serves one request with all its cores, which is slower with 4 requests in flight; under MULTI it
/// is asked for throughput by MULTI itself. Sticks have nothing to set.
fn ask_for_throughput(core: &mut Core, target: &Target) {
    for device in settable(target) {
        let key = RwPropertyKey::HintPerformanceMode;
        if let Err(error) = core.set_property(&DeviceType::from(device), &key, "THROUGHPUT") {
            let error = failure("set it", &error);
            debug!(device, %error, "the device takes no performance hint");
        }
    }
}

/// Asks the devices that have a choice to compute in this precision.
fn ask_for_precision(
    core: &mut Core,
    target: &Target,
    precision: Precision,
) -> Result<(), EngineError> {
    for device in settable(target) {
        let key = RwPropertyKey::HintInferencePrecision;
        core.set_property(&DeviceType::from(device), &key, precision.as_str())
            .map_err(|error| failure(format!("make {device} compute in {precision}"), &error))?;
    }
    Ok(())
}

/// The devices that have properties to set: all but sticks, which compute in f16 and have none of
/// these. A virtual device such as AUTO:GPU,CPU is set by its own name, without the list.
fn settable(target: &Target) -> impl Iterator<Item = &str> {
    target.members.iter().filter_map(|member| {
        let (device, list) = member.split_once(':').unwrap_or((member, ""));
        let stick = is_stick(device) || list.split(',').any(is_stick);
        (!stick).then_some(device)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_are_told_by_name() {
        let directory = std::env::temp_dir().join(format!("ncs-engine-{}-ir", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let model = directory.join("a.xml");
        assert!(files_of(&model).unwrap_err().contains("no such file"));
        std::fs::write(&model, "").unwrap();
        assert!(files_of(&model).unwrap_err().contains("a.bin are missing"));
        std::fs::write(directory.join("a.bin"), "").unwrap();
        assert!(files_of(&model).unwrap().1.ends_with("a.bin"));
        std::fs::write(directory.join("a.onnx"), "").unwrap();
        assert_eq!(files_of(&directory.join("a.onnx")).unwrap().1, "");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
