//! What an emulated stick has no use for: it is there, and answers that it is not implemented.
//!
//! None of these reads its parameters, so none is declared with any: the calling conventions of
//! Linux leave it to the caller to clean them up.

use std::ffi::{c_char, c_int};
use std::ptr;

use crate::status::Status;

/// Functions that answer `NOT_IMPLEMENTED`.
macro_rules! not_implemented {
    ($($name:ident,)+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> c_int {
            Status::NotImplemented.code()
        }
    )+};
}

/// Functions that free what no function here ever gives.
macro_rules! nothing_to_free {
    ($($name:ident,)+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() {}
    )+};
}

/// Functions that answer with a string.
macro_rules! no_string {
    ($($name:ident,)+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> *const c_char {
            ptr::null()
        }
    )+};
}

/// Functions that answer a question.
macro_rules! never {
    ($($name:ident,)+) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> bool {
            false
        }
    )+};
}

not_implemented! {
    ov_compiled_model_export_model,
    ov_compiled_model_get_property,
    ov_compiled_model_get_runtime_model,
    ov_compiled_model_input,
    ov_compiled_model_input_by_index,
    ov_compiled_model_input_by_name,
    ov_compiled_model_output,
    ov_compiled_model_output_by_index,
    ov_compiled_model_output_by_name,
    ov_compiled_model_set_property,
    ov_const_port_get_shape,
    ov_core_compile_model_from_file,
    ov_core_compile_model_from_file_unicode,
    ov_core_create_with_config_unicode,
    ov_core_get_versions_by_device_name,
    ov_core_import_model,
    ov_core_read_model_from_memory,
    ov_core_read_model_unicode,
    ov_infer_request_cancel,
    ov_infer_request_get_profiling_info,
    ov_infer_request_get_tensor,
    ov_infer_request_get_tensor_by_const_port,
    ov_infer_request_get_tensor_by_port,
    ov_infer_request_set_callback,
    ov_infer_request_set_input_tensor,
    ov_infer_request_set_input_tensor_by_index,
    ov_infer_request_set_output_tensor,
    ov_infer_request_set_output_tensor_by_index,
    ov_infer_request_set_tensor,
    ov_infer_request_set_tensor_by_const_port,
    ov_infer_request_set_tensor_by_port,
    ov_layout_create,
    ov_model_const_input,
    ov_model_const_input_by_index,
    ov_model_const_input_by_name,
    ov_model_const_output,
    ov_model_const_output_by_index,
    ov_model_const_output_by_name,
    ov_model_get_friendly_name,
    ov_model_input,
    ov_model_input_by_index,
    ov_model_input_by_name,
    ov_model_output,
    ov_model_output_by_index,
    ov_model_output_by_name,
    ov_model_reshape,
    ov_model_reshape_by_port_indexes,
    ov_model_reshape_by_ports,
    ov_model_reshape_input_by_name,
    ov_model_reshape_single_input,
    ov_partial_shape_create,
    ov_partial_shape_create_dynamic,
    ov_partial_shape_create_static,
    ov_partial_shape_to_shape,
    ov_port_get_any_name,
    ov_port_get_element_type,
    ov_port_get_partial_shape,
    ov_port_get_shape,
    ov_preprocess_input_info_get_model_info,
    ov_preprocess_input_info_get_preprocess_steps,
    ov_preprocess_input_info_get_tensor_info,
    ov_preprocess_input_model_info_set_layout,
    ov_preprocess_input_tensor_info_set_color_format,
    ov_preprocess_input_tensor_info_set_element_type,
    ov_preprocess_input_tensor_info_set_from,
    ov_preprocess_input_tensor_info_set_layout,
    ov_preprocess_input_tensor_info_set_spatial_static_shape,
    ov_preprocess_output_info_get_tensor_info,
    ov_preprocess_output_set_element_type,
    ov_preprocess_prepostprocessor_build,
    ov_preprocess_prepostprocessor_create,
    ov_preprocess_prepostprocessor_get_input_info,
    ov_preprocess_prepostprocessor_get_input_info_by_index,
    ov_preprocess_prepostprocessor_get_input_info_by_name,
    ov_preprocess_prepostprocessor_get_output_info,
    ov_preprocess_prepostprocessor_get_output_info_by_index,
    ov_preprocess_prepostprocessor_get_output_info_by_name,
    ov_preprocess_preprocess_steps_convert_color,
    ov_preprocess_preprocess_steps_convert_element_type,
    ov_preprocess_preprocess_steps_convert_layout,
    ov_preprocess_preprocess_steps_crop,
    ov_preprocess_preprocess_steps_mean,
    ov_preprocess_preprocess_steps_resize,
    ov_preprocess_preprocess_steps_reverse_channels,
    ov_preprocess_preprocess_steps_scale,
    ov_shape_to_partial_shape,
    ov_tensor_create,
    ov_tensor_create_from_host_ptr,
    ov_tensor_set_shape,
}

nothing_to_free! {
    ov_core_versions_free,
    ov_layout_free,
    ov_output_const_port_free,
    ov_output_port_free,
    ov_partial_shape_free,
    ov_preprocess_input_info_free,
    ov_preprocess_input_model_info_free,
    ov_preprocess_input_tensor_info_free,
    ov_preprocess_output_info_free,
    ov_preprocess_output_tensor_info_free,
    ov_preprocess_prepostprocessor_free,
    ov_preprocess_preprocess_steps_free,
    ov_profiling_info_list_free,
}

no_string! {
    ov_layout_to_string,
    ov_partial_shape_to_string,
}

never! {
    ov_dimension_is_dynamic,
    ov_partial_shape_is_dynamic,
    ov_rank_is_dynamic,
}
